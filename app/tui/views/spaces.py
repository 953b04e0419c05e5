"""The matrix of namespaces as a heat map: a glyph for what policies allow, one for what was seen.

`█` all, `▒` some, `·` nothing; `✓` was seen to get through, `✗` to be refused. So `▒` alone is a
way that nobody used, and `·✓` went where policies allow nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from app.core.model.verdict import Verdict
from app.services.spaces import Extent, SpacePair, Spaces
from app.services.wording import counted, policy_words
from app.tui.views.chips import CHIP, Chips
from app.tui.views.words import field, section
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.marks import Marks
from widgets.spans import Line, Span, Tone, line

CELL = 4
MOST_ROWS = 200
"""Lines of the detail; the command line gives all of them as data."""
LABEL = CHIP + 4
_HEAT = {Extent.NOTHING: ("·", "."), Extent.SOME: ("▒", "o"), Extent.EVERYTHING: ("█", "#")}
_TONES = {Extent.NOTHING: Tone.DIM, Extent.SOME: Tone.ACCENT, Extent.EVERYTHING: Tone.WARN}


def columns_of(spaces: Spaces) -> tuple[Column, ...]:
    """Give a column for each namespace, by its number, after the one that names the source."""
    first = Column("from", "FROM \\ TO", LABEL)
    numbers = (Column(name, str(at), CELL, rank=0) for at, name in enumerate(spaces.names, start=1))
    return (first, *numbers)


def space_table(
    spaces: Spaces, chips: Chips, marks: Marks, *, at: int, faults: bool
) -> tuple[Row, ...]:
    """Make the rows; `at` is the column of the cursor, `faults` leaves only what is odd."""
    return tuple(
        Row(name, partial(_cells, number, name, spaces, chips, marks, at), partial(_place, number))
        for number, name in enumerate(spaces.names, start=1)
        if not faults or any(spaces.of(name, other).is_odd for other in spaces.names)
    )


def _place(number: int, _column: int) -> float:
    return number


def _cells(  # bound by `partial`
    number: int, name: str, spaces: Spaces, chips: Chips, marks: Marks, at: int
) -> tuple[Line, ...]:
    label = (Span(f"{number:>3} ", Tone.DIM), *chips.of(name))
    cells = (_cell(spaces.of(name, other), marks) for other in spaces.names)
    return (label, *(_framed(cell, here=column == at) for column, cell in enumerate(cells)))


def _framed(cell: Line, *, here: bool) -> Line:
    """Put the cursor's column between brackets, which need no colour."""
    return (Span("["), *cell, Span("]")) if here else (Span(" "), *cell)


def _cell(pair: SpacePair, marks: Marks) -> Line:
    heat = Span(_HEAT[pair.extent][marks.ascii], _TONES[pair.extent])
    if pair.dropped:
        return line(heat, Span(marks.bad, Tone.BAD))
    if pair.forwarded:
        return line(heat, Span(marks.good, Tone.GOOD if pair.open_pairs else Tone.BAD))
    return line(heat, Span(marks.unknown, Tone.WARN) if pair.not_known else " ")


def legend(marks: Marks) -> str:
    """Say what the glyphs are."""
    nothing, some, every = (_HEAT[one][marks.ascii] for one in Extent)
    return (
        f"{nothing} nothing  {some} some  {every} everything allowed  "
        f"{marks.good} seen  {marks.bad} refused  {marks.unknown} not certain"
    )


def describe(pair: SpacePair, marks: Marks, *, flows: bool) -> Iterator[Paragraph]:
    """Say what two namespaces may say to each other, and what they did."""
    yield Paragraph((Span(f"{pair.source} {marks.arrow} {pair.destination}", Tone.HEADING),))
    yield field("Policies", *_allows(pair))
    yield field("Flows", *_seen(pair, flows=flows))
    if pair.forwarded and not pair.open_pairs:
        words = "went through, though policies allow nothing: before they were as now, or unseen"
        yield field("", Span(words, Tone.WARN))
    for at, text in enumerate(pair.not_known):
        yield field("" if at else "Not known", Span(text, Tone.WARN))
    rows = [paragraph(f"  {text}") for text in dict.fromkeys(_rows(pair))]
    if len(rows) > MOST_ROWS:
        more = paragraph(
            Span(f"  and {len(rows) - MOST_ROWS:,} more: `k8tre-tui matrix`", Tone.DIM)
        )
        rows = [*rows[:MOST_ROWS], more]
    yield from section("What is allowed", *rows)


def _allows(pair: SpacePair) -> Line:
    if not pair.pairs:
        return line("no pair of ends was asked")
    of = f"{pair.open_pairs} of {counted(pair.pairs, 'pair')} of workloads may connect"
    whole = f", {pair.whole_pairs} on every port" if pair.whole_pairs else ""
    return line(Span(f"{of}{whole}", _TONES[pair.extent]))


def _seen(pair: SpacePair, *, flows: bool) -> Line:
    if not flows:
        return line(Span("no source of flows: what connects is not known", Tone.WARN))
    refused = Span(f"{pair.dropped:,} refused", Tone.BAD if pair.dropped else Tone.DIM)
    return line(f"{pair.forwarded:,} let through, ", refused)


def _rows(pair: SpacePair) -> Iterator[str]:
    for row in pair.allowed:
        ports = "all ports" if row.ports == "*" else f"{row.ports}/{row.protocol}"
        by = ", ".join(policy_words(ref) for ref in (*row.egress_by, *row.ingress_by))
        how = " (layer 7)" if row.verdict is Verdict.REDIRECTED else ""
        source, destination = (
            one.split("/", 1)[-1] if "/" in one and not one.startswith("ip:") else one
            for one in (row.source, row.destination)
        )
        yield f"{source} → {destination} {ports}{how}" + (f" by {by}" if by else " by no policy")
