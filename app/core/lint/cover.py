"""Does one rule hold everything that another does, whatever pods there are?

Worked out on the requirements themselves, so it is true without any cluster, and "no" only means
that it is not certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.core.model.labels import ANY_SOURCE, K8S_SOURCE, RESERVED_SOURCE
from app.core.policy.filters import effective_peers
from app.core.policy.ports import MAX_PORT
from app.core.policy.rules import (
    CidrSelector,
    Entry,
    FqdnSelector,
    GroupSelector,
    LabelSelector,
    Operator,
    PeerSelector,
    PortSpec,
    Requirement,
    within,
)
from app.core.policy.selectors import CLUSTER_KEY, NAMESPACE_KEY, NAMESPACE_LABELS_KEY

_PLAIN = frozenset({ANY_SOURCE, K8S_SOURCE})
_POSITIVE = frozenset({Operator.IN, Operator.EXISTS})

Requirements = tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of every pod: the labels of each namespace, the cluster's name."""

    namespaces: Mapping[str, Mapping[str, str]]
    cluster: str = "default"

    def implies(self, have: Requirements, want: Requirements) -> bool:
        """Say whether whatever fulfils `have` also fulfils `want`."""
        labels = self._inherited(have)
        return all(
            any(_implies(one, wanted) for one in have) or _told(labels, wanted) for wanted in want
        )

    def disjoint(self, one: Requirements, other: Requirements) -> bool:
        """Say whether nothing can fulfil both."""
        if _apart(one, other):
            return True
        for labels, wanted in ((self._inherited(one), other), (self._inherited(other), one)):
            if any(_told(labels, item, against=True) for item in wanted if item.key != CLUSTER_KEY):
                return True
        return any(_contradict(first, second) for first in one for second in other)

    def _inherited(self, have: Requirements) -> Mapping[str, str] | None:
        """The labels that pods of the one namespace asked for get from it; None: not one."""
        spaces = [
            item.values
            for item in have
            if item.key == NAMESPACE_KEY and item.source in _PLAIN and item.operator is Operator.IN
        ]
        named = frozenset.intersection(*spaces) if spaces else frozenset()
        if len(named) != 1:
            return None
        (name,) = named
        known = self.namespaces.get(name, {"kubernetes.io/metadata.name": name})
        labels = {f"{NAMESPACE_LABELS_KEY}.{key}": value for key, value in known.items()}
        if any(item.key == CLUSTER_KEY for item in have):
            return {NAMESPACE_KEY: name}  # of another cluster, whose namespaces are not known
        return {**labels, NAMESPACE_KEY: name, CLUSTER_KEY: self.cluster}


def _apart(one: Requirements, other: Requirements) -> bool:
    """The quick way to tell most subjects apart: one key, and no value in common."""
    values = {item.key: item.values for item in one if _names_values(item)}
    return any(
        _names_values(item) and item.key in values and not item.values & values[item.key]
        for item in other
    )


def _names_values(item: Requirement) -> bool:
    return item.operator is Operator.IN and item.source in _PLAIN


def _told(labels: Mapping[str, str] | None, wanted: Requirement, *, against: bool = False) -> bool:
    """Say whether a namespace's own labels settle a requirement, for it or `against` it."""
    if labels is None or wanted.source not in _PLAIN:
        return False
    if wanted.key == CLUSTER_KEY and wanted.key not in labels:
        return False
    of_namespace = wanted.key.startswith(f"{NAMESPACE_LABELS_KEY}.") and CLUSTER_KEY in labels
    if not of_namespace and wanted.key not in (NAMESPACE_KEY, CLUSTER_KEY):
        return False
    value = labels.get(wanted.key)
    match wanted.operator:
        case Operator.IN:
            fits = value is not None and value in wanted.values
        case Operator.NOT_IN:
            fits = value is None or value not in wanted.values
        case _:
            fits = (value is not None) is (wanted.operator is Operator.EXISTS)
    return fits is not against


def _same_key(one: Requirement, other: Requirement) -> bool:
    if one.key != other.key:
        return False
    return one.source == other.source or (one.source in _PLAIN and other.source in _PLAIN)


def _implies(have: Requirement, want: Requirement) -> bool:
    if not _same_key(have, want):
        return False
    match want.operator:
        case Operator.EXISTS:
            return have.operator in _POSITIVE
        case Operator.IN:
            return have.operator is Operator.IN and have.values <= want.values
        case Operator.NOT_IN:
            if have.operator is Operator.IN:
                return not have.values & want.values
            return have.operator is Operator.DOES_NOT_EXIST or (
                have.operator is Operator.NOT_IN and have.values >= want.values
            )
    return have.operator is Operator.DOES_NOT_EXIST


def _contradict(one: Requirement, other: Requirement) -> bool:
    """Say whether no label can fulfil both; a pod has no reserved label but its own."""
    for first, second in ((one, other), (other, one)):
        if first.source == RESERVED_SOURCE and first.operator in _POSITIVE:
            pods = second.source == K8S_SOURCE and second.operator in _POSITIVE
            others = second.source == RESERVED_SOURCE and second.operator in _POSITIVE
            if pods or (others and first.key != second.key and "kube-apiserver" not in (
                first.key, second.key)):  # fmt: skip
                return True
    if not _same_key(one, other):
        return False
    if one.operator is Operator.IN and other.operator is Operator.IN:
        return not one.values & other.values
    for first, second in ((one, other), (other, one)):
        if first.operator is Operator.DOES_NOT_EXIST and second.operator in _POSITIVE:
            return True
        if first.operator is Operator.IN and second.operator is Operator.NOT_IN:
            return first.values <= second.values
    return False


