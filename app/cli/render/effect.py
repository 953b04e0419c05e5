"""The effect of a change on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from app.cli.output import Output, Style
from app.cli.render.lint import print_notes
from app.services.effect import EffectReport, flow_sentence
from app.services.effect_pairs import PairEffect, pair_lines
from app.services.wording import counted, place

FEW_PAIRS = 20


def print_effect(out: Output, report: EffectReport) -> None:
    """Refusals first, then pairs, flows and boundaries."""
    for one in report.refused:
        at = place(one.file, one.line)
        text = f"✗ Cilium would refuse {one.ref}: {one.reason}"
        out.line(out.paint(f"{text} ({at})" if at else text, Style.BAD))
    _print_pairs(out, "newly allowed", "+", report.newly_allowed)
    _print_pairs(out, "newly denied", "-", report.newly_denied)
    for text in report.unknown:
        out.line(out.paint(f"? {text}", Style.WARN))
    out.line(flow_sentence(report.flows))
    for name, holds in report.checks:
        if holds:
            continue
        word = "would break" if name in report.broken else "does not hold, as before"
        out.line(out.paint(f"✗ {name}: {word}", Style.BAD))
    held = sum(holds for _, holds in report.checks)
    if report.checks:
        out.line(f"{held} of {counted(len(report.checks), 'boundary', 'boundaries')} hold")
    print_notes(out, report.lint)


def _print_pairs(out: Output, title: str, sign: str, pairs: Sequence[PairEffect] | None) -> None:
    if pairs is None:
        out.line(out.paint(f"{title}: not known", Style.BOLD))
        return
    style = Style.GOOD if sign == "+" else Style.BAD
    lines = pair_lines(pairs)
    out.line(out.paint(f"{title}: {counted(len(lines), 'pair')}", Style.BOLD))
    for line in lines[:FEW_PAIRS]:
        out.line(f"  {out.paint(f'{sign} {line}', style)}")
    if (more := len(lines) - FEW_PAIRS) > 0:
        out.line(f"  and {more} more (-o json lists all)")
