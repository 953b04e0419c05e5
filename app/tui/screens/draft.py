"""A fix on its way to a branch: prepared in the background, submitted only after a question."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from app.core.errors import BadInput, K8treError
from app.core.model.answer import Fix
from app.core.text import clean
from app.services.ask import Inquiry, inquire
from app.services.effect import EffectReport, apart, effect_of_policies
from app.services.picture import Picture
from app.services.risk import Level
from app.tui.actions import Need, Scope, bindings
from app.tui.editor import edit_text
from app.tui.messages import Save
from app.tui.places import Place
from app.tui.screens.document import DocumentScreen
from app.tui.session import Session, judges_alike
from app.tui.views import draft as views
from widgets.confirm import Confirm
from widgets.document import paragraph
from widgets.frame import StatusView
from widgets.prompt import Prompt
from widgets.spans import Span, Tone

if TYPE_CHECKING:
    from app.services.drafting import Draft, Drafter, DraftRequest


REASON = "why"
"""The prompt's mode for the reason."""
_EDIT_HELP = """# The first line is the title, what follows is why it is needed.
# Lines that begin with # are left out. The rest of the pull request is written by the program.
"""


def parse_edited(text: str) -> tuple[str, str]:
    """Give title and reason of an edited text, without its comments."""
    kept = [clean(line) for line in text.split("\n") if not line.startswith("#")]
    title, *rest = kept or [""]
    return title.strip(), "\n".join(rest).strip()