def is_negative(requirements: Iterable[Requirement]) -> bool:
    """Say whether there are conditions, and all of them only exclude."""
    found = list(requirements)
    return bool(found) and all(item.operator not in _POSITIVE for item in found)


def peer_covers(outer: PeerSelector, inner: PeerSelector, facts: Facts) -> bool:
    """Say whether every peer of `inner` is one of `outer`."""
    everyone = outer.is_wildcard and not getattr(outer, "excepted", ())
    if everyone or (outer.key == inner.key and type(outer) is type(inner)):
        return True
    match inner:
        case LabelSelector():
            return _labels_covered(outer, inner, facts)
        case GroupSelector():
            return False
        case _ if isinstance(outer, LabelSelector):
            return _is_world(outer)
        case FqdnSelector():
            return _name_covered(outer, inner)
    return isinstance(outer, CidrSelector) and _block_covered(outer, inner)


def _labels_covered(outer: PeerSelector, inner: LabelSelector, facts: Facts) -> bool:
    if isinstance(outer, LabelSelector):
        return facts.implies(inner.requirements, outer.requirements)
    if not isinstance(outer, CidrSelector) or outer.block.prefixlen or outer.excepted:
        return False
    return any(
        item.source == RESERVED_SOURCE and item.key == outer.world_key and item.operator is
        Operator.IN for item in inner.requirements
    )  # fmt: skip


def _is_world(selector: LabelSelector) -> bool:
    names = {item.key for item in selector.requirements if item.source == RESERVED_SOURCE}
    return len(selector.requirements) == 1 and names == {"world"}


def _name_covered(outer: PeerSelector, inner: FqdnSelector) -> bool:
    if isinstance(outer, CidrSelector):
        return outer.block.prefixlen == 0 and not outer.excepted and outer.world_key == "world"
    if not isinstance(outer, FqdnSelector):
        return False
    if not set(outer.pattern.strip()) - {"*", "."} and outer.pattern:
        return True
    return bool(inner.name) and outer.selects_name(inner.name.lower().rstrip("."))


def _block_covered(outer: CidrSelector, inner: PeerSelector) -> bool:
    if not isinstance(inner, CidrSelector) or not within(inner.block, outer.block):
        return False
    return all(
        not inner.block.overlaps(hole) or any(within(hole, other) for other in inner.excepted)
        for hole in outer.excepted
        if hole.version == inner.block.version
    )


def matches_nothing(entry: Entry) -> bool:
    """Say whether an item only turns default deny on: an empty one, or one with an empty list."""
    return entry.peers is None or not (entry.peers or entry.ports)


def peers_cover(outer: Entry, inner: Entry, facts: Facts) -> bool:
    """Say whether every peer of one entry is one of another's."""
    if matches_nothing(inner):
        return True
    if matches_nothing(outer):
        return False
    holders = effective_peers(outer)
    return all(
        any(peer_covers(one, peer, facts) for one in holders) for peer in effective_peers(inner)
    )


def ports_cover(outer: Entry, inner: Entry) -> bool:
    """Say whether every port of one entry is one of another's; layer 7 is not looked at."""
    if not outer.ports:
        return True
    specs = [spec for rule in outer.ports for spec in rule.ports]
    wanted = [spec for rule in inner.ports for spec in rule.ports]
    return bool(inner.ports) and all(
        any(_spec_covers(one, spec, protocol) for one in specs)
        for spec in wanted
        for protocol in spec.protocols
    )


def _spec_covers(outer: PortSpec, inner: PortSpec, protocol: str) -> bool:
    if protocol not in outer.protocols:
        return False
    if outer.name or inner.name:
        return (outer.name, outer.end) == (inner.name, inner.end) or is_every_port(outer)
    low, high = span(inner)
    first, last = span(outer)
    return first <= low and high <= last


def span(spec: PortSpec) -> tuple[int, int]:
    """Give the first and last port of a numbered port."""
    if is_every_port(spec):
        return 0, MAX_PORT
    return spec.number, max(spec.number, spec.end)


def is_every_port(spec: PortSpec) -> bool:
    """Say whether a port stands for all of them."""
    from_zero = not spec.name and spec.number == 0
    return from_zero and (spec.spills or spec.end in (0, MAX_PORT))


def holds_port(entry: Entry, number: int, protocol: str) -> bool:
    """Say whether an entry's ports hold a number; names hold none."""
    if not entry.ports:
        return bool(entry.peers)
    return any(
        protocol in spec.protocols and not spec.name and span(spec)[0] <= number <= span(spec)[1]
        for rule in entry.ports
        for spec in rule.ports
    )


def is_plain(entry: Entry) -> bool:
    """Say whether an entry asks for nothing above layer 4."""
    return not entry.auth and not any(
        rule.layer7.parser(protocol)
        for rule in entry.ports
        for spec in rule.ports
        for protocol in spec.protocols
    )
