"""The enums of Hubble's API as this program knows them: name or number to name.

Source: Cilium `api/v1/flow/flow.proto`, `api/v1/relay/relay.proto` (v1.19). The wire may carry
others: an unknown name stays as it is, an unknown number stays that number as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.core.flows.drop_reasons import DROP_REASONS
from app.core.model.flow import EVENT_DROP

EnumTable = Mapping[int | str, str]
"""Both the number and the name of a value lead to its name."""


def _table(names: Sequence[str], numbers: Sequence[int] = ()) -> EnumTable:
    table: dict[int | str, str] = {name: name for name in names}
    table.update(zip(numbers or range(len(names)), names, strict=True))
    return table


VERDICTS = _table(
    (
        "VERDICT_UNKNOWN",
        "FORWARDED",
        "DROPPED",
        "ERROR",
        "AUDIT",
        "REDIRECTED",
        "TRACED",
        "TRANSLATED",
    )
)
DIRECTIONS = _table(("TRAFFIC_DIRECTION_UNKNOWN", "INGRESS", "EGRESS"))
KINDS = _table(("UNKNOWN_TYPE", "L3_L4", "L7", "SOCK"))
IP_VERSIONS = _table(("IP_NOT_USED", "IPv4", "IPv6"))
L7_TYPES = _table(("UNKNOWN_L7_TYPE", "REQUEST", "RESPONSE", "SAMPLE"))
AUTH_TYPES = _table(("DISABLED", "SPIRE", "TEST_ALWAYS_FAIL"))
DROP_REASON_NAMES = _table(
    [reason.name for reason in DROP_REASONS if reason.name],
    [reason.number for reason in DROP_REASONS if reason.name],
)
BY_NUMBER = "drop_reason_desc"
"""In `FlowDetail.set_empty`: the wire gives the reason of a drop by its number only."""


def reason_by_number(number: int, *, event: int, sub_event: int) -> str:
    """Name why a flow was dropped where no `drop_reason_desc` says so; empty when nothing does.

    `number` is the deprecated `drop_reason`; a drop event has the same number as its sub-type. A
    number that the schema does not know stays that number as text.
    Source: Cilium `pkg/hubble/parser/threefour/parser.go` `decodeDropReason`,
    `pkg/monitor/datapath_drop.go` (event type 1).
    """
    found = number or (sub_event if event == EVENT_DROP else 0)
    return DROP_REASON_NAMES.get(found, str(found)) if found else ""


TRACE_POINTS = _table(
    (
        "UNKNOWN_POINT",
        "TO_PROXY",
        "TO_HOST",
        "TO_STACK",
        "TO_OVERLAY",
        "FROM_ENDPOINT",
        "FROM_PROXY",
        "FROM_HOST",
        "FROM_STACK",
        "FROM_OVERLAY",
        "FROM_NETWORK",
        "TO_NETWORK",
        "FROM_CRYPTO",
        "TO_CRYPTO",
        "TO_ENDPOINT",
    ),
    (*range(14), 101),
)
TRACE_REASONS = _table(
    (
        "TRACE_REASON_UNKNOWN",
        "NEW",
        "ESTABLISHED",
        "REPLY",
        "RELATED",
        "REOPENED",
        "SRV6_ENCAP",
        "SRV6_DECAP",
        "ENCRYPT_OVERLAY",
    )
)
CAPTURE_POINTS = _table(
    (
        "DBG_CAPTURE_POINT_UNKNOWN",
        "DBG_CAPTURE_DELIVERY",
        "DBG_CAPTURE_FROM_LB",
        "DBG_CAPTURE_AFTER_V46",
        "DBG_CAPTURE_AFTER_V64",
        "DBG_CAPTURE_PROXY_PRE",
        "DBG_CAPTURE_PROXY_POST",
        "DBG_CAPTURE_SNAT_PRE",
        "DBG_CAPTURE_SNAT_POST",
    ),
    (0, *range(4, 12)),
)
SOCKET_TRANSLATIONS = _table(
    (
        "SOCK_XLATE_POINT_UNKNOWN",
        "SOCK_XLATE_POINT_PRE_DIRECTION_FWD",
        "SOCK_XLATE_POINT_POST_DIRECTION_FWD",
        "SOCK_XLATE_POINT_PRE_DIRECTION_REV",
        "SOCK_XLATE_POINT_POST_DIRECTION_REV",
    )
)
LOST_SOURCES = _table(
    (
        "UNKNOWN_LOST_EVENT_SOURCE",
        "PERF_EVENT_RING_BUFFER",
        "OBSERVER_EVENTS_QUEUE",
        "HUBBLE_RING_BUFFER",
    )
)
NODE_STATES = _table(
    ("UNKNOWN_NODE_STATE", "NODE_CONNECTED", "NODE_UNAVAILABLE", "NODE_GONE", "NODE_ERROR")
)
