"""Pods that came, went or changed, at the cost of the groups they are in.

Groups keep their places: one that is gone leaves its place vacant, and a new one takes a vacant
place, first of all that of the group its pods were in before. So sets that name places stay true
but for the places that changed. `Scope.of` over the same cluster is the slow form; both give the
same answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.model.cluster import Endpoint
from app.core.policy.groups import (
    VACANT,
    GroupKey,
    IdentityGroup,
    is_grouped,
    key_of_endpoint,
    pod_changes,
    pod_group,
)
from app.core.policy.identities import Identities
from app.core.policy.index import Bits, bits_of, members_of
from app.core.policy.subjects import Scope

MOST = 2_000
"""Pods of one change beyond which all groups are made anew."""


@dataclass(frozen=True, slots=True)
class Move:
    """A scope after a change: the places whose group is another one, and the selectors that tell.

    `selectors` are the keys of those that hold other places than before.
    """

    scope: Scope
    places: Bits
    selectors: frozenset[str]


def move_ends(scope: Scope, identities: Identities) -> Move | None:
    """Give the scope of a cluster of which only pods changed; None where all must be made anew."""
    cluster = identities.cluster
    gone, came = pod_changes(scope.endpoints, cluster.endpoints)
    if len(gone) + len(came) > MOST:
        return None
    change = _Change(scope, identities, frozenset(map(id, gone)))
    if not change.seat(gone, came):
        return None
    return change.settle()


@dataclass(slots=True)
class _Change:
    scope: Scope
    identities: Identities
    gone: frozenset[int]
    seats: dict[int, IdentityGroup] = field(default_factory=dict)
    """Place → the group that has it now."""

    def seat(self, gone: Sequence[Endpoint], came: Sequence[Endpoint]) -> bool:
        """Find every touched group's place; False when there are not enough."""
        groups, places = self.scope.groups, self.scope.places
        left: dict[str, int] = {}
        members: dict[GroupKey, list[Endpoint]] = {}
        for one in filter(is_grouped, gone):
            key = key_of_endpoint(one)
            left[one.key] = places[key]
            members.setdefault(key, [e for e in groups[places[key]].endpoints if self._stays(e)])
        for one in filter(is_grouped, came):
            key = key_of_endpoint(one)
            if key not in members:
                known = groups[places[key]].endpoints if key in places else ()
                members[key] = [e for e in known if self._stays(e)]
            members[key].append(one)
        free = {places[key]: None for key, pods in members.items() if not pods}
        free |= dict.fromkeys(members_of(self.scope.vacant))
        new = [key for key, pods in members.items() if pods and key not in places]
        if len(new) > len(free):
            return False
        chosen = {key: places[key] for key, pods in members.items() if pods and key in places}
        for key in new:
            own = next((left[e.key] for e in members[key] if left.get(e.key) in free), None)
            chosen[key] = own if own is not None else next(iter(free))
            del free[chosen[key]]
        self.seats = {number: VACANT for number in free if groups[number] is not VACANT}
        order = self._order(members)
        for key, number in chosen.items():
            pods = sorted(members[key], key=lambda one: order[id(one)])
            self.seats[number] = pod_group(key, pods, self.identities)
        return True

    def _stays(self, endpoint: Endpoint) -> bool:
        return id(endpoint) not in self.gone

    def _order(self, members: Mapping[GroupKey, Sequence[Endpoint]]) -> Mapping[int, int]:
        """The places of pods in the cluster, by which the first of a group stands for it."""
        wanted = {id(one) for pods in members.values() for one in pods}
        pods = enumerate(self.identities.cluster.endpoints)
        return {id(one): place for place, one in pods if id(one) in wanted}

    def settle(self) -> Move:
        """Give the scope with its index and sets put right."""
        scope = self.scope
        groups = list(scope.groups)
        for number, group in self.seats.items():
            groups[number] = group
        moved = [n for n, group in self.seats.items() if not _is_same(scope.groups[n], group)]
        size = len(groups)
        vacant = scope.vacant
        for number in moved:
            vacant &= ~(1 << number)
        vacant |= bits_of((n for n in moved if groups[n] is VACANT), size)
        told = [n for n in moved if _is_told(scope.groups[n], groups[n])]
        index, selectors = scope.index, frozenset[str]()
        if told:
            index, selectors = index.replace(
                [group.identity for group in groups], sorted(told), vacant
            )
        places = bits_of(moved, size)
        subjects = dict(scope.subjects)
        for number in self.seats:
            subjects.pop(number, None)
            if (subject := groups[number].subject) is not None:
                subjects[number] = subject
        after = replace(
            scope,
            endpoints=self.identities.cluster.endpoints,
            nodes=self.identities.cluster.nodes,
            groups=tuple(groups),
            index=index,
            subjects=subjects,
            policed=scope.policed & ~places | bits_of((n for n in moved if n in subjects), size),
            by_namespace=self._by_namespace(groups, moved),
            vacant=vacant,
            places=self._places(groups),
        )
        return Move(after, places, selectors)

    def _places(self, groups: Sequence[IdentityGroup]) -> dict[GroupKey, int]:
        found = dict(self.scope.places)
        for number in self.seats:
            found.pop(self.scope.groups[number].key, None)
        found.update(
            (groups[number].key, number) for number in self.seats if groups[number] is not VACANT
        )
        return found

    def _by_namespace(
        self, groups: Sequence[IdentityGroup], moved: Sequence[int]
    ) -> dict[str, Bits]:
        found = dict(self.scope.by_namespace)
        for number in moved:
            for group in (self.scope.groups[number],):
                if group is not VACANT:
                    found[group.key.namespace] &= ~(1 << number)
        for number in moved:
            if groups[number] is not VACANT:
                namespace = groups[number].key.namespace
                found[namespace] = found.get(namespace, 0) | 1 << number
        return found


def _is_same(before: IdentityGroup, now: IdentityGroup) -> bool:
    return before.key == now.key and not _is_told(before, now)


def _is_told(before: IdentityGroup, now: IdentityGroup) -> bool:
    """Whether selectors could tell the two apart."""
    return before.identity != now.identity or (before is VACANT) is not (now is VACANT)
