"""Flows as connections: one line for each source, destination, port and verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from app.core.flows.grouping import ObservedConnection
from app.core.flows.halves import Packet
from app.core.model.flow import FlowEndpoint
from app.services.flow_words import end_words, numbered
from app.tui.views.chips import Chips
from app.tui.views.flows import END, FlowLook, object_line, packet_cells, reason_line
from widgets.grid import Column, Row
from widgets.spans import Line, Span, Tone, line, plain

COLUMNS = (
    Column("count", "FLOWS", 7, right=True, rank=4),
    Column("tries", "TRIES", 6, right=True, rank=6),
    Column("last", "LAST", 8, rank=5),
    Column("source", "SOURCE", END, flex=1, rank=2),
    Column("destination", "DESTINATION", END, flex=1, rank=1),
    Column("port", "PORT", 9, rank=3),
    Column("verdict", "VERDICT", 12),
    Column("cause", "CAUSE", 20, flex=1, rank=7),
    Column("path", "PATH", 18, flex=1, rank=8),
)

BY_COUNT = (0, True)
"""The order of groups until another is chosen: the most flows first."""
GROW_DOWN = frozenset({"count", "tries", "last"})
"""Columns whose greatest values come first."""


def connection_rows(connections: Iterable[ObservedConnection], look: FlowLook) -> tuple[Row, ...]:
    """Make the rows; replicas of a workload are one end."""
    plain_look = replace(look, cause=reason_line)  # sorting must not ask for every cause
    return tuple(
        Row(one.key, partial(_cells, one, look), partial(_sort_value, one, plain_look))
        for one in connections
    )


def _sort_value(one: ObservedConnection, look: FlowLook, column: int) -> str | float:
    numbers = {"count": one.flows, "tries": one.attempts, "last": one.last_ns, "port": one.port}
    return numbers.get(COLUMNS[column].key) or plain(_cells(one, look)[column])


def _cells(one: ObservedConnection, look: FlowLook) -> tuple[Line, ...]:
    time, _, _, _, _, verdict, cause, _, path, *_ = packet_cells(Packet((one.newest,)), look)
    source_names, destination_names = one.names
    return (
        line(Span(f"{one.flows:,}", Tone.STRONG)),
        line(Span(f"{one.attempts:,}", Tone.DIM)),
        time,
        _end(one.source, one.source_ip, source_names, look.chips),
        _end(one.destination, one.destination_ip, destination_names, look.chips),
        line(Span(numbered(one.port, one.protocol), Tone.ACCENT)),
        verdict,
        cause,
        path,
    )


def _end(end: FlowEndpoint, ip: str, names: tuple[str, ...], chips: Chips) -> Line:
    """A workload where flows are gathered by it, else as in the stream."""
    if name := end.workload or end.pod:
        return object_line(end.namespace, name, chips)
    return line(end_words(end, ip, names))
