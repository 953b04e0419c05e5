"""Hubble's protobuf answers to the program's own flows, with what flows share built once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.unknown_fields import UnknownFieldSet

from app.core.flows import names
from app.core.flows.codec import FLAGS
from app.core.flows.parts import RARE_SCALARS, build_policy
from app.core.flows.pieces import Pieces, Shared
from app.core.flows.times import NS_PER_S
from app.core.model.flow import (
    Flow,
    FlowDetail,
    FlowEndpoint,
    LostEvents,
    NodeStatus,
    PolicyEvidence,
)
from app.core.text import clean
from integrations.hubble.protocol import message_class, thin_class

Item = Flow | LostEvents | NodeStatus


_RARE_MESSAGES = {
    "emitter": "flow.Emitter",
    "ethernet": "flow.Ethernet",
    "source_service": "flow.Service",
    "destination_service": "flow.Service",
    "interface": "flow.NetworkInterface",
    "file": "flow.FileInfo",
    "trace_context": "flow.TraceContext",
    "ip_trace_id": "flow.IPTraceID",
    "tunnel": "flow.Tunnel",
    "aggregate": "flow.Aggregate",
}
_RARE_LISTS = ("node_labels", "policy_log")

_MAY_BE_EMPTY = ("source", "destination", "event_type")

KEEP_COMMON = 20_000
"""Kinds of flows remembered, about 1.5 KB each; beyond that all are read anew."""
_PORTLESS = frozenset({"VRRP", "IGMP"})
_TRUE = b"\x08\x01"
"""A `BoolValue` that holds true; one that holds false has no bytes."""
_FLAGLESS = frozenset({"UDP", "SCTP", "ICMPv4", "ICMPv6"})
_NOTHING: tuple[tuple[str, ...], bytes] = ((), b"")

_POLICY_LISTS = (
    "egress_allowed_by",
    "ingress_allowed_by",
    "egress_denied_by",
    "ingress_denied_by",
)
_Evidence = tuple[PolicyEvidence, ...]
_ByDirection = tuple[_Evidence, _Evidence, _Evidence, _Evidence]
_Policies = tuple[_ByDirection, tuple[str, ...], tuple[tuple[bytes, ...], ...]]
_NO_POLICIES: _Policies = (((), (), (), ()), (), ())
_WITHOUT_POLICIES = frozenset({1, 3, 4, 7, 129})
"""Events that are no policy verdicts name no policies: `pkg/hubble/parser/threefour/parser.go`."""

_rare_addresses = attrgetter("version", "encrypted", "translated")
_policy_lists = attrgetter(*_POLICY_LISTS)
_rare = attrgetter("Type", *RARE_SCALARS, *_RARE_MESSAGES)


def _tree(name: str, raw: bytes) -> dict[str, Any]:
    """The bytes of one message in Hubble's JSON form."""
    message = message_class(name).FromString(raw)
    tree: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    for number in _unknown_fields(message):
        tree[f"field {number}"] = ""  # nobody takes it, so it is counted
    return tree


def _unknown_fields(message: Any) -> list[int]:
    """Numbers of the fields that the schema does not have."""
    left_over = UnknownFieldSet(message)
    return [left_over[index].field_number for index in range(len(left_over))]


class _Common(msgspec.Struct, gc=False):
    """What flows have in common that differ only in time, uuid, addresses, layers 4 and 7, summary.

    `details` is filled as it is met: the address and layer 4 have a small part in it. `flaws` are
    what was unknown, and `flawed` the keys of shared pieces that may hold more of it.
    """

    verdict: str
    source: FlowEndpoint
    destination: FlowEndpoint
    direction: str
    drop_reason: str
    is_reply: bool | None
    event: int
    sub_event: int
    node: str
    source_names: tuple[str, ...]
    destination_names: tuple[str, ...]
    match_type: int
    trace_point: str
    policies: _ByDirection
    rare: tuple[Any, ...]
    flawed: tuple[Hashable, ...]
    flaws: tuple[str, ...] = ()
    details: dict[Hashable, tuple[FlowDetail, Hashable]] = msgspec.field(default_factory=dict)


