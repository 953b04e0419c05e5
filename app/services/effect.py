"""What a change does before anybody makes it: pairs, recorded flows, boundaries.

The objects of a draft take the place of those of the same kind, namespace and name; then both
pictures are asked about every pair of identities on every port that the changed policies or the
endpoints name, and about every recorded connection (docs/forms.md §4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from app.core.diagnose.boundaries import broken_boundaries
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import NotFound
from app.core.flows.times import NS_PER_S
from app.core.lint.finding import Finding
from app.core.model.flow import EVENT_L7, Flow, FlowEndpoint
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import Peer, Protocol, Question, Verdict
from app.core.policy.engine import Engine
from app.core.policy.parse import policy_ref
from app.core.policy.reachability import ENTITIES
from app.core.policy.rules import RejectedPolicy
from app.services.effect_pairs import PairEffect, pairs_between
from app.services.lint import lint_policies
from app.services.picture import Ingredients, Picture, make_picture
from app.services.wording import counted

_MINUTE_S = 60


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
    what the rules find in the policies that change. A list of pairs is None where nothing of it is
    known, and `unknown` says why.
    """

    newly_allowed: tuple[PairEffect, ...] | None
    newly_denied: tuple[PairEffect, ...] | None
    flows: FlowEffect | None = None
    checks: tuple[tuple[str, bool], ...] = ()
    broken: tuple[str, ...] = ()
    refused: tuple[RejectedPolicy, ...] = ()
    lint: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()


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
    cluster, gone = picture.cluster, {*deletes, *(one.ref for one in upserts)}
    ingredients = Ingredients(
        tuple(objects.values()),
        settings=picture.settings,
        notices=tuple(one for one in picture.notices if one.ref not in gone),
        cilium_version=cluster.config.cilium_version,
        learned_names=cluster.learned_names,
        shadowed=picture.shadowed,
        rights=picture.rights,
    )
    only = {ref.kind for ref in (*deletes, *(one.ref for one in upserts))} <= POLICY_KINDS
    return make_picture(ingredients, before=picture, only_policies=only)


def effect_of(
    before: Picture,
    after: Picture,
    *,
    flows: FlowEvidence | None = None,
    manifests: Sequence[Manifest] = (),
) -> EffectReport:
    """Compare two pictures; the boundaries are those of `before`.

    `manifests` are the objects read, for what is found in the policies that change.
    """
    boundaries = before.boundaries
    pairs = pairs_between(before.engine, after.engine)
    held = set(broken_boundaries(boundaries, before.engine))
    broken = set(broken_boundaries(boundaries, after.engine))
    known = {one.ref for one in before.engine.rejected}
    return EffectReport(
        newly_allowed=pairs.allowed,
        newly_denied=pairs.denied,
        flows=_replay(flows, before.engine, after.engine) if flows is not None else None,
        checks=tuple((one.name, one.name not in broken) for one in boundaries),
        broken=tuple(one.name for one in boundaries if one.name in broken - held),
        refused=tuple(one for one in after.engine.rejected if one.ref not in known),
        lint=lint_policies(after, _touched(before, after), manifests),
        unknown=pairs.unknown,
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
    before: Picture,
    policies: tuple[Manifest, ...],
    *,
    flows: FlowEvidence | None = None,
    manifests: Sequence[Manifest] = (),
) -> EffectReport:
    """Compare a picture with itself under other policies."""
    cluster = replace(before.cluster, policies=policies)
    after = replace(before, cluster=cluster, engine=before.engine.replace(cluster))
    return effect_of(before, after, flows=flows, manifests=manifests)


def what_if(
    before: Picture,
    manifests: Iterable[Manifest],
    *,
    upserts: Sequence[Manifest] = (),
    deletes: Sequence[ObjectRef] = (),
    flows: FlowEvidence | None = None,
) -> EffectReport:
    """Compare a picture with what it would be; see `with_changes` and `effect_of`."""
    objects = tuple(manifests)
    after = with_changes(before, objects, upserts=upserts, deletes=deletes)
    changed = {one.ref for one in upserts} | set(deletes)
    kept = (*(one for one in objects if one.ref not in changed), *upserts)
    return effect_of(before, after, flows=flows, manifests=kept)


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
