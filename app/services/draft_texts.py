"""What a draft says of itself: title, body, commit messages, and what it keeps for later.

Everything is said for one commit and from what was judged: the answer's evidence, the pairs that
change, the recorded connections asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.core.drafts.body import PairRow, Summary, body, disclosed, message_details
from app.core.drafts.change import ChangeKind
from app.core.drafts.choice import Plan
from app.core.drafts.diff import count_changes, unified_diff
from app.core.drafts.markdown import plain
from app.core.drafts.meta import Meta
from app.core.drafts.proposal import (
    TITLE_LIMIT,
    branch_name,
    change_key,
    commit_message,
    title,
)
from app.core.drafts.undo import pack, undo_of
from app.core.errors import DraftRejected
from app.core.model.answer import Evidence, WhyAnswer
from app.core.model.asked import Asked
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import DnsRequest, HttpRequest, SniRequest
from app.core.policy.engine import Engine
from app.ports import FileChange, ProposedChange
from app.services.effect import EffectReport, flow_sentence
from app.services.effect_pairs import PairEffect
from app.services.matrix import By, name_of
from app.services.ways import how

_LABELS_MAX = 6
_INNER = "io.cilium."
"""Labels that Cilium derives: of the namespace, the service account and the cluster."""

_KINDS = {
    ChangeKind.ADD_RULE: "add a rule to",
    ChangeKind.EXTEND_RULE: "extend a rule of",
    ChangeKind.NEW_POLICY: "add",
    ChangeKind.REMOVE_RULE: "remove a rule of",
    ChangeKind.REMOVE_POLICY: "remove",
    ChangeKind.TIGHTEN_RULE: "narrow a rule of",
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a change is to be told from. `place` turns a shown folder into a path inside."""

    plan: Plan
    files: tuple[FileChange, ...]
    answer: WhyAnswer | None
    engine: Engine
    report: EffectReport
    checks: tuple[tuple[str, bool], ...]
    effect: Sequence[str]
    reached: Sequence[str]
    risk: str
    base: str
    place: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Asker:
    """What the asker says: why, who asks, a title instead of ours, until when.

    `again` although it was declined; `public` where everybody reads what is said.
    """

    reason: str
    name: str
    title: str
    expires: str
    again: bool
    public: bool


def write_change(told: Told, asker: Asker) -> ProposedChange:
    """Give the change with all its texts."""
    first = told.plan.changes[0]
    operation = [change.operation for change in told.plan.changes]
    key = change_key(told.files[0].path, first.policy, operation)
    what = f"{first.title[:1].upper()}{first.title[1:]}: {how(told.plan)}."
    heading = plain(asker.title)[:TITLE_LIMIT] or title(first.policy, first.title)
    if asker.public:
        what = f"{_KINDS[first.kind]} {first.policy.name}"
        heading = title(first.policy, what)
        what = f"{what[:1].upper()}{what[1:]}: see the patch."
    summary = disclosed(_summary(told, asker, what, key))
    due = [f"K8tre-Tui-Expires: {asker.expires}"] if asker.expires else []
    return ProposedChange(
        branch=branch_name(first.policy, key),
        title=heading,
        body=body(summary),
        commit_message=commit_message(
            heading, key, summary.reason, summary.requested_by, trailers=due
        ),
        long_message=commit_message(
            heading,
            key,
            summary.reason,
            summary.requested_by,
            details=message_details(summary),
            trailers=[*due, summary.meta.trailer],
        ),
        files=told.files,
        again=asker.again,
        base=told.base,
    )


def _summary(told: Told, asker: Asker, what: str, key: str) -> Summary:
    diffs = {one.path: unified_diff(one.path, one.before, one.after) for one in told.files}
    policy: ObjectRef = told.plan.changes[0].policy
    meta = Meta(
        key=key,
        policy=str(policy),
        files=tuple(diffs),
        base=told.base,
        question=question_of(told.answer.asked) if told.answer else {},
        expires=asker.expires,
        undo=pack([undo_of(one.path, one.before, one.after) for one in told.files]),
    )
    return Summary(
        what=what,
        policy=policy,
        diffs=diffs,
        counts={path: count_changes(diff) for path, diff in diffs.items()},
        meta=meta,
        deployed_by=_inside(told),
        risk=told.risk,
        reason=asker.reason,
        evidence=_evidence(told),
        effect=told.effect,
        pairs=_rows(told),
        flows=flow_sentence(told.report.flows),
        checks=told.checks,
        requested_by=asker.name,
        base=told.base,
        expires=asker.expires,
        public=asker.public,
    )


def _evidence(told: Told) -> Sequence[str]:
    """Why the change is as it is, and what was found: what was seen first, then objects."""
    found: Sequence[Evidence] = told.answer.evidence if told.answer else ()
    ordered = sorted(found, key=lambda one: one.kind != "flow")
    lines = (f"{one.text} ({one.ref})" if one.ref else one.text for one in ordered)
    return (*told.plan.evidence, *lines)


def _inside(told: Told) -> tuple[str, ...]:
    """The folders that deploy it, as the repository has them; others stay out."""
    found = []
    for folder in told.reached:
        try:
            found.append(told.place(folder))
        except DraftRejected:
            if not folder.startswith(("/", "..")):
                found.append(folder)
    return tuple(found)


def _rows(told: Told) -> list[PairRow] | None:
    report = told.report
    if report.newly_allowed is None and report.newly_denied is None:
        return None
    labels = _labels(told.engine)
    changed = (("allowed", report.newly_allowed), ("denied", report.newly_denied))
    return [_row(pair, becomes, labels) for becomes, pairs in changed for pair in pairs or ()]


def _labels(engine: Engine) -> Mapping[str, str]:
    """The identity labels of every end that is pods, by its name in the rows."""
    found: dict[str, str] = {}
    for group in engine.reachability().groups:
        if group.endpoints:
            name = name_of(group.endpoints, By.WORKLOAD)
            told = (one for one in group.key.labels.values() if not one.key.startswith(_INNER))
            shown = [str(label) for label in told][:_LABELS_MAX]
            found[name] = ", ".join(shown)
    return found


def _row(pair: PairEffect, becomes: str, labels: Mapping[str, str]) -> PairRow:
    port = f"{'any' if pair.port is None else pair.port}/{pair.protocol.value}"
    ends = ((pair.source, pair.source_count), (pair.destination, pair.destination_count))
    source, destination = (_end(name, count, labels.get(name, "")) for name, count in ends)
    return PairRow(source, destination, port, becomes)


def _end(name: str, count: int, labels: str) -> str:
    shown = f"{name} [{labels}]" if labels else name
    return f"{shown}: {count} now" if count != 1 else shown


def question_of(asked: Asked) -> dict[str, str]:
    """A question as `services.ask.make_question` takes it."""
    found = {"from": asked.source.text, "to": asked.destination.text}
    if asked.port is not None:
        found["port"] = str(asked.port)
    request = asked.request
    if isinstance(request, HttpRequest):
        found["http"] = f"{request.method} {_target(request)}"
    elif isinstance(request, DnsRequest):
        found["dns"] = request.name
    elif isinstance(request, SniRequest):
        found["sni"] = request.name
    return found


def _target(request: HttpRequest) -> str:
    return f"http://{request.host}{request.path}" if request.host else request.path
