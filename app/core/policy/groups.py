"""Identity groups: the ends of connections that no policy can tell apart.

Pods of one namespace with the same labels and the same port names get the same answers, so all
pairs of a cluster are the pairs of its groups. Source of what an identity is made of: Cilium
`Documentation/security/identity.rst`, and `pkg/types/portmap.go` for the port names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.core.model.cluster import Address, Endpoint, IdentityKind
from app.core.model.labels import LabelSet
from app.core.model.verdict import Peer
from app.core.policy.identities import Identities
from app.core.policy.named import named_ports
from app.core.policy.rules import Identity

PortNames = tuple[tuple[str, tuple[str, int]], ...]


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What makes a group; equal under two sets of policies when the same ends are meant.

    An address has no labels here: those of its identity depend on what policies name.
    """

    namespace: str
    labels: LabelSet
    names: PortNames = ()
    kind: IdentityKind = IdentityKind.POD
    address: Address | None = None
    fqdns: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class IdentityGroup:
    """One group. `peer` stands for all of `endpoints`, of which an end of another kind has none."""

    key: GroupKey
    peer: Peer
    identity: Identity
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def subject(self) -> Endpoint | None:
        """The endpoint whose policy stands for the group's; None when it has none."""
        return self.peer.endpoint

    @property
    def size(self) -> int:
        """How many endpoints, one for ends that are no pods."""
        return max(1, len(self.endpoints))


VACANT = IdentityGroup(
    GroupKey("", LabelSet()),
    Peer(IdentityKind.POD, LabelSet(), "nobody"),
    Identity(IdentityKind.POD, LabelSet()),
)
"""Stands in a place that no group has."""


def group_endpoints(
    endpoints: Iterable[Endpoint], identities: Identities
) -> tuple[IdentityGroup, ...]:
    """Give the groups of the pods that have a policy, in the order they are met."""
    members: dict[tuple[str, LabelSet, object], list[Endpoint]] = {}
    for endpoint in endpoints:
        if is_grouped(endpoint):
            key = (endpoint.namespace, endpoint.labels, endpoint.ports)
            members.setdefault(key, []).append(endpoint)
    merged: dict[GroupKey, list[Endpoint]] = {}
    for same in members.values():
        first = same[0]
        names = _port_names(named_ports(first.ports))
        merged.setdefault(GroupKey(first.namespace, first.labels, names), []).extend(same)
    return tuple(pod_group(key, same, identities) for key, same in merged.items())


def is_grouped(endpoint: Endpoint) -> bool:
    """Say whether a pod has a policy, and so is in a group."""
    return endpoint.managed and not endpoint.host_network


def key_of_endpoint(endpoint: Endpoint) -> GroupKey:
    """Give the key of the group a pod with a policy of its own is in."""
    names = _port_names(named_ports(endpoint.ports))
    return GroupKey(endpoint.namespace, endpoint.labels, names)


def key_of_peer(peer: Peer) -> GroupKey:
    """Give the key of the group of an end that is no pod."""
    labels = peer.labels if peer.address is None else LabelSet()
    return GroupKey(
        namespace="",
        labels=labels,
        names=(),
        kind=peer.kind,
        address=peer.address,
        fqdns=peer.names,
    )


def _port_names(names: Mapping[str, tuple[str, int]]) -> PortNames:
    return tuple(sorted(names.items()))


def pod_group(key: GroupKey, same: Sequence[Endpoint], identities: Identities) -> IdentityGroup:
    """Give the group of some pods; the first stands for all."""
    peer = identities.of_endpoint(same[0])
    return IdentityGroup(key, peer, identities.identity(peer), tuple(same))


def group_of_peer(peer: Peer, identities: Identities) -> IdentityGroup:
    """Give the group of an end that is no pod: an entity, or an address outside."""
    return IdentityGroup(key_of_peer(peer), peer, identities.identity(peer))


def pod_changes(
    before: Sequence[Endpoint], after: Sequence[Endpoint]
) -> tuple[list[Endpoint], list[Endpoint]]:
    """Give the pods that are gone and those that came; what is the same object did neither.

    >>> one, two, three = (Endpoint("a", name, LabelSet()) for name in "123")
    >>> pod_changes((one, two), (one, three)) == ([two], [three])
    True
    """
    if before is after:
        return [], []
    if len(before) == len(after):
        pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not b]
        old, new = [a for a, _ in pairs], [b for _, b in pairs]
    else:
        start = _same_until(before, after)
        old, new = list(before[start:]), list(after[start:])
        if end := _same_until(old[::-1], new[::-1]):
            del old[-end:], new[-end:]
    left, there = set(map(id, new)), set(map(id, old))
    return [one for one in old if id(one) not in left], [one for one in new if id(one) not in there]


def _same_until(one: Sequence[object], other: Sequence[object]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a is not b), min(len(one), len(other)))
