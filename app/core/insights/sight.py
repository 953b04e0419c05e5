"""One flow as a sighting of a connection: client, server, port, and what it shows of it.

Answers are turned round, so that the port is always the server's. Hubble says of traces, verdicts
and layer 7 messages whether they are answers, of drops it does not: there a packet that no client
sends (SYN and ACK together), or that goes from a low port to an ephemeral one without opening
anything, is one.

Source: Cilium `pkg/hubble/parser/threefour/parser.go` (`decodeIsReply`: traces and verdicts only);
Linux `net.ipv4.ip_local_port_range` (32768 and up).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from app.core.insights.party import Directory, FlowParty
from app.core.model.flow import EVENT_L7, Flow, FlowEndpoint

KEEP_SAMPLES = 5
EPHEMERAL = 32_768
FROM_ENDPOINT = "FROM_ENDPOINT"
"""Where a packet leaves its pod: also one that is then refused is seen there."""
TO_ENDPOINT = "TO_ENDPOINT"
WITH_PORTS = frozenset({"TCP", "UDP", "SCTP"})
TRACE = 4
_REFUSED = frozenset({"DROPPED", "AUDIT"})
_PASSED = frozenset({"FORWARDED", "REDIRECTED"})


class Shows(Enum):
    """What a flow shows of its connection; `SENT` is before any policy was asked."""

    SENT = "sent"
    PASSED = "passed"
    REFUSED = "refused"
    ANSWERED = "answered"
    RESET = "reset"
    OTHER = "other"


class Sight(NamedTuple):
    """One flow. `host` is the server's address, `client_port` 0 where the protocol has none."""

    time_ns: int
    client: FlowParty
    server: FlowParty
    host: str
    port: int
    protocol: str
    client_port: int
    shows: Shows
    flow: Flow
    client_pod: str
    server_pod: str

    @property
    def pair(self) -> tuple[FlowParty, FlowParty, int, str]:
        """What connections are grouped by."""
        return self.client, self.server, self.port, self.protocol


_ECHO = {0: 8, 129: 128}
"""ICMP types of echo replies, and of the requests they answer (RFC 792, RFC 4443)."""


def is_answer(flow: Flow) -> bool:
    """Whether a flow goes from the server to the client."""
    if flow.is_reply is not None:
        return flow.is_reply
    if flow.l7 is not None:
        return flow.l7.type == "RESPONSE"
    if flow.protocol not in WITH_PORTS:
        return False
    if flow.protocol == "TCP":
        flags = flow.tcp_flags.split(",")
        if "SYN" in flags:
            return "ACK" in flags
    return flow.source_port < EPHEMERAL <= flow.destination_port and flow.source_port > 0


def sight_of(flow: Flow, directory: Directory) -> Sight | None:
    """See what a flow shows; None for one that is no connection's (no address, a socket's)."""
    if not flow.source_ip or not flow.protocol or _is_of_the_link(flow):
        return None
    answer = is_answer(flow)
    if answer:
        client, server = flow.destination, flow.source
        client_ip, host = flow.destination_ip, flow.source_ip
        client_names, names = flow.destination_names, flow.source_names
        client_port, port = flow.destination_port, flow.source_port
        if flow.protocol not in WITH_PORTS:  # the type of an ICMP message is its port
            client_port, port = 0, _ECHO.get(flow.destination_port, flow.destination_port)
    else:
        client, server = flow.source, flow.destination
        client_ip, host = flow.source_ip, flow.destination_ip
        client_names, names = flow.source_names, flow.destination_names
        client_port, port = flow.source_port, flow.destination_port
    return Sight(
        flow.time_ns,
        directory.party(client, client_ip, client_names),
        directory.party(server, host, names),
        host,
        port,
        flow.protocol,
        client_port,
        _shows(flow, answer=answer),
        flow,
        pod_of(client),
        pod_of(server),
    )


def _is_of_the_link(flow: Flow) -> bool:
    """Whether a packet is between neighbours: discovery and group membership, nobody's connection.

    Source: RFC 4861, RFC 2710, RFC 3810 (types 130 to 136 and 143), RFC 3376.
    """
    if flow.protocol == "ICMPv6":
        return 130 <= flow.destination_port <= 136 or flow.destination_port == 143  # noqa: PLR2004  # said above
    return flow.protocol == "IGMP"


def _shows(flow: Flow, *, answer: bool) -> Shows:
    if flow.verdict in _REFUSED:
        return Shows.REFUSED
    if flow.verdict not in _PASSED:
        return Shows.OTHER
    if not answer:
        return Shows.SENT if flow.trace_point == FROM_ENDPOINT else Shows.PASSED
    if "RST" in flow.tcp_flags:
        return Shows.RESET
    return Shows.ANSWERED


@dataclass(slots=True)
class Samples:
    """A few flows and pods out of many, to look at."""

    uuids: list[str] = field(default_factory=list)
    pods: list[str] = field(default_factory=list)

    def take(self, sight: Sight) -> None:
        """Keep a flow's uuid and pods, while there is room."""
        if len(self.uuids) < KEEP_SAMPLES and sight.flow.uuid:
            self.uuids.append(sight.flow.uuid)
        if len(self.pods) < KEEP_SAMPLES:
            for pod in (sight.client_pod, sight.server_pod):
                if pod and pod not in self.pods:
                    self.pods.append(pod)


def arrives(sight: Sight) -> bool:
    """Whether a flow shows that a packet was let in at its server, or that this one answered.

    The direction of a trace is that of the local pod, so at the server it may be egress.
    """
    if sight.shows is Shows.ANSWERED:
        return True
    flow = sight.flow
    at_server = flow.direction == "INGRESS" or flow.trace_point == TO_ENDPOINT
    return sight.shows is Shows.PASSED and at_server


def is_message(flow: Flow) -> bool:
    """Whether a flow is a message of layer 7, which a proxy wrote down."""
    return flow.event == EVENT_L7 or flow.l7 is not None


def pod_of(end: FlowEndpoint) -> str:
    """`NS/POD`, empty where the end is none."""
    return f"{end.namespace}/{end.pod}" if end.pod else ""
