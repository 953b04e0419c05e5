"""Which boundary speaks of a connection that was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from app.core.diagnose.boundaries import NAMESPACE_END, Boundary
from app.core.diagnose.ends import parse_end, resolve
from app.core.errors import K8treError
from app.core.insights.party import FlowParty
from app.core.model.asked import AskedPort
from app.core.model.cluster import IdentityKind
from app.core.model.workloads import workload_name
from app.core.policy.engine import Engine


@dataclass(frozen=True, slots=True)
class _Ends:
    """What one side of a boundary stands for, as flows show it."""

    patterns: tuple[str, ...]
    workloads: frozenset[tuple[str, str]]
    kinds: frozenset[IdentityKind]
    addresses: frozenset[str]
    names: frozenset[str]

    def holds(self, party: FlowParty, address: str) -> bool:
        if party.is_pod:
            named = (party.namespace, party.name) in self.workloads
            return named or any(fnmatchcase(party.namespace, one) for one in self.patterns)
        return party.kind in self.kinds or address in self.addresses or party.name in self.names


@dataclass
class Guards:
    """The boundaries of a picture, made ready to be asked about flows."""

    boundaries: Sequence[Boundary]
    engine: Engine
    _ends: dict[tuple[str, ...], _Ends] = field(default_factory=dict)

    def find(self, client: FlowParty, server: FlowParty, host: str, port: int, protocol: str) -> (
        Boundary | None
    ):  # fmt: skip
        """Give the first boundary about a connection; `host` is the server's address."""
        for one in self.boundaries:
            if (
                self._side(one.sources).holds(client, "")
                and self._side(one.destinations).holds(server, host)
                and self._is_about(one, server, port, protocol)
            ):
                return one
        return None

    def _is_about(self, one: Boundary, server: FlowParty, port: int, protocol: str) -> bool:
        if not one.ports:
            return True
        return any(self._fits(spec, server, port, protocol) for spec in one.ports)

    def _fits(self, spec: AskedPort, server: FlowParty, port: int, protocol: str) -> bool:
        if spec.protocol is not None and spec.protocol.value != protocol:
            return False
        if spec.number is not None:
            return spec.number == port
        return any(
            (declared.name, declared.port) == (spec.name, port)
            for endpoint in self.engine.cluster.endpoints
            if (endpoint.namespace, workload_name(endpoint)) == (server.namespace, server.name)
            for declared in endpoint.ports
        )

    def _side(self, texts: tuple[str, ...]) -> _Ends:
        found = self._ends.get(texts)
        if found is None:
            found = self._ends[texts] = self._resolve(texts)
        return found

    def _resolve(self, texts: Iterable[str]) -> _Ends:
        patterns: list[str] = []
        workloads: set[tuple[str, str]] = set()
        kinds: set[IdentityKind] = set()
        addresses: set[str] = set()
        names: set[str] = set()
        for text in texts:
            if text.startswith(NAMESPACE_END):
                patterns.append(text.removeprefix(NAMESPACE_END))
                continue
            try:
                ends = resolve(parse_end(text), self.engine)
            except K8treError:
                continue  # an end that stands for nothing is in no flow; `check` says so
            for end in ends:
                if end.endpoint is not None and end.endpoint.namespace:
                    workloads.add((end.endpoint.namespace, workload_name(end.endpoint)))
                elif end.peer.address is not None:
                    addresses.add(str(end.peer.address))
                    names.update(end.peer.names)
                else:
                    kinds.add(end.peer.kind)
                    names.update(end.peer.names)
        return _Ends(
            tuple(patterns),
            frozenset(workloads),
            frozenset(kinds),
            frozenset(addresses),
            frozenset(names),
        )
