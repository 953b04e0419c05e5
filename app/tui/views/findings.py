"""What lint found, as rows and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from app.core.lint.finding import Finding, Severity
from app.tui.links import to_file, to_policy
from app.tui.views.words import field, ref_text, section, source_field, source_text
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("severity", "SEVERITY", 9),
    Column("code", "CODE", 5),
    Column("policy", "POLICY", 18, flex=2, rank=1),
    Column("summary", "WHAT", 30, flex=5),
    Column("source", "SOURCE", 16, flex=2, rank=2),
    Column("name", "NAME", 30, wide=True),
)
CODE, SOURCE = 1, 4

TONES = {Severity.ERROR: Tone.BAD, Severity.WARNING: Tone.WARN, Severity.INFO: Tone.DIM}


def finding_table(findings: Iterable[Finding]) -> tuple[Row, ...]:
    """Make the rows; the key is what stays the same while lines move."""
    return tuple(Row(one.key, partial(_cells, one), partial(_sort_value, one)) for one in findings)


def _cells(one: Finding) -> tuple[Line, ...]:
    return (
        line(Span(one.severity.value, TONES[one.severity])),
        line(Span(one.code, Tone.STRONG)),
        line(ref_text(one.policy)),
        line(one.summary),
        line(Span(source_text(one.file, one.line), Tone.DIM)),
        line(Span(one.name, Tone.DIM)),
    )


def _sort_value(one: Finding, column: int) -> str | float:
    values: dict[str, str | float] = {
        "severity": -one.severity.rank,
        "code": one.code,
        "policy": f"{one.policy.namespace}/{one.policy.name}",
        "summary": one.summary,
        "source": f"{one.file or '~'}:{one.line or 0:06}",
        "name": one.name,
    }
    return values[COLUMNS[column].key]


def describe(one: Finding) -> tuple[Paragraph, ...]:
    """Say a finding in full."""
    return (
        field("Finding", Span(f"{one.code} {one.name}", Tone.STRONG)),
        field("Severity", Span(one.severity.value, TONES[one.severity])),
        field("Policy", ref_text(one.policy), target=to_policy(one.policy)),
        source_field(one.file, one.line),
        field("Where", one.path or "the object"),
        paragraph(),
        paragraph(one.summary),
        *section("Why", paragraph(Span(one.why, Tone.DIM))),
        *(section("To mend it", paragraph(one.fix)) if one.fix else ()),
    )


def in_file(one: Finding, lines: Sequence[str]) -> Iterator[Paragraph]:
    """Yield the lines of the finding's file with their numbers; what is wrong below its own."""
    for number, text in enumerate(lines, start=1):
        mine = number == one.line
        tone = TONES[one.severity] if mine else Tone.PLAIN
        mark = ">" if mine else " "
        yield Paragraph((Span(f"{mark}{number:>5} ", Tone.DIM), Span(text, tone)), indent=7)
        if mine:
            yield Paragraph((Span(" " * 7), Span(f"{one.code}: {one.summary}", tone)), indent=7)


def notices(findings: Iterable[Finding], marks: Marks) -> tuple[Paragraph, ...]:
    """What is wrong with one policy, beside what else is said of it; the worst first."""
    ordered = sorted(findings, key=lambda one: -one.severity.rank)
    return section("Lint", *(_notice(one, marks) for one in ordered))


def _notice(one: Finding, marks: Marks) -> Paragraph:
    place = f"line {one.line}: " if one.line else ""
    return Paragraph(
        (Span(f"{marks.error} {one.code} ", TONES[one.severity]), Span(f"{place}{one.summary}")),
        indent=2,
        target=to_file(one.file, one.line),
    )
