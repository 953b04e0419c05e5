"""What a change does before anybody makes it: pairs, recorded flows, boundaries.

The objects of a draft take the place of those of the same kind, namespace and name; then both
pictures are asked about every pair of identities on every port that the changed policies or the
endpoints name, and about every recorded connection (docs/forms.md §4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from app.core.diagnose.boundaries import broken_boundaries
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import NotFound, UsageError
from app.core.flows.times import NS_PER_S
from app.core.lint.finding import Finding
from app.core.model.flow import EVENT_L7, Flow, FlowEndpoint
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import Direction, Peer, Protocol, Question, Verdict
from app.core.policy.difference import PairChange, difference
from app.core.policy.engine import Engine
from app.core.policy.groups import IdentityGroup
from app.core.policy.parse import policy_ref
from app.core.policy.port_cuts import Span, cut, named_spans, unnamed_port
from app.core.policy.reachability import ENTITIES
from app.core.policy.rules import ParsedPolicy, RejectedPolicy
from app.services.lint import lint_policies
from app.services.matrix import By, name_of, outside_parties
from app.services.picture import Ingredients, Picture, make_picture
from app.services.wording import counted

_MINUTE_S = 60
PROTOCOLS = (Protocol.TCP, Protocol.UDP)


@dataclass(frozen=True, slots=True)
class PairEffect:
    """A pair of identities whose verdict changes.

    `port` None is every port when the pair has no other row of the protocol, else every port that
    neither a rule nor an endpoint names.
    """

    source: str
    destination: str
    protocol: Protocol
    port: int | None


@dataclass(frozen=True, slots=True)
class FlowEffect:
    """Recorded connections asked again: how many there were, and how many change."""

    window_s: int
    seen: int
    newly_allowed: int
    newly_denied: int
    lost_events: int


@dataclass(frozen=True, slots=True)
class EffectReport:
    """Everything a change does. `checks` are boundaries with whether they hold afterwards.

    `broken` are those that held before, `refused` the objects that Cilium would not take, `lint`
    what the rules find in the policies that change.
    """

    newly_allowed: tuple[PairEffect, ...]
    newly_denied: tuple[PairEffect, ...]
    flows: FlowEffect | None = None
    checks: tuple[tuple[str, bool], ...] = ()
    broken: tuple[str, ...] = ()
    refused: tuple[RejectedPolicy, ...] = ()
    lint: tuple[Finding, ...] = ()


def with_changes(
    picture: Picture,
    manifests: Iterable[Manifest],
    *,
    upserts: Sequence[Manifest] = (),
    deletes: Sequence[ObjectRef] = (),
) -> Picture:
    """The picture as it would be; `manifests` are the objects it was made of.

    Raises `NotFound` for a deletion of what is not there.
    """
    objects: dict[ObjectRef, Manifest] = {one.ref: one for one in manifests}
    for ref in deletes:
        if objects.pop(ref, None) is None:
            raise NotFound(f"there is no {ref} to delete")
    objects.update({one.ref: one for one in upserts})
    cluster = picture.cluster
    ingredients = Ingredients(
        tuple(objects.values()),
        cilium_version=cluster.config.cilium_version,
        learned_names=cluster.learned_names,
    )
    only = {ref.kind for ref in (*deletes, *(one.ref for one in upserts))} <= POLICY_KINDS
    return make_picture(ingredients, before=picture, only_policies=only)


def effect_of(
    before: Picture,
    after: Picture,
    *,
    flows: FlowEvidence | None = None,
) -> EffectReport:
    """Compare two pictures; the boundaries are those of `before`."""
    boundaries = before.boundaries
    asked = dict(_asked_ports(before.engine, after.engine))
    changed = list(_changed_pairs(before.engine, after.engine, asked))
    held = set(broken_boundaries(boundaries, before.engine))
    broken = set(broken_boundaries(boundaries, after.engine))
    known = {one.ref for one in before.engine.rejected}
    return EffectReport(
        newly_allowed=_listed((one for one in changed if one.before is Verdict.DENIED), asked),
        newly_denied=_listed((one for one in changed if one.after is Verdict.DENIED), asked),
        flows=_replay(flows, before.engine, after.engine) if flows is not None else None,
        checks=tuple((one.name, one.name not in broken) for one in boundaries),
        broken=tuple(one.name for one in boundaries if one.name in broken - held),
        refused=tuple(one for one in after.engine.rejected if one.ref not in known),
        lint=lint_policies(after, _touched(before, after)),
    )


def _touched(before: Picture, after: Picture) -> frozenset[ObjectRef]:
    """The policies that are new, or have another body."""
    known = {policy_ref(one): one.body for one in before.cluster.policies}
    return frozenset(
        ref for one in after.cluster.policies if known.get(ref := policy_ref(one)) is not one.body
    )


def apart(picture: Picture) -> Picture:
    """The picture with an engine of its own, for a thread beside the one that asks the first."""
    return replace(picture, engine=Engine.build(picture.cluster))


def effect_of_policies(
    before: Picture, policies: tuple[Manifest, ...], *, flows: FlowEvidence | None = None
) -> EffectReport:
    """Compare a picture with itself under other policies."""
    cluster = replace(before.cluster, policies=policies)
    after = replace(before, cluster=cluster, engine=before.engine.replace(cluster))
    return effect_of(before, after, flows=flows)


def what_if(
    before: Picture,
    manifests: Iterable[Manifest],
    *,
    upserts: Sequence[Manifest] = (),
    deletes: Sequence[ObjectRef] = (),
    flows: FlowEvidence | None = None,
) -> EffectReport:
    """Compare a picture with what it would be; see `with_changes` and `effect_of`."""
    after = with_changes(before, manifests, upserts=upserts, deletes=deletes)
    return effect_of(before, after, flows=flows)


def pair_lines(pairs: Iterable[PairEffect]) -> tuple[str, ...]:
    """A line for each pair and protocol; `*` is every port, with exceptions where some stay."""
    lines: dict[str, list[int | None]] = {}
    for pair in pairs:
        ends = f"{pair.source} → {pair.destination} {pair.protocol.value}"
        lines.setdefault(ends, []).append(pair.port)
    return tuple(f"{ends} {_port_words(ports)}" for ends, ports in lines.items())


def _port_words(ports: list[int | None]) -> str:
    if None in ports:
        return "*" if len(ports) == 1 else "* with exceptions"
    return ",".join(map(str, ports))


def flow_sentence(flows: FlowEffect | None) -> str:
    """What recorded connections say of the change, in one sentence."""
    if flows is None:
        return "no flows were at hand: what really connects is not known"
    window = f"{flows.window_s // 60} min" if flows.window_s >= _MINUTE_S else f"{flows.window_s} s"
    return (
        f"of {counted(flows.seen, 'connection')} seen in {window} "
        f"{flows.newly_allowed} would be newly allowed, {flows.newly_denied} newly denied; "
        f"{counted(flows.lost_events, 'event')} lost"
    )


# Pairs


Port = tuple[Protocol, int]
ShownPorts = Mapping[Port, int | None]
"""The ports that stand for all, and what to show for each: None for those that nobody names."""


def _changed_pairs(before: Engine, after: Engine, asked: ShownPorts) -> Iterator[PairChange]:
    outside = {one.name: one.peer for engine in (before, after) for one in outside_parties(engine)}
    peers = tuple(outside.values())
    try:
        yield from difference(before.reachability(peers), after.reachability(peers), list(asked))
    except ValueError as error:
        raise UsageError(
            "the draft changes endpoints, not only policies", hint="leave its workloads out"
        ) from error


def _asked_ports(before: Engine, after: Engine) -> Iterator[tuple[Port, int | None]]:
    """A port of each piece that changed policies or endpoints tell apart, and one for the rest."""
    spans: dict[Protocol, set[Span]] = {protocol: set() for protocol in PROTOCOLS}
    for policy in _changed_policies(before, after):
        for direction in Direction:
            for protocol, span in named_spans(policy, direction):
                spans.setdefault(protocol, set()).add(span)
    for endpoint in after.cluster.endpoints:
        for port in endpoint.ports:
            spans.setdefault(Protocol(port.protocol), set()).add((port.port, port.port))
    for protocol, named in spans.items():
        pieces = cut(named)
        yield from (((protocol, first), first) for first, _ in pieces)
        if (free := unnamed_port(pieces, protocol)) is not None:
            yield (protocol, free), None


def _changed_policies(before: Engine, after: Engine) -> Iterator[ParsedPolicy]:
    old, new = ({one.ref: one for one in engine.policies} for engine in (before, after))
    for ref in {*old, *new}:
        if old.get(ref) is not new.get(ref):
            yield from (policies[ref] for policies in (old, new) if ref in policies)


def _listed(changes: Iterable[PairChange], asked: ShownPorts) -> tuple[PairEffect, ...]:
    """Rows by pair; one row where every port of a protocol changed alike."""
    by_pair: dict[tuple[str, str, Protocol], set[int | None]] = {}
    for change in changes:
        ends = _group_name(change.source), _group_name(change.destination)
        ports = by_pair.setdefault((*ends, change.protocol), set())
        ports.add(asked[change.protocol, change.port])
    every = {protocol: {show for (one, _), show in asked.items() if one is protocol}
             for protocol in {one for one, _ in asked}}  # fmt: skip
    return tuple(
        PairEffect(source, destination, protocol, port)
        for (source, destination, protocol), ports in sorted(by_pair.items())
        for port in ([None] if ports == every[protocol] else sorted(ports, key=lambda it: it or 0))
    )


def _group_name(group: IdentityGroup) -> str:
    if group.endpoints:
        return name_of(group.endpoints, By.WORKLOAD)
    if group.key.fqdns:
        return f"fqdn:{min(group.key.fqdns)}"
    return f"ip:{group.key.address}" if group.key.address else f"entity:{group.key.kind.value}"


# Flows


def _replay(evidence: FlowEvidence, before: Engine, after: Engine) -> FlowEffect:
    """Ask both engines about every connection that was seen, each once."""
    ends = _Ends(before)
    seen = allowed = denied = 0
    for flow in {ends.key(flow): flow for flow in _asking(evidence)}.values():
        if (question := ends.question(flow)) is None:
            continue
        seen += 1
        was = before.decide(question).verdict is Verdict.DENIED
        now = after.decide(question).verdict is Verdict.DENIED
        allowed += was and not now
        denied += now and not was
    first, last = evidence.window
    return FlowEffect((last - first) // NS_PER_S, seen, allowed, denied, evidence.lost)


def _asking(evidence: FlowEvidence) -> Iterator[Flow]:
    """Flows that open a connection: no replies, no messages of the proxy."""
    return (flow for flow in evidence.flows if not flow.is_reply and flow.event != EVENT_L7)


class _Ends:
    """Who the ends of a flow are: pods by name, reserved identities, else addresses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pods = {(one.namespace, one.name): one for one in engine.cluster.endpoints}

    @staticmethod
    def key(flow: Flow) -> object:
        return (
            (flow.source.namespace, flow.source.pod or flow.source_ip),
            (flow.destination.namespace, flow.destination.pod or flow.destination_ip),
            flow.protocol,
            flow.destination_port,
        )

    def question(self, flow: Flow) -> Question | None:
        """The connection a flow belongs to; None where an end or the protocol is not known."""
        protocol = _PROTOCOLS.get(flow.protocol)
        source = self._peer(flow.source, flow.source_ip, flow.source_names)
        destination = self._peer(flow.destination, flow.destination_ip, flow.destination_names)
        if protocol is None or source is None or destination is None:
            return None
        return Question(source, destination, flow.destination_port, protocol)

    def _peer(self, end: FlowEndpoint, ip: str, names: tuple[str, ...]) -> Peer | None:
        if (endpoint := self._pods.get((end.namespace, end.pod))) is not None:
            return self._engine.peer_of(endpoint)
        for name in ENTITIES:
            if name != "world" and f"reserved:{name}" in end.labels:
                return self._engine.peer_of_entity(name)
        try:
            return self._engine.peer_of_address(ip_address(ip), frozenset(names))
        except ValueError:
            return None


_PROTOCOLS = {
    "TCP": Protocol.TCP,
    "UDP": Protocol.UDP,
    "SCTP": Protocol.SCTP,
    "ICMPv4": Protocol.ICMP,
    "ICMPv6": Protocol.ICMPV6,
}
