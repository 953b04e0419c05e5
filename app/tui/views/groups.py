"""Flows as connections: one line for each source, destination, port and verdict."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from app.core.flows.grouping import ObservedConnection
from app.core.model.flow import FlowEndpoint
from app.services.flow_words import end_words, numbered, policy_words_of
from app.tui.views.flows import FlowLook, flow_cells, object_line
from widgets.grid import Column, Row
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("count", "FLOWS", 7, right=True),
    Column("tries", "TRIES", 6, right=True, rank=1),
    Column("last", "LAST", 8),
    Column("source", "SOURCE", 15, flex=2),
    Column("destination", "DESTINATION", 15, flex=2),
    Column("port", "PORT", 9),
    Column("verdict", "VERDICT", 12),
    Column("reason", "REASON", 14, flex=1, rank=2),
    Column("policy", "POLICY", 14, flex=1, rank=3),
)


def connection_rows(connections: Iterable[ObservedConnection], look: FlowLook) -> tuple[Row, ...]:
    """Make the rows; replicas of a workload are one end."""
    return tuple(Row(one.key, partial(_cells, one, look)) for one in connections)


def _cells(one: ObservedConnection, look: FlowLook) -> tuple[Line, ...]:
    time, _, _, _, _, verdict, reason, *_ = flow_cells(one.newest, look)
    source_names, destination_names = one.names
    return (
        line(Span(f"{one.flows:,}", Tone.STRONG)),
        line(Span(f"{one.attempts:,}", Tone.DIM)),
        time,
        _end(one.source, one.source_ip, source_names),
        _end(one.destination, one.destination_ip, destination_names),
        line(Span(numbered(one.port, one.protocol), Tone.ACCENT)),
        verdict,
        reason,
        line(Span(policy_words_of(one.newest), Tone.DIM)),
    )


def _end(end: FlowEndpoint, ip: str, names: tuple[str, ...]) -> Line:
    """A workload where flows are gathered by it, else as in the stream."""
    if name := end.workload or end.pod:
        return object_line(end.namespace, name)
    return line(end_words(end, ip, names))
