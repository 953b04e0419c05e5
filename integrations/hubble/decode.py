"""Hubble's protobuf answers to the program's own flows, with what flows share built once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from google.protobuf import json_format
from google.protobuf.unknown_fields import UnknownFieldSet

from app.core.flows import names
from app.core.flows.codec import FLAGS
from app.core.flows.parts import RARE_SCALARS, build_policy
from app.core.flows.pieces import Pieces, Shared
from app.core.model.flow import Flow, LostEvents, NodeStatus, PolicyEvidence
from app.core.text import clean
from integrations.hubble.protocol import message_class, thin_class

Item = Flow | LostEvents | NodeStatus

_NS = 1_000_000_000

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

_MAY_BE_EMPTY = ("IP", "source", "destination", "event_type")
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
_Policies = tuple[tuple[_Evidence, _Evidence, _Evidence, _Evidence], tuple[str, ...]]
_NO_POLICIES: _Policies = (((), (), (), ()), ())
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


class _Named(dict[int, str]):
    """The names of one enum's numbers; what is not known yet is asked for."""

    def __init__(self, ask: Callable[[int], str]) -> None:
        super().__init__()
        self._ask = ask

    def __missing__(self, number: int) -> str:
        name = self._ask(number)
        if not name.isdigit():  # an unknown number is counted each time it comes
            self[number] = name
        return name


class ResponseDecoder:
    """Decodes `GetFlowsResponse` bytes. Not for use from two threads at once.

    This runs for every flow, so it binds and looks up instead of calling (measured: a flow in
    seven microseconds).
    """

    def __init__(self) -> None:
        self._pieces = Pieces(_tree, empty_message=b"\0")  # no message is one zero byte
        self._response = thin_class("observer.GetFlowsResponse")
        pieces = self._pieces
        self._verdicts = _Named(lambda one: pieces.enum(one, names.VERDICTS, "verdict"))
        self._directions = _Named(
            lambda one: pieces.enum(one, names.DIRECTIONS, "traffic_direction")
        )
        self._reasons = _Named(
            lambda one: pieces.named(one, names.DROP_REASON_NAMES, "drop_reason_desc")
        )
        self._points = _Named(
            lambda one: pieces.named(one, names.TRACE_POINTS, "trace_observation_point")
        )
        self._events: Shared[tuple[int, int]] = Shared(_read_event, {b"": (0, 0)})
        self._flags: Shared[str] = Shared(_read_flags, {b"": ""})
        self._texts: dict[tuple[str, ...], tuple[str, ...]] = {(): ()}
        self._policies: dict[tuple[bytes, ...], tuple[PolicyEvidence, ...]] = {(): ()}

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
        protocol, source_port, destination_port, flags, code = self._layer4(wire.l4)
        source, destination, ip, event_type = (
            wire.source,
            wire.destination,
            wire.IP,
            wire.event_type,
        )
        addresses = pieces.addresses[ip]
        event, sub_event = self._events[event_type]
        whole = source and destination and ip and event_type
        empty, rare_l4 = _NOTHING
        if not (whole and (flags or protocol in _FLAGLESS)):
            empty, rare_l4 = _set_empty(wire, protocol, flags), _rare_layer4(wire.l4, protocol)
        policies, policy_log = _NO_POLICIES
        if event not in _WITHOUT_POLICIES:
            policies, policy_log = self._named_policies(wire)
        labels = tuple(wire.node_labels[:])  # a slice is read in one go, an iteration is not
        key = (_rare(wire), _rare_addresses(addresses), labels, code, policy_log, empty, rare_l4)
        detail = pieces.details.get(key)
        if detail is None:
            fields = partial(_rare_fields, wire, protocol, rare_l4)
            detail = pieces.detail(key, fields, addresses=addresses, l4_code=code, set_empty=empty)
        texts, time = pieces.texts, wire.time
        flow = Flow(  # by position, in the order of its fields: names would cost a tenth of it all
            time.seconds * _NS + time.nanos,
            self._verdicts[wire.verdict],
            pieces.endpoints[source],
            pieces.endpoints[destination],
            addresses.source,
            addresses.destination,
            protocol,
            pieces.ports[source_port],
            pieces.ports[destination_port],
            self._directions[wire.traffic_direction],
            self._reasons[wire.drop_reason_desc],
            wire.is_reply == _TRUE if wire.HasField("is_reply") else None,
            event,
            sub_event,
            texts[response.node_name or wire.node_name],
            clean(wire.uuid),
            pieces.l7[wire.l7],
            self._cleaned(source_names) if (source_names := wire.source_names) else (),
            self._cleaned(names_to) if (names_to := wire.destination_names) else (),
            flags,
            wire.policy_match_type,
            self._points[wire.trace_observation_point],
            *policies,
            texts[wire.Summary],
            detail,
        )
        if pieces.flawed:
            lists = map(tuple, _policy_lists(wire))
            pieces.count_flaws((key, source, destination, ip, wire.l7, *lists))
        if len(UnknownFieldSet(wire)):
            pieces.unknown.update(f"flow.field {number}" for number in _unknown_fields(wire))
        return flow

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
        egress, ingress, no_egress, no_ingress = map(self._evidence, _policy_lists(wire))
        return (egress, ingress, no_egress, no_ingress), tuple(wire.policy_log)

    def _evidence(self, raw: Sequence[bytes]) -> tuple[PolicyEvidence, ...]:
        if not raw:
            return ()
        key = tuple(raw)
        known = self._policies.get(key)
        if known is None:
            bodies = [_tree("flow.Policy", one) for one in key]
            known = self._pieces.build_many(key, bodies, "flow.Policy", build_policy)
            self._policies[key] = known
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
    return int(time.seconds * _NS + time.nanos)


def _read_event(raw: bytes) -> tuple[int, int]:
    event = message_class("flow.CiliumEventType").FromString(raw)
    return event.type, event.sub_type


def _read_flags(raw: bytes) -> str:
    flags = message_class("flow.TCPFlags").FromString(raw)
    return ",".join(name for name in FLAGS if getattr(flags, name))


def _set_empty(wire: Any, protocol: str, flags: str) -> tuple[str, ...]:
    """Name the messages that were present without any field set."""
    bare = [name for name in _MAY_BE_EMPTY if not getattr(wire, name) and wire.HasField(name)]
    if not protocol and wire.HasField("l4"):
        bare.append("l4")
    if protocol == "TCP" and not flags and wire.l4.TCP.HasField("flags"):
        bare.append("flags")
    return tuple(sorted(bare))


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
