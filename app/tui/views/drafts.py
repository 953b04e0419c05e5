"""Drafts and pull requests of ours, as rows and paragraphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from app.ports import KeptDraft
from app.tui.views.words import field, section
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

COLUMNS = (
    Column("state", "STATE", 12),
    Column("name", "TITLE", 30, flex=3),
    Column("branch", "BRANCH", 24, flex=2, rank=1),
    Column("base", "BASE", 8, rank=3),
    Column("merged", "MERGED", 20, rank=4),
    Column("url", "ADDRESS", 24, flex=2, rank=2),
)
_LOOKS = {
    "open": ("connecting", Tone.ACCENT),
    "merged": ("good", Tone.GOOD),
    "declined": ("bad", Tone.BAD),
    "expired": ("audit", Tone.WARN),
    "superseded": ("off", Tone.DIM),
}


def draft_table(drafts: Iterable[KeptDraft], marks: Marks) -> tuple[Row, ...]:
    """Make the rows, in the order given."""
    return tuple(
        Row((one.branch, one.number), partial(_cells, one, marks), partial(_sort_value, one, at))
        for at, one in enumerate(drafts)
    )


def state_of(one: KeptDraft, marks: Marks) -> Span:
    """Say how a draft stands: glyph and word."""
    glyph, tone = _LOOKS.get(one.state, ("unknown", Tone.WARN))
    return Span(f"{getattr(marks, glyph)} {one.state}", tone)


def _cells(one: KeptDraft, marks: Marks) -> tuple[Line, ...]:
    return (
        line(state_of(one, marks)),
        line(Span(one.title, Tone.STRONG)),
        line(one.branch),
        line(Span(one.base, Tone.DIM)),
        line(Span(one.merged_at or "-", Tone.DIM)),
        line(Span(one.url or "-", Tone.DIM)),
    )


def _sort_value(one: KeptDraft, at: int, column: int) -> str | float:
    values: dict[str, str | float] = {
        "state": at,
        "name": one.title,
        "branch": one.branch,
        "base": one.base,
        "merged": one.merged_at,
        "url": one.url,
    }
    return values[COLUMNS[column].key]


def describe(one: KeptDraft, marks: Marks) -> Iterator[Paragraph]:
    """Say a draft in full, with what its request or commit says."""
    yield field("Draft", Span(one.title, Tone.STRONG))
    yield field("State", state_of(one, marks))
    yield field("Branch", one.branch)
    yield field("Base", one.base)
    if one.url:
        yield field("Address", Span(one.url, Tone.KEY))
    if one.merged_at:
        yield field("Merged", one.merged_at)
    yield from section("What it says", *(paragraph(row) for row in one.text.splitlines()))
