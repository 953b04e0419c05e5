"""Which rules select which identity groups, so that one changed policy costs little.

Groups that the same entries select (and, where port names matter, with the same port names) make
a *subject class* and share one compiled policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakValueDictionary

from app.core.model.cluster import Cluster, ClusterConfig, Endpoint, Node
from app.core.model.labels import Label
from app.core.model.verdict import Direction
from app.core.policy.filters import DirectionPolicy, compile_direction
from app.core.policy.groups import VACANT, GroupKey, IdentityGroup, PortNames
from app.core.policy.index import Bits, SelectorIndex, bits_of, members_of
from app.core.policy.rules import Entry, ParsedPolicy

ClassKey = tuple[tuple[int, ...], Label | None, Label | None, PortNames]


@dataclass(frozen=True, slots=True)
class SubjectRules:
    """The entries of one policy that have one subject, with their places, and whom they select."""

    policy: ParsedPolicy
    entries: tuple[tuple[int, Entry], ...]
    selected: Bits


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class SubjectClass:
    """Groups with one compiled policy; `subject` is an endpoint of one of them.

    Engines share it while nothing about it changes.
    """

    entries: tuple[Entry, ...]
    policy: DirectionPolicy
    subject: Endpoint


@dataclass(frozen=True, slots=True)
class Scope:
    """The groups that can be subjects, or pods, with their index and the agent's settings.

    `endpoints` are the pods the groups were made of, `subjects` one of each group with a policy,
    `hosts` those of them that are nodes.
    """

    endpoints: tuple[Endpoint, ...]
    nodes: tuple[Node, ...]
    groups: tuple[IdentityGroup, ...]
    index: SelectorIndex
    config: ClusterConfig
    subjects: Mapping[int, Endpoint]
    policed: Bits
    hosts: Bits
    by_namespace: Mapping[str, Bits]
    vacant: Bits
    places: Mapping[GroupKey, int]
    """The place of each group. Those of `vacant` are nobody's: one left, or none has come yet."""

    @classmethod
    def of(
        cls,
        cluster: Cluster,
        groups: tuple[IdentityGroup, ...],
        spare: int = 0,
    ) -> Scope:
        """Index the groups, with `spare` places for groups to come."""
        vacant = ((1 << spare) - 1) << len(groups)
        groups = (*groups, *(VACANT,) * spare)
        members: dict[str, list[int]] = {}
        for number, group in enumerate(groups):
            if group is not VACANT:
                members.setdefault(group.key.namespace, []).append(number)
        subjects = {n: one.subject for n, one in enumerate(groups) if one.subject is not None}
        hosts = [number for number, one in subjects.items() if one.labels.has_reserved("host")]
        return cls(
            cluster.endpoints,
            cluster.nodes,
            groups,
            SelectorIndex([group.identity for group in groups], vacant),
            cluster.config,
            subjects,
            bits_of(subjects, len(groups)),
            bits_of(hosts, len(groups)),
            {name: bits_of(found, len(groups)) for name, found in members.items()},
            vacant,
            {group.key: number for number, group in enumerate(groups) if group is not VACANT},
        )

    def subjects_of(self, entry: Entry) -> Bits:
        """Give the groups that an entry is about; no namespace is all of them.

        A node as a subject has labels of its own, which its peers do not see.
        """
        if entry.node:
            found = (
                number
                for number in members_of(self.hosts)
                if entry.selects_subject(self.subjects[number].labels, "")
            )
            return bits_of(found, len(self.groups))
        namespace = entry.namespace
        within = self.by_namespace.get(namespace, 0) if namespace else self.policed
        return self.index.labelled(entry.subject) & within & self.policed & ~self.hosts