class DraftScreen(DocumentScreen):
    """The place's subject is the inquiry with the chosen fix."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.DRAFT, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.DRAFT)]

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._draft: Draft | None = None
        self._report: EffectReport | None = None
        self._request: DraftRequest | None = None
        self._busy = ""
        self._split = False
        self._submits = False

    @property
    def subject(self) -> tuple[Inquiry, Fix]:
        """What was asked and answered, and the chosen fix."""
        subject = self.place.subject
        if not isinstance(subject, tuple):
            raise TypeError(subject)
        return subject

    @property
    def _forge(self) -> str:
        return self.session.drafter.forge if self.session.drafter else ""

    def begin(self) -> None:
        """Begin to prepare."""
        drafter = self.session.drafter
        if drafter is None:
            self.document.show(tuple(views.of_fix(self.subject[1])))
            return
        self._busy = "preparing"
        self.document.show((paragraph("Preparing the change and simulating its effect."),))
        self.work("draft", self._prepare(drafter))

    def show_picture(self, picture: Picture) -> None:
        """A draft stays as it was prepared: it says what was true then."""

    async def _prepare(self, drafter: Drafter) -> None:
        _, fix = self.subject
        try:
            inquiry = await self._ask_now()
            plan = inquiry.ways.keyed(fix.key)
            self._draft = await drafter.draft(inquiry, plan, self._request)
        except K8treError as error:
            self._show_error(error)
        else:
            self._show_draft()
            if self._report is None:
                self._report = await self._compare(self._draft)
                self._show_draft()
        self._busy = ""
        self.draw_frame()

    async def _ask_now(self) -> Inquiry:
        """What was asked, as it is answered now: policies may have changed meanwhile."""
        inquiry, picture = self.subject[0], self.session.picture
        if judges_alike(picture.cluster, inquiry.picture.cluster):
            return inquiry
        flows = self.session.workspace.evidence()
        return await asyncio.to_thread(inquire, apart(picture), flows, inquiry.answer.asked)

    async def _compare(self, draft: Draft) -> EffectReport:
        """Add every pair that the change opens, and what it does to recorded connections."""
        self._busy = "comparing"
        self.draw_frame()
        flows, proof = self.session.workspace.evidence(), draft.proof
        objects = self.session.workspace.manifests()

        def compare() -> EffectReport:
            policies = proof.after.cluster.policies
            before = apart(proof.before)
            return effect_of_policies(before, policies, flows=flows, manifests=objects)

        return await asyncio.to_thread(compare)

    def _show_draft(self) -> None:
        if self._draft is None:
            return
        width = self.document.scrollable_content_region.width if self._split else 0
        marks, forge = self.session.marks, self._forge
        shown = views.describe(self._draft, marks, self._report, forge=forge, split_at=width)
        self.document.show(tuple(shown))

    def _show_error(self, error: K8treError) -> None:
        lines = [paragraph(Span(str(error), Tone.BAD))]
        if error.hint:
            lines.append(paragraph(Span(error.hint, Tone.DIM)))
        self.document.show(tuple(lines))

    def status(self) -> StatusView:
        """Say what is being done."""
        notes = (Span(self._busy, Tone.WARN),) if self._busy else ()
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("why", "draft"), view=view, notes=notes)

    def missing(self, need: Need) -> str:
        """There may be nothing to submit, or nowhere."""
        if need is not Need.DRAFTS:
            return super().missing(need)
        if self.session.drafter is None:
            return self.session.no_drafts
        if not self.session.drafter.forge:
            return "this is no git repository: `s` saves the patch"
        return "" if self._draft and not self._busy else self._busy or "there is no draft"

    def do_submit(self) -> None:
        """Ask, then put it on a branch; where the risk is high, ask first why."""
        if self._draft is None:
            return
        if self._draft.risk.level is Level.HIGH and not self._draft.request.reason.strip():
            self._submits = True
            self.do_reason()
            return
        self._ask_to_submit()

    def _ask_to_submit(self) -> None:
        if self._draft is not None:
            question = views.question(self._draft, self._forge)
            self.app.push_screen(Confirm(question), self._confirmed)

    def do_reason(self) -> None:
        """Type why it is needed."""
        if self._draft is None:
            self.say("there is no draft to give a reason for")
            return
        if self._draft.risk.level is Level.HIGH:
            self.say(f"the risk is {self._draft.risk}: say why it is needed all the same")
        self.query_one(Prompt).open(REASON, self._draft.request.reason, lambda _: None)

    def answered(self, mode: str, text: str) -> None:
        """Take the reason."""
        if mode == REASON:
            self._rework(reason=text.strip())

    def _rework(self, **changes: str) -> None:
        """Prepare the draft again, with another reason or title."""
        drafter, draft = self.session.drafter, self._draft
        if drafter is None or draft is None or self._busy:
            return
        self._request = replace(draft.request, **changes)  # type: ignore[arg-type]  # texts only
        self._busy = "preparing"
        self.draw_frame()
        self.work("draft", self._prepare_again(drafter))

    async def _prepare_again(self, drafter: Drafter) -> None:
        await self._prepare(drafter)
        if self._submits and self._draft is not None and self._draft.request.reason:
            self._ask_to_submit()
        self._submits = False

    def do_edit(self) -> None:
        """Edit the title, and below it the reason, in the operator's editor."""
        if self._draft is None or self._busy:
            self.say(self._busy or "there is no draft to edit")
            return
        draft = self._draft
        text = f"{draft.title}\n\n{draft.request.reason}\n\n{_EDIT_HELP}"
        try:
            edited = edit_text(self.app, text, "DRAFT.txt")
        except BadInput as error:
            self.say(str(error), bad=True)
            return
        title, reason = parse_edited(edited)
        self._rework(title=title if title != draft.title else draft.request.title, reason=reason)

    def do_save_patch(self) -> None:
        """Save the patch for `git apply`."""
        patch = self._draft.diff if self._draft else self.subject[1].patch
        if not patch:
            self.say("there is no patch to save")
            return
        self.post_message(Save(self.proposed_name(".patch"), patch))

    def do_split(self) -> None:
        """Side by side, or one diff."""
        self._split = not self._split
        self._show_draft()

    def _confirmed(self, yes: bool | None) -> None:  # noqa: FBT001  # a screen's result
        drafter, draft = self.session.drafter, self._draft
        if not yes or drafter is None or draft is None:
            self.say("nothing was sent")
            return
        if draft.risk.level is Level.HIGH:
            draft = replace(draft, request=replace(draft.request, accept_risk=True))
        self._busy = "submitting"
        self.draw_frame()
        self.work("draft", self._submit(drafter, draft))

    async def _submit(self, drafter: Drafter, draft: Draft) -> None:
        try:
            proposal = await drafter.submit(draft)
        except K8treError as error:
            self.say(f"{error} {error.hint}".strip(), bad=True)
        else:
            self.say(f"on branch {proposal.branch} {proposal.url}".strip())
        self._busy = ""
        self.draw_frame()

    def do_copy_all(self) -> None:
        """Copy the patch alone."""
        patch = self._draft.diff if self._draft else self.subject[1].patch
        self.copy(patch or self.document.text, "the patch")
