"""Boundaries with how they stand, as rows and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from app.core.model.verdict import Verdict
from app.services.boundaries import Breach, Ruling
from app.services.wording import breach_ends, counted, rule_words
from app.tui.links import to_command, to_rule
from app.tui.views.words import field, section, source_field, source_text
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("state", "STATE", 9),
    Column("name", "BOUNDARY", 18, flex=3),
    Column("must", "MUST", 5),
    Column("from", "FROM", 14, flex=2, rank=2),
    Column("to", "TO", 14, flex=2, rank=1),
    Column("ports", "PORTS", 8, rank=4),
    Column("asked", "ASKED", 6, right=True, rank=5),
    Column("witness", "WITNESS", 20, flex=4, rank=3),
    Column("source", "SOURCE", 30, wide=True),
)
NAME = 1


def ruling_table(rulings: Iterable[Ruling], marks: Marks) -> tuple[Row, ...]:
    """Make the rows, by name."""
    return tuple(
        Row(key_of(one), partial(_cells, one, marks), partial(_sort_value, one)) for one in rulings
    )


def key_of(one: Ruling) -> tuple[str, int]:
    """What a row is known by: two boundaries may have one name."""
    return one.boundary.name, one.boundary.line


def _cells(one: Ruling, marks: Marks) -> tuple[Line, ...]:
    boundary = one.boundary
    return (
        line(state_of(one, marks)),
        line(Span(boundary.name, Tone.STRONG)),
        line(boundary.must.value),
        line(" ".join(boundary.sources)),
        line(" ".join(boundary.destinations)),
        line(_ports(one)),
        line(f"{one.asked:,}"),
        line(Span(_witness(one), Tone.BAD)),
        line(Span(source_text(boundary.file, boundary.line), Tone.DIM)),
    )


def _sort_value(one: Ruling, column: int) -> str | float:
    boundary = one.boundary
    values: dict[str, str | float] = {
        "state": float(one.holds) + float(one.holds and not one.not_known),
        "name": boundary.name,
        "must": boundary.must.value,
        "from": " ".join(boundary.sources),
        "to": " ".join(boundary.destinations),
        "ports": _ports(one),
        "asked": one.asked,
        "witness": _witness(one),
        "source": source_text(boundary.file, boundary.line),
    }
    return values[COLUMNS[column].key]


def state_of(one: Ruling, marks: Marks) -> Span:
    """Say whether a boundary holds; `?` where that is as far as is known only."""
    if one.holds and one.not_known:
        return Span(f"{marks.unknown} holds?", Tone.WARN)
    if one.holds:
        return Span(f"{marks.good} holds", Tone.GOOD)
    if one.problem:
        return Span(f"{marks.unknown} unknown", Tone.WARN)
    return Span(f"{marks.bad} broken", Tone.BAD)


def _ports(one: Ruling) -> str:
    return " ".join(str(port) for port in one.boundary.ports) or "every port"


def _witness(one: Ruling) -> str:
    if one.problem:
        return one.problem
    return breach_ends(one.breaches[0]) if one.breaches else ""


def describe(one: Ruling, marks: Marks) -> Iterator[Paragraph]:
    """Say what is demanded, how it stands, and by which rules."""
    boundary = one.boundary
    yield field("Boundary", Span(boundary.name, Tone.STRONG))
    yield field("State", state_of(one, marks), f"  {counted(one.asked, 'question')} asked")
    yield field("Demands", f"{boundary.must.value} on {_ports(one)}")
    yield field("From", ", ".join(boundary.sources))
    yield field("To", ", ".join(boundary.destinations))
    if boundary.why:
        yield field("Because", boundary.why)
    yield source_field(boundary.file or None, boundary.line)
    if one.problem:
        yield field("Problem", Span(one.problem, Tone.WARN))
    for at, text in enumerate(one.not_known):
        yield field("" if at else "Not known", Span(text, Tone.WARN))
    for breach in one.breaches:
        yield from section(_title(breach), *_breach(breach, marks))


def _title(breach: Breach) -> str:
    return "Not known" if breach.verdict is Verdict.UNKNOWN else "Witness"


def _breach(breach: Breach, marks: Marks) -> Iterator[Paragraph]:
    port = f"{breach.port}/{breach.protocol.value}"
    ask = to_command(f"why {breach.source} {breach.destination} {port}")
    verdict = Span(f"{marks.bad} {breach.verdict.value.upper()}", Tone.BAD)
    yield Paragraph((verdict, Span(f"  {breach_ends(breach)}")), indent=2, target=ask)
    if not breach.rules:
        yield paragraph("  nothing restricts it")
    for rule in breach.rules:
        yield Paragraph((Span("  by "), Span(rule_words(rule), Tone.ACCENT)), 5, to_rule(rule))
