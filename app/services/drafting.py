"""From "this is denied" to a change that is ready to be reviewed, and onto a branch.

The engine finds the smallest change (`app.core.drafts.choice`), the file is read as committed in
the repository, the change is spliced into it, and what comes out is a `Draft`: nothing leaves the
program before `submit`. The same question gives the same branch, so asking twice is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.diagnose.boundaries import newly_broken
from app.core.diagnose.case import Case, gather
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.instead import go_betweens
from app.core.diagnose.naming import parse_end
from app.core.drafts.change import Change
from app.core.drafts.choice import NothingDenied, Plan, plans, side_trace
from app.core.drafts.diff import count_changes, unified_diff
from app.core.drafts.proposal import (
    Summary,
    body,
    branch_name,
    change_key,
    commit_message,
    title,
)
from app.core.errors import (
    DraftRejected,
    K8treError,
    SourceCause,
    SourceUnavailable,
    UsageError,
)
from app.core.model.answer import Fix, WhyAnswer
from app.core.model.asked import Asked, AskedPort, EndKind
from app.core.model.cluster import IdentityKind
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Outcome, Question, Verdict
from app.core.model.verdict import Protocol as IpProtocol
from app.core.model.workloads import short_name
from app.core.policy.engine import Engine
from app.ports import FileChange, PolicyRepo, Proposal, ProposedChange
from app.services.draft_files import FileEditor
from app.services.picture import Picture

_VERIFIED = (
    ("every edited file parses to exactly the intended objects", True),
    ("the policy engine allows the connection afterwards", True),
)
"""What was checked; where one fails there is no draft."""

_TRIES = 3
_MOST_FIXES = 3
_MOST_LEGS = 8
"""Connections behind one question that one change may be about; of more the first is."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that is ready to be put on a branch, with what is known of its effect.

    `opens` says in one sentence what else it allows, `broadens` whether that is anything. `checks`
    are what was verified; all of them hold, or there would be no draft.
    """

    title: str
    repository: str
    diff: str
    change: ProposedChange = field(repr=False)
    plan: Plan = field(repr=False)
    opens: str = ""
    effect: tuple[str, ...] = ()
    checks: tuple[tuple[str, bool], ...] = ()
    broadens: bool = False

    @property
    def policies(self) -> tuple[ObjectRef, ...]:
        """The policies that are changed or made."""
        return tuple(change.policy for change in self.plan.changes)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that change, as paths inside the repository."""
        return tuple(file.path for file in self.change.files)


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """Who asks for a draft and why; `again` although it was declined before."""

    reason: str = ""
    requested_by: str = ""
    again: bool = False


Boundaries = Callable[[Engine, Engine], Sequence[str]]
"""What must hold whatever is drafted: gives the names of those that a change breaks."""


