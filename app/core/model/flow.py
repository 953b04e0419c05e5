"""One observed flow in our own small form, and what comes with flows.

A Hubble `Flow` is one observed packet or proxied message, not a connection.
Structs, not dataclasses: a ring holds 200,000 of them, and endpoints, tuples and strings in them
are shared between flows. Enum-valued fields keep Hubble's own names (`DROPPED`, `EGRESS`); a
number the schema does not know stays that number as text.
Field meanings: Cilium `api/v1/flow/flow.proto`.
"""

from __future__ import annotations

import msgspec


class PolicyEvidence(msgspec.Struct, frozen=True, gc=False):
    """A policy that Hubble names for a verdict (`flow.Policy`)."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    labels: tuple[str, ...] = ()
    revision: int = 0


class FlowEndpoint(msgspec.Struct, frozen=True, gc=False):
    """One end of a flow. Shared between flows: the decoder hands out one object per content."""

    identity: int = 0
    namespace: str = ""
    pod: str = ""
    labels: tuple[str, ...] = ()
    workload_kind: str = ""
    workload: str = ""
    cluster: str = ""
    id: int = 0
    more_workloads: tuple[tuple[str, str], ...] = ()
    """Further `(kind, name)`; Cilium's agents send at most one workload."""


class HttpInfo(msgspec.Struct, frozen=True, gc=False):
    """`l7.http`: `code` is 0 on requests."""

    method: str = ""
    url: str = ""
    protocol: str = ""
    code: int = 0
    headers: tuple[tuple[str, str], ...] = ()


class DnsInfo(msgspec.Struct, frozen=True, gc=False):
    """`l7.dns`: `query` without the final dot; `ips` and `rcode` on responses."""

    query: str = ""
    ips: tuple[str, ...] = ()
    cnames: tuple[str, ...] = ()
    qtypes: tuple[str, ...] = ()
    rrtypes: tuple[str, ...] = ()
    rcode: int = 0
    ttl: int = 0
    source: str = ""
    rooted: bool = True
    """Whether the query was written with its final dot, as Hubble does."""


class L7Info(msgspec.Struct, frozen=True, gc=False):
    """A proxied message: `type` REQUEST, RESPONSE or SAMPLE.

    `kafka` is the deprecated record as compact JSON, for output only.
    """

    type: str = ""
    latency_ns: int = 0
    http: HttpInfo | None = None
    dns: DnsInfo | None = None
    kafka: bytes = b""


class FlowDetail(msgspec.Struct, frozen=True, gc=False):
    """The parts of a flow that few readers need. Shared by all flows that agree on every one.

    `kind` is Hubble's `Type` (L3_L4, L7, SOCK). `drop_reason` and `reply` are the deprecated
    fields 3 and 16, for output only: read `Flow.drop_reason` and `Flow.is_reply`. Services and
    workloads are `(namespace, name)`, `interface` is `(index, name)`, `file` `(name, line)`,
    `emitter` `(name, version)`. `l4_code` is the ICMP code. `other` is compact JSON of what only
    output needs (tunnel, aggregate, extensions, VRRP and IGMP numbers); `set_empty` names messages
    that were present without any field set, which Hubble's JSON prints as `{}`, and
    `drop_reason_desc` where the reason of a drop came as a number only.
    """

    kind: str = ""
    ip_version: str = ""
    encrypted: bool = False
    source_ip_translated: str = ""
    l4_code: int = 0
    drop_reason: int = 0
    reply: bool = False
    ethernet: tuple[str, str] | None = None
    source_service: tuple[str, str] | None = None
    destination_service: tuple[str, str] | None = None
    interface: tuple[int, str] | None = None
    file: tuple[str, int] | None = None
    emitter: tuple[str, str] | None = None
    node_labels: tuple[str, ...] = ()
    policy_log: tuple[str, ...] = ()
    auth_type: str = ""
    trace_reason: str = ""
    capture_point: str = ""
    socket_translation: str = ""
    proxy_port: int = 0
    socket_cookie: int = 0
    cgroup_id: int = 0
    trace_id: str = ""
    ip_trace_id: tuple[int, int] | None = None
    other: bytes = b""
    set_empty: tuple[str, ...] = ()


