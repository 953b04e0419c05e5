"""One subject's compiled policy as sets of peers: a part for each of its filters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from app.core.model.verdict import Direction, Effect
from app.core.policy.filters import DirectionPolicy, Filter
from app.core.policy.groups import IdentityGroup
from app.core.policy.index import Bits
from app.core.policy.named import NamedPorts, number_of
from app.core.policy.ports import MAX_PORT
from app.core.policy.rules import PeerSelector


class Selection(Protocol):
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

    @property
    def unions(self) -> tuple[Bits, Bits, Bits]:
        """Everyone it allows, denies, and sends to a proxy."""
        return _union(self.allow), _union(self.deny), _union(self.proxied)

    def holds(self, protocol: str, port: int) -> bool:
        """Say whether the part has something to say on a port, to some peers at least."""
        if not self.protocol:
            return True
        return self.protocol == protocol and (bool(self.name) or self.low <= port <= self.high)


def parts_of(
    policy: DirectionPolicy, first: IdentityGroup, names: NamedPorts, selection: Selection
) -> Iterator[Part]:
    """Yield the parts of an enforced policy; `first` is one of the groups that have it."""
    for item in policy.filters:
        by_peer = bool(item.name) and names.by_peer and policy.direction is Direction.EGRESS
        if by_peer:
            yield _part(item, (0, 0), item.name, selection)
            continue
        span = _span(item, policy.direction, first, names)
        if span is not None:
            yield _part(item, span, "", selection)


def _span(
    item: Filter, direction: Direction, first: IdentityGroup, names: NamedPorts
) -> tuple[int, int] | None:
    """Give the first and last port of a filter; None for a name that stands for nothing."""
    number: int | None = item.number
    if item.name:
        if direction is Direction.EGRESS:
            number = names.of_egress(item.name, item.protocol, None)
        elif first.subject is not None:
            number = number_of(first.subject, item.name, item.protocol)
    if number is None:
        return None
    if number == 0 and item.end == 0:
        return 0, MAX_PORT
    return number, max(number, item.end)


def _part(item: Filter, span: tuple[int, int], name: str, selection: Selection) -> Part:
    allow: list[Bits] = []
    deny: list[Bits] = []
    proxied: list[Bits] = []
    for policy in item.policies.values():
        peers = selection(policy.selector, aggregates=not name)
        if not peers:
            continue
        if policy.effect is Effect.DENY:
            deny.append(peers)
            continue
        allow.append(peers)
        if policy.parser:
            proxied.append(peers)
    return Part(item.protocol, *span, name, tuple(allow), tuple(deny), tuple(proxied))


def _union(sets: tuple[Bits, ...]) -> Bits:
    found = 0
    for one in sets:
        found |= one
    return found
