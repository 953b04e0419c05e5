"""The effect of a change on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from app.cli.output import Output, Style
from app.services.effect import EffectReport, FlowEffect, PairEffect
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
    out.line(flow_words(report.flows))
    for name, holds in report.checks:
        if holds:
            continue
        word = "would break" if name in report.broken else "does not hold, as before"
        out.line(out.paint(f"✗ {name}: {word}", Style.BAD))
    held = sum(holds for _, holds in report.checks)
    if report.checks:
        out.line(f"{held} of {counted(len(report.checks), 'boundary', 'boundaries')} hold")


def _print_pairs(out: Output, title: str, sign: str, pairs: Sequence[PairEffect]) -> None:
    """A line for each pair and protocol; `*` is every port, or every other one beside some."""
    style = Style.GOOD if sign == "+" else Style.BAD
    lines: dict[str, list[str]] = {}
    for pair in pairs:
        ends = f"{pair.source} → {pair.destination}"
        port = "*" if pair.port is None else str(pair.port)
        lines.setdefault(f"{ends} {pair.protocol.value}", []).append(port)
    out.line(out.paint(f"{title}: {counted(len(lines), 'pair')}", Style.BOLD))
    for ends, ports in list(lines.items())[:FEW_PAIRS]:
        out.line(f"  {out.paint(f'{sign} {ends} {chr(44).join(ports)}', style)}")
    if (more := len(lines) - FEW_PAIRS) > 0:
        out.line(f"  and {more} more (-o json lists all)")


def flow_words(flows: FlowEffect | None) -> str:
    """What recorded connections say of the change, in one sentence."""
    if flows is None:
        return "no flows were at hand: what really connects is not known"
    return (
        f"of {counted(flows.seen, 'connection')} seen in {flows.window_s // 60} min "
        f"{flows.newly_allowed} would be newly allowed, {flows.newly_denied} newly denied; "
        f"{counted(flows.lost_events, 'event')} lost"
    )
