"""Hubble's JSON line as typed structs, and the repair of lines that do not fit them.

Sub-messages stay undecoded (`Raw`): `codec` uses their bytes as cache keys. Unknown fields are
refused by the structs, so that the fast path is also the strict one; `repair` takes them out.

Source: Cilium `api/v1/flow/flow.proto`, `api/v1/observer/observer.proto` (v1.19).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw

from app.core.flows.parts import camel
from app.core.text import clean

ABSENT = Raw()
"""The default of an undecoded field: no bytes."""

Number = int | str


class WirePorts(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`flow.TCP`, and `flow.UDP` and `flow.SCTP`, which have no flags."""

    source_port: int = 0
    destination_port: int = 0
    flags: Raw = ABSENT


class WireIcmp(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`flow.ICMPv4` and `flow.ICMPv6`."""

    type: int = 0
    code: int = 0


class WireLayer4(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`flow.Layer4`."""

    TCP: WirePorts | None = None
    UDP: WirePorts | None = None
    SCTP: WirePorts | None = None
    ICMPv4: WireIcmp | None = None
    ICMPv6: WireIcmp | None = None
    VRRP: Raw = ABSENT
    IGMP: Raw = ABSENT


class WireEventType(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`flow.CiliumEventType`."""

    type: int = 0
    sub_type: int = 0


class WireFlow(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`flow.Flow` with sub-messages left undecoded."""

    time: str = ""
    uuid: str = ""
    emitter: Raw = ABSENT
    verdict: Number = 0
    drop_reason: int = 0
    ethernet: Raw = ABSENT
    ip: Raw = msgspec.field(default=ABSENT, name="IP")
    l4: WireLayer4 | None = None
    source: Raw = ABSENT
    destination: Raw = ABSENT
    kind: Number = msgspec.field(default=0, name="Type")
    node_name: str = ""
    node_labels: Raw = ABSENT
    source_names: Raw = ABSENT
    destination_names: Raw = ABSENT
    l7: Raw = ABSENT
    reply: bool = False
    event_type: WireEventType | None = None
    source_service: Raw = ABSENT
    destination_service: Raw = ABSENT
    traffic_direction: Number = 0
    policy_match_type: int = 0
    trace_observation_point: Number = 0
    trace_reason: Number = 0
    file: Raw = ABSENT
    drop_reason_desc: Number = 0
    is_reply: bool | None = None
    debug_capture_point: Number = 0
    interface: Raw = ABSENT
    proxy_port: int = 0
    trace_context: Raw = ABSENT
    sock_xlate_point: Number = 0
    socket_cookie: Number = 0
    cgroup_id: Number = 0
    summary: str = msgspec.field(default="", name="Summary")
    extensions: Raw = ABSENT
    egress_allowed_by: Raw = ABSENT
    ingress_allowed_by: Raw = ABSENT
    egress_denied_by: Raw = ABSENT
    ingress_denied_by: Raw = ABSENT
    auth_type: Number = 0
    tunnel: Raw = ABSENT
    ip_trace_id: Raw = ABSENT
    policy_log: Raw = ABSENT
    aggregate: Raw = ABSENT


class WireLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """`observer.ExportEvent`, of which `GetFlowsResponse` is a part."""

    flow: WireFlow | None = None
    node_status: Raw = ABSENT
    lost_events: Raw = ABSENT
    agent_event: Raw = ABSENT
    debug_event: Raw = ABSENT
    node_name: str = ""
    time: str = ""


_STRUCTS = (WireLine, WireFlow, WireLayer4, WirePorts, WireIcmp, WireEventType)
_KNOWN: Mapping[type, frozenset[str]] = {
    struct: frozenset(field.encode_name for field in msgspec.structs.fields(struct))
    for struct in _STRUCTS
}
_CAMEL: Mapping[type, Mapping[str, str]] = {
    struct: {camel(name): name for name in fields if camel(name) != name}
    for struct, fields in _KNOWN.items()
}
_WITHIN: Mapping[tuple[type, str], tuple[type, str]] = {
    (WireLine, "flow"): (WireFlow, "flow"),
    (WireFlow, "l4"): (WireLayer4, "flow.l4"),
    (WireFlow, "event_type"): (WireEventType, "flow.event_type"),
    (WireLayer4, "TCP"): (WirePorts, "flow.l4.TCP"),
    (WireLayer4, "UDP"): (WirePorts, "flow.l4.UDP"),
    (WireLayer4, "SCTP"): (WirePorts, "flow.l4.SCTP"),
    (WireLayer4, "ICMPv4"): (WireIcmp, "flow.l4.ICMPv4"),
    (WireLayer4, "ICMPv6"): (WireIcmp, "flow.l4.ICMPv6"),
}
_EVENTS = ("flow", "node_status", "lost_events", "agent_event", "debug_event")
_EVENT_KEYS = frozenset((*_EVENTS, *map(camel, _EVENTS)))
_SHIPPED_UNDER = ("log", "message", "MESSAGE", "line", "_source", "event", "body", "_raw")
"""Where shippers and stores put a line, most usual first; elsewhere it is found, too."""
_DEEPEST_WRAPPING = 10
_BARE_FLOW = frozenset({"verdict", "IP", "l4", "event_type", "eventType", "traffic_direction"})
_START = re.compile(r'\{\s*"')
"""An object; the labels that `logcli` prints before a line, `{job="x"}`, are none."""
_QUOTED_START = '{""'
_MOST_STARTS = 4


def repair(body: object, unknown: Counter[str]) -> tuple[bytes, ...]:
    """Give the lines that `body` means in Hubble's own form; none when nothing of it is one.

    Takes off what shippers, stores and their tools wrap around a line (one answer of Loki or
    Elasticsearch holds many), puts an envelope around a bare flow (as very old CLIs print it),
    renames camel-case keys, drops nulls, and removes and counts unknown fields.
    Source: Loki HTTP API (`query_range`), `logcli --output`, Grafana's log download,
    Elasticsearch `_search` and `_source`, the containers' log formats.
    """
    return tuple(
        msgspec.json.encode(_known_only(event, WireLine, "", unknown))
        for event in _events(body, _DEEPEST_WRAPPING)
    )


def _events(body: object, depth: int) -> list[Mapping[str, Any]]:
    """Every event in a tree; of the same line in two forms, the first one."""
    if depth <= 0:
        return []
    if isinstance(body, str):
        return _in_text(body, depth - 1)
    if isinstance(body, list):
        return [event for item in body for event in _events(item, depth - 1)]
    return _in_object(body, depth - 1) if isinstance(body, Mapping) else []


def _in_object(body: Mapping[str, Any], depth: int) -> list[Mapping[str, Any]]:
    if any(isinstance(body.get(name), Mapping) for name in _EVENT_KEYS):
        return [body]
    if not _BARE_FLOW.isdisjoint(body):
        return [{"flow": body}]
    usual = [key for key in _SHIPPED_UNDER if key in body]
    keys = (*usual, *(key for key in body if key not in usual))
    return next((found for key in keys if (found := _events(body[key], depth))), [])


def _in_text(text: str, depth: int) -> list[Mapping[str, Any]]:
    """Every event in a line of text, behind whatever stands before its first object."""
    if _QUOTED_START in text:  # a table with commas doubles the quotation marks of its cells
        cells = next(csv.reader([text.strip()]), [])
        return [event for cell in cells if _START.match(cell) for event in _in_text(cell, depth)]
    for start in islice(_START.finditer(text), _MOST_STARTS):
        with suppress(msgspec.MsgspecError):
            return _events(msgspec.json.decode(text[start.start() :].strip()), depth)
    return []


def _known_only(
    body: object, struct: type, where: str, unknown: Counter[str]
) -> dict[str, Any] | object:
    if not isinstance(body, Mapping):
        return body
    kept: dict[str, Any] = {}
    for key, value in body.items():
        name = _CAMEL[struct].get(key, key)
        if name not in _KNOWN[struct]:
            unknown[f"{where}.{clean(key)}".lstrip(".")] += 1
        elif value is not None:
            inner, inner_where = _WITHIN.get((struct, name), (None, ""))
            kept[name] = value if inner is None else _known_only(value, inner, inner_where, unknown)
    return kept