class ResponseDecoder:
    """Decodes `GetFlowsResponse` bytes. Not for use from two threads at once.

    This runs for every flow. What differs between the flows of one kind between two ends is read
    and then cleared from the message; the bytes of the rest are the key of all else, which is read
    once (measured: a flow in 4.5 microseconds, in 16 when no two flows are alike).
    """

    def __init__(self) -> None:
        self._pieces = Pieces(_tree, empty_message=b"\0")  # no message is one zero byte
        self._response = thin_class("observer.GetFlowsResponse")
        self._common: dict[bytes, _Common] = {}
        self._flaws: Counter[str] = Counter()
        self._events: Shared[tuple[int, int]] = Shared(_read_event, {b"": (0, 0)})
        self._flags: Shared[str] = Shared(_read_flags, {b"": ""})
        self._policies: dict[tuple[bytes, ...], _Evidence] = {(): ()}

    @property
    def unknown(self) -> Counter[str]:
        """How often each unknown field or enum value was met."""
        return self._pieces.unknown

    def decode(self, raw: bytes) -> Item | None:
        """Give what one answer holds; None for a kind this program does not know.

        Raises `google.protobuf.message.DecodeError` for bytes that are no answer.
        """
        response = self._response.FromString(raw)
        kind = response.WhichOneof("response_types")
        if kind == "flow":
            return self._flow(response.flow, response)
        if kind == "lost_events":
            return self._lost(response)
        if kind == "node_status":
            return self._status(response)
        return None

    def _flow(self, wire: Any, response: Any) -> Flow:
        pieces = self._pieces
        l4, ip, l7, time = wire.l4, wire.IP, wire.l7, wire.time
        protocol, source_port, destination_port, flags, code = self._layer4(l4)
        empty, rare_l4 = _NOTHING
        if not (ip and (flags or protocol in _FLAGLESS)):
            empty, rare_l4 = _set_empty(wire, protocol, flags), _rare_layer4(l4, protocol)
        time_ns = time.seconds * NS_PER_S + time.nanos
        uuid, summary = clean(wire.uuid), pieces.texts[wire.Summary]
        addresses = pieces.addresses[ip]

        response.ClearField("time")  # the same as the flow's
        clear = wire.ClearField
        clear("time")
        clear("uuid")
        clear("IP")
        clear("l4")
        clear("Summary")
        if l7:
            clear("l7")
        key = response.SerializeToString()
        common = self._common.get(key)
        if common is None:
            common = self._remember(key, wire, response)
        own = (_rare_addresses(addresses), code, empty, rare_l4)
        known = common.details.get(own)
        if known is None:
            fields = partial(_rare_fields, wire, protocol, rare_l4)
            whole = (common.rare, own)
            bare = tuple(sorted((*empty, *common.rare[-1])))
            detail = pieces.detail(whole, fields, addresses=addresses, l4_code=code, set_empty=bare)
            known = common.details[own] = (detail, whole)
        if common.flaws:
            pieces.unknown.update(common.flaws)
        if pieces.flawed:
            pieces.count_flaws((known[1], *common.flawed, ip, l7))
        return Flow(  # by position, in the order of its fields: names would cost a tenth of it all
            time_ns,
            common.verdict,
            common.source,
            common.destination,
            addresses.source,
            addresses.destination,
            protocol,
            pieces.ports[source_port],
            pieces.ports[destination_port],
            common.direction,
            common.drop_reason,
            common.is_reply,
            common.event,
            common.sub_event,
            common.node,
            uuid,
            pieces.l7[l7],
            common.source_names,
            common.destination_names,
            flags,
            common.match_type,
            common.trace_point,
            *common.policies,
            summary,
            known[0],
        )

    def _remember(self, key: bytes, wire: Any, response: Any) -> _Common:
        """Read what is common, and note what of it is unknown, which counts for every flow."""
        if len(self._common) >= KEEP_COMMON:
            self._common.clear()
        pieces, unknown = self._pieces, self._pieces.unknown
        pieces.unknown = flaws = self._flaws
        try:
            common = self._read_common(wire, response)
        finally:
            pieces.unknown = unknown
        if flaws:
            common.flaws = tuple(flaws.elements())
            flaws.clear()
        self._common[key] = common
        return common

    def _read_common(self, wire: Any, response: Any) -> _Common:
        pieces = self._pieces
        source, destination, event_type = wire.source, wire.destination, wire.event_type
        event, sub_event = self._events[event_type]
        policies, policy_log, lists = _NO_POLICIES
        if event not in _WITHOUT_POLICIES:
            policies, policy_log, lists = self._named_policies(wire)
        bare: tuple[str, ...] = ()
        if not (source and destination and event_type):
            bare = tuple(
                name for name in _MAY_BE_EMPTY if not getattr(wire, name) and wire.HasField(name)
            )
        for number in _unknown_fields(wire):
            pieces.unknown[f"flow.field {number}"] += 1
        point, number = wire.trace_observation_point, wire.drop_reason
        reason = pieces.named(wire.drop_reason_desc, names.DROP_REASON_NAMES, "drop_reason_desc")
        if not reason:
            reason = names.reason_by_number(number, event=event, sub_event=sub_event)
            bare = (*bare, names.BY_NUMBER) if reason else bare
        return _Common(
            pieces.enum(wire.verdict, names.VERDICTS, "verdict"),
            pieces.endpoints[source],
            pieces.endpoints[destination],
            pieces.enum(wire.traffic_direction, names.DIRECTIONS, "traffic_direction"),
            reason,
            wire.is_reply == _TRUE if wire.HasField("is_reply") else None,
            event,
            sub_event,
            pieces.texts[response.node_name or wire.node_name],
            self._cleaned(wire.source_names),
            self._cleaned(wire.destination_names),
            wire.policy_match_type,
            pieces.named(point, names.TRACE_POINTS, "trace_observation_point"),
            policies,
            (_rare(wire), tuple(wire.node_labels[:]), policy_log, bare),
            (source, destination, *lists),
        )

    def _layer4(self, l4: Any) -> tuple[str, int, int, str, int]:
        """Protocol, source and destination port, TCP flags, ICMP code."""
        kind = l4.WhichOneof("protocol")
        if kind == "TCP":
            tcp = l4.TCP
            return kind, tcp.source_port, tcp.destination_port, self._flags[tcp.flags], 0
        if kind in {"UDP", "SCTP"}:
            ports = getattr(l4, kind)
            return kind, ports.source_port, ports.destination_port, "", 0
        if kind in {"ICMPv4", "ICMPv6"}:
            icmp = getattr(l4, kind)
            return kind, 0, icmp.type, "", icmp.code
        return kind or "", 0, 0, "", 0

    def _cleaned(self, texts: Sequence[str]) -> tuple[str, ...]:
        return tuple(self._pieces.texts[text] for text in texts)

    def _named_policies(self, wire: Any) -> _Policies:
        lists = tuple(map(tuple, _policy_lists(wire)))
        egress, ingress, no_egress, no_ingress = map(self._evidence, lists)
        return (egress, ingress, no_egress, no_ingress), tuple(wire.policy_log), lists

    def _evidence(self, raw: tuple[bytes, ...]) -> _Evidence:
        known = self._policies.get(raw)
        if known is None:
            bodies = [_tree("flow.Policy", one) for one in raw]
            known = self._pieces.build_many(raw, bodies, "flow.Policy", build_policy)
            self._policies[raw] = known
        return known

    def _lost(self, response: Any) -> LostEvents:
        lost = response.lost_events
        return LostEvents(
            source=self._pieces.enum(lost.source, names.LOST_SOURCES, "lost_events.source"),
            count=lost.num_events_lost,
            node=self._pieces.texts[response.node_name],
            time_ns=_time_ns(response.time),
            cpu=lost.cpu.value if lost.HasField("cpu") else None,
            first_ns=_time_ns(lost.first),
            last_ns=_time_ns(lost.last),
        )

    def _status(self, response: Any) -> NodeStatus:
        status = response.node_status
        return NodeStatus(
            state=self._pieces.enum(status.state_change, names.NODE_STATES, "node_status"),
            nodes=self._cleaned(status.node_names),
            message=clean(status.message),
            time_ns=_time_ns(response.time),
            node=self._pieces.texts[response.node_name],
        )


