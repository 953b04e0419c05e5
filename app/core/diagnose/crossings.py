"""Connections between two sets of ends that policies allow, or do not, found by sets.

Ends that no policy tells apart are one: pods of an identity group, outside addresses and names of
a class (`app.core.policy.outside`). Groups are met as sets of bits, one row of a subject class at a
time (`app.core.policy.reachability`); an end that is in no group is asked about pair by pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property

from app.core.diagnose.ends import ResolvedEnd, of_endpoint
from app.core.model.cluster import Endpoint
from app.core.model.verdict import Direction, Peer, Protocol, Question, Verdict
from app.core.policy.engine import Engine
from app.core.policy.groups import GroupKey, key_of_peer
from app.core.policy.index import Bits, bits_of, members_of
from app.core.policy.outside import WORLD, OutsideClass, outside_classes
from app.core.policy.port_cuts import Span, spans_of
from app.core.policy.reachability import Reachability
from app.core.policy.rows import Port
from app.core.policy.subjects import SubjectClass

ALLOWING = (Verdict.ALLOWED, Verdict.REDIRECTED)


@dataclass(frozen=True, slots=True)
class EndClass:
    """Ends that are asked about as one: `ends` are all that were named, the first stands for them.

    `number` is that of their identity group, None for an end that is in none. `words` say who they
    are where it is a class of ends outside.
    """

    ends: tuple[ResolvedEnd, ...]
    number: int | None = None
    words: str = ""

    @property
    def first(self) -> ResolvedEnd:
        """The end that stands for all."""
        return self.ends[0]


@dataclass(frozen=True, slots=True)
class Crossing:
    """One connection between two classes of ends."""

    source: EndClass
    destination: EndClass
    question: Question


@dataclass
class Crossings:
    """Finds connections under one engine; what it learns of the engine is kept between calls."""

    engine: Engine
    _sorted: dict[tuple[Direction, Bits], Sequence[tuple[SubjectClass | None, Bits]]] = field(
        default_factory=dict
    )
    _namespaces: dict[str, tuple[EndClass, ...]] = field(default_factory=dict)

    @cached_property
    def outside(self) -> tuple[OutsideClass, ...]:
        """The classes of ends outside."""
        return outside_classes(self.engine)

    @cached_property
    def _pairs(self) -> Reachability:
        return self.engine.reachability(
            tuple(one.peer for one in self.outside if one.name != WORLD)
        )

    @cached_property
    def _numbers(self) -> dict[GroupKey, int]:
        return {group.key: number for number, group in enumerate(self._pairs.groups)}

    @cached_property
    def _unsettled(self) -> Bits:
        """The groups whose policy the agent cannot compute: no set says what is so."""
        sides = (self._pairs.subjects(direction) for direction in Direction)
        numbers = {n for side in sides for n, one in side.classes.items() if one.policy.conflict}
        return bits_of(numbers, len(self._pairs.groups))

    def world(self, *, as_source: bool) -> Iterator[EndClass]:
        """Yield everything outside by class; names are no sources."""
        for one in self.outside:
            if not (as_source and one.by_name):
                words = "" if one.name == WORLD else one.words
                end = ResolvedEnd(one.peer, one.name)
                yield EndClass((end,), self._number(end), words)

    def of_namespaces(self, pattern: str) -> Iterator[EndClass]:
        """Yield the pods of the namespaces that a shell pattern fits."""
        for namespace in sorted(self._by_namespace):
            if fnmatchcase(namespace, pattern):
                yield from self._of_namespace(namespace)

    def _of_namespace(self, namespace: str) -> tuple[EndClass, ...]:
        known = self._namespaces.get(namespace)
        if known is None:
            ends = (of_endpoint(one, self.engine) for one in self._by_namespace[namespace])
            known = self._namespaces[namespace] = self.classes(ends)
        return known

    @cached_property
    def _by_namespace(self) -> dict[str, list[Endpoint]]:
        found: dict[str, list[Endpoint]] = {}
        for endpoint in self.engine.cluster.endpoints:
            found.setdefault(endpoint.namespace, []).append(endpoint)
        return found

    def classes(self, ends: Iterable[ResolvedEnd]) -> tuple[EndClass, ...]:
        """Put ends that nothing tells apart together, in the order they are met."""
        return merged(EndClass((end,), self._number(end)) for end in ends)

    def _number(self, end: ResolvedEnd) -> int | None:
        endpoint = end.peer.endpoint
        if endpoint is None:
            number = self._numbers.get(key_of_peer(end.peer))
        else:
            number = self._members_of_groups.get(id(endpoint))
            if number is None and not endpoint.namespace:
                number = self._numbers.get(key_of_peer(end.peer))
        return None if number is None or self._unsettled >> number & 1 else number

    @cached_property
    def _members_of_groups(self) -> dict[int, int]:
        """The groups of pods, by their objects: one that does not exist yet is in none."""
        groups = self._pairs.groups
        return {id(one): n for n, group in enumerate(groups) for one in group.endpoints}

    def ports(
        self, sources: Sequence[EndClass], destinations: Sequence[EndClass]
    ) -> frozenset[tuple[Protocol, Span]]:
        """Give the ports that a rule of either side names, and those the destinations declare."""
        found: set[tuple[Protocol, Span]] = set()
        seen: set[int] = set()
        for ends, direction in ((sources, Direction.EGRESS), (destinations, Direction.INGRESS)):
            subjects = self._pairs.subjects(direction)
            for one in ends:
                if one.number is None:
                    found.update(self._asked(one.first.peer, direction))
                elif (own := subjects.classes.get(one.number)) and id(own) not in seen:
                    seen.add(id(own))
                    found.update(spans_of(own.entries))
        for one in destinations:
            for endpoint in self._members(one):
                found.update((Protocol(p.protocol), (p.port, p.port)) for p in endpoint.ports)
        return frozenset(found)

    def _asked(self, peer: Peer, direction: Direction) -> Iterator[tuple[Protocol, Span]]:
        if peer.endpoint is not None:
            entries = self.engine.entries_selecting(peer.endpoint)
            yield from spans_of(one for one in entries if one.direction is direction)

    @staticmethod
    def _members(one: EndClass) -> Iterator[Endpoint]:
        for end in one.ends:
            endpoint = end.peer.endpoint or end.endpoint
            if endpoint is not None:
                yield endpoint

    def find(
        self,
        sources: Sequence[EndClass],
        destinations: Sequence[EndClass],
        port: Port,
        *,
        allowed: bool,
    ) -> Iterator[Crossing]:
        """Yield the connections on a port that are `allowed`, or those that are not."""
        yield from self._by_sets(sources, destinations, port, allowed=allowed)
        for source in sources:
            for destination in destinations:
                if source.number is not None and destination.number is not None:
                    continue
                crossing = crossing_of(source, destination, port)
                if crossing is None:
                    continue
                verdict = self.engine.decide(crossing.question).verdict
                if (verdict is not Verdict.DENIED) if allowed else (verdict not in ALLOWING):
                    yield crossing

    def _by_sets(
        self,
        sources: Sequence[EndClass],
        destinations: Sequence[EndClass],
        port: Port,
        *,
        allowed: bool,
    ) -> Iterator[Crossing]:
        senders = {one.number: one for one in sources if one.number is not None}
        takers = {one.number: one for one in destinations if one.number is not None}
        if not senders or not takers:
            return
        for sending, taking in self._rectangles(senders, takers, port, allowed=allowed):
            for number in members_of(sending):
                for other in members_of(taking):
                    crossing = crossing_of(senders[number], takers[other], port)
                    if crossing is not None:
                        yield crossing

    def _rectangles(
        self,
        senders: Iterable[int],
        takers: Iterable[int],
        port: Port,
        *,
        allowed: bool,
    ) -> Iterator[tuple[Bits, Bits]]:
        """Yield sets of sources with sets of destinations: all pairs of each are as wanted.

        What is denied may be yielded twice, by either end.
        """
        size = len(self._pairs.groups)
        sending, taking = bits_of(senders, size), bits_of(takers, size)
        sent = self._rows(Direction.EGRESS, sending, taking, port)
        taken = self._rows(Direction.INGRESS, taking, sending, port)
        if not allowed:
            yield from ((mine, left) for to, mine in sent.items() if (left := taking & ~to))
            yield from ((left, mine) for by, mine in taken.items() if (left := sending & ~by))
            return
        for to, mine in sent.items():
            for by, theirs in taken.items():
                if (some := mine & by) and (others := theirs & to):
                    yield some, others

    def _rows(self, direction: Direction, own: Bits, others: Bits, port: Port) -> dict[Bits, Bits]:
        """Give the ends by the set of `others` that they allow."""
        found: dict[Bits, Bits] = {}
        for one, mine in self._classes_of(direction, own):
            allowed = self._pairs.rows.row(one, port).allowed & others
            found[allowed] = found.get(allowed, 0) | mine
        return found

    def _classes_of(
        self, direction: Direction, own: Bits
    ) -> Sequence[tuple[SubjectClass | None, Bits]]:
        """Give the subject classes of some groups with those groups; None has no policy."""
        known = self._sorted.get((direction, own))
        if known is None:
            classes = self._pairs.subjects(direction).classes
            members: dict[SubjectClass | None, list[int]] = {}
            for number in members_of(own):
                members.setdefault(classes.get(number), []).append(number)
            size = len(self._pairs.groups)
            known = [(one, bits_of(numbers, size)) for one, numbers in members.items()]
            self._sorted[direction, own] = known
        return known


def merged(classes: Iterable[EndClass]) -> tuple[EndClass, ...]:
    """Put classes of the same ends together, in the order they are met."""
    found: dict[object, list[EndClass]] = {}
    for one in classes:
        found.setdefault(_key(one), []).append(one)
    return tuple(
        several[0]
        if len(several) == 1
        else replace(several[0], ends=tuple(end for one in several for end in one.ends))
        for several in found.values()
    )


def _key(one: EndClass) -> object:
    end = one.first
    if one.number is not None:
        return one.number, end.port, end.protocol
    peer = end.peer
    space = peer.endpoint.namespace if peer.endpoint else ""
    alone = (space, peer.kind, peer.labels, peer.address, peer.names)
    return alone, end.port, end.protocol


def crossing_of(source: EndClass, destination: EndClass, port: Port) -> Crossing | None:
    """Make the question; None when both stand for one and the same end alone."""
    protocol, number = port
    for one in source.ends[:2]:
        for other in destination.ends[:2]:
            if one.text != other.text:
                return Crossing(
                    EndClass((one,), source.number, source.words),
                    EndClass((other,), destination.number, destination.words),
                    Question(one.peer, other.peer, number, protocol),
                )
    return None


def count(sources: Sequence[EndClass], destinations: Sequence[EndClass]) -> int:
    """Say how many pairs of different ends there are."""
    alone = {one.first.text for one in sources if len(one.ends) == 1}
    same = [one for one in destinations if len(one.ends) == 1 and one.first.text in alone]
    return len(sources) * len(destinations) - len(same)
