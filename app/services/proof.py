"""One commit for everything that a draft says: what is analysed is what is edited.

The question is asked again of the files as committed on the base, and what comes out of the edit
is read, built and judged again as a whole, before anybody is shown it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from app.core.diagnose.boundaries import newly_broken
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.pairwise import PairDoubts, told
from app.core.drafts.choice import NothingDenied, Plan, side_trace
from app.core.errors import DraftRejected
from app.core.lint.finding import Finding, Severity
from app.core.model.asked import Asked
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import ConnectionTrace, Direction
from app.core.policy.parse import policy_ref
from app.ports import FileChange
from app.services.ask import Inquiry, inquire
from app.services.lint import lint_policies
from app.services.picture import Picture, rename_learned

_RATED = frozenset({"opens-the-internet", "project-isolation-broken"})
"""What lint says of what a policy opens: `app.services.risk` rates it, and it may be accepted."""

SHORT = 10
"""Characters of a commit's name that are shown."""


class Commits(Protocol):
    """Reads pictures of commits. `live` says that objects come from a cluster, not from files."""

    @property
    def live(self) -> bool:
        """Whether only what is written comes from the files, and all else from a cluster."""
        ...

    async def picture(self, commit: str, files: Sequence[FileChange] = ()) -> Picture:
        """The files of a commit, with `files` in place of its own, as they are deployed."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """What was judged: the pictures before and after, and the commit that they hold for.

    `checks` are sentences with whether they hold; all of them do, or there is no proof. Whether the
    connection is allowed afterwards may hinge on what is `not_known`.
    """

    commit: str
    before: Picture
    after: Picture
    checks: tuple[tuple[str, bool], ...]
    not_known: tuple[str, ...] = ()


async def picture_at(commits: Commits, commit: str, picture: Picture) -> Picture:
    """What a commit deploys; learned names and boundaries are those of `picture`.

    With a cluster it is the cluster's: the files only say where policies are written.
    """
    if commits.live:
        return picture
    committed = await commits.picture(commit)
    committed = replace(committed, boundaries=picture.boundaries)
    return rename_learned(committed, picture.cluster.learned_names)


async def ask_at(
    commits: Commits, commit: str, picture: Picture, flows: FlowEvidence | None, asked: Asked
) -> Inquiry:
    """Ask a question of a commit, with the flows that were seen; see `picture_at`."""
    picture = await picture_at(commits, commit, picture)
    inquiry = await asyncio.to_thread(inquire, picture, flows, asked)
    return replace(inquiry, commit=commit)


def same_plan(inquiry: Inquiry, plan: Plan) -> Plan:
    """The plan of an inquiry at a commit that is the one chosen from another.

    Raises DraftRejected: the change is there already, or the files shown are not those committed.
    """
    at = inquiry.commit[:SHORT]
    refusal = inquiry.ways.refusal
    if isinstance(refusal, NothingDenied):
        raise NothingDenied(
            f"already there: the policies at commit {at} allow this; there is nothing to draft",
            hint="deploy that commit, or commit what denies it",
        )
    if refusal is not None:
        raise refusal
    for found in inquiry.ways.plans:
        if found.key == plan.key:
            return found
    raise DraftRejected(
        f"the files shown are not those of commit {at}, which drafts start from",
        hint="commit or put aside what differs, and ask again",
    )


async def prove(
    before: Picture, commit: str, plan: Plan, files: tuple[FileChange, ...], commits: Commits | None
) -> Proof:
    """Judge the change as its files have it. Raises DraftRejected when anything speaks against it.

    Without `commits` the change itself is judged, on the picture that it was worked out on.
    """
    if commits is None or not commit:
        cluster = replace(before.cluster, policies=plan.after.cluster.policies)
        after = replace(before, cluster=cluster, engine=plan.after)
    elif commits.live:
        after = await _as_written(before, commit, files, commits)
    else:
        written = await commits.picture(commit, files)
        written = replace(written, boundaries=before.boundaries)
        after = rename_learned(written, before.cluster.learned_names)
    return await asyncio.to_thread(_judge, commit, before, after, plan)


async def _as_written(
    picture: Picture, commit: str, files: tuple[FileChange, ...], commits: Commits
) -> Picture:
    """The cluster with those policies that the change writes, as the files then have them."""
    base = await commits.picture(commit)
    edited = await commits.picture(commit, files)
    old = {policy_ref(one): one.body for one in base.cluster.policies}
    new = {policy_ref(one): one for one in edited.cluster.policies}
    changed = {ref: one for ref, one in new.items() if old.get(ref) != one.body}
    gone = old.keys() - new.keys()
    if not changed and not gone:
        raise DraftRejected(
            "the edited files change no policy that is deployed",
            hint="name the environment that the cluster is deployed from with --env",
        )
    policies = picture.cluster.policies
    kept = [
        one for one in policies if policy_ref(one) not in changed and policy_ref(one) not in gone
    ]
    cluster = replace(picture.cluster, policies=(*kept, *changed.values()))
    return replace(picture, cluster=cluster, engine=picture.engine.replace(cluster))


def _judge(commit: str, before: Picture, after: Picture, plan: Plan) -> Proof:
    if plan.trace is not None:
        _refuse_other_verdict(after, plan.trace)
    else:
        _refuse_other_policies(after, plan)
    _refuse_unbuilt(before, after)
    broken = newly_broken(before.boundaries, before.engine, after.engine)
    if broken:
        names = ", ".join(f"`{name}`" for name in broken)
        raise DraftRejected(f"as committed, the change breaks {names}", hint="it is not drafted")
    _refuse_rejected(before, after)
    touched = _touched(before, after)
    _refuse_lint(before, after, touched)
    words, not_known = _verdict_words(after, plan)
    checks = [
        ("every edited file parses to exactly the intended objects", True),
        (words, True),
        ("Cilium's own checks take every policy that changes", True),
        ("lint finds no new error in the policies that change", True),
    ]
    if before.boundaries:
        checks.append(("no boundary is broken", True))
    if commit:
        checks = [(f"{name} (at {commit[:SHORT]})", holds) for name, holds in checks]
    return Proof(commit, before, after, tuple(checks), not_known)


def _verdict_words(after: Picture, plan: Plan) -> tuple[str, tuple[str, ...]]:
    """What was held to the engine, and what of it is not known."""
    if plan.trace is None:
        return "the policies deployed afterwards are the intended ones", ()
    question = plan.trace.question
    not_known = told([PairDoubts(after.engine).about(question, after.engine.decide(question))])
    allows = "the policy engine allows the connection afterwards"
    return f"{allows}, as far as is known" if not_known else allows, not_known


def _refuse_other_policies(after: Picture, plan: Plan) -> None:
    """Refuse when what is deployed afterwards is not what was worked out."""
    wanted, found = (
        {policy_ref(one): _rules(one) for one in policies}
        for policies in (plan.after.cluster.policies, after.cluster.policies)
    )
    for ref in (change.policy for change in plan.changes):
        if wanted.get(ref) != found.get(ref):
            raise DraftRejected(
                f"with the edited files {ref} would not be what was wanted",
                hint="another file or environment decides; change it by hand",
            )


def _rules(policy: Manifest) -> tuple[object, object]:
    return policy.body.get("spec"), policy.body.get("specs")


def _refuse_unbuilt(before: Picture, after: Picture) -> None:
    """Refuse what kustomize would end with an error for, where it does not do so now."""
    known = {one.text for one in before.notices}
    for one in after.notices:
        if one.severity == "error" and one.text not in known:
            raise DraftRejected(f"with the edited files: {one}")


def _refuse_other_verdict(after: Picture, wanted_trace: ConnectionTrace) -> None:
    trace = after.engine.trace(wanted_trace.question)
    for direction in Direction:
        wanted = side_trace(wanted_trace, direction).outcome
        found = side_trace(trace, direction).outcome
        if wanted is not found:
            raise DraftRejected(
                f"with the edited files {direction.value} is {found.value} and not {wanted.value}",
                hint="another file or environment decides; change it by hand",
            )


def _refuse_rejected(before: Picture, after: Picture) -> None:
    known = {one.ref for one in before.engine.rejected}
    for one in after.engine.rejected:
        if one.ref not in known:
            raise DraftRejected(f"Cilium would refuse {one.ref}: {one.reason}")


def _touched(before: Picture, after: Picture) -> frozenset[ObjectRef]:
    old = {policy_ref(one): one.body for one in before.cluster.policies}
    policies: Sequence[Manifest] = after.cluster.policies
    return frozenset(ref for one in policies if old.get(ref := policy_ref(one)) != one.body)


def _refuse_lint(before: Picture, after: Picture, touched: frozenset[ObjectRef]) -> None:
    known = {_about(one) for one in lint_policies(before, touched)}
    for one in lint_policies(after, touched):
        if one.severity is not Severity.ERROR or one.name in _RATED:
            continue
        if _about(one) not in known:
            raise DraftRejected(f"lint finds an error in the change: {one.code} {one.summary}")


def _about(finding: Finding) -> tuple[str, str, str]:
    return finding.code, str(finding.policy), finding.summary