def _time_ns(time: Any) -> int:
    return int(time.seconds * NS_PER_S + time.nanos)


def _read_event(raw: bytes) -> tuple[int, int]:
    event = message_class("flow.CiliumEventType").FromString(raw)
    return event.type, event.sub_type


def _read_flags(raw: bytes) -> str:
    flags = message_class("flow.TCPFlags").FromString(raw)
    return ",".join(name for name in FLAGS if getattr(flags, name))


def _set_empty(wire: Any, protocol: str, flags: str) -> tuple[str, ...]:
    """Name the flow's own messages that were present without any field set."""
    bare = []
    if not wire.IP and wire.HasField("IP"):
        bare.append("IP")
    if not protocol and wire.HasField("l4"):
        bare.append("l4")
    if protocol == "TCP" and not flags and wire.l4.TCP.HasField("flags"):
        bare.append("flags")
    return tuple(bare)


def _rare_layer4(l4: Any, protocol: str) -> bytes:
    """The bytes of a protocol without ports, which only output needs."""
    if protocol not in _PORTLESS:
        return b""
    raw: bytes = getattr(l4, protocol).SerializeToString()
    return raw


def _rare_fields(wire: Any, protocol: str, rare_l4: bytes) -> dict[str, Any]:
    """The rarer fields of a flow in Hubble's JSON form, for the shared detail."""
    fields: dict[str, Any] = {"Type": wire.Type or None}
    if rare_l4:
        fields[protocol] = _tree(f"flow.{protocol}", rare_l4)
    for name in RARE_SCALARS:
        fields[name] = getattr(wire, name) or None
    for name, message in _RARE_MESSAGES.items():
        if raw := getattr(wire, name):
            fields[name] = _tree(message, raw)
    for name in _RARE_LISTS:
        if texts := list(getattr(wire, name)):
            fields[name] = texts
    return fields
