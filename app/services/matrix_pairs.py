"""Which pairs may have an answer other than "denied", so that no other pair need be asked.

A matrix of thousands of identities is denied nearly everywhere. All pairs at once, as sets, say
which are let through on any port that a rule or an endpoint tells from others; only those are
asked one by one. What sets cannot say counts as let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from app.core.model.cluster import IdentityKind
from app.core.model.verdict import Direction, Peer, Protocol
from app.core.policy.engine import Engine
from app.core.policy.groups import GroupKey, is_grouped, key_of_endpoint, key_of_peer
from app.core.policy.index import Bits, bits_of, members_of
from app.core.policy.port_cuts import Span, cut, named_spans, unnamed_port
from app.core.policy.reachability import Reachability
from app.core.policy.rows import Port

MOST_PORTS = 256
"""Ports to look at; where rules and endpoints tell more of them apart, every pair is asked."""

_ASKED = (Protocol.TCP, Protocol.UDP, Protocol.ICMP)


class LetThrough:
    """For each of some ends, those of them that it may reach on some port.

    Ends are pods and what is outside; nodes and other ends of the cluster's own depend on which
    node asks, so that they are in no set, and every pair with one has to be asked.
    """

    def __init__(self, engine: Engine, peers: Sequence[Peer], ports: Sequence[Port]) -> None:
        outside = tuple(peer for peer in peers if peer.endpoint is None)
        pairs = engine.reachability(outside)
        unsettled = _unsettled(pairs)
        self._reached = [unsettled | 1 << number for number in range(len(pairs.groups))]
        for port in ports:
            for number, row in enumerate(pairs.pairs(port)):
                self._reached[number] |= row.allowed
        for number in members_of(unsettled):
            self._reached[number] = pairs.rows.everyone
        places = {group.key: number for number, group in enumerate(pairs.groups)}
        self._places = [_place(peer, places) for peer in peers]
        self._at: dict[int, list[int]] = {}
        for at, place in enumerate(self._places):
            if place is not None:
                self._at.setdefault(place, []).append(at)
        self._known = bits_of(self._at, len(pairs.groups))
        self._others = [at for at, place in enumerate(self._places) if place is None]

    def reached(self, source: int) -> Iterable[int]:
        """Give the numbers of the ends to ask about, in order."""
        place = self._places[source]
        if place is None:
            return range(len(self._places))
        let = members_of(self._reached[place] & self._known)
        return sorted([*self._others, *(at for number in let for at in self._at[number])])

    @property
    def count(self) -> int:
        """How many pairs are to be asked, at most."""
        size = len(self._places)
        return sum(
            size
            if place is None
            else len(self._others) + (self._reached[place] & self._known).bit_count()
            for place in self._places
        )


def _place(peer: Peer, places: Mapping[GroupKey, int]) -> int | None:
    pod = peer.endpoint
    if pod is not None and pod.namespace:
        return places.get(key_of_endpoint(pod)) if is_grouped(pod) else None
    return places.get(key_of_peer(peer)) if peer.kind is IdentityKind.WORLD else None


def let_through(
    engine: Engine, peers: Sequence[Peer], declared: Iterable[Port]
) -> LetThrough | None:
    """Find them; None where sets cannot say it. `declared` are the ports of endpoints."""
    ports = _ports(engine, declared)
    if len(ports) > MOST_PORTS or engine.cluster.config.cidr_match_pods:
        return None
    return LetThrough(engine, peers, ports)


def _unsettled(pairs: Reachability) -> Bits:
    """The groups whose policy the agent cannot compute: no set says what is so."""
    sides = (pairs.subjects(direction) for direction in Direction)
    numbers = {n for side in sides for n, one in side.classes.items() if one.policy.conflict}
    return bits_of(numbers, len(pairs.groups))


def _ports(engine: Engine, declared: Iterable[Port]) -> list[Port]:
    """A port of each piece that anything tells apart, and one for the rest of each protocol."""
    spans: dict[Protocol, set[Span]] = {protocol: set() for protocol in _ASKED}
    for policy in engine.policies:
        for direction in Direction:
            for protocol, span in named_spans(policy, direction):
                spans.setdefault(protocol, set()).add(span)
    for protocol, number in declared:
        spans.setdefault(protocol, set()).add((number, number))
    found: list[Port] = []
    for protocol, named in spans.items():
        pieces = cut(named)
        found += [(protocol, first) for first, _ in pieces]
        free = unnamed_port(pieces, protocol)
        if free is not None:
            found.append((protocol, free))
    return found
