"""Flows as Hubble writes them, made short for tests of insights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from app.core.flows.times import NS_PER_S
from app.core.model.flow import DnsInfo, Flow, FlowEndpoint, L7Info

START_NS = 1_780_000_000 * NS_PER_S
WORLD = FlowEndpoint(identity=2, labels=("reserved:world",))
HOST = FlowEndpoint(identity=1, labels=("reserved:host",))
_uuids = count(1)


@dataclass(frozen=True)
class Pod:
    """A pod with an address; `seen` as a remote node has it, `local` as its own node does."""

    namespace: str
    name: str
    ip: str
    workload: str = ""
    kind: str = "Deployment"
    labels: tuple[str, ...] = ()

    @property
    def remote(self) -> FlowEndpoint:
        return FlowEndpoint(4000, self.namespace, self.name, self.labels)

    @property
    def local(self) -> FlowEndpoint:
        return FlowEndpoint(4000, self.namespace, self.name, self.labels, self.kind, self.workload)


@dataclass(frozen=True)
class Outside:
    """An address outside, with the name that was learnt for it, if any."""

    ip: str
    name: str = ""

    @property
    def remote(self) -> FlowEndpoint:
        return WORLD

    local = remote


End = Pod | Outside


def flow(client: End, server: End, port: int, at_s: float = 0.0, **fields: Any) -> Flow:
    """A policy verdict of a first packet, seen at the client's node."""
    values: dict[str, Any] = {
        "time_ns": START_NS + int(at_s * NS_PER_S),
        "verdict": "FORWARDED",
        "source": client.local,
        "destination": server.remote,
        "source_ip": client.ip,
        "destination_ip": server.ip,
        "protocol": "TCP",
        "source_port": 40_000,
        "destination_port": port,
        "direction": "EGRESS",
        "event": 5,
        "is_reply": False,
        "tcp_flags": "SYN",
        "match_type": 2,
        "node": "node-1",
        "uuid": f"u{next(_uuids)}",
        "destination_names": (server.name,) if isinstance(server, Outside) and server.name else (),
    }
    return Flow(**(values | fields))


def refused(client: End, server: End, port: int, at_s: float = 0.0, **fields: Any) -> list[Flow]:
    """A packet that default deny refused: the policy verdict, and the drop beside it."""
    given: dict[str, Any] = {
        "verdict": "DROPPED", "drop_reason": "POLICY_DENIED", "is_reply": None, "match_type": 0,
    } | fields  # fmt: skip
    return [
        flow(client, server, port, at_s, **given),
        flow(client, server, port, at_s + 0.001, **(given | {"event": 1})),
    ]


def answered(client: End, server: End, port: int, at_s: float = 0.0, **fields: Any) -> list[Flow]:
    """A connection: verdict and trace of the SYN, the SYN-ACK, and the end."""
    given = {"source_port": 40_000} | fields
    back: dict[str, Any] = {
        "time_ns": START_NS + int((at_s + 0.002) * NS_PER_S),
        "source": server.remote,
        "destination": client.local,
        "source_ip": server.ip,
        "destination_ip": client.ip,
        "source_port": port,
        "destination_port": given["source_port"],
        "direction": "INGRESS",
        "is_reply": True,
        "event": 4,
        "tcp_flags": "SYN,ACK",
        "destination_names": (),
        "source_names": (server.name,) if isinstance(server, Outside) and server.name else (),
    }
    trace = given | {"event": 4, "trace_point": "TO_STACK"}
    return [
        flow(client, server, port, at_s, **given),
        flow(client, server, port, at_s + 0.001, **trace),
        flow(client, server, port, at_s, **(given | back)),
        flow(client, server, port, at_s + 0.01, **(trace | {"tcp_flags": "ACK,FIN"})),
    ]


DNS = Pod("kube-system", "coredns-7f9c4b5d6-xz2vk", "10.0.3.1", "coredns")


def asked(client: Pod, name: str, at_s: float = 0.0, *, rcode: int = 0, qtype: str = "A") -> (
    list[Flow]
):  # fmt: skip
    """A question for a name and its answer, as the DNS proxy writes them down."""
    question = L7Info("REQUEST", dns=DnsInfo(name, qtypes=(qtype,), source="proxy"))
    ips = ("198.51.100.9",) if not rcode else ()
    answer = L7Info("RESPONSE", dns=DnsInfo(name, ips, qtypes=(qtype,), rcode=rcode, ttl=30))
    common: dict[str, Any] = {"protocol": "UDP", "event": 129, "tcp_flags": "", "match_type": 0}
    return [
        flow(client, DNS, 53, at_s, l7=question, **common),
        flow(
            client, DNS, 53, at_s + 0.001, l7=answer, is_reply=True,
            source=DNS.remote, destination=client.local, source_ip=DNS.ip,
            destination_ip=client.ip, destination_port=40_000, **(common | {"source_port": 53}),
        ),
    ]  # fmt: skip
