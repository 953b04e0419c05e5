"""From "this is denied" to a change that is ready to be reviewed, and onto a branch.

The engine finds the smallest change (`app.core.drafts.choice`), the file is read as committed in
the repository, the change is spliced into it, and what comes out is a `Draft`: nothing leaves the
program before `submit`. The same question gives the same branch, so asking twice is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from app.core.diagnose.evidence import FlowEvidence
from app.core.drafts.body import meta_of
from app.core.drafts.choice import Plan, side_trace
from app.core.drafts.diff import unified_diff
from app.core.errors import (
    DraftRejected,
    K8treError,
    SourceCause,
    SourceUnavailable,
)
from app.core.model.answer import WhyAnswer
from app.core.model.asked import Asked
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Outcome
from app.ports import FileChange, KeptDraft, PolicyRepo, Proposal, ProposedChange
from app.services.ask import Inquiry, inquire
from app.services.draft_files import FileEditor
from app.services.draft_texts import Asker, Told, write_change
from app.services.effect import EffectReport, effect_of
from app.services.picture import Picture
from app.services.proof import Commits, Proof, ask_at, picture_at, prove, same_plan
from app.services.risk import Level, Risk, rate

_TRIES = 3


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """Who asks for a draft and why; `again` although it was declined before.

    `accept_risk` although it is rated high: only with a reason. `title` is a person's instead of
    ours. `expires` is the date on which the change is due to be taken back, as 2026-03-02; empty
    for one that stays.
    """

    reason: str = ""
    requested_by: str = ""
    again: bool = False
    accept_risk: bool = False
    title: str = ""
    expires: str = ""


Redo = Callable[[DraftRequest], Awaitable["Draft"]]
Wish = Callable[[Picture], Plan]
"""Works out, on a picture, a change that is wanted for itself. Raises DraftRejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A change that is ready to be put on a branch, with what is known of its effect.

    `opens` says in one sentence what else it allows, `broadens` whether that is anything. `checks`
    are what was verified; all of them hold, or there would be no draft. `proof` has the pictures
    before and after, and the commit they are of; `inquiry` and `request` are what it answers (no
    inquiry, where a change was wanted for itself), `redo` works it out again on the base of then.
    A `risk` that is high must be accepted, with a reason, before it is submitted. `report` is what
    it does, without what lint finds in other objects. `public` says that everybody reads the
    repository, so that its texts tell less.
    """

    title: str
    repository: str
    diff: str
    change: ProposedChange = field(repr=False)
    plan: Plan = field(repr=False)
    proof: Proof = field(repr=False)
    request: DraftRequest
    redo: Redo = field(repr=False, compare=False)
    inquiry: Inquiry | None = field(default=None, repr=False)
    opens: str = ""
    effect: tuple[str, ...] = ()
    checks: tuple[tuple[str, bool], ...] = ()
    broadens: bool = False
    risk: Risk = field(default_factory=lambda: Risk(Level.LOW))
    report: EffectReport | None = field(default=None, repr=False)
    public: bool = False

    @property
    def policies(self) -> tuple[ObjectRef, ...]:
        """The policies that are changed or made."""
        return tuple(change.policy for change in self.plan.changes)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that change, as paths inside the repository."""
        return tuple(file.path for file in self.change.files)


