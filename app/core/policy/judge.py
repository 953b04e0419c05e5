"""The judge of one direction at layer 3/4: every verdict that is shown is decided here.

What answers all pairs at once (`reachability`) is measured against it. For a subject, a direction,
a peer and a port it does what the data path does:

1. collect every (filter, selector) that holds the peer and the port: a *hit*;
2. a deny hit decides; otherwise any allow hit does; otherwise default deny, if it is on;
3. of several hits one names the policies that "decided": the highest precedence (deny, then
   redirect to the proxy, then plain allow), then the longest prefix of protocol and port, then the
   peer's own identity before the wildcard.

The third step never changes whether the connection is allowed, only `by` and which proxy sees it.
Source: Cilium `bpf/lib/policy.h`, `pkg/policy/mapstate.go` (`lookup`, `insertWithChanges`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.core.model.cluster import Endpoint
from app.core.model.labels import RESERVED_SOURCE, Label, LabelSet
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Effect, Outcome
from app.core.policy.filters import DENY_RANK, DirectionPolicy, Filter, SelectorPolicy
from app.core.policy.named import NamedPorts, number_of
from app.core.policy.ports import PROTOCOL_BITS, block_start, prefix_length
from app.core.policy.rules import WILDCARD_KEY, Identity, lists


@dataclass(frozen=True, slots=True)
class DirectedConnection:
    """One direction's question: `subject` asks, `peer` is the other end.

    `port` is an ICMP type for ICMP. `peer_endpoint` is set when the peer is a pod.
    """

    subject: Endpoint
    peer: Identity
    protocol: str
    port: int
    peer_endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A selector's policy that holds for the connection.

    `specific`: filed under the peer's own identity, not under the wildcard. `length`: the bits of
    protocol and port that its key fixes.
    """

    filter: Filter
    policy: SelectorPolicy
    specific: bool
    length: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one direction says at layer 3/4. `parser` is the proxy's, when it is redirected."""

    outcome: Outcome
    by: tuple[ObjectRef, ...] = ()
    parser: str = ""
    hits: tuple[Hit, ...] = ()


def judge(policy: DirectionPolicy, connection: DirectedConnection, names: NamedPorts) -> Judgement:
    """Answer one direction at layer 3/4.

    Source of the order of the steps: Cilium `Documentation/security/policy/deny.rst`.
    """
    if not policy.enforced:
        return Judgement(Outcome.NOT_ENFORCED)
    hits = tuple(find_hits(policy, connection, names))
    if not hits:
        return Judgement(Outcome.DENIED)
    if any(hit.policy.effect is Effect.DENY for hit in hits):
        return Judgement(Outcome.DENIED, _sorted(_deciding_denies(hits)), hits=hits)
    winners = _deciding_allows(hits, names)
    parser = max(hits, key=lambda hit: hit.policy.rank).policy.parser
    outcome = Outcome.REDIRECTED if parser else Outcome.ALLOWED
    return Judgement(outcome, _sorted(winners), parser, hits)


def find_hits(
    policy: DirectionPolicy, connection: DirectedConnection, names: NamedPorts
) -> Iterator[Hit]:
    """Yield every selector policy that holds for the connection."""
    for item in policy.filters:
        length = match_length(item, policy.direction, connection, names)
        if length is not None:
            yield from _peer_hits(item, policy.direction, connection, length, names)


def find_misfiled(
    policy: DirectionPolicy, connection: DirectedConnection, names: NamedPorts
) -> Iterator[Hit]:
    """Yield what Envoy takes for rules of every port, although they mean another port."""
    for item in policy.filters:
        is_elsewhere = match_length(item, policy.direction, connection, names) is None
        if is_elsewhere and item.is_every_port_to_envoy and item.protocol == connection.protocol:
            yield from _peer_hits(item, policy.direction, connection, 0, names)


def match_length(
    item: Filter, direction: Direction, connection: DirectedConnection, names: NamedPorts
) -> int | None:
    """Give the bits of the filter's key that holds the port; None when it does not hold it.

    The datapath's key of the block that begins at port 0 holds its protocol only. Source: Cilium
    `pkg/maps/policymap/policymap.go` `NewKeyFromPolicyKey`; packets agree.
    """
    if not item.protocol:
        return 0
    if item.protocol != connection.protocol:
        return None
    number = first_port(item, direction, connection, names)
    if number is None:
        return None
    end = item.end
    if item.name and names.by_peer and direction is Direction.EGRESS:
        end = 0  # from 1.20 on an egress name takes no end port
    bits = prefix_length(number, end, connection.port)
    if item.spills and (bits is None or not block_start(connection.port, bits)):
        return PROTOCOL_BITS
    return None if bits is None else PROTOCOL_BITS + bits


def first_port(
    item: Filter, direction: Direction, connection: DirectedConnection, names: NamedPorts
) -> int | None:
    """Give the number a filter begins at; None for a name that stands for none."""
    if not item.name:
        return item.number
    return resolve_name(item.name, direction, connection, names)


def resolve_name(
    name: str, direction: Direction, connection: DirectedConnection, names: NamedPorts
) -> int | None:
    """Give the number of a port name: the subject's own on ingress, see `NamedPorts` on egress."""
    if direction is Direction.INGRESS:
        return number_of(connection.subject, name, connection.protocol)
    return names.of_egress(name, connection.protocol, connection.peer_endpoint)


