"""The least set of rules that allows what was seen, grouped by labels that last.

What policies allow already needs none. What is denied (in audit mode it was forwarded all the same)
or not enforced yet needs a rule: peers with the same ports share one, a workload's rules join the
policy that is its own, else a new one. What a boundary forbids is left out, and said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.core.diagnose.boundaries import Boundary, newly_broken
from app.core.drafts.candidates import (
    Side,
    add_rules,
    entries_of,
    is_editable,
    restricting,
    side_of,
)
from app.core.drafts.change import Change, ChangeKind
from app.core.drafts.choice import Plan, side_trace
from app.core.drafts.keys import digest
from app.core.drafts.names import missing_rule
from app.core.drafts.places import place_beside
from app.core.drafts.proposal import slug
from app.core.drafts.rules import cilium_element, cilium_ports, new_policy
from app.core.drafts.wishes import engine_with, plan_of_changes
from app.core.errors import DraftRejected
from app.core.model.cluster import Endpoint
from app.core.model.kinds import CNP
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import Direction, Outcome, Protocol, Question
from app.core.model.workloads import short_name, stable_labels, workload_name
from app.core.policy.engine import Engine

MOST_ADDRESSES = 8
"""Addresses outside on one port that are written one by one; more are no rule but a guess."""

_DNS = 53
_NAME_LIMIT = 63
_PORTED = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)


@dataclass(frozen=True, slots=True)
class Seen:
    """A connection that was let through, or would have been but for audit mode: how often."""

    question: Question
    count: int


@dataclass(frozen=True, slots=True)
class _Need:
    """One line of a rule that a workload lacks: whom it must reach or let in, on which port."""

    subject: Endpoint
    side: Side
    field: str
    element: Any
    peer: str

    @property
    def port(self) -> tuple[Protocol, int]:
        return self.side.protocol, self.side.port

    @property
    def words(self) -> str:
        return self.side.what


@dataclass(slots=True)
class _Workload:
    """What one workload lacks, each line with how many connections need it."""

    subject: Endpoint
    needs: dict[str, tuple[_Need, int]] = field(default_factory=dict)

    def add(self, need: _Need, count: int) -> None:
        key = digest([need.side.direction.value, need.element, *map(str, need.port)])
        known = self.needs.get(key)
        self.needs[key] = (need, count + (known[1] if known else 0))

    def of(self, direction: Direction) -> list[_Need]:
        return [need for need, _ in self.needs.values() if need.side.direction is direction]


@dataclass(slots=True)
class _Left:
    """Connections that no rule is written for, by the reason."""

    counts: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        for words, count in self.counts.items():
            yield f"left out: {words} ({_connections(count)})"


class Wanting:
    """What of one direction was seen to be used, by whomever; `left` is what no rule can say."""

    def __init__(self) -> None:
        self.count = 0
        self._left = _Left()
        self._used: _Workload | None = None

    def add(self, one: Seen, way: Direction) -> None:
        """Take a connection in."""
        self.count += one.count
        need = _need(one.question, way, self._left, one.count)
        if need is not None:
            self._used = self._used or _Workload(need.subject)
            self._used.add(need, one.count)

    @property
    def left(self) -> tuple[str, ...]:
        """Why some of it cannot be written."""
        if self._used is not None:
            _forget_many_addresses([self._used], self._left)
        return tuple(self._left.lines())

    def lines(self) -> tuple[str, ...]:
        """Each line with how many connections need it."""
        used = [self._used] if self._used is not None else []
        return tuple(f"{need.words}: {_connections(count)}" for need, count in _lines(used))


def rules_of(wanting: Wanting, way: Direction) -> list[dict[str, Any]]:
    """The least rules that allow what was used; DNS answers are shown by rules that are there."""
    used = wanting._used  # noqa: SLF001  # of this module
    return _joined(used.of(way)) if used is not None else []


def plan_for_seen(
    seen: Iterable[Seen],
    engine: Engine,
    boundaries: Sequence[Boundary],
    *,
    namespace: str,
    workload: str = "",
) -> Plan:
    """Plan the rules that pods of a namespace, or of one workload of it, were seen to need.

    Raises DraftRejected when nothing was seen of them, everything seen is allowed already, or what
    is left would break a boundary.
    """
    left = _Left()
    workloads, allowed, total = _workloads(seen, engine, namespace, workload, left)
    if not total:
        name = f"{namespace}/{workload}" if workload else namespace
        raise DraftRejected(
            f"no connection of `{name}` was seen", hint="look further back: --since"
        )
    _forget_many_addresses(workloads, left)
    _forget_forbidden(workloads, engine, boundaries, left)
    changes = list(_changes(workloads, engine))
    if not changes:
        notes = "; ".join(left.lines())
        raise DraftRejected(
            notes or f"policies allow all {_connections(allowed)} that were seen",
            hint="there is nothing to draft",
        )
    evidence = [f"{need.words}: {_connections(count)}" for need, count in _lines(workloads)]
    evidence += _closing(workloads, engine)
    evidence += [f"allowed already: {_connections(allowed)}"] if allowed else []
    plan = plan_of_changes(changes, engine, (*evidence, *left.lines()))
    if broken := newly_broken(boundaries, engine, plan.after):
        raise DraftRejected(
            f"with these rules alone {', '.join(f'`{name}`' for name in broken)} would break",
            hint="what it must allow was not seen: look further back, or add it by hand",
        )
    return plan


def _workloads(
    seen: Iterable[Seen], engine: Engine, namespace: str, workload: str, left: _Left
) -> tuple[list[_Workload], int, int]:
    """What each workload lacks, how many connections are allowed, and how many there were."""
    found: dict[str, _Workload] = {}
    allowed = total = 0
    for one in seen:
        for direction in Direction:
            own = one.question.source if direction is Direction.EGRESS else one.question.destination
            pod = own.endpoint
            if pod is None or pod.namespace != namespace or not pod.managed:
                continue
            if workload and workload_name(pod) != workload and not _is_named(pod, workload):
                continue
            total += one.count
            trace = side_trace(engine.trace(one.question), direction)
            if trace.outcome not in (Outcome.DENIED, Outcome.NOT_ENFORCED):
                allowed += one.count
                continue
            need = _need(one.question, direction, left, one.count)
            if need is not None:
                key = digest(stable_labels(pod))
                found.setdefault(key, _Workload(pod)).add(need, one.count)
    return list(found.values()), allowed, total


def _is_named(pod: Endpoint, workload: str) -> bool:
    return pod.workload is not None and pod.workload.name == workload


def _need(question: Question, direction: Direction, left: _Left, count: int) -> _Need | None:
    side = side_of(question, direction)
    if not stable_labels(side.subject):
        left.counts[f"{side.subject.key}: none of its labels lasts"] += count
        return None
    try:
        element = cilium_element(side.peer, direction)
    except DraftRejected as refused:
        left.counts[f"{side.what}: {refused.message}"] += count
        return None
    return _Need(side.subject, side, *element, short_name(side.peer))


def _forget_many_addresses(workloads: Iterable[_Workload], left: _Left) -> None:
    """A workload that talks to many addresses outside needs their names, or their block."""
    for workload in workloads:
        by_port: dict[tuple[Direction, Protocol, int], list[str]] = {}
        for key, (need, _) in workload.needs.items():
            if need.field in ("toCIDR", "fromCIDR"):
                by_port.setdefault((need.side.direction, *need.port), []).append(key)
        for (direction, protocol, port), keys in by_port.items():
            if len(keys) > MOST_ADDRESSES:
                count = sum(workload.needs.pop(key)[1] for key in keys)
                ends = "to" if direction is Direction.EGRESS else "from"
                words = f"{workload_name(workload.subject)} {ends} {len(keys)} addresses outside"
                left.counts[f"{words} on {port}/{protocol.value}: name them, or their block"] += (
                    count
                )


def _forget_forbidden(
    workloads: Sequence[_Workload], engine: Engine, boundaries: Sequence[Boundary], left: _Left
) -> None:
    """Leave out each line that alone opens what a boundary shuts."""
    if not boundaries or not newly_broken(boundaries, engine, _after(workloads, engine)):
        return
    for workload in workloads:
        for key, (need, count) in list(workload.needs.items()):
            alone = _Workload(workload.subject, {key: (need, count)})
            broken = [
                one
                for one in newly_broken(boundaries, engine, _after([alone], engine))
                if one in _forbidding(boundaries)
            ]
            if broken:
                del workload.needs[key]
                names = ", ".join(f"`{name}`" for name in broken)
                left.counts[f"{need.words}: {names} forbids it"] += count


def _forbidding(boundaries: Iterable[Boundary]) -> frozenset[str]:
    return frozenset(one.name for one in boundaries if one.must.value == "deny")


def _after(workloads: Iterable[_Workload], engine: Engine) -> Engine:
    return engine_with(list(_changes(workloads, engine)), engine)


def _changes(workloads: Iterable[_Workload], engine: Engine) -> Iterator[Change]:
    for workload in workloads:
        rules = {way: _rules(workload, way, engine) for way in Direction if workload.of(way)}
        own = _own_policy(workload.subject, engine) if rules else None
        if own is not None:
            manifest = own
            edits = [
                edit
                for way, several in rules.items()
                for edit in add_rules("", "", manifest, ("spec", way.value), several).edits
            ]
            how = "the rules that it was seen to need"
            title = f"allow what {workload_name(workload.subject)} was seen to need"
            made = add_rules(title, how, manifest, ("spec",), ())
            yield replace(made, edits=tuple(edits))
        elif rules:
            yield _policy(workload.subject, rules, engine)


def _own_policy(subject: Endpoint, engine: Engine) -> Manifest | None:
    """A policy of the workload alone, which may take more rules in."""
    manifests = {policy.ref: policy.manifest for policy in engine.policies}
    for way in Direction:
        side = Side(subject, engine.peer_of(subject), way, _DNS, Protocol.UDP)
        for manifest, path in restricting(entries_of(side, engine), manifests):
            selector = _map(_map(manifest.body.get("spec")).get("endpointSelector"))
            alone = dict(_map(selector.get("matchLabels"))) == stable_labels(subject)
            if (
                manifest.ref.kind == CNP
                and path[:1] == ("spec",)
                and alone
                and set(selector) == {"matchLabels"}
            ):
                return manifest if is_editable(manifest) else None
    return None


def _policy(
    subject: Endpoint, rules: Mapping[Direction, list[dict[str, Any]]], engine: Engine
) -> Change:
    own = workload_name(subject)
    taken = {policy.ref.name for policy in engine.cluster.policies}
    stem = slug(f"{own}-as-seen")[: _NAME_LIMIT - 3].strip("-")
    name = next(one for one in (stem, *(f"{stem}-{at}" for at in range(2, 99))) if one not in taken)
    (first, several), *others = rules.items()
    body = new_policy(name, subject, first, several, f"What {own} was seen to need")
    spec = {**body["spec"], **{way.value: rest for way, rest in others}}
    return Change(
        ChangeKind.NEW_POLICY,
        f"allow what {own} was seen to need",
        "a policy of its own",
        ObjectRef(CNP, subject.namespace, name),
        body={**body, "spec": spec},
        source=place_beside(subject, engine),
    )


def _rules(workload: _Workload, way: Direction, engine: Engine) -> list[dict[str, Any]]:
    """Rules of a direction: who is reached on the same ports shares one."""
    needs = workload.of(way)
    named = next((need for need in needs if need.field == "toFQDNs"), None)
    dns = missing_rule(named.side, engine) if named is not None else None
    rules = _joined([need for need in needs if dns is None or not _shows(dns, need)])
    return [*rules, dns] if dns is not None else rules


def _joined(needs: Iterable[_Need]) -> list[dict[str, Any]]:
    """The fewest rules: ports of one peer together, then peers of the same ports."""
    peers: dict[str, tuple[str, Any, set[tuple[Protocol, int]]]] = {}
    for need in needs:
        key = digest([need.field, need.element])
        peers.setdefault(key, (need.field, need.element, set()))[2].add(need.port)
    shared: dict[tuple[str, tuple[tuple[str, int], ...]], list[Any]] = {}
    for field_, element, ports in peers.values():
        same = tuple(sorted((protocol.value, port) for protocol, port in ports))
        shared.setdefault((field_, same), []).append(element)
    return [
        {field_: sorted(elements, key=str), **_ports(same)}
        for (field_, same), elements in sorted(
            shared.items(), key=lambda one: (one[0][0], str(one[1]))
        )
    ]


def _shows(dns: Mapping[str, Any], need: _Need) -> bool:
    """Whether the rule that shows DNS answers allows this too."""
    return need.side.port == _DNS and need.element in dns.get(need.field, ())


def _ports(ports: Iterable[tuple[str, int]]) -> dict[str, Any]:
    several = [(Protocol(name), port) for name, port in ports]
    written: dict[str, Any] = {}
    listed = [cilium_ports(port, one)["toPorts"][0]["ports"][0] for one, port in several
              if one in _PORTED]  # fmt: skip
    if listed:
        written["toPorts"] = [{"ports": listed}]
    fields = [cilium_ports(port, one)["icmps"][0]["fields"][0] for one, port in several
              if one not in _PORTED]  # fmt: skip
    if fields:
        written["icmps"] = [{"fields": fields}]
    return written


def _closing(workloads: Iterable[_Workload], engine: Engine) -> Iterator[str]:
    """Say which direction of which workload nothing restricts yet, as these rules then do."""
    for workload in workloads:
        for way in Direction:
            own = engine.entries_selecting(workload.subject)
            enforced = any(one.direction is way and one.default_deny for one in own)
            if workload.of(way) and not enforced:
                who = workload_name(workload.subject)
                yield f"{way.value} of {who} is open now: what was not seen will be denied"


def _lines(workloads: Iterable[_Workload]) -> Iterator[tuple[_Need, int]]:
    for workload in workloads:
        yield from sorted(workload.needs.values(), key=lambda one: -one[1])


def _connections(count: int) -> str:
    return f"{count:,} connection{'' if count == 1 else 's'}"


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