class Drafter:
    """Makes drafts for one repository.

    `place` turns the file of a `Source`, as shown, into its path inside the repository. `sets` are
    the values given for placeholders: a name that ends in one is written with the placeholder.
    `commits` reads pictures of the repository's commits: every draft is then worked out, edited and
    proved on one. `forge` says where drafts go (`Gitea`, `a local branch`): empty where nowhere.
    `closed` takes none at all. `public` says that everybody reads it, None that the forge says so.
    """

    def __init__(
        self,
        repo: PolicyRepo,
        place: Callable[[str], str],
        *,
        sets: Mapping[str, str] | None = None,
        commits: Commits | None = None,
        forge: str = "a local branch",
        closed: bool = False,
        public: bool | None = None,
    ) -> None:
        self.forge = forge
        self._closed = closed
        self._public = public
        self._repo = repo
        self._commits = commits
        self._place = place
        self._editor = FileEditor(repo, place, sets or {})

    async def patched(self, inquiry: Inquiry) -> WhyAnswer:
        """Give the answer with the patch of every fix, as far as the repository has its files."""
        plans = {plan.key: plan for plan in inquiry.ways.plans}
        fixes = [
            replace(fix, patch=await self._patch(plans[fix.key])) if fix.key in plans else fix
            for fix in inquiry.answer.fixes
        ]
        return replace(inquiry.answer, fixes=tuple(fixes))

    async def _patch(self, plan: Plan) -> str | None:
        try:
            return _diff(await self._editor.edit(plan))
        except K8treError:
            return None

    async def ask(self, picture: Picture, flows: FlowEvidence | None, asked: Asked) -> Inquiry:
        """Ask a question of the commit that drafts start from, or of the picture without one."""
        commit = await self._repo.base() if self._commits else ""
        if self._commits is None or not commit:
            return await asyncio.to_thread(inquire, picture, flows, asked)
        return await ask_at(self._commits, commit, picture, flows, asked)

    async def draft(
        self, inquiry: Inquiry, plan: Plan, request: DraftRequest | None = None
    ) -> Draft:
        """Draft a way to allow what an inquiry was about, proved for the base as it is now.

        An inquiry of something else than that commit is made again there. Raises NotFound or
        SourceUnavailable when the repository does not have the file, DraftRejected when it has
        another than the one in force, when the change is there already, or when the files that it
        makes break a boundary, are refused by Cilium, or have errors that lint finds.
        """
        for _ in range(_TRIES):
            commit = await self._repo.base() if self._commits else ""
            if self._commits and commit != inquiry.commit:
                asked = inquiry.answer.asked
                flows = inquiry.flows
                inquiry = await ask_at(self._commits, commit, inquiry.picture, flows, asked)
                plan = same_plan(inquiry, plan)
            files = await self._editor.edit(plan)
            proof = await prove(inquiry.picture, inquiry.commit, plan, files, self._commits)
            if not commit or await self._repo.base() == commit:
                redo = partial(self.draft, inquiry, plan)
                request = request or DraftRequest()
                return await self._assemble(plan, files, proof, request, redo, inquiry)
        raise self._moving()

    async def make(
        self, picture: Picture, wish: Wish, request: DraftRequest | None = None
    ) -> Draft:
        """Draft a change that is wanted for itself: what goes, is narrowed or was seen.

        Worked out on the base as it is now; raises as `draft` does.
        """
        for _ in range(_TRIES):
            commit, at = "", picture
            if self._commits and (commit := await self._repo.base()):
                at = await picture_at(self._commits, commit, picture)
            plan = await asyncio.to_thread(wish, at)
            files = await self._editor.edit(plan)
            proof = await prove(at, commit, plan, files, self._commits)
            if not commit or await self._repo.base() == commit:
                redo = partial(self.make, picture, wish)
                request = request or DraftRequest()
                return await self._assemble(plan, files, proof, request, redo, None)
        raise self._moving()

    def _moving(self) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self._repo.name} keeps moving", cause=SourceCause.CONFLICT, hint="try again"
        )

    async def kept(self) -> tuple[KeptDraft, ...]:
        """Every draft of ours that the repository or its forge has."""
        return await self._repo.drafts()

    async def submit(self, draft: Draft) -> Proposal:
        """Put the draft on a branch, or open a pull request.

        When the base has moved on in the meantime, the same change is worked out and proved again
        there; DraftRejected when it cannot be, or its risk is high and nobody accepts it.
        """
        if self._closed:
            raise DraftRejected("drafts are switched off here", hint="by repo.read_only")
        check_risk(draft)
        draft = await self._still_expiring(draft)
        for _ in range(_TRIES - 1):
            try:
                return await self._repo.propose(draft.change)
            except SourceUnavailable as error:
                if error.cause is not SourceCause.CONFLICT:
                    raise
                draft = await draft.redo(draft.request)
                check_risk(draft)
        return await self._repo.propose(draft.change)

    async def _still_expiring(self, draft: Draft) -> Draft:
        """An open draft that expires does not come to stay by being drafted again."""
        if draft.request.expires:
            return draft
        for kept in await self._repo.drafts():
            if kept.branch == draft.change.branch and kept.state == "open":
                meta = meta_of(kept.text)
                if meta is not None and meta.expires:
                    request = replace(draft.request, expires=meta.expires)
                    return await draft.redo(request)
        return draft

    async def _assemble(
        self,
        plan: Plan,
        files: tuple[FileChange, ...],
        proof: Proof,
        request: DraftRequest,
        redo: Redo,
        inquiry: Inquiry | None,
    ) -> Draft:
        risk, effect = rate(plan, proof), _effect(plan, proof)
        flows = inquiry.flows if inquiry else None
        report = await asyncio.to_thread(effect_of, proof.before, proof.after, flows=flows)
        told = Told(
            plan=plan,
            files=files,
            answer=inquiry.answer if inquiry else None,
            engine=proof.after.engine,
            report=report,
            checks=proof.checks,
            effect=effect,
            reached=_reached(plan),
            risk=str(risk),
            base=proof.commit,
            place=self._place,
        )
        public = await self._repo.is_public() if self._public is None else self._public
        asker = Asker(
            reason=request.reason,
            name=request.requested_by,
            title=request.title,
            expires=request.expires,
            again=request.again,
            public=public,
        )
        change = write_change(told, asker)
        return Draft(
            title=change.title,
            repository=self._repo.name,
            diff=_diff(files),
            change=change,
            plan=plan,
            proof=proof,
            redo=redo,
            inquiry=inquiry,
            request=request,
            opens=plan.opens,
            effect=effect,
            checks=proof.checks,
            broadens=plan.broadens,
            risk=risk,
            report=report,
            public=public,
        )


