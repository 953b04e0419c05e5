"""Flows as connections: one line for each source, destination, port and verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from app.core.model.flow import Flow
from app.services.flow_words import destination_words, policy_words_of, port_words, source_words
from app.tui.views.flows import FlowLook, flow_cells
from widgets.grid import Column, Row
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("count", "FLOWS", 7, right=True),
    Column("last", "LAST", 8),
    Column("source", "SOURCE", 15, flex=2),
    Column("destination", "DESTINATION", 15, flex=2),
    Column("port", "PORT", 9),
    Column("verdict", "VERDICT", 12),
    Column("reason", "REASON", 14, flex=1, rank=2),
    Column("policy", "POLICY", 14, flex=1, rank=3),
)

GroupKey = tuple[str, str, str, str, str]


@dataclass(slots=True)
class Group:
    """A connection with how many flows of it there are, and the newest one."""

    key: GroupKey
    count: int
    last: Flow


def group_flows(flows: Iterable[Flow]) -> list[Group]:
    """Gather flows by connection and verdict; most flows first, then the newest."""
    groups: dict[tuple[object, ...], Group] = {}
    for flow in flows:
        quick = (
            flow.source,
            flow.destination,
            flow.destination_port,
            flow.protocol,
            flow.verdict,
            flow.drop_reason,
            flow.source_ip if not flow.source.pod else "",
            flow.destination_ip if not flow.destination.pod else "",
        )
        group = groups.get(quick)
        if group is None:
            groups[quick] = Group(_key(flow), 1, flow)
        else:
            group.count += 1
            group.last = flow
    return sorted(groups.values(), key=lambda one: (-one.count, -one.last.time_ns))


def _key(flow: Flow) -> GroupKey:
    return (
        source_words(flow),
        destination_words(flow),
        port_words(flow),
        flow.verdict,
        flow.drop_reason,
    )


def group_rows(groups: Iterable[Group], look: FlowLook) -> tuple[Row, ...]:
    """Make the rows."""
    return tuple(_row(group, look) for group in groups)


def _row(group: Group, look: FlowLook) -> Row:
    return Row(group.key, partial(_cells, group, look))


def _cells(group: Group, look: FlowLook) -> tuple[Line, ...]:
    time, _, source, destination, port, verdict, reason, *_ = flow_cells(group.last, look)
    return (
        line(Span(f"{group.count:,}", Tone.STRONG)),
        time,
        source,
        destination,
        port,
        verdict,
        reason,
        line(Span(policy_words_of(group.last), Tone.DIM)),
    )
