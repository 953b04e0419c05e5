"""What a change of policies does to all pairs, at the cost of what it touches.

Only groups whose rules changed are looked at: their own row on each port, before and after, met
with the other ends' rows. The other ends are met a subject class at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.core.model.verdict import Direction, Protocol, Verdict
from app.core.policy.groups import IdentityGroup
from app.core.policy.index import Bits, bits_of, members_of
from app.core.policy.reachability import Reachability
from app.core.policy.rows import Port, Row


@dataclass(frozen=True, slots=True)
class RowChange:
    """The pairs of one group that have another verdict on a port after a change.

    On egress the group, `number`, is the source and the rows are of destinations; on ingress it is
    the destination. Both ends' answers are in the rows.
    """

    direction: Direction
    number: int
    port: Port
    before: Row
    after: Row

    @property
    def changed(self) -> Bits:
        """The other ends, by their numbers."""
        return _changed(self.before, self.after)


@dataclass(frozen=True, slots=True)
class PairChange:
    """A pair of groups whose verdict on a port is another one after a change."""

    source: IdentityGroup
    destination: IdentityGroup
    protocol: Protocol
    port: int
    before: Verdict
    after: Verdict


def difference(
    before: Reachability, after: Reachability, ports: Sequence[Port]
) -> Iterator[PairChange]:
    """Yield every pair and port with another verdict after a change of policies, once."""
    for change in row_changes(before, after, ports):
        own = after.groups[change.number]
        for number in members_of(change.changed):
            other = after.groups[number]
            ends = (own, other) if change.direction is Direction.EGRESS else (other, own)
            was, now = _verdict(change.before, number), _verdict(change.after, number)
            yield PairChange(*ends, *change.port, was, now)


def row_changes(
    before: Reachability, after: Reachability, ports: Sequence[Port]
) -> Iterator[RowChange]:
    """Yield what changes for each group whose rules changed; no pair is in two of them.

    Both must be about the same groups, as those of `Reachability.replace` are; `ValueError` else.
    """
    if before.rows is not after.rows and not _same_groups(before, after):
        raise ValueError("pairs of other groups cannot be compared")
    egress = _Side(before, after, Direction.EGRESS)
    ingress = _Side(before, after, Direction.INGRESS)
    for port in ports:
        moved = egress.moved(port)
        yield from egress.changes(ingress, moved, 0, port)
        done = bits_of(moved, len(after.groups))
        yield from ingress.changes(egress, ingress.moved(port), done, port)


def _same_groups(before: Reachability, after: Reachability) -> bool:
    return [group.key for group in before.groups] == [group.key for group in after.groups]


class _Side:
    """One direction before and after."""

    def __init__(self, before: Reachability, after: Reachability, direction: Direction) -> None:
        self._before = before
        self._after = after
        self._direction = direction
        old, new = before.subjects(direction).classes, after.subjects(direction).classes
        everyone = before.rows is not after.rows
        self._numbers = [n for n, one in old.items() if everyone or one is not new[n]]

    def _rows(self, number: int, port: Port) -> tuple[Row, Row]:
        before, after = self._before, self._after
        return before.row(self._direction, number, port), after.row(self._direction, number, port)

    def moved(self, port: Port) -> list[int]:
        """Give the groups whose own row on a port is another one."""
        return [number for number in self._numbers if _changed(*self._rows(number, port))]

    def changes(
        self, other: _Side, moved: Sequence[int], done: Bits, port: Port
    ) -> Iterator[RowChange]:
        """Meet the rows that moved with those of the other ends, except for the `done` ones."""
        if not moved:
            return
        met_before = other.allowing(self._before, moved, port)
        met_after = other.allowing(self._after, moved, port) if other._numbers else met_before
        for number in moved:
            old, new = self._rows(number, port)
            change = RowChange(
                self._direction,
                number,
                port,
                _meet(old, met_before[number], ~done),
                _meet(new, met_after[number], ~done),
            )
            if change.changed:
                yield change

    def allowing(self, pairs: Reachability, numbers: Sequence[int], port: Port) -> dict[int, Row]:
        """Give for each of some ends the groups that allow it in this direction."""
        wanted = bits_of(numbers, len(pairs.groups))
        policed = 0
        allowed, redirected = dict.fromkeys(numbers, 0), dict.fromkeys(numbers, 0)
        classes = pairs.subjects(self._direction).members
        for row, members in pairs.rows.each(classes, port):
            policed |= members
            if held := row.allowed & wanted:
                for number in members_of(held):
                    allowed[number] |= members
                for number in members_of(row.redirected & wanted):
                    redirected[number] |= members
        free = pairs.rows.everyone & ~policed
        return {number: Row(allowed[number] | free, redirected[number]) for number in numbers}


def _meet(own: Row, other: Row, among: Bits) -> Row:
    allowed = own.allowed & other.allowed & among
    return Row(allowed, (own.redirected | other.redirected) & allowed)


def _changed(before: Row, after: Row) -> Bits:
    return (before.allowed ^ after.allowed) | (before.redirected ^ after.redirected)


def _verdict(row: Row, number: int) -> Verdict:
    if not row.allowed >> number & 1:
        return Verdict.DENIED
    return Verdict.REDIRECTED if row.redirected >> number & 1 else Verdict.ALLOWED