class Subjects:
    """The subject class of every group in one direction, for one set of policies.

    A group without a policy of its own (`IdentityGroup.subject` is None) has no class.
    """

    def __init__(
        self,
        scope: Scope,
        direction: Direction,
        policies: Sequence[ParsedPolicy],
        known: Subjects | None = None,
        moved: Bits = 0,
    ) -> None:
        """`known` are the subjects before; of `scope` the groups of `moved` are other ones now."""
        self.scope = scope
        self.direction = direction
        self._policies = policies  # ids are keys only while their objects live
        self._order = {id(policy): place for place, policy in enumerate(policies)}
        before = known._rules if known else {}  # noqa: SLF001  # same class
        self._rules: dict[int, tuple[SubjectRules, ...]] = {
            (key := id(policy)): self._read(policy)
            if key not in before
            else self._selected_again(before[key])
            if moved
            else before[key]
            for policy in policies
        }
        self._by_key: WeakValueDictionary[ClassKey, SubjectClass] = (
            known._by_key if known else WeakValueDictionary()  # noqa: SLF001  # same class
        )
        self._selecting: list[tuple[SubjectRules, ...]] = (
            list(known._selecting) if known else [()] * len(scope.groups)  # noqa: SLF001
        )
        self.classes: dict[int, SubjectClass] = dict(known.classes) if known else {}
        self._members_before = known.members if known else None
        self._touched: Bits
        if known is None:
            self._touched = self._place_all()
        else:
            self._touched = self._move_ends(known, moved) if moved else self._move(known)

    def replace(self, policies: Sequence[ParsedPolicy]) -> Subjects:
        """Give the subjects for changed policies; only the groups they select are looked at."""
        if policies is self._policies:
            return self
        return Subjects(self.scope, self.direction, policies, self)

    def move(self, scope: Scope, moved: Bits) -> Subjects:
        """Give the subjects of the same policies in a scope in which some groups are others."""
        return Subjects(scope, self.direction, self._policies, self, moved)

    @cached_property
    def members(self) -> dict[SubjectClass, Bits]:
        """The groups of each class; what is known from before is only put right."""
        numbers: dict[SubjectClass, list[int]] = {}
        before: dict[SubjectClass, Bits] = self._members_before or {}
        touched = self._touched if before else self.scope.policed
        for number in members_of(touched & self.scope.policed):
            numbers.setdefault(self.classes[number], []).append(number)
        found = {one: left for one, bits in before.items() if (left := bits & ~touched)}
        for one, members in numbers.items():
            found[one] = found.get(one, 0) | bits_of(members, len(self.scope.groups))
        return found

    def _read(self, policy: ParsedPolicy) -> tuple[SubjectRules, ...]:
        by_subject: dict[tuple[str, str, bool], list[tuple[int, Entry]]] = {}
        for place, entry in enumerate(policy.entries):
            if entry.direction is self.direction:
                key = (entry.namespace, entry.subject.key, entry.node)
                by_subject.setdefault(key, []).append((place, entry))
        return tuple(
            SubjectRules(policy, tuple(placed), self.scope.subjects_of(placed[0][1]))
            for placed in by_subject.values()
        )

    def _place_all(self) -> Bits:
        collected: list[list[SubjectRules]] = [[] for _ in self.scope.groups]
        for found in self._rules.values():
            for rules in found:
                for number in members_of(rules.selected):
                    collected[number].append(rules)
        self._selecting = [tuple(found) for found in collected]
        self._classify(members_of(self.scope.policed))
        return self.scope.policed

    def _move(self, known: Subjects) -> Bits:
        """Take gone policies away from the groups they selected, and give them the new ones."""
        gone = {key for key in known._rules if key not in self._rules}
        came = [key for key in self._rules if key not in known._rules]
        new = [rules for key in came for rules in self._rules[key]]
        touched = 0
        for rules in (*new, *(r for key in gone for r in known._rules[key])):
            touched |= rules.selected
        members = list(members_of(touched))
        for number in members:
            kept = [r for r in self._selecting[number] if id(r.policy) not in gone]
            kept += [r for r in new if r.selected >> number & 1]
            self._selecting[number] = tuple(kept)
        self._classify(members)
        return touched

    def _selected_again(self, before: tuple[SubjectRules, ...]) -> tuple[SubjectRules, ...]:
        """The same rules with whom they select now; the same objects where that is the same."""
        now = [self.scope.subjects_of(rules.entries[0][1]) for rules in before]
        if all(rules.selected == selected for rules, selected in zip(before, now, strict=True)):
            return before
        return tuple(
            SubjectRules(rules.policy, rules.entries, selected)
            for rules, selected in zip(before, now, strict=True)
        )

    def _move_ends(self, known: Subjects, moved: Bits) -> Bits:
        """Place the groups anew that are others now, and all that other rules select now."""
        touched = moved
        for key, found in self._rules.items():
            if found is not (before := known._rules[key]):
                for rules, was in zip(found, before, strict=True):
                    touched |= rules.selected ^ was.selected
        collected: dict[int, list[SubjectRules]] = {n: [] for n in members_of(touched)}
        for found in self._rules.values():
            for rules in found:
                for number in members_of(rules.selected & touched):
                    collected[number].append(rules)
        for number, selecting in collected.items():
            self._selecting[number] = tuple(selecting)
            self.classes.pop(number, None)
        self._classify(members_of(touched & self.scope.policed))
        return touched

    def _classify(self, numbers: Iterable[int]) -> None:
        known: dict[tuple[int, ...], tuple[Entry, ...]] = {}
        for number in numbers:
            selecting = self._selecting[number]
            key = tuple(map(id, selecting))
            entries = known.get(key)
            if entries is None:
                entries = known[key] = self._entries(selecting)
            self.classes[number] = self._class_of(number, entries)

    def _entries(self, selecting: tuple[SubjectRules, ...]) -> tuple[Entry, ...]:
        """Put entries in the order of their policies, and of their places in each."""
        placed = [
            (self._order[id(rules.policy)], place, entry)
            for rules in selecting
            for place, entry in rules.entries
        ]
        placed.sort(key=lambda item: item[:2])
        return tuple(entry for _, _, entry in placed)

    def _class_of(self, number: int, entries: tuple[Entry, ...]) -> SubjectClass:
        group = self.scope.groups[number]
        labels = self.scope.subjects[number].labels
        names = group.key.names if self._needs_names(entries) else ()
        key = (tuple(map(id, entries)), labels.get("host"), labels.get("init"), names)
        found = self._by_key.get(key)
        if found is None:
            subject = self.scope.subjects[number]
            policy = compile_direction(entries, self.direction, subject, self.scope.config)
            found = self._by_key[key] = SubjectClass(entries, policy, subject)
        return found

    def _needs_names(self, entries: tuple[Entry, ...]) -> bool:
        """Say whether the subject's own port names matter: on ingress, where a rule has a name."""
        return self.direction is Direction.INGRESS and any(
            spec.name for entry in entries for rule in entry.ports for spec in rule.ports
        )
