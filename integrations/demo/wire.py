"""Single demo flows, as Cilium 1.19 and its Hubble parsers fill them in.

Prototypes: time, uuid and ephemeral port are left at zero for whoever tells the story.
Source: Cilium `bpf/bpf_lxc.c`, `bpf/lib/policy_log.h`, `pkg/hubble/parser/threefour/parser.go`,
`pkg/hubble/parser/seven/parser.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import msgspec

from app.core.model.flow import DnsInfo, Flow, FlowDetail, HttpInfo, L7Info
from app.core.model.verdict import Direction, HttpRequest, Protocol
from integrations.demo.cast import Actor
from integrations.demo.judge import Ruling

DROP, TRACE, VERDICT, L7 = 1, 4, 5, 129
"""Hubble's event types."""
POINTS = {"TO_ENDPOINT": 0, "TO_PROXY": 1, "TO_HOST": 2, "TO_STACK": 3, "TO_OVERLAY": 4}
"""Trace observation points and the `sub_type` of each."""
POLICY_DENIED, CT_FULL, NO_BACKEND, POLICY_DENY = 133, 155, 158, 181
REASONS = {
    POLICY_DENIED: "POLICY_DENIED",
    CT_FULL: "CT_MAP_INSERTION_FAILED",
    NO_BACKEND: "SERVICE_BACKEND_NOT_FOUND",
    POLICY_DENY: "POLICY_DENY",
}
ECHO_REQUEST, ECHO_REPLY = 8, 0
DNS_TTL_S = 30

_FLAG_WORDS = {"SYN": "SYN", "SYN,ACK": "SYN, ACK", "PSH,ACK": "ACK, PSH", "FIN,ACK": "ACK, FIN"}
"""Flags in the schema's order, and in that of Hubble's summary."""
_EMITTER = ("Hubble", "1.19.3")
_NODE_LABELS = ("kubernetes.io/arch=amd64", "kubernetes.io/os=linux")
_DROP_FILE = ("bpf_lxc.c", 1382)
_NO_ANSWER_YET = 0


@dataclass(frozen=True, slots=True)
class Link:
    """One connection. `slot` tells apart the ephemeral ports of a story; None means it has none."""

    source: Actor
    destination: Actor
    port: int
    protocol: Protocol = Protocol.TCP
    slot: int | None = None

    def node(self, direction: Direction) -> str:
        """Where the policy of that direction is enforced."""
        return (self.source if direction is Direction.EGRESS else self.destination).node

    @property
    def first_flags(self) -> str:
        """The TCP flags of its first packet."""
        return "SYN" if self.protocol is Protocol.TCP else ""


def verdict_event(link: Link, ruling: Ruling, direction: Direction) -> Flow:
    """The policy-verdict event: 1.19 names policies for what is allowed or explicitly denied."""
    side = direction.value
    event = _packet(link, link.first_flags, direction)
    evidence = {f"{side}_{'denied' if ruling.denied else 'allowed'}_by": ruling.evidence}
    if not ruling.denied:
        return msgspec.structs.replace(
            event,
            event=VERDICT,
            verdict="REDIRECTED" if ruling.redirected else "FORWARDED",
            match_type=ruling.match_type,
            is_reply=False,
            detail=_detail("L3_L4"),
            **evidence,
        )
    reason = POLICY_DENY if ruling.explicit else POLICY_DENIED
    return msgspec.structs.replace(
        event,
        event=VERDICT,
        verdict="DROPPED",
        drop_reason=REASONS[reason],
        match_type=ruling.match_type,
        detail=_detail("L3_L4", reason=reason),
        **evidence,
    )


def drop_event(link: Link, reason: int, direction: Direction) -> Flow:
    """The drop event: no policy is named, only the place in the datapath."""
    return msgspec.structs.replace(
        _packet(link, link.first_flags, direction),
        event=DROP,
        sub_event=reason,
        verdict="DROPPED",
        drop_reason=REASONS[reason],
        detail=_detail("L3_L4", reason=reason, file=_DROP_FILE),
    )


