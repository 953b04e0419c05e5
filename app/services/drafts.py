"""Drafts of ours that are there already: how they stand, which are due, whether they work.

What is known of a draft is what it says of itself (`app.core.drafts.meta`) and what its forge says
of its request; nothing is kept anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.core.diagnose.boundaries import Boundary, newly_broken
from app.core.diagnose.case import gather
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.story import Story
from app.core.diagnose.why import answer_of
from app.core.drafts.body import Summary, body, meta_of
from app.core.drafts.diff import count_changes, unified_diff
from app.core.drafts.keys import digest
from app.core.drafts.markdown import code_span
from app.core.drafts.meta import Meta
from app.core.drafts.paths import check_path
from app.core.drafts.proposal import branch_name, commit_message, title
from app.core.drafts.undo import FileUndo, pack, take_back, undo_of, unpack
from app.core.errors import DraftRejected, NotFound, UsageError
from app.core.flows.times import NS_PER_S, format_time, parse_time
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Verdict
from app.ports import FileChange, KeptDraft, PolicyRepo, Proposal, ProposedChange
from app.services.ask import make_question
from app.services.moments import parse_duration_s
from app.services.picture import Picture
from app.services.proof import Commits

OPEN, MERGED, DECLINED, EXPIRED, SUPERSEDED = "open", "merged", "declined", "expired", "superseded"
_PASSED = ("FORWARDED", "REDIRECTED", "AUDIT")


@dataclass(frozen=True, slots=True)
class OwnDraft:
    """A draft of ours. `state` is open, merged, declined, expired or superseded.

    An expired one is merged, and its date has come; a superseded one was taken back, or another
    request of the same change is newer.
    """

    kept: KeptDraft
    meta: Meta
    state: str

    @property
    def is_due(self) -> bool:
        """Whether a removal is wanted."""
        return self.state == EXPIRED


def parse_due(text: str, now_ns: int) -> str:
    """A date as 2026-03-02 from itself, or from a duration from now as 7d or 12h.

    Raises `UsageError` for anything else, and for a day before today.
    """
    now = datetime.fromtimestamp(now_ns // NS_PER_S, UTC)
    if (seconds := parse_duration_s(text)) is not None:
        try:
            day = datetime.fromtimestamp(now.timestamp() + seconds, UTC).date()
            return max(day, now.date() + timedelta(days=1)).isoformat()
        except (ValueError, OverflowError) as error:
            raise UsageError(f"`{text}` is too far away") from error
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"`{text}` is no time to expire", hint="as 7d, 12h or 2026-03-02"
        ) from error
    if day < now.date():
        raise UsageError(f"`{text}` is past")
    return day.isoformat()


async def own_drafts(repo: PolicyRepo, now_ns: int) -> tuple[OwnDraft, ...]:
    """Every draft of ours in a repository, the newest first.

    A branch whose draft does not say which one it is, or says another than its branch, is not ours.
    """
    today = datetime.fromtimestamp(now_ns // NS_PER_S, UTC).date().isoformat()
    known = [(kept, meta) for kept in await repo.drafts() if (meta := _own_meta(kept))]
    undone = {meta.undoes: kept.state for kept, meta in reversed(known) if meta.undoes}
    found: list[OwnDraft] = []
    seen: set[str] = set()
    for kept, meta in known:
        again = kept.state == DECLINED and meta.key in seen
        taken_back = kept.state == MERGED and undone.get(meta.key) == MERGED
        ended = kept.state == MERGED and bool(meta.expires) and meta.expires <= today
        state = SUPERSEDED if again or taken_back else EXPIRED if ended else kept.state
        seen.add(meta.key)
        found.append(OwnDraft(kept, meta, state))
    return tuple(found)


def _own_meta(kept: KeptDraft) -> Meta | None:
    meta = meta_of(kept.text)
    return meta if meta is not None and kept.branch.endswith(f"-{meta.key[:10]}") else None


@dataclass(frozen=True, slots=True)
class Remover:
    """Takes expired drafts back, each by a request of its own."""

    repo: PolicyRepo
    commits: Commits | None = None
    boundaries: tuple[Boundary, ...] = ()
    public: bool | None = None

    async def change(self, draft: OwnDraft) -> ProposedChange:
        """The removal, judged as a draft is. Raises DraftRejected when it cannot be made."""
        if not draft.meta.undo:
            raise DraftRejected("the draft does not keep how to take it back", hint="revert it")
        commit = await self.repo.base()
        files = [await self._taken_back(one) for one in unpack(draft.meta.undo)]
        checks = await self._checks(commit, files)
        public = await self.repo.is_public() if self.public is None else self.public
        return _removal(draft, tuple(files), checks, commit, public=public)

    async def remove(self, draft: OwnDraft) -> Proposal:
        """Open the removal, or find the one that is open."""
        return await self.repo.propose(await self.change(draft))

    async def _taken_back(self, undo: FileUndo) -> FileChange:
        path = check_path(undo.path)
        try:
            present: str | None = await self.repo.read_file(path)
        except NotFound:
            present = None
        return FileChange(path, present, take_back(undo, present))

    async def _checks(
        self, commit: str, files: Sequence[FileChange]
    ) -> tuple[tuple[str, bool], ...]:
        if self.commits is None or not commit:
            return ()
        before = await self.commits.picture(commit)
        after = await self.commits.picture(commit, files)
        _refuse(before, after, self.boundaries)
        short = commit[:10]
        checks = [f"Cilium's own checks take every policy that changes (at {short})"]
        if self.boundaries:
            checks.append(f"no boundary is broken (at {short})")
        return tuple((name, True) for name in checks)


def _refuse(before: Picture, after: Picture, boundaries: tuple[Boundary, ...]) -> None:
    known = {one.ref for one in before.engine.rejected}
    for one in after.engine.rejected:
        if one.ref not in known:
            raise DraftRejected(f"Cilium would refuse {one.ref}: {one.reason}")
    if broken := newly_broken(boundaries, before.engine, after.engine):
        names = ", ".join(f"`{name}`" for name in broken)
        raise DraftRejected(f"the removal breaks {names}", hint="change it by hand")


def _removal(
    draft: OwnDraft,
    files: tuple[FileChange, ...],
    checks: tuple[tuple[str, bool], ...],
    commit: str,
    *,
    public: bool,
) -> ProposedChange:
    policy = _policy(draft.meta)
    key = digest(["undo", draft.meta.key])
    heading = title(policy, f"take back what expired on {draft.meta.expires}")
    diffs = {one.path: unified_diff(one.path, one.before, one.after) for one in files}
    meta = Meta(
        key=key,
        policy=draft.meta.policy,
        files=tuple(diffs),
        base=commit,
        undo=pack([undo_of(one.path, one.before, one.after) for one in files]),
        undoes=draft.meta.key,
    )
    about = draft.kept.url or draft.kept.branch
    summary = Summary(
        what=f"Takes back a change that was to end on {draft.meta.expires}: {about}",
        policy=policy,
        diffs=diffs,
        counts={path: count_changes(diff) for path, diff in diffs.items()},
        meta=meta,
        checks=checks,
        base=commit,
        public=public,
    )
    return ProposedChange(
        branch=branch_name(policy, key),
        title=heading,
        body=body(summary),
        commit_message=commit_message(heading, key, trailers=[meta.trailer]),
        files=files,
        base=commit,
    )


def _policy(meta: Meta) -> ObjectRef:
    kind, _, rest = meta.policy.partition("/")
    namespace, _, name = rest.rpartition("/")
    return ObjectRef(kind, namespace, name or "policy")


def verified(draft: OwnDraft, picture: Picture, flows: FlowEvidence | None) -> tuple[str, bool]:
    """What a merged draft's question is answered by now, as a comment, and whether by "allowed".

    The comment is empty where the draft does not keep its question.

    Raises `NotFound` or `Ambiguous` when an end is not there any more.
    """
    words = draft.meta.question
    if not words.get("from") or not words.get("to"):
        return "", True
    asked = make_question(
        words["from"],
        words["to"],
        words.get("port", ""),
        **{name: words[name] for name in ("http", "dns", "sni") if words.get(name)},
    )
    case = gather(asked, picture.engine, flows)
    answer = answer_of(case)
    shown = code_span(f"{words['from']} -> {words['to']} {words.get('port', '')}".strip())
    if answer.verdict is Verdict.DENIED:
        return f"Merged, still denied: {shown}: {code_span(answer.cause.summary)}", False
    doubts = f" (not known: {code_span('; '.join(answer.not_known))})" if answer.not_known else ""
    if answer.verdict is Verdict.UNKNOWN:
        return f"Merged; whether it is allowed now is not known: {shown}{doubts}", False
    seen = _first_flow(case.story, draft.kept.merged_at)
    return f"Now allowed: {shown}, {seen}{doubts}.", True


def _first_flow(story: Story | None, merged_at: str) -> str:
    """When the first connection came through after the merge, as far as flows were at hand."""
    try:
        since = parse_time(merged_at)
    except ValueError:
        since = 0
    flows = story.flows if story is not None else ()
    passed = [one.time_ns for one in flows if one.verdict in _PASSED and one.time_ns >= since]
    return f"first flow seen at {format_time(min(passed))}" if passed else "no flow seen of it yet"
