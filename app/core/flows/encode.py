"""Write flows as Hubble does: the JSON form of `hubble observe -o json`.

Keys are proto names in the order of the proto; fields with default values are left out; 64-bit
integers are strings; enum values without a name are numbers. Everything the codec understood is
written again, so that Hubble's own tools can read what this program kept.
Source: protobuf's JSON mapping; Cilium `hubble/pkg/printer/printer.go`, `api/v1/flow/flow.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from app.core.flows import names
from app.core.flows.times import format_time
from app.core.model.flow import (
    DnsInfo,
    Flow,
    FlowDetail,
    FlowEndpoint,
    HttpInfo,
    L7Info,
    LostEvents,
    NodeStatus,
    PolicyEvidence,
)

Tree = dict[str, Any]

_PORT_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
_ICMP_PROTOCOLS = frozenset({"ICMPv4", "ICMPv6"})


def encode(item: Flow | LostEvents | NodeStatus) -> Tree:
    """Give the JSON object of one line: the event with its envelope."""
    if isinstance(item, Flow):
        body: Tree = {"flow": _flow(item)}
    elif isinstance(item, LostEvents):
        body = {"lost_events": _lost(item)}
    else:
        body = {"node_status": _status(item)}
    return body | _kept(node_name=item.node, time=_time(item.time_ns))


def encode_line(item: Flow | LostEvents | NodeStatus) -> bytes:
    """Give one line of JSON, without the line's end."""
    return msgspec.json.encode(encode(item))


def _kept(**fields: Any) -> Tree:
    """Leave out what is absent (None) or has its default; a message stays, even an empty one."""
    return {name: value for name, value in fields.items() if value or isinstance(value, dict)}


def _time(time_ns: int) -> str:
    return format_time(time_ns) if time_ns else ""


def _enum(name: str, zero: str = "") -> str | int:
    if name == zero:
        return ""
    return int(name) if name.isdecimal() else name


def _quoted(number: int) -> str:
    return str(number) if number else ""


def _pair(first: str, second: str, values: tuple[Any, Any] | None) -> Tree | None:
    return None if values is None else _kept(**{first: values[0], second: values[1]})


def _message(fields: Tree, *, set_empty: bool) -> Tree | None:
    return fields if fields or set_empty else None


def _flow(flow: Flow) -> Tree:
    detail = flow.detail
    empty = detail.set_empty
    other: Tree = msgspec.json.decode(detail.other) if detail.other else {}
    body = _kept(
        time=_time(flow.time_ns),
        uuid=flow.uuid,
        emitter=_pair("name", "version", detail.emitter),
        verdict=_enum(flow.verdict, "VERDICT_UNKNOWN"),
        drop_reason=detail.drop_reason,
        ethernet=_pair("source", "destination", detail.ethernet),
        IP=_message(_addresses(flow), set_empty="IP" in empty),
        l4=_message(_layer4(flow, other), set_empty="l4" in empty),
        source=_message(_endpoint(flow.source), set_empty="source" in empty),
        destination=_message(_endpoint(flow.destination), set_empty="destination" in empty),
        Type=_enum(detail.kind),
        node_name=flow.node,
        node_labels=detail.node_labels,
        source_names=flow.source_names,
        destination_names=flow.destination_names,
        l7=None if flow.l7 is None else _layer7(flow.l7),
        reply=detail.reply,
        event_type=_message(
            _kept(type=flow.event, sub_type=flow.sub_event), set_empty="event_type" in empty
        ),
        source_service=_pair("namespace", "name", detail.source_service),
        destination_service=_pair("namespace", "name", detail.destination_service),
        traffic_direction=_enum(flow.direction, "TRAFFIC_DIRECTION_UNKNOWN"),
        policy_match_type=flow.match_type,
        trace_observation_point=_enum(flow.trace_point),
        trace_reason=_enum(detail.trace_reason),
        file=_pair("name", "line", detail.file),
        drop_reason_desc="" if names.BY_NUMBER in empty else _enum(flow.drop_reason),
    )
    if flow.is_reply is not None:
        body["is_reply"] = flow.is_reply
    return body | _kept(**_tail(flow, detail, other))


