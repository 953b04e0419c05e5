"""A subject's compiled policy as sets of peers, and on each port the peers that it allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol as Shape

from app.core.model.cluster import Endpoint
from app.core.model.verdict import Direction, Effect, Protocol
from app.core.policy.filters import DirectionPolicy, Filter
from app.core.policy.groups import IdentityGroup
from app.core.policy.index import Bits, SelectorIndex, bits_of
from app.core.policy.judge import equal_in_map
from app.core.policy.named import NamedPorts, number_of
from app.core.policy.ports import MAX_PORT
from app.core.policy.rules import WILDCARD_KEY, PeerSelector
from app.core.policy.subjects import Scope, SubjectClass

Port = tuple[Protocol, int]
"""A protocol with a port after Service translation, or with an ICMP type."""

SPARE = 3
"""Subject classes kept for each one in use: those of a draft come and go while it is edited."""


class Selection(Shape):
    """Gives the groups that a selector holds as peers."""

    def __call__(self, selector: PeerSelector, *, aggregates: bool) -> Bits:
        """Look them up, with or without those held by their aggregate identity only."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One filter: the ports it holds, and the sets of peers it allows, denies, sends to a proxy.

    An empty protocol is all of them. With `name` set the port is the one that each peer itself
    declares under that name (egress from 1.20 on).
    """

    protocol: str
    low: int
    high: int
    name: str
    allow: tuple[Bits, ...]
    deny: tuple[Bits, ...]
    proxied: tuple[Bits, ...]
    unions: tuple[Bits, Bits, Bits]
    """Everyone it allows, denies, and sends to a proxy."""

    def holds(self, protocol: str, port: int) -> bool:
        """Say whether the part has something to say on a port, to some peers at least."""
        if not self.protocol:
            return True
        return self.protocol == protocol and (bool(self.name) or self.low <= port <= self.high)


def parts_of(
    policy: DirectionPolicy, subject: Endpoint, names: NamedPorts, selection: Selection
) -> Iterator[Part]:
    """Yield the parts of an enforced policy of a subject."""
    for item in policy.filters:
        by_peer = bool(item.name) and names.by_peer and policy.direction is Direction.EGRESS
        if by_peer:
            yield _part(item, (0, 0), item.name, selection)
            continue
        span = _span(item, policy.direction, subject, names)
        if span is not None:
            yield _part(item, span, "", selection)


def _span(
    item: Filter, direction: Direction, subject: Endpoint, names: NamedPorts
) -> tuple[int, int] | None:
    """Give the first and last port of a filter; None for a name that stands for nothing."""
    number: int | None = item.number
    if item.name and direction is Direction.EGRESS:
        number = names.of_egress(item.name, item.protocol, None)
    elif item.name:
        number = number_of(subject, item.name, item.protocol)
    if number is None:
        return None
    if item.spills or (number == 0 and item.end == 0):
        return 0, MAX_PORT
    return number, max(number, item.end)


def _part(item: Filter, span: tuple[int, int], name: str, selection: Selection) -> Part:
    allow: list[Bits] = []
    deny: list[Bits] = []
    proxied: list[Bits] = []
    wildcard = item.policies.get(WILDCARD_KEY) if name else None
    for policy in item.policies.values():
        if wildcard is not None and policy is not wildcard and equal_in_map(policy, wildcard):
            continue  # the agent leaves it out, also where the wildcard's key lists fewer
        peers = selection(policy.selector, aggregates=not name)
        if not peers:
            continue
        if policy.effect is Effect.DENY:
            deny.append(peers)
            continue
        allow.append(peers)
        if policy.parser:
            proxied.append(peers)
    unions = _union(allow), _union(deny), _union(proxied)
    return Part(item.protocol, *span, name, tuple(allow), tuple(deny), tuple(proxied), unions)


def _union(sets: Iterable[Bits]) -> Bits:
    found = 0
    for one in sets:
        found |= one
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """The peers that one subject allows on one port; a proxy decides about the `redirected`."""

    allowed: Bits
    redirected: Bits = 0


@dataclass(slots=True)
class _Kept:
    """What was computed for one subject class."""

    parts: tuple[Part, ...]
    selectors: frozenset[str]
    rows: dict[Port, Row] = field(default_factory=dict)


class Rows:
    """The rows of subject classes over fixed ends of connections, each computed once.

    Ends are numbered: first the groups of the scope (pods, reserved identities with a policy),
    then the ends outside, which have none.
    """

    def __init__(self, scope: Scope, outside: Sequence[IdentityGroup], names: NamedPorts) -> None:
        self.scope = scope
        self.outside = tuple(outside)
        self.names = names
        self.groups: tuple[IdentityGroup, ...] = (*scope.groups, *self.outside)
        self.everyone: Bits = ((1 << len(self.groups)) - 1) & ~scope.vacant
        self._free = Row(self.everyone)
        self._outside_index = SelectorIndex([group.identity for group in self.outside])
        self._declared: dict[tuple[str, Port], Bits] = {}
        self._kept: dict[SubjectClass, _Kept] = {}

    def row(self, one: SubjectClass | None, port: Port) -> Row:
        """Give a class's row on a port; everybody where no policy is asked."""
        if one is None or not one.policy.enforced:
            return self._free
        kept = self._kept.get(one) or self._keep(one)
        return kept.rows.get(port) or self._compute(one, kept, port)

    def each(self, members: Mapping[SubjectClass, Bits], port: Port) -> Iterator[tuple[Row, Bits]]:
        """Yield the row of each of some classes on a port, with the class's members."""
        known = self._kept.get
        for one, numbers in members.items():
            kept = known(one)
            row = kept.rows.get(port) if kept is not None else None
            yield row or self.row(one, port), numbers

    def move(self, scope: Scope, changed: frozenset[str], names: NamedPorts) -> Rows:
        """Give the rows in a scope in which some groups are others.

        `changed` are the keys of the selectors that hold other groups now. What was computed for
        classes with none of these is taken over; a class with a port's name depends on all groups.
        """
        rows = Rows(scope, self.outside, names)
        rows._kept = {
            one: kept
            for one, kept in self._kept.items()
            if changed.isdisjoint(kept.selectors)
            and not any(item.name for item in one.policy.filters)
        }
        return rows

    def forget_all_but(self, classes: Iterable[SubjectClass]) -> None:
        """Drop what was computed for other classes, once there is more of it than use."""
        used = set(classes)
        if len(self._kept) > SPARE * len(used):
            self._kept = {one: kept for one, kept in self._kept.items() if one in used}

    def parts(self, one: SubjectClass, port: Port) -> Iterator[tuple[Part, Bits | None]]:
        """Yield the parts of a class that hold a port; a set narrows the peers it holds for."""
        protocol, number = port
        for part in (self._kept.get(one) or self._keep(one)).parts:
            if part.holds(protocol, number):
                yield part, self._declaring(part.name, port) if part.name else None

    def selected(self, selector: PeerSelector, *, aggregates: bool) -> Bits:
        """Give the groups that a selector holds as peers."""
        inside = self.scope.index.selected(selector, aggregates=aggregates)
        outside = self._outside_index.selected(selector, aggregates=aggregates)
        return inside | outside << len(self.scope.groups)

    def _keep(self, one: SubjectClass) -> _Kept:
        parts = tuple(parts_of(one.policy, one.subject, self.names, self.selected))
        selectors = frozenset(
            policy.selector.key for item in one.policy.filters for policy in item.policies.values()
        )
        kept = self._kept[one] = _Kept(parts, selectors)
        return kept

    def _declaring(self, name: str, port: Port) -> Bits:
        found = self._declared.get((name, port))
        if found is None:
            protocol, number = port
            declared = (name, (protocol.value, number))
            members = (n for n, group in enumerate(self.groups) if declared in group.key.names)
            found = self._declared[name, port] = bits_of(members, len(self.groups))
        return found

    def _compute(self, one: SubjectClass, kept: _Kept, port: Port) -> Row:
        allowed = denied = redirected = 0
        for part, among in self.parts(one, port):
            allow, deny, proxied = part.unions
            if among is not None:
                allow, deny, proxied = allow & among, deny & among, proxied & among
            allowed |= allow
            denied |= deny
            redirected |= proxied
        allowed &= ~denied
        row = kept.rows[port] = Row(allowed, redirected & allowed)
        return row