EVENT_DROP = 1
EVENT_VERDICT = 5
EVENT_L7 = 129
"""Types of events that a flow was made of. Source: Cilium `pkg/monitor/api/types.go`."""

NO_ENDPOINT = FlowEndpoint()
NO_DETAIL = FlowDetail()


class Flow(msgspec.Struct, frozen=True, gc=False):
    """One flow. `time_ns` is UTC nanoseconds of the observing node's clock.

    `protocol` is Hubble's name of the layer 4 message: TCP, UDP, SCTP, ICMPv4, ICMPv6, VRRP, IGMP.
    `destination_port` is the ICMP type for ICMP. `is_reply` None means unknown. `event` is
    Hubble's event type (1 drop, 4 trace, 5 policy verdict, 129 layer 7) with `sub_event`.
    `tcp_flags` are comma-separated, as `SYN,ACK`. `drop_reason` names why it was dropped, whichever
    field of Hubble's says so, and is empty when none does. `node` is the envelope's, `cluster/node`
    or `node`.
    """

    time_ns: int
    verdict: str = "VERDICT_UNKNOWN"
    source: FlowEndpoint = NO_ENDPOINT
    destination: FlowEndpoint = NO_ENDPOINT
    source_ip: str = ""
    destination_ip: str = ""
    protocol: str = ""
    source_port: int = 0
    destination_port: int = 0
    direction: str = "TRAFFIC_DIRECTION_UNKNOWN"
    drop_reason: str = ""
    is_reply: bool | None = None
    event: int = 0
    sub_event: int = 0
    node: str = ""
    uuid: str = ""
    l7: L7Info | None = None
    source_names: tuple[str, ...] = ()
    destination_names: tuple[str, ...] = ()
    tcp_flags: str = ""
    match_type: int = 0
    trace_point: str = ""
    egress_allowed_by: tuple[PolicyEvidence, ...] = ()
    ingress_allowed_by: tuple[PolicyEvidence, ...] = ()
    egress_denied_by: tuple[PolicyEvidence, ...] = ()
    ingress_denied_by: tuple[PolicyEvidence, ...] = ()
    summary: str = ""
    detail: FlowDetail = NO_DETAIL


class LostEvents(msgspec.Struct, frozen=True, gc=False):
    """Events a node or Relay could not deliver; counts events of the whole node, not flows."""

    source: str
    count: int
    node: str = ""
    time_ns: int = 0
    cpu: int | None = None
    first_ns: int = 0
    last_ns: int = 0


GAP = "GAP"
"""The state that says of a time, not of nodes, that flows may be missing."""


class NodeStatus(msgspec.Struct, frozen=True, gc=False):
    """What Relay says of nodes inside a healthy stream (`NODE_CONNECTED`, `NODE_ERROR`, …).

    With the state `GAP` it is this program that says that flows may be missing.
    """

    state: str
    nodes: tuple[str, ...] = ()
    message: str = ""
    time_ns: int = 0
    node: str = ""
    """Who says so: Relay's own name."""


class FlowBatch(msgspec.Struct, frozen=True):
    """What arrived together, in order of arrival.

    `unreadable` counts lines or messages that could not be decoded, `unknown` the fields and enum
    values that the schema does not know, `dropped` flows this program discarded itself because a
    queue was full.
    """

    flows: tuple[Flow, ...] = ()
    lost: tuple[LostEvents, ...] = ()
    statuses: tuple[NodeStatus, ...] = ()
    unreadable: int = 0
    unknown: dict[str, int] = {}
    dropped: int = 0