def trace_event(
    link: Link, point: str, direction: Direction, *, flags: str, reason: str, node: str
) -> Flow:
    """A packet at an observation point; `reason` REPLY turns the ends around."""
    reply = reason == "REPLY"
    return msgspec.structs.replace(
        _packet(link, flags, direction, reply=reply, node=node),
        event=TRACE,
        sub_event=POINTS[point],
        verdict="FORWARDED",
        trace_point=point,
        is_reply=reply,
        detail=_detail("L3_L4", reply=reply, trace=reason),
    )


def dns_event(link: Link, name: str, *, answer: str = "", refused: bool = False) -> Flow:
    """A DNS message at the proxy: the question, or with `answer` its response."""
    dns = DnsInfo(query=name, qtypes=("A",), source="proxy")
    summary = f"DNS Query {name}. A"
    if answer:
        dns = msgspec.structs.replace(dns, ips=(answer,), ttl=DNS_TTL_S, rrtypes=("A",))
        summary = f'DNS Answer "{answer}" TTL: {DNS_TTL_S} (Proxy {name}. A)'
    return _message(
        link,
        Direction.EGRESS,
        L7Info(type="RESPONSE" if answer else "REQUEST", dns=dns),
        summary=summary,
        dropped=refused,
    )


def http_event(
    link: Link,
    direction: Direction,
    request: HttpRequest,
    *,
    code: int = _NO_ANSWER_YET,
    latency_ns: int = 0,
    refused: bool = False,
) -> Flow:
    """An HTTP message at the proxy: the request, or with `code` its response."""
    url = f"http://{request.host}{request.path}"
    http = HttpInfo(method=request.method, url=url, protocol="HTTP/1.1", code=code)
    summary = f"HTTP/1.1 {request.method} {url}"
    if code:
        summary = f"HTTP/1.1 {code} {latency_ns // 1_000_000}ms ({request.method} {url})"
    kind = "RESPONSE" if code else "REQUEST"
    return _message(
        link,
        direction,
        L7Info(type=kind, latency_ns=latency_ns, http=http),
        summary=summary,
        dropped=refused,
    )


def _message(link: Link, direction: Direction, l7: L7Info, *, summary: str, dropped: bool) -> Flow:
    reply = l7.type == "RESPONSE"
    return msgspec.structs.replace(
        _packet(link, "", direction, reply=reply),
        event=L7,
        verdict="DROPPED" if dropped else "FORWARDED",
        is_reply=reply,
        l7=l7,
        summary=summary,
        detail=_detail("L7", reply=reply),
    )


def _packet(
    link: Link, flags: str, direction: Direction, *, reply: bool = False, node: str = ""
) -> Flow:
    node = node or link.node(direction)
    ends = (link.source, link.destination)
    sender, receiver = reversed(ends) if reply else ends
    icmp = link.protocol is Protocol.ICMP
    port = ECHO_REPLY if icmp and reply else link.port
    summary = f"TCP Flags: {_FLAG_WORDS[flags]}" if flags else link.protocol.value
    if icmp:
        summary = "ICMPv4 EchoReply" if reply else "ICMPv4 EchoRequest"
    return Flow(
        time_ns=0,
        source=sender.seen_from(node),
        destination=receiver.seen_from(node),
        source_ip=sender.address,
        destination_ip=receiver.address,
        protocol="ICMPv4" if icmp else link.protocol.value,
        source_port=port if reply and not icmp else 0,
        destination_port=port if icmp or not reply else 0,
        direction=direction.name,
        node=node,
        source_names=sender.names,
        destination_names=receiver.names,
        tcp_flags=flags,
        summary=summary,
    )


@lru_cache(maxsize=64)
def _detail(
    kind: str,
    *,
    reason: int = 0,
    reply: bool = False,
    trace: str = "",
    file: tuple[str, int] | None = None,
) -> FlowDetail:
    return FlowDetail(
        kind=kind,
        ip_version="IPv4",
        drop_reason=reason,
        reply=reply,
        file=file,
        emitter=_EMITTER,
        node_labels=_NODE_LABELS,
        trace_reason=trace,
    )
