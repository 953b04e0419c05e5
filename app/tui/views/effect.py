"""What a change does, on screen: refusals, pairs, recorded flows, boundaries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.services.effect import EffectReport, flow_sentence
from app.services.effect_pairs import PairEffect, pair_lines
from app.services.wording import counted, place
from app.tui.views.words import field, section
from widgets.document import Paragraph, paragraph
from widgets.marks import Marks
from widgets.spans import Span, Tone

MOST_PAIRS = 500
"""Lines of a list on screen; the command line gives all of them as data."""


def describe(report: EffectReport, marks: Marks) -> Iterator[Paragraph]:
    """The whole report: one line for each question first, then the pairs."""
    for one in report.refused:
        at = place(one.file, one.line)
        text = f"{marks.bad} Cilium would refuse {one.ref}: {one.reason}"
        yield field("Refused", Span(f"{text} ({at})" if at else text, Tone.BAD))
    yield field("Flows", flow_sentence(report.flows))
    yield from boundaries(report, marks)
    yield from pairs(report)


def pairs(report: EffectReport) -> Iterator[Paragraph]:
    """Both lists of pairs whose verdict changes, each with its size."""
    for at, text in enumerate(report.unknown):
        yield field("Not known" if not at else "", Span(text, Tone.WARN))
    yield from _pairs("newly allowed", "+", Tone.WARN, report.newly_allowed)
    yield from _pairs("newly denied", "-", Tone.BAD, report.newly_denied)


def boundaries(report: EffectReport, marks: Marks) -> Iterator[Paragraph]:
    """How many boundaries hold afterwards, and which do not."""
    if not report.checks:
        return
    held = sum(holds for _, holds in report.checks)
    all_of_them = counted(len(report.checks), "boundary", "boundaries")
    yield field("Boundaries", f"{held} of {all_of_them} hold")
    for name, holds in report.checks:
        if not holds:
            word = "would break" if name in report.broken else "does not hold, as before"
            yield field("", Span(f"{marks.bad} {name}: {word}", Tone.BAD))


def _pairs(
    title: str, sign: str, tone: Tone, pairs: Sequence[PairEffect] | None
) -> tuple[Paragraph, ...]:
    if pairs is None:
        return section(f"pairs {title}", paragraph("  not known"))
    lines = pair_lines(pairs)
    shown = [paragraph(Span(f"  {sign} {text}", tone)) for text in lines[:MOST_PAIRS]]
    if (more := len(lines) - MOST_PAIRS) > 0:
        shown.append(paragraph(Span(f"  and {more:,} more", Tone.DIM)))
    return section(f"{counted(len(lines), 'pair')} {title}", *(shown or [paragraph("  none")]))
