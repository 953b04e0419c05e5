"""Flows gathered into connections: who, to whom, on which port, with what verdict, how often.

A flow is one observed packet, so one refused connection shows as many flows. Here

- replies count for the connection they answer, whose port is the server's;
- a drop event and the policy verdict beside it are one packet seen twice;
- packets from the same client port are tries of one attempt (TCP repeats a SYN after 1, 2, 4 … s).

Source: Cilium `bpf/lib/policy_log.h`, `pkg/hubble/parser/threefour/parser.go`: a denied packet
gives both events, with the same addresses and ports; neither is thinned by aggregation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.core.flows.parts import KEEP_DISTINCT
from app.core.model.flow import EVENT_DROP, EVENT_VERDICT, Flow, FlowEndpoint

MOST_ATTEMPTS = 4_096
"""Client ports remembered of one connection; more are counted as this many."""

_PORT_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})

ConnectionKey = tuple[object, ...]


@dataclass(slots=True)
class ObservedConnection:
    """What is known of one connection with one verdict; grows as flows are added.

    `flows` counts every flow, `packets` the twins once, `attempts` the client ports. The address
    of an end is empty where it is a pod. `newest` is the flow to show; of twins it is the policy
    verdict, which can name policies; it may be a reply, whose ends are the other way round.
    """

    key: ConnectionKey
    source: FlowEndpoint
    destination: FlowEndpoint
    source_ip: str
    destination_ip: str
    protocol: str
    port: int
    verdict: str
    reason: str
    newest: Flow
    first_ns: int
    flows: int = 0
    events: Counter[int] = field(default_factory=Counter)
    client_ports: set[int] = field(default_factory=set)

    @property
    def last_ns(self) -> int:
        """Time of the newest flow."""
        return self.newest.time_ns

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """DNS names of source and destination, as the newest flow has them."""
        names = (self.newest.source_names, self.newest.destination_names)
        return names[::-1] if is_turned(self.newest) else names

    @property
    def packets(self) -> int:
        """Flows, with the two events of one refused packet counted once."""
        twins = min(self.events[EVENT_DROP], self.events[EVENT_VERDICT])
        return self.flows - twins

    @property
    def attempts(self) -> int:
        """Connections tried: different client ports, at least one."""
        return max(len(self.client_ports), 1)

    def add(self, flow: Flow, client_port: int) -> None:
        """Count one more flow."""
        self.flows += 1
        self.events[flow.event] += 1
        self.first_ns = min(self.first_ns, flow.time_ns)
        if client_port and len(self.client_ports) < MOST_ATTEMPTS:
            self.client_ports.add(client_port)
        if flow.time_ns >= self.newest.time_ns and not _is_twin(self.newest, flow):
            self.newest = flow


def _is_twin(verdict: Flow, drop: Flow) -> bool:
    return (
        (verdict.event, drop.event) == (EVENT_VERDICT, EVENT_DROP)
        and verdict.source_port == drop.source_port
        and verdict.node == drop.node
    )


def is_turned(flow: Flow) -> bool:
    """Whether a flow is an answer, so that its source is whom the connection went to."""
    return flow.is_reply is True and flow.protocol in _PORT_PROTOCOLS


class Connections:
    """Connections of the flows added so far.

    Flows share their endpoint objects, so most are found by the identity of these; content is
    compared only when objects are new.
    """

    def __init__(self, flows: Iterable[Flow] = ()) -> None:
        self._by_content: dict[ConnectionKey, ObservedConnection] = {}
        self._by_object: dict[ConnectionKey, tuple[ObservedConnection, Flow]] = {}
        self.add(flows)

    def add(self, flows: Iterable[Flow]) -> None:
        """Count flows."""
        for flow in flows:
            is_reply = is_turned(flow)
            port = flow.source_port if is_reply else flow.destination_port
            client = flow.destination_port if is_reply else flow.source_port
            key = (
                *(id(flow.source), id(flow.destination), flow.source_ip, flow.destination_ip),
                *(port, flow.protocol, flow.verdict, flow.drop_reason, is_reply),
            )
            known = self._by_object.get(key)
            if known is None:
                if len(self._by_object) >= KEEP_DISTINCT:
                    self._by_object.clear()
                # The flow is kept with its answer: ids stay true only while the objects live.
                known = self._by_object[key] = (self._find(flow, port, is_reply=is_reply), flow)
            known[0].add(flow, client)

    def ranked(self) -> list[ObservedConnection]:
        """The most frequent first, and among equals the newest."""
        return sorted(self._by_content.values(), key=lambda one: (-one.flows, -one.last_ns))

    def __len__(self) -> int:
        return len(self._by_content)

    def _find(self, flow: Flow, port: int, *, is_reply: bool) -> ObservedConnection:
        ends = [(flow.source, flow.source_ip), (flow.destination, flow.destination_ip)]
        if is_reply:
            ends.reverse()
        (source, source_ip), (destination, destination_ip) = (
            (end, "" if end.pod else address) for end, address in ends
        )
        key = (
            *(_who(source), _who(destination), source_ip, destination_ip),
            *(port, flow.protocol, flow.verdict, flow.drop_reason),
        )
        connection = self._by_content.get(key)
        if connection is None:
            connection = self._by_content[key] = ObservedConnection(
                key=key,
                source=source,
                destination=destination,
                source_ip=source_ip,
                destination_ip=destination_ip,
                protocol=flow.protocol,
                port=port,
                verdict=flow.verdict,
                reason=flow.drop_reason,
                newest=flow,
                first_ns=flow.time_ns,
            )
        return connection


def _who(end: FlowEndpoint) -> ConnectionKey:
    """A workload where the node knows it, so that its replicas are one; else a pod or identity."""
    if end.workload:
        return (end.namespace, end.workload_kind, end.workload)
    return (end.namespace, end.pod) if end.pod else (end.identity, *end.labels)
