"""Which number a port name stands for, on both sides.

Source: Cilium `pkg/types/portmap.go`, `pkg/policy/l4.go` `toMapState`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from app.core.model.cluster import ContainerPort, Endpoint
from app.core.policy.ports import MAX_PORT, is_service_name
from app.core.policy.selectors import Version

FIRST_BY_PEER = (1, 20, 0)
"""From here on a name is looked up in the peer, before in one table of all pods."""


@lru_cache(maxsize=65536)
def named_ports(ports: tuple[ContainerPort, ...]) -> Mapping[str, tuple[str, int]]:
    """Give a pod's port names in lower case; a name stands for one number, the last declared."""
    return {
        port.name.lower(): (port.protocol.upper(), port.port)
        for port in ports
        if is_service_name(port.name) and 0 < port.port <= MAX_PORT
    }


def number_of(endpoint: Endpoint, name: str, protocol: str) -> int | None:
    """Give the number a pod itself declares for a name and protocol."""
    declared = named_ports(endpoint.ports).get(name)
    return declared[1] if declared is not None and declared[0] == protocol else None


@dataclass(frozen=True, slots=True)
class NamedPorts:
    """The port names of a cluster. A name of `table` with None is ambiguous, hence void."""

    by_peer: bool
    table: Mapping[tuple[str, str], int | None]

    @classmethod
    def of(cls, endpoints: Iterable[Endpoint], version: Version) -> NamedPorts:
        """Collect the names of every pod the agents know."""
        table: dict[tuple[str, str], int | None] = {}
        for key, number in _declared(endpoints):
            if table.setdefault(key, number) != number:
                table[key] = None
        return cls(version >= FIRST_BY_PEER, table)

    def replace(
        self, gone: Iterable[Endpoint], came: Iterable[Endpoint], endpoints: Sequence[Endpoint]
    ) -> NamedPorts:
        """Give the names after some pods went and others came, of which there are `endpoints`."""
        lost, got = ({*_declared(gone)}, {*_declared(came)})
        if lost == got:
            return self
        table = dict(self.table)
        for key, number in lost:
            if table[key] is None:  # of several numbers one may be left
                return replace(self, table=NamedPorts.of(endpoints, FIRST_BY_PEER).table)
            if (key, number) not in _declared(endpoints):  # asked until one declares it
                del table[key]
        for key, number in got:
            if table.setdefault(key, number) != number:
                table[key] = None
        return self if table == self.table else replace(self, table=table)

    def of_egress(self, name: str, protocol: str, peer: Endpoint | None) -> int | None:
        """Give the number for an egress rule towards a peer; None when the rule is void."""
        if not self.by_peer:
            return self.table.get((name, protocol))
        return None if peer is None else number_of(peer, name, protocol)


def _declared(endpoints: Iterable[Endpoint]) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the names and protocols that pods with a policy declare, each with its number."""
    for endpoint in endpoints:
        if endpoint.managed and not endpoint.host_network:
            for name, (protocol, number) in named_ports(endpoint.ports).items():
                yield (name, protocol), number
