"""Violations and patterns as rows and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import tzinfo
from functools import partial

from app.core.insights.alert import Alert, AlertSeverity, AlertState
from app.services.wording import counted
from app.tui.links import to_file, to_rule
from app.tui.times import clock_time
from app.tui.views.words import field, section, source_text
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("severity", "SEVERITY", 9),
    Column("state", "STATE", 8, rank=4),
    Column("kind", "KIND", 10, rank=6),
    Column("source", "FROM", 18, flex=2, rank=1),
    Column("destination", "TO", 18, flex=2),
    Column("port", "PORT", 9, rank=3),
    Column("count", "PACKETS", 8, right=True, rank=5),
    Column("last", "LAST", 8, rank=7),
    Column("cause", "CAUSE", 20, flex=1, rank=2),
    Column("meant", "MEANT", 10, wide=True),
    Column("boundary", "BOUNDARY", 20, wide=True),
)
SOURCE = 3
TONES = {
    AlertSeverity.HIGH: Tone.BAD,
    AlertSeverity.MEDIUM: Tone.WARN,
    AlertSeverity.LOW: Tone.PLAIN,
    AlertSeverity.EXPECTED: Tone.DIM,
}


def alert_table(alerts: Iterable[Alert], zone: tzinfo) -> tuple[Row, ...]:
    """Make the rows, in the order of the alerts."""
    return tuple(
        Row(one.id, partial(_cells, one, zone), partial(_sort_value, one, at))
        for at, one in enumerate(alerts)
    )


def port_of(one: Alert) -> str:
    """`443/TCP`."""
    return f"{one.port}/{one.protocol}" if one.port is not None else one.protocol


def _cells(one: Alert, zone: tzinfo) -> tuple[Line, ...]:
    return (
        line(Span(one.severity.value, TONES[one.severity])),
        line(Span(one.state.value, Tone.DIM if one.state is AlertState.ENDED else Tone.PLAIN)),
        line(Span(one.kind, Tone.DIM)),
        line(one.source),
        line(one.destination),
        line(Span(port_of(one), Tone.ACCENT)),
        line(f"{one.count:,}"),
        line(Span(clock_time(one.last_ns, zone), Tone.DIM)),
        line(Span(one.cause.code, Tone.BAD)),
        line(one.block.value if one.block else "-"),
        line(one.boundary or "-"),
    )


def _sort_value(one: Alert, at: int, column: int) -> str | float:
    values: dict[str, str | float] = {
        "severity": at,
        "state": one.state.value,
        "kind": one.kind,
        "source": one.source,
        "destination": one.destination,
        "port": one.port or 0,
        "count": -one.count,
        "last": -one.last_ns,
        "cause": one.cause.code,
        "meant": one.block.value if one.block else "",
        "boundary": one.boundary,
    }
    return values[COLUMNS[column].key]


def describe(one: Alert, marks: Marks, zone: tzinfo) -> Iterator[Paragraph]:
    """Say an alert in full."""
    yield Paragraph((Span(f"{one.source} {marks.arrow} {one.destination} {port_of(one)}"),), 2)
    severity = Span(one.severity.value, TONES[one.severity])
    yield field("Severity", severity, f"  {one.state.value}")
    yield field("Cause", Span(one.cause.summary, Tone.STRONG))
    yield field("", Span(f"{one.cause.code} · {one.cause.confidence.value}", Tone.ACCENT))
    if one.block is not None:
        yield field("Meant", one.block.value)
    if one.cause.rule is not None or one.cause.file:
        rule = one.cause.rule
        target = to_file(one.cause.file, one.cause.line) or (to_rule(rule) if rule else "")
        at = source_text(one.cause.file, one.cause.line)
        yield field("Look at", Span(at, Tone.ACCENT), target=target)
    if one.boundary:
        yield field("Boundary", one.boundary)
    first, last = clock_time(one.first_ns, zone), clock_time(one.last_ns, zone)
    yield field("Seen", f"{counted(one.count, 'packet')}, {first} to {last}")
    yield from section("Evidence", *map(paragraph, one.evidence))
    yield from section("Not known", *(paragraph(Span(text, Tone.WARN)) for text in one.not_known))
    yield from section("Pods", *map(paragraph, one.pods))