def check_risk(draft: Draft) -> None:
    """Raise DraftRejected for a high risk that nobody has accepted with a reason."""
    if draft.risk.level is not Level.HIGH:
        return
    request = draft.request
    if not request.accept_risk or not request.reason.strip():
        raise DraftRejected(
            f"the risk is {draft.risk}",
            hint="`--accept-risk` with `--reason` submits it all the same",
        )


def _diff(files: Sequence[FileChange]) -> str:
    return "".join(unified_diff(file.path, file.before, file.after) for file in files)


def _effect(plan: Plan, proof: Proof) -> tuple[str, ...]:
    lines = [
        plan.opens,
        *filter(None, [plan.closes]),
        *(f"not known: {text}" for text in proof.not_known),
    ]
    redirected = [
        direction.value
        for direction in Direction
        if plan.trace and side_trace(plan.trace, direction).outcome is Outcome.REDIRECTED
    ]
    if redirected:
        lines.append(f"layer 7 rules still decide each request ({', '.join(redirected)})")
    if overlays := _reached(plan):
        lines.append(f"changes what is deployed by {', '.join(overlays)}")
    judged = {one for change in plan.changes if change.source for one in change.source.deployed_by}
    if others := [one for one in overlays if one not in judged]:
        shown = ", ".join(sorted(judged))
        lines.append(f"judged as {shown} deploys it; not judged for {', '.join(others)}")
    return tuple(lines)


def _reached(plan: Plan) -> tuple[str, ...]:
    """The folders whose deployments change, of every environment."""
    sources = [change.source for change in plan.changes if change.source]
    return tuple(sorted({name for one in sources for name in one.reach or one.deployed_by}))
