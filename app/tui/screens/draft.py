"""A fix on its way to a branch: prepared in the background, submitted only after a question."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from app.core.errors import K8treError
from app.core.model.answer import Fix
from app.services.ask import Inquiry, inquire
from app.services.effect import EffectReport, apart, effect_of_policies
from app.services.picture import Picture
from app.tui.actions import Need, Scope, bindings
from app.tui.places import Place
from app.tui.screens.document import DocumentScreen
from app.tui.session import Session, judges_alike
from app.tui.views import draft as views
from widgets.confirm import Confirm
from widgets.document import paragraph
from widgets.frame import StatusView
from widgets.spans import Span, Tone

if TYPE_CHECKING:
    from app.services.drafting import Draft, Drafter


class DraftScreen(DocumentScreen):
    """The place's subject is the inquiry with the chosen fix."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.DRAFT, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.DRAFT)]

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._draft: Draft | None = None
        self._busy = ""

    @property
    def subject(self) -> tuple[Inquiry, Fix]:
        """What was asked and answered, and the chosen fix."""
        subject = self.place.subject
        if not isinstance(subject, tuple):
            raise TypeError(subject)
        return subject

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
            self._draft = await drafter.draft(inquiry, inquiry.ways.keyed(fix.key))
        except K8treError as error:
            self._show_error(error)
        else:
            self._show_draft(self._draft)
            await self._compare(self._draft)
        self._busy = ""
        self.draw_frame()

    async def _ask_now(self) -> Inquiry:
        """What was asked, as it is answered now: policies may have changed meanwhile."""
        inquiry, picture = self.subject[0], self.session.picture
        if judges_alike(picture.cluster, inquiry.picture.cluster):
            return inquiry
        flows = self.session.workspace.evidence()
        return await asyncio.to_thread(inquire, apart(picture), flows, inquiry.answer.asked)

    async def _compare(self, draft: Draft) -> None:
        """Add every pair that the change opens, and what it does to recorded connections."""
        self._busy = "comparing"
        self.draw_frame()
        flows, proof = self.session.workspace.evidence(), draft.proof
        objects = self.session.workspace.manifests()

        def compare() -> EffectReport:
            policies = proof.after.cluster.policies
            before = apart(proof.before)
            return effect_of_policies(before, policies, flows=flows, manifests=objects)

        report = await asyncio.to_thread(compare)
        self._show_draft(draft, report)

    def _show_draft(self, draft: Draft, report: EffectReport | None = None) -> None:
        self.document.show(tuple(views.describe(draft, self.session.marks, report)))

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
        return "" if self._draft and not self._busy else self._busy or "there is no draft"

    def do_submit(self) -> None:
        """Ask, then put it on a branch."""
        if self._draft is not None:
            self.app.push_screen(Confirm(views.question(self._draft)), self._confirmed)

    def _confirmed(self, yes: bool | None) -> None:  # noqa: FBT001  # a screen's result
        drafter, draft = self.session.drafter, self._draft
        if not yes or drafter is None or draft is None:
            self.say("nothing was sent")
            return
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
