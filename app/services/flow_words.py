"""A flow in words: its ends, port, request and deciding policy, as short as they can be known."""

from __future__ import annotations

from app.core.flows.drop_reasons import drop_reason
from app.core.flows.halves import Packet
from app.core.model.flow import Flow, FlowEndpoint, L7Info, PolicyEvidence

VERDICT_SIGNS = {
    "FORWARDED": "✓",
    "DROPPED": "✗",
    "AUDIT": "◌",
    "REDIRECTED": "↪",
    "ERROR": "!",
}

_RESERVED = "reserved:"
_NEEDS_ADDRESS = ("world", "unmanaged", "unknown")
_NO_REASON = ("", "DROP_REASON_UNKNOWN")


def end_words(end: FlowEndpoint, ip: str, names: tuple[str, ...]) -> str:
    """Pod, else DNS name, else reserved identity, else address."""
    if end.pod:
        return f"{end.namespace}/{end.pod}"
    if names:
        return names[0]
    reserved = [label[len(_RESERVED) :] for label in end.labels if label.startswith(_RESERVED)]
    if not reserved:
        return ip or "?"
    return f"{reserved[0]} {ip}" if reserved[0] in _NEEDS_ADDRESS and ip else reserved[0]


def source_words(flow: Flow) -> str:
    """The source of a flow."""
    return end_words(flow.source, flow.source_ip, flow.source_names)


def destination_words(flow: Flow) -> str:
    """The destination of a flow."""
    return end_words(flow.destination, flow.destination_ip, flow.destination_names)


def port_words(flow: Flow) -> str:
    """`443/TCP`, `8/ICMPv4`; the protocol alone where there is neither."""
    return numbered(flow.destination_port, flow.protocol)


def numbered(port: int, protocol: str) -> str:
    """A port or ICMP type with its protocol."""
    if protocol in ("TCP", "UDP", "SCTP", "ICMPv4", "ICMPv6"):
        return f"{port}/{protocol}"
    return protocol or "-"


def request_words(l7: L7Info | None) -> str:
    """`GET /simple/ 200`, `pypi.org A = 151.101.0.223`; empty without layer 7."""
    if l7 is None:
        return ""
    if http := l7.http:
        return f"{http.method} {http.url}" + (f" {http.code}" if http.code else "")
    if dns := l7.dns:
        answers = f" = {', '.join(dns.ips)}" if dns.ips else ""
        failed = f" rcode {dns.rcode}" if dns.rcode else ""
        return f"{dns.query} {','.join(dns.qtypes)}{answers}{failed}".strip()
    return l7.type


def reason_words(flow: Flow) -> str:
    """The drop reason as `hubble` prints it; empty when there is none."""
    if flow.drop_reason in _NO_REASON:
        return ""
    known = drop_reason(flow.drop_reason)
    return known.text if known is not None and known.text else flow.drop_reason


def deciding(flow: Flow) -> tuple[PolicyEvidence, ...]:
    """The policies that Hubble names for the verdict; those that deny, where there are any."""
    denied = flow.egress_denied_by + flow.ingress_denied_by
    return denied or flow.egress_allowed_by + flow.ingress_allowed_by


def policy_words_of(flow: Flow) -> str:
    """The deciding policies by name; `default deny` for a policy drop that names none."""
    if named := deciding(flow):
        more = f" +{len(named) - 1}" if len(named) > 1 else ""
        return f"{named[0].name}{more}"
    return "default deny" if flow.drop_reason == "POLICY_DENIED" else ""


def path_words(packet: Packet, arrow: str) -> str:
    """The policies that decided at egress and at ingress: `workspace → mirror-in`.

    `·` stands for a side of which nothing is known; empty when that is both.
    """
    sides = [_side_words(packet, direction) for direction in ("EGRESS", "INGRESS")]
    return f" {arrow} ".join(side or "·" for side in sides) if any(sides) else ""


def _side_words(packet: Packet, direction: str) -> str:
    denied: list[PolicyEvidence] = []
    allowed: list[PolicyEvidence] = []
    for flow in packet.flows:
        is_egress = direction == "EGRESS"
        denied += flow.egress_denied_by if is_egress else flow.ingress_denied_by
        allowed += flow.egress_allowed_by if is_egress else flow.ingress_allowed_by
    if names := list(dict.fromkeys(one.name for one in denied or allowed)):
        return names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "")
    half = packet.half(direction)
    return "default deny" if half is not None and half.drop_reason == "POLICY_DENIED" else ""