def _tail(flow: Flow, detail: FlowDetail, other: Tree) -> Tree:
    """The fields that the proto declares after `is_reply`."""
    trace = {"parent": {"trace_id": detail.trace_id}} if detail.trace_id else None
    return {
        "debug_capture_point": _enum(detail.capture_point),
        "interface": _pair("index", "name", detail.interface),
        "proxy_port": detail.proxy_port,
        "trace_context": trace,
        "sock_xlate_point": _enum(detail.socket_translation),
        "socket_cookie": _quoted(detail.socket_cookie),
        "cgroup_id": _quoted(detail.cgroup_id),
        "Summary": flow.summary,
        "extensions": other.get("extensions"),
        "egress_allowed_by": _policies(flow.egress_allowed_by),
        "ingress_allowed_by": _policies(flow.ingress_allowed_by),
        "egress_denied_by": _policies(flow.egress_denied_by),
        "ingress_denied_by": _policies(flow.ingress_denied_by),
        "auth_type": _enum(detail.auth_type),
        "tunnel": other.get("tunnel"),
        "ip_trace_id": _ip_trace_id(detail.ip_trace_id),
        "policy_log": detail.policy_log,
        "aggregate": other.get("aggregate"),
    }


def _ip_trace_id(ids: tuple[int, int] | None) -> Tree | None:
    return None if ids is None else _kept(trace_id=_quoted(ids[0]), ip_option_type=ids[1])


def _addresses(flow: Flow) -> Tree:
    return _kept(
        source=flow.source_ip,
        destination=flow.destination_ip,
        ipVersion=_enum(flow.detail.ip_version),
        encrypted=flow.detail.encrypted,
        source_xlated=flow.detail.source_ip_translated,
    )


def _layer4(flow: Flow, other: Tree) -> Tree:
    protocol = flow.protocol
    if protocol in _PORT_PROTOCOLS:
        ports = _kept(source_port=flow.source_port, destination_port=flow.destination_port)
        flags = dict.fromkeys(flow.tcp_flags.split(","), True) if flow.tcp_flags else {}
        if flags or "flags" in flow.detail.set_empty:
            ports["flags"] = flags
        return {protocol: ports}
    if protocol in _ICMP_PROTOCOLS:
        return {protocol: _kept(type=flow.destination_port, code=flow.detail.l4_code)}
    return {protocol: other.get(protocol, {})} if protocol else {}


def _endpoint(endpoint: FlowEndpoint) -> Tree:
    first = (endpoint.workload_kind, endpoint.workload)
    workloads = ((first,) if any(first) else ()) + endpoint.more_workloads
    return _kept(
        ID=endpoint.id,
        identity=endpoint.identity,
        cluster_name=endpoint.cluster,
        namespace=endpoint.namespace,
        labels=endpoint.labels,
        pod_name=endpoint.pod,
        workloads=[_kept(name=name, kind=kind) for kind, name in workloads],
    )


def _layer7(l7: L7Info) -> Tree:
    return _kept(
        type=_enum(l7.type),
        latency_ns=_quoted(l7.latency_ns),
        dns=None if l7.dns is None else _dns(l7.dns),
        http=None if l7.http is None else _http(l7.http),
        kafka=msgspec.json.decode(l7.kafka) if l7.kafka else None,
    )


def _dns(dns: DnsInfo) -> Tree:
    return _kept(
        query=f"{dns.query}." if dns.rooted and dns.query else dns.query,
        ips=dns.ips,
        ttl=dns.ttl,
        cnames=dns.cnames,
        observation_source=dns.source,
        rcode=dns.rcode,
        qtypes=dns.qtypes,
        rrtypes=dns.rrtypes,
    )


def _http(http: HttpInfo) -> Tree:
    return _kept(
        code=http.code,
        method=http.method,
        url=http.url,
        protocol=http.protocol,
        headers=[_kept(key=key, value=value) for key, value in http.headers],
    )


def _policies(policies: Iterable[PolicyEvidence]) -> list[Tree]:
    return [
        _kept(
            name=policy.name,
            namespace=policy.namespace,
            labels=policy.labels,
            revision=_quoted(policy.revision),
            kind=policy.kind,
        )
        for policy in policies
    ]


def _lost(lost: LostEvents) -> Tree:
    body = _kept(
        source=_enum(lost.source, "UNKNOWN_LOST_EVENT_SOURCE"), num_events_lost=_quoted(lost.count)
    )
    if lost.cpu is not None:
        body["cpu"] = lost.cpu
    return body | _kept(first=_time(lost.first_ns), last=_time(lost.last_ns))


def _status(status: NodeStatus) -> Tree:
    return _kept(
        state_change=_enum(status.state, "UNKNOWN_NODE_STATE"),
        node_names=status.nodes,
        message=status.message,
    )
