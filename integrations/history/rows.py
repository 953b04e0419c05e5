"""A flow as a row of small numbers, and back.

What repeats is written once: texts and endpoints have tables of their own, and a row points to
them. Everything that is rare or long goes as one JSON text that many flows share. The same rows
serve SQLite; ClickHouse, which compresses columns itself, takes the values plainly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from app.core.model.flow import Flow, FlowDetail, FlowEndpoint, L7Info, PolicyEvidence

Row = tuple[int | bytes | None, ...]

COLUMNS = (
    "time_ns",
    "verdict",
    "reason",
    "direction",
    "source",
    "destination",
    "source_ip",
    "destination_ip",
    "protocol",
    "source_port",
    "destination_port",
    "is_reply",
    "event",
    "sub_event",
    "node",
    "uuid",
    "tcp_flags",
    "match_type",
    "trace_point",
    "summary",
    "rest",
)


class Rest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The parts of a flow that most flows lack, or share."""

    l7: L7Info | None = None
    source_names: tuple[str, ...] = ()
    destination_names: tuple[str, ...] = ()
    egress_allowed_by: tuple[PolicyEvidence, ...] = ()
    ingress_allowed_by: tuple[PolicyEvidence, ...] = ()
    egress_denied_by: tuple[PolicyEvidence, ...] = ()
    ingress_denied_by: tuple[PolicyEvidence, ...] = ()
    detail: FlowDetail | None = None


_encode = msgspec.json.Encoder().encode
_rest = msgspec.json.Decoder(Rest).decode
_endpoint = msgspec.json.Decoder(FlowEndpoint).decode


def rest_of(flow: Flow) -> str:
    """The rare parts as JSON; `{}` when there are none."""
    rest = Rest(
        flow.l7,
        flow.source_names,
        flow.destination_names,
        flow.egress_allowed_by,
        flow.ingress_allowed_by,
        flow.egress_denied_by,
        flow.ingress_denied_by,
        flow.detail,
    )
    return _encode(rest).decode()


def endpoint_text(endpoint: FlowEndpoint) -> str:
    """An endpoint as JSON, the key of its row."""
    return _encode(endpoint).decode()


def read_endpoint(text: str) -> FlowEndpoint:
    """The endpoint of such a row."""
    return _endpoint(text)


def make_row(
    flow: Flow,
    text: Callable[[str], int],
    endpoint: Callable[[FlowEndpoint], int],
    rest: Callable[[Flow], int],
) -> Row:
    """The row of a flow; the functions give the numbers of what it points to."""
    return (
        flow.time_ns,
        text(flow.verdict),
        text(flow.drop_reason),
        text(flow.direction),
        endpoint(flow.source),
        endpoint(flow.destination),
        text(flow.source_ip),
        text(flow.destination_ip),
        text(flow.protocol),
        flow.source_port,
        flow.destination_port,
        None if flow.is_reply is None else int(flow.is_reply),
        flow.event,
        flow.sub_event,
        text(flow.node),
        packed_uuid(flow.uuid),
        text(flow.tcp_flags),
        flow.match_type,
        text(flow.trace_point),
        text(flow.summary),
        rest(flow),
    )


def read_row(
    row: tuple[Any, ...],
    text: Callable[[int], str],
    endpoint: Callable[[int], FlowEndpoint],
    rest: Callable[[int], Rest],
) -> Flow:
    """The flow of a row."""
    more = rest(row[20])
    return Flow(
        time_ns=row[0],
        verdict=text(row[1]),
        drop_reason=text(row[2]),
        direction=text(row[3]),
        source=endpoint(row[4]),
        destination=endpoint(row[5]),
        source_ip=text(row[6]),
        destination_ip=text(row[7]),
        protocol=text(row[8]),
        source_port=row[9],
        destination_port=row[10],
        is_reply=None if row[11] is None else bool(row[11]),
        event=row[12],
        sub_event=row[13],
        node=text(row[14]),
        uuid=_unpacked(row[15]),
        tcp_flags=text(row[16]),
        match_type=row[17],
        trace_point=text(row[18]),
        summary=text(row[19]),
        l7=more.l7,
        source_names=more.source_names,
        destination_names=more.destination_names,
        egress_allowed_by=more.egress_allowed_by,
        ingress_allowed_by=more.ingress_allowed_by,
        egress_denied_by=more.egress_denied_by,
        ingress_denied_by=more.ingress_denied_by,
        detail=more.detail or FlowDetail(),
    )


def read_rest(text: str) -> Rest:
    """The rare parts of such a JSON text."""
    return _rest(text)


_PLAIN, _PACKED = b"\0", b"\1"
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def packed_uuid(uuid: str) -> bytes:
    """A uuid in half its length, any other text as it is; the first byte says which."""
    if _UUID.fullmatch(uuid):
        return _PACKED + bytes.fromhex(uuid.replace("-", ""))
    return _PLAIN + uuid.encode()


def _unpacked(packed: bytes) -> str:
    if packed[:1] == _PLAIN:
        return packed[1:].decode()
    digits = packed[1:].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
