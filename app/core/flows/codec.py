"""Read Hubble's JSON lines: `hubble observe -o json`, the exporter's files, log shippers.

The usual line takes one typed pass (`wire`): scalars are decoded, sub-messages stay bytes and lead
to shared objects (`parts`). A line that does not fit is repaired into the usual form and read
again; what the repair removed is counted. A line that still cannot be read is counted and skipped.

Source: protobuf's JSON mapping of `observer.GetFlowsResponse` and `observer.ExportEvent`,
Cilium `api/v1/observer/observer.proto`, `hubble/pkg/printer/printer.go`.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import Any

import msgspec

from app.core.flows import names
from app.core.flows.parts import RARE_SCALARS, build_policy
from app.core.flows.pieces import Pieces, Shared
from app.core.flows.times import parse_time
from app.core.flows.wire import WireFlow, WireLayer4, WireLine, repair
from app.core.model.flow import Flow, LostEvents, NodeStatus, PolicyEvidence
from app.core.text import clean

Item = Flow | LostEvents | NodeStatus

FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")
"""TCP flags in the order of `flow.TCPFlags`."""

_BOM = b"\xef\xbb\xbf"
_EMPTY = b"{}"
_UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError)
_NOT_FLOWS = ("agent_event", "debug_event")

_RARE_MESSAGES = (
    "emitter",
    "ethernet",
    "node_labels",
    "source_service",
    "destination_service",
    "interface",
    "file",
    "policy_log",
    "trace_context",
    "ip_trace_id",
    "tunnel",
    "aggregate",
    "extensions",
)

_to_tree = msgspec.json.Decoder().decode
_to_line = msgspec.json.Decoder(WireLine).decode
_to_texts = msgspec.json.Decoder(list[str]).decode
_rare_scalars = attrgetter(*RARE_SCALARS)
_rare_messages = attrgetter(*_RARE_MESSAGES)


class _L4(msgspec.Struct, frozen=True, gc=False):
    """Layer 4 of one flow; `rare` leads to the detail."""

    protocol: str = ""
    source_port: int = 0
    destination_port: int = 0
    flags: bytes = b""
    code: int = 0
    rare: tuple[str, bytes] = ("", b"")


_NO_L4 = _L4()


class Decoder:
    """Turns lines into flows that share what they have in common.

    `unknown` counts fields and enum values that the schema does not know, `ignored` events that
    are not flows (the exporter's agent and debug events), `unreadable` lines that gave nothing.
    Not for use from two threads at once.
    """

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self.unreadable = 0
        self._pieces = Pieces(lambda _name, raw: _to_tree(raw), empty_message=_EMPTY)
        self._flags = Shared(self._read_flags, {b"": ""})
        self._lists: Shared[tuple[str, ...]] = Shared(self._read_list, {b"": ()})
        self._policies: Shared[tuple[PolicyEvidence, ...]] = Shared(self._read_policies, {b"": ()})

    @property
    def unknown(self) -> Counter[str]:
        """How often each unknown field or enum value was met."""
        return self._pieces.unknown

    def decode_line(self, line: bytes | str) -> Item | None:
        """Give the first item of a line; None for an empty, unreadable or ignored one."""
        return next(iter(self.decode_record(line)), None)

    def decode_record(self, record: bytes | str) -> list[Item]:
        """Give what one record holds: an item of Hubble's own line, many of a store's answer.

        What is ignored or empty gives none, and so does what is counted as unreadable.
        """
        body = (record.encode() if isinstance(record, str) else record).strip().removeprefix(_BOM)
        if not body:
            return []
        try:
            lines = [_to_line(body)]
        except msgspec.MsgspecError:
            lines = self._repaired(body)
        items: list[Item] = []
        for line in lines:
            try:
                item = self._item(line)
            except _UNREADABLE:
                self.unreadable += 1
            else:
                items += [] if item is None else [item]
        return items

    def _repaired(self, body: bytes) -> list[WireLine]:
        """The lines that a record means, other than one in Hubble's own form."""
        lines: list[WireLine] = []
        try:
            meant = repair(_tree_or_text(body), self.unknown)
        except _UNREADABLE:
            meant = ()
        self.unreadable += not meant
        for line in meant:
            try:
                lines.append(_to_line(line))
            except msgspec.MsgspecError:
                self.unreadable += 1
        return lines

    def _item(self, line: WireLine) -> Item | None:
        if line.flow is not None:
            return self._flow(line.flow, line)
        if raw := bytes(line.lost_events):
            return self._lost(raw, line)
        if raw := bytes(line.node_status):
            return self._status(raw, line)
        for name in _NOT_FLOWS:
            if bytes(getattr(line, name)):
                self.ignored[name] += 1
                return None
        raise ValueError(line)

    def _flow(self, wire: WireFlow, line: WireLine) -> Flow:
        pieces, lists, policies = self._pieces, self._lists, self._policies
        l4 = _NO_L4 if wire.l4 is None else _layer4(wire.l4)
        source, destination = bytes(wire.source), bytes(wire.destination)
        ip, l7 = bytes(wire.ip), bytes(wire.l7)
        addresses, event = pieces.addresses[ip], wire.event_type
        empty = _set_empty(wire, l4, source, destination, ip)
        reason = pieces.named(wire.drop_reason_desc, names.DROP_REASON_NAMES, "drop_reason_desc")
        if not reason and (reason := _reason_by_number(wire)):
            empty = tuple(sorted((*empty, names.BY_NUMBER)))
        key = (
            *(addresses.version, addresses.encrypted, addresses.translated),
            *(wire.kind, l4.code, l4.rare, empty),
            *_rare_scalars(wire),
            *map(bytes, _rare_messages(wire)),
        )
        detail = pieces.detail(
            key,
            lambda: _rare_fields(wire, l4),
            addresses=addresses,
            l4_code=l4.code,
            set_empty=empty,
        )
        flow = Flow(
            time_ns=_time(wire.time or line.time),
            verdict=pieces.enum(wire.verdict, names.VERDICTS, "verdict"),
            source=pieces.endpoints[source],
            destination=pieces.endpoints[destination],
            source_ip=addresses.source,
            destination_ip=addresses.destination,
            protocol=l4.protocol,
            source_port=pieces.ports[l4.source_port],
            destination_port=pieces.ports[l4.destination_port],
            direction=pieces.enum(wire.traffic_direction, names.DIRECTIONS, "traffic_direction"),
            drop_reason=reason,
            is_reply=wire.is_reply,
            event=0 if event is None else event.type,
            sub_event=0 if event is None else event.sub_type,
            node=pieces.texts[line.node_name or wire.node_name],
            uuid=clean(wire.uuid),
            l7=pieces.l7[l7],
            source_names=lists[bytes(wire.source_names)],
            destination_names=lists[bytes(wire.destination_names)],
            tcp_flags=self._flags[l4.flags],
            match_type=wire.policy_match_type,
            trace_point=pieces.named(
                wire.trace_observation_point, names.TRACE_POINTS, "trace_observation_point"
            ),
            egress_allowed_by=policies[bytes(wire.egress_allowed_by)],
            ingress_allowed_by=policies[bytes(wire.ingress_allowed_by)],
            egress_denied_by=policies[bytes(wire.egress_denied_by)],
            ingress_denied_by=policies[bytes(wire.ingress_denied_by)],
            summary=pieces.texts[wire.summary],
            detail=detail,
        )
        if pieces.flawed:
            pieces.count_flaws((key, source, destination, ip, l7, *_policy_lists(wire)))
        return flow

    def _lost(self, raw: bytes, line: WireLine) -> LostEvents:
        fields = self._pieces.fields(_to_tree(raw), "lost_events")
        lost = LostEvents(
            source=fields.enum("source", names.LOST_SOURCES) or names.LOST_SOURCES[0],
            count=fields.number("num_events_lost"),
            node=self._pieces.texts[line.node_name],
            time_ns=_time(line.time),
            cpu=fields.optional_number("cpu"),
            first_ns=_time(fields.text("first")),
            last_ns=_time(fields.text("last")),
        )
        fields.finish()
        return lost

    def _status(self, raw: bytes, line: WireLine) -> NodeStatus:
        fields = self._pieces.fields(_to_tree(raw), "node_status")
        status = NodeStatus(
            state=fields.enum("state_change", names.NODE_STATES) or names.NODE_STATES[0],
            nodes=fields.texts("node_names"),
            message=fields.text("message"),
            time_ns=_time(line.time),
            node=self._pieces.texts[line.node_name],
        )
        fields.finish()
        return status

    def _read_flags(self, raw: bytes) -> str:
        fields = self._pieces.fields(_to_tree(raw), "flow.TCPFlags")
        flags = ",".join(name for name in FLAGS if fields.flag(name))
        fields.finish()
        return flags

    def _read_list(self, raw: bytes) -> tuple[str, ...]:
        return tuple(self._pieces.texts[item] for item in _to_texts(raw))

    def _read_policies(self, raw: bytes) -> tuple[PolicyEvidence, ...]:
        return self._pieces.build_many(raw, _to_tree(raw), "flow.Policy", build_policy)


def _tree_or_text(body: bytes) -> object:
    """A JSON value, or a line of text that holds one, as container runtimes and `logcli` write."""
    try:
        return _to_tree(body)
    except msgspec.MsgspecError:
        return body.decode()


def _time(text: str) -> int:
    return parse_time(text) if text else 0


def _reason_by_number(wire: WireFlow) -> str:
    event = wire.event_type
    kinds = (event.type, event.sub_type) if event is not None else (0, 0)
    return names.reason_by_number(wire.drop_reason, event=kinds[0], sub_event=kinds[1])


def _layer4(wire: WireLayer4) -> _L4:
    for protocol, ports in (("TCP", wire.TCP), ("UDP", wire.UDP), ("SCTP", wire.SCTP)):
        if ports is not None:
            return _L4(protocol, ports.source_port, ports.destination_port, bytes(ports.flags))
    for protocol, icmp in (("ICMPv4", wire.ICMPv4), ("ICMPv6", wire.ICMPv6)):
        if icmp is not None:
            return _L4(protocol, 0, icmp.type, code=icmp.code)
    for protocol, raw in (("VRRP", bytes(wire.VRRP)), ("IGMP", bytes(wire.IGMP))):
        if raw:
            return _L4(protocol, rare=(protocol, raw))
    return _NO_L4


def _set_empty(
    wire: WireFlow, l4: _L4, source: bytes, destination: bytes, ip: bytes
) -> tuple[str, ...]:
    """Name the messages that were present without any field set."""
    event = wire.event_type
    if event and event.type and l4.protocol and _EMPTY not in (source, destination, ip, l4.flags):
        return ()
    present = {
        "source": source == _EMPTY,
        "destination": destination == _EMPTY,
        "IP": ip == _EMPTY,
        "flags": l4.flags == _EMPTY,
        "l4": wire.l4 is not None and not l4.protocol,
        "event_type": event is not None and not event.type and not event.sub_type,
    }
    return tuple(sorted(name for name, is_empty in present.items() if is_empty))


def _rare_fields(wire: WireFlow, l4: _L4) -> dict[str, Any]:
    """The rarer fields of a flow as one JSON object, for the detail."""
    fields: dict[str, Any] = {"Type": wire.kind or None}
    for name in RARE_SCALARS:
        fields[name] = getattr(wire, name) or None
    for name in _RARE_MESSAGES:
        if raw := bytes(getattr(wire, name)):
            fields[name] = _to_tree(raw)
    protocol, raw = l4.rare
    if protocol:
        fields[protocol] = _to_tree(raw)
    return fields


def _policy_lists(wire: WireFlow) -> tuple[bytes, ...]:
    return (
        bytes(wire.egress_allowed_by),
        bytes(wire.ingress_allowed_by),
        bytes(wire.egress_denied_by),
        bytes(wire.ingress_denied_by),
    )
