"""One observed flow in our own small form, and what comes with flows.

A Hubble `Flow` is one observed packet or proxied message, not a connection (reference hubble.md).
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


class L7Info(msgspec.Struct, frozen=True, gc=False):
    """A proxied message: `type` REQUEST, RESPONSE or SAMPLE."""

    type: str = ""
    latency_ns: int = 0
    http: HttpInfo | None = None
    dns: DnsInfo | None = None


_NO_ENDPOINT = FlowEndpoint()


class Flow(msgspec.Struct, frozen=True, gc=False):
    """One flow. `time_ns` is UTC nanoseconds of the observing node's clock.

    `destination_port` is the ICMP type for ICMP. `is_reply` None means unknown. `event` is
    Hubble's event type (1 drop, 4 trace, 5 policy verdict, 129 layer 7) with `sub_event`.
    `extra` is the rest of the understood message as compact JSON, for output only; empty when the
    source did not keep it.
    """

    time_ns: int
    verdict: str = "VERDICT_UNKNOWN"
    source: FlowEndpoint = _NO_ENDPOINT
    destination: FlowEndpoint = _NO_ENDPOINT
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
    extra: bytes = b""


class LostEvents(msgspec.Struct, frozen=True, gc=False):
    """Events a node or Relay could not deliver; counts events of the whole node, not flows."""

    source: str
    count: int
    node: str = ""
    time_ns: int = 0


class NodeStatus(msgspec.Struct, frozen=True, gc=False):
    """What Relay says of nodes inside a healthy stream (`NODE_CONNECTED`, `NODE_ERROR`, …)."""

    state: str
    nodes: tuple[str, ...] = ()
    message: str = ""
    time_ns: int = 0


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