class Drafter:
    """Makes drafts for one repository.

    `place` turns the file of a `Source`, as shown, into its path inside the repository. `sets` are
    the values given for placeholders: a name that ends in one is written with the placeholder.
    """

    def __init__(
        self,
        repo: PolicyRepo,
        place: Callable[[str], str],
        *,
        sets: Mapping[str, str] | None = None,
        boundaries: Boundaries | None = None,
    ) -> None:
        self._repo = repo
        self._editor = FileEditor(repo, place, sets or {})
        self._boundaries = boundaries

    async def fixes(
        self, picture: Picture, asked: Asked, flows: FlowEvidence | None = None
    ) -> tuple[Fix, ...]:
        """Give the ways to allow a denied question, the one that opens least first.

        None when there is nothing to fix, or no change that may be written.
        """
        try:
            wanted = _wanted(picture, asked, flows)
            found = _plans(wanted, picture.engine)
        except DraftRejected:
            return ()
        fixes = [await self._fix(plan, picture) for plan in found]
        return (*fixes, *_instead(wanted.question, picture.engine))

    async def patched(
        self, answer: WhyAnswer, picture: Picture, asked: Asked, flows: FlowEvidence | None = None
    ) -> WhyAnswer:
        """Give the answer with the patch of every fix, as far as the repository has its files."""
        found = {fix.title: fix.patch for fix in await self.fixes(picture, asked, flows)}
        fixes = (replace(fix, patch=found.get(fix.title)) for fix in answer.fixes)
        return replace(answer, fixes=tuple(fixes))

    async def _fix(self, plan: Plan, picture: Picture) -> Fix:
        try:
            files = await self._editor.edit(plan)
            self._check_boundaries(plan, picture)
            patch = _diff(files)
        except K8treError:
            patch = None
        return _fix(plan, patch)

    async def draft(
        self,
        picture: Picture,
        asked: Asked,
        *,
        fix: int = 1,
        request: DraftRequest | None = None,
        flows: FlowEvidence | None = None,
    ) -> Draft:
        """Draft the `fix`-th way to allow a denied question.

        Raises DraftRejected when nothing is denied or no safe change allows it, NotFound or
        SourceUnavailable when the repository does not have the file, and what `gather` raises when
        an end is not clear.
        """
        found = _plans(_wanted(picture, asked, flows), picture.engine)
        if not 0 < fix <= len(found):
            raise DraftRejected(f"there are {len(found)} ways to allow this, and no number {fix}")
        return await self._draft(picture, found[fix - 1], request or DraftRequest())

    async def prepare(self, picture: Picture, answer: WhyAnswer, fix: Fix) -> Draft:
        """Draft a fix of an answer; DraftRejected when the picture has moved on from it."""
        for plan in _plans(_wanted_of(picture, answer), picture.engine):
            if fix_title(plan) == fix.title:
                return await self._draft(picture, plan, DraftRequest())
        raise DraftRejected("the policies have changed since; ask again")

    async def _draft(self, picture: Picture, plan: Plan, request: DraftRequest) -> Draft:
        self._check_boundaries(plan, picture)
        files = await self._editor.edit(plan)
        return self._assemble(plan, files, request)

    def _check_boundaries(self, plan: Plan, picture: Picture) -> None:
        if self._boundaries and (broken := self._boundaries(picture.engine, plan.after)):
            raise DraftRejected(
                f"it would break {', '.join(f'`{name}`' for name in broken)}",
                hint="this is blocked on purpose",
            )

    async def submit(self, draft: Draft) -> Proposal:
        """Put the draft on a branch, or open a pull request.

        When the files have moved on in the meantime, the same changes are made to the new text.
        """
        for _ in range(_TRIES - 1):
            try:
                return await self._repo.propose(draft.change)
            except SourceUnavailable as error:
                if error.cause is not SourceCause.CONFLICT:
                    raise
                files = await self._editor.edit(draft.plan)
                draft = replace(draft, change=replace(draft.change, files=files))
        return await self._repo.propose(draft.change)

    def _assemble(self, plan: Plan, files: tuple[FileChange, ...], request: DraftRequest) -> Draft:
        first = plan.changes[0]
        operation = [(str(change.policy), _operation(change)) for change in plan.changes]
        key = change_key(self._repo.name, files[0].path, first.policy, operation)
        heading = title(first.policy, first.title)
        diffs = {file.path: unified_diff(file.path, file.before, file.after) for file in files}
        checks = (*_VERIFIED, ("no boundary is broken", True)) if self._boundaries else _VERIFIED
        summary = Summary(
            what=f"{first.title[:1].upper()}{first.title[1:]}: {_how(plan)}.",
            policy=first.policy,
            diffs=diffs,
            counts={path: count_changes(diff) for path, diff in diffs.items()},
            deployed_by=first.source.deployed_by if first.source else (),
            risk=_risk(plan),
            reason=request.reason,
            effect=_effect(plan),
            checks=checks,
            requested_by=request.requested_by,
        )
        change = ProposedChange(
            branch=branch_name(first.policy, key),
            title=heading,
            body=body(summary, key),
            commit_message=commit_message(heading, key, request.reason, request.requested_by),
            files=files,
            again=request.again,
        )
        return Draft(
            heading,
            self._repo.name,
            "".join(diffs.values()),
            change,
            plan,
            plan.opens,
            _effect(plan),
            checks,
            plan.broadens,
        )


def offer(picture: Picture, asked: Asked, flows: FlowEvidence | None = None) -> tuple[Fix, ...]:
    """The ways to allow a denied question, least opened first; no file is read, so no patch.

    What would break a boundary is not offered, and where nothing is left that is the answer.
    """
    instead: tuple[Fix, ...] = ()
    try:
        wanted = _wanted(picture, asked, flows)
        instead = _instead(wanted.question, picture.engine)
        found = _plans(wanted, picture.engine)
    except NothingDenied:
        return ()
    except DraftRejected as refused:
        return (Fix(f"none offered: {refused.message}", "none"), *instead)
    fixes, held_back = [], dict[str, None]()
    for plan in found:
        broken = newly_broken(picture.boundaries, picture.engine, plan.after)
        held_back.update(dict.fromkeys(broken))
        if not broken:
            fixes.append(_fix(plan, None))
    if held_back and not fixes:
        names = ", ".join(f"`{name}`" for name in held_back)
        return (Fix(f"none offered: any rule that allows it breaks {names}", "none"), *instead)
    return (*fixes, *instead)