def _peer_hits(
    item: Filter,
    direction: Direction,
    connection: DirectedConnection,
    length: int,
    names: NamedPorts,
) -> Iterator[Hit]:
    wildcard = item.policies.get(WILDCARD_KEY)
    per_identity = bool(item.name) and direction is Direction.EGRESS and names.by_peer
    by_wildcard = wildcard is not None and (
        not per_identity or lists(wildcard.selector, connection.peer)
    )
    every_port = not item.number and not item.name
    for key, policy in item.policies.items():
        if key == WILDCARD_KEY:
            if by_wildcard:
                yield Hit(item, policy, per_identity, length)
            continue
        if wildcard is not None and not every_port and equal_in_map(policy, wildcard):
            if by_wildcard and policy.selector.selects(connection.peer):
                yield Hit(item, policy, specific=False, length=-1)
            continue
        if policy.selector.selects(connection.peer):
            yield Hit(item, policy, specific=True, length=length)
        if not per_identity and _selects_aggregate(policy, connection.peer):
            yield Hit(item, policy, specific=False, length=length)


def equal_in_map(policy: SelectorPolicy, wildcard: SelectorPolicy) -> bool:
    """Say whether an entry is left out because the filter's wildcard has the same.

    Such a hit counts for the verdict but never names itself. Source: Cilium `pkg/policy/l4.go`
    `toMapState`.
    """
    return (policy.rank, policy.auth) == (wildcard.rank, wildcard.auth)


def _selects_aggregate(policy: SelectorPolicy, peer: Identity) -> bool:
    """Say whether the selector also selects the aggregate identity that the peer falls back to.

    A selector without a positive requirement does, and then holds every such peer, also those it
    excludes (issues 46949, 47035). Source: Cilium 1.20 `pkg/policy/aggregate.go`.
    """
    if not peer.aggregate:
        return False
    labels = LabelSet((Label(RESERVED_SOURCE, peer.aggregate),))
    return policy.selector.selects(Identity(peer.kind, labels))


def _deciding_denies(hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """Give the denies that are left in the map: the broadest, and the peer's own if broader still.

    Source: Cilium `pkg/policy/mapstate.go` `insertWithChanges` (a covered deny is dropped).
    """
    denies = [hit for hit in hits if hit.policy.effect is Effect.DENY and hit.length >= 0]
    shared = [hit for hit in denies if not hit.specific]
    own = [hit for hit in denies if hit.specific]
    shortest_shared = min((hit.length for hit in shared), default=None)
    shortest_own = min((hit.length for hit in own), default=None)
    if shortest_own is not None and (shortest_shared is None or shortest_own < shortest_shared):
        return tuple(hit for hit in own if hit.length == shortest_own)
    return tuple(hit for hit in shared if hit.length == shortest_shared)


def _deciding_allows(hits: tuple[Hit, ...], names: NamedPorts) -> tuple[Hit, ...]:
    """Give the allows that meet in the entry the look-up ends at.

    Up to 1.19 the longer prefix wins, and the peer's own entry when both are equally long. 1.20
    leaves out an own entry that equals the wildcard's beside it, and of the two that are left takes
    the own one unless it is the longer. Source: Cilium `pkg/policy/mapstate.go` `lookup`,
    `aggregateIsEquivalent` (1.20).
    """
    filed = [hit for hit in hits if hit.length >= 0]
    best = max(_effective_rank(hit, filed) for hit in filed)
    top = [hit for hit in filed if _effective_rank(hit, filed) == best]
    own = [hit for hit in top if hit.specific]
    shared = [hit for hit in top if not hit.specific]
    if names.by_peer:
        own = [hit for hit in own if not _is_aggregated(hit, shared)]
    own, shared = _longest(own), _longest(shared)
    if not own or not shared:
        return tuple(own or shared)
    own_is_longer = own[0].length > shared[0].length
    if names.by_peer:
        return tuple(shared if own_is_longer else own)
    return tuple(shared if shared[0].length > own[0].length else own)


def _longest(hits: list[Hit]) -> list[Hit]:
    longest = max((hit.length for hit in hits), default=0)
    return [hit for hit in hits if hit.length == longest]


def _is_aggregated(hit: Hit, shared: list[Hit]) -> bool:
    """Say whether the wildcard has the same entry at the same key, policy log included."""
    beside = [other for other in shared if other.length == hit.length]
    return bool(beside) and _marks(beside) == _marks([hit])


def _effective_rank(hit: Hit, hits: list[Hit]) -> int:
    """Give a hit's precedence; one with its own authentication mode borrows a broader one's.

    Source: Cilium `pkg/policy/mapstate.go` `authPreferredInsert`.
    """
    if not hit.policy.auth:
        return hit.policy.rank
    return max(
        other.policy.rank
        for other in hits
        if other.specific is hit.specific and other.length <= hit.length
    )


def _marks(hits: list[Hit]) -> tuple[frozenset[str], frozenset[str]]:
    """Give the authentication modes and policy logs that hits of one key add up to."""
    auth = frozenset(hit.policy.auth for hit in hits if hit.policy.auth)
    return auth, frozenset(log for hit in hits for log in hit.policy.logs if log)


def _sorted(hits: tuple[Hit, ...]) -> tuple[ObjectRef, ...]:
    return tuple(sorted({origin for hit in hits for origin in hit.policy.origins}))


def is_denied_by_rule(judgement: Judgement) -> bool:
    """Say whether a deny rule, not default deny, decided."""
    return any(hit.policy.rank == DENY_RANK for hit in judgement.hits)
