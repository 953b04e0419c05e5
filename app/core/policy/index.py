"""Selectors resolved to sets of identities, each set one integer with a bit for an identity.

Sets of some ten thousand identities are combined by `&`, `|` and `~` in well under a microsecond,
which is what makes all pairs of a cluster affordable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.core.model.labels import ANY_SOURCE, RESERVED_SOURCE, Label, LabelSet
from app.core.policy.rules import (
    CIDR_SOURCE,
    CidrSelector,
    FqdnSelector,
    GroupSelector,
    Identity,
    LabelSelector,
    Operator,
    PeerSelector,
    Requirement,
)

Bits = int
"""A set of identities: bit n stands for the n-th."""

_BYTE_BITS = 8


def bits_of(members: Iterable[int], size: int) -> Bits:
    """Make a set of its members' numbers, all below `size`."""
    table = bytearray(size // _BYTE_BITS + 1)
    for member in members:
        table[member >> 3] |= 1 << (member & 7)
    return int.from_bytes(table, "little")


def members_of(bits: Bits) -> Iterator[int]:
    """Yield the numbers in a set, ascending."""
    digits = bin(bits)[:1:-1]
    place = digits.find("1")
    while place >= 0:
        yield place
        place = digits.find("1", place + 1)


class SelectorIndex:
    """Answers which of its identities a selector selects, and remembers the answer.

    Answers are kept by the selector's key, so an index serves every policy of one agent version
    over the same identities. A place of `vacant` is nobody's, whatever stands there.
    """

    def __init__(self, identities: Sequence[Identity], vacant: Bits = 0) -> None:
        self.everyone: Bits = ((1 << len(identities)) - 1) & ~vacant
        self._identities = identities
        self._holders: dict[str, dict[Label, list[int]]] = {}
        self._outside: list[int] = []
        self._aggregates: dict[str, list[int]] = {}
        self._by_requirement: dict[Requirement, Bits] = {}
        self._by_key: dict[tuple[str, bool], Bits] = {}
        self._selectors: dict[str, PeerSelector] = {}
        for number, identity in enumerate(identities):
            if not vacant >> number & 1:
                self._add(number, identity)

    def _add(self, number: int, identity: Identity) -> None:
        for label in identity.labels.values():
            self._holders.setdefault(label.key, {}).setdefault(label, []).append(number)
        if identity.address is not None or identity.names:
            self._outside.append(number)
        if identity.aggregate:
            self._aggregates.setdefault(identity.aggregate, []).append(number)

    def selected(self, selector: PeerSelector, *, aggregates: bool = True) -> Bits:
        """Give the identities that the selector holds as peers, by default also by aggregate.

        Without aggregates each identity is asked, so that no wildcard stands for all.
        """
        if not aggregates and isinstance(selector, GroupSelector):
            return self._asked_one_by_one(selector)
        found = self._by_key.get((selector.key, aggregates))
        if found is None:
            found = self._resolve(selector)
            if aggregates:
                found |= self._through_aggregates(selector)
            self._by_key[selector.key, aggregates] = found
            self._selectors[selector.key] = selector
        return found

    def replace(
        self, identities: Sequence[Identity], changed: Sequence[int], vacant: Bits
    ) -> tuple[SelectorIndex, frozenset[str]]:
        """Give the index over identities that differ in `changed` places alone.

        With it the keys of the selectors that hold other places than before. What was asked of
        this index is put right in those places; it is itself left as it is.
        """
        size = len(identities)
        places = bits_of(changed, size)
        gone = bits_of((at for at, n in enumerate(changed) if vacant >> n & 1), len(changed))
        part = SelectorIndex([identities[number] for number in changed], gone)

        def patched(before: Bits, now: Bits) -> Bits:
            kept = before & ~places
            return kept | bits_of((changed[at] for at in members_of(now)), size) if now else kept

        new = SelectorIndex((), 0)
        new._identities = identities
        new.everyone = ((1 << size) - 1) & ~vacant
        new._holders = self._moved_holders(identities, changed, vacant)
        new._outside = _moved(self._outside, changed, part._outside)
        moved = {
            name: _moved(self._aggregates.get(name, ()), changed, part._aggregates.get(name, ()))
            for name in {*self._aggregates, *part._aggregates}
        }
        new._aggregates = {name: members for name, members in moved.items() if members}
        new._by_requirement = {
            one: patched(before, part._fitting(one)) for one, before in self._by_requirement.items()
        }
        new._selectors = dict(self._selectors)
        new._by_key = {
            (key, aggregates): patched(
                before, part.selected(self._selectors[key], aggregates=aggregates)
            )
            for (key, aggregates), before in self._by_key.items()
        }
        other = (key for key, before in self._by_key.items() if new._by_key[key] != before)
        return new, frozenset(key for key, _ in other)

    def _moved_holders(
        self, identities: Sequence[Identity], changed: Sequence[int], vacant: Bits
    ) -> dict[str, dict[Label, list[int]]]:
        """Who holds each label now; what no change touches is shared."""
        lost: dict[Label, set[int]] = {}
        got: dict[Label, list[int]] = {}
        for number in changed:
            if self.everyone >> number & 1:
                for label in self._identities[number].labels.values():
                    lost.setdefault(label, set()).add(number)
            if not vacant >> number & 1:
                for label in identities[number].labels.values():
                    got.setdefault(label, []).append(number)
        holders = dict(self._holders)
        for key in {label.key for label in (*lost, *got)}:
            holders[key] = dict(holders.get(key, {}))
        for label in {*lost, *got}:
            left = lost.get(label, set())
            before = holders[label.key].get(label, ())
            now = [number for number in before if number not in left] + got.get(label, [])
            if now:
                holders[label.key][label] = now
            else:
                holders[label.key].pop(label, None)
        return holders

    def _asked_one_by_one(self, selector: GroupSelector) -> Bits:
        chosen = [n for n, identity in enumerate(self._identities) if selector.lists(identity)]
        return bits_of(chosen, len(self._identities)) & self.everyone

    def labelled(self, selector: LabelSelector) -> Bits:
        """Give the identities whose labels fit, as for the subject of a policy."""
        found = self.everyone
        for requirement in selector.requirements:
            found &= self._fitting(requirement)
        return found

    def _resolve(self, selector: PeerSelector) -> Bits:
        if isinstance(selector, LabelSelector):
            return self.labelled(selector)
        if isinstance(selector, FqdnSelector):
            return self._scan(selector, self._outside)
        if isinstance(selector, CidrSelector) and selector.block.prefixlen:
            return self._scan(selector, self._outside)
        return self._scan(selector, range(len(self._identities)))

    def _scan(self, selector: PeerSelector, candidates: Iterable[int]) -> Bits:
        identities = self._identities
        chosen = [number for number in candidates if selector.selects(identities[number])]
        return bits_of(chosen, len(identities)) & self.everyone

    def _through_aggregates(self, selector: PeerSelector) -> Bits:
        """Add those that a selector without positive requirements holds by their aggregate.

        Source: Cilium 1.20 `pkg/policy/aggregate.go`; see `reference._selects_aggregate`.
        """
        found = 0
        for aggregate, members in self._aggregates.items():
            labels = LabelSet((Label(RESERVED_SOURCE, aggregate),))
            if selector.selects(Identity(self._identities[members[0]].kind, labels)):
                found |= bits_of(members, len(self._identities))
        return found

    def _fitting(self, requirement: Requirement) -> Bits:
        found = self._by_requirement.get(requirement)
        if found is None:
            found = self._by_requirement[requirement] = self._resolve_requirement(requirement)
        return found

    def _resolve_requirement(self, requirement: Requirement) -> Bits:
        if requirement.source == CIDR_SOURCE:
            members = [
                number
                for number, identity in enumerate(self._identities)
                if requirement.fits(identity.labels)
            ]
            return bits_of(members, len(self._identities)) & self.everyone
        by_value = requirement.operator in (Operator.IN, Operator.NOT_IN)
        holders: list[int] = []
        for label, numbers in self._holders.get(requirement.key, {}).items():
            if requirement.source not in (ANY_SOURCE, label.source):
                continue
            if not by_value or label.value in requirement.values:
                holders += numbers
        found = bits_of(holders, len(self._identities))
        if requirement.operator in (Operator.IN, Operator.EXISTS):
            return found
        return self.everyone & ~found


def _moved(before: Iterable[int], changed: Sequence[int], now: Iterable[int]) -> list[int]:
    """Numbers without the changed places, and those that hold now; `now` counts in `changed`."""
    left = set(changed)
    return [*(number for number in before if number not in left), *(changed[at] for at in now)]