def _instead(question: Question, engine: Engine) -> tuple[Fix, ...]:
    """What the pod may use instead of the outside, where there is anything."""
    found = next(go_betweens(question, engine), None)
    if found is None:
        return ()
    where = f"{found.service.key}:{found.port.port}"
    other = short_name(question.destination)
    title = (
        f"do not allow it: use `{where}`, which policies let this pod reach and let go to {other}"
    )
    return (Fix(title, "none", opens="opens nothing"),)


def _fix(plan: Plan, patch: str | None) -> Fix:
    first = plan.changes[0]
    return Fix(fix_title(plan), first.kind.value, first.policy, patch, plan.opens)


def fix_title(plan: Plan) -> str:
    """What a fix is called; the same plan has the same title."""
    return f"{plan.changes[0].title}: {_how(plan)}"


def _how(plan: Plan) -> str:
    return "; ".join(
        f"{change.how} ({change.policy.namespace}/{change.policy.name})".replace("(/", "(")
        for change in plan.changes
    )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The connection to allow, and the port of the Service that stands before it.

    `sides` are what the way through the own gateway asks of policies, one direction each.
    """

    question: Question
    service_port: int | None = None
    sides: tuple[tuple[Question, Direction], ...] = ()


def _wanted_by_name(case: Case, question: Question, name: str) -> _Wanted:
    """A connection to what is outside, with its name; first of all the DNS server must answer."""
    named = replace(question.destination, names=frozenset({name}))
    wanted = replace(question, destination=named)
    report = case.name
    if report is None or report.leg.trace.ingress.l4 is not Outcome.DENIED:
        return _Wanted(wanted)
    server = replace(report.leg.question, request=None)
    both = [(wanted, direction) for direction in Direction]
    return _Wanted(wanted, sides=((server, Direction.INGRESS), *both))


def _plans(wanted: _Wanted, engine: Engine) -> tuple[Plan, ...]:
    return plans(
        wanted.question,
        engine,
        service_port=wanted.service_port,
        most=_MOST_FIXES,
        sides=wanted.sides,
    )


def _wanted(picture: Picture, asked: Asked, flows: FlowEvidence | None) -> _Wanted:
    """The first connection that is denied, else the one whose name is not seen."""
    case = gather(asked, picture.engine, flows)
    main = case.main
    if main is None:
        raise NothingDenied("there is no connection behind this question")
    if case.path is not None:
        checks = case.path.checks
        return _Wanted(
            main.question, sides=tuple((check.leg.question, check.direction) for check in checks)
        )
    end, question = main.destination, main.question
    if end.name and end.peer.kind is IdentityKind.WORLD:
        learned_as = case.answered[0].query if case.answered else end.name
        return _wanted_by_name(case, question, learned_as)
    port = end.service_port.port if end.service_port else None
    several = [leg.question for leg in case.legs if leg.is_denied][: _MOST_LEGS + 1]
    if case.name is not None and case.name.leg.is_denied:
        several = [case.name.leg.question, question]
    if not 1 < len(several) <= _MOST_LEGS:
        return _Wanted(question, port)
    return _Wanted(question, port, tuple((one, way) for one in several for way in Direction))


def _wanted_of(picture: Picture, answer: WhyAnswer) -> _Wanted:
    """The connection an answer is about; its port is the one behind a Service already."""
    is_service = parse_end(answer.asked_to).kind is EndKind.SERVICE
    port = None
    if answer.port and not is_service:
        port = AskedPort(answer.port, protocol=IpProtocol(answer.protocol))
    try:
        asked = Asked(
            parse_end(answer.asked_from), parse_end(answer.asked_to), port, answer.request
        )
        return _wanted(picture, asked, None)
    except UsageError:
        denied = [one.trace for one in answer.backends if one.verdict is Verdict.DENIED]
        if not denied:
            raise
        return _Wanted(denied[0].question)


def _operation(change: Change) -> object:
    return change.body if change.body is not None else [repr(edit) for edit in change.edits]


def _diff(files: Sequence[FileChange]) -> str:
    return "".join(unified_diff(file.path, file.before, file.after) for file in files)


def _effect(plan: Plan) -> tuple[str, ...]:
    lines = [plan.opens]
    redirected = [
        direction.value
        for direction in Direction
        if side_trace(plan.trace, direction).outcome is Outcome.REDIRECTED
    ]
    if redirected:
        lines.append(f"layer 7 rules still decide each request ({', '.join(redirected)})")
    overlays = {
        name for change in plan.changes if change.source for name in change.source.deployed_by
    }
    if overlays:
        lines.append(f"changes what is deployed by {', '.join(sorted(overlays))}")
    return tuple(lines)


def _risk(plan: Plan) -> str:
    """High when more is opened than asked for, medium when it leads outside the cluster."""
    if plan.broadens:
        return "high: it opens more than the connection asked for"
    outside = plan.trace.question.destination.endpoint is None
    return "medium: it leads outside the pods of the cluster" if outside else "low"
