"""Flows on a terminal: a line each, written as they come."""

from __future__ import annotations

from app.cli.output import Output, Style
from app.core.flows.times import format_time
from app.core.model.flow import Flow
from app.core.text import cell_width
from app.services.flow_words import (
    VERDICT_SIGNS,
    destination_words,
    policy_words_of,
    port_words,
    reason_words,
    request_words,
    source_words,
)

WAYS = {"EGRESS": "out", "INGRESS": "in"}
STYLES = {
    "FORWARDED": Style.GOOD,
    "DROPPED": Style.BAD,
    "ERROR": Style.BAD,
    "AUDIT": Style.WARN,
    "REDIRECTED": Style.WARN,
}

TIME_COLUMNS, VERDICT_COLUMNS, END_COLUMNS = 13, 12, 36
HEAD = f"{'TIME (UTC)':<{TIME_COLUMNS}} {'VERDICT':<{VERDICT_COLUMNS}} WAY FLOW"


def flow_line(out: Output, flow: Flow, *, dates: bool) -> str:
    """One flow; `dates` puts the day before the time."""
    moment = format_time(flow.time_ns).rstrip("Z")
    day, _, clock = moment.partition("T")
    when = f"{day} {clock[:12]}" if dates else clock[:12]
    verdict = f"{VERDICT_SIGNS.get(flow.verdict, '?')} {flow.verdict}"
    ends = f"{source_words(flow)} → {destination_words(flow)} {port_words(flow)}"
    tail = "  ".join(
        text for text in (request_words(flow.l7), reason_words(flow), policy_words_of(flow)) if text
    )
    return (
        f"{when:<{TIME_COLUMNS}} "
        f"{out.paint(f'{verdict:<{VERDICT_COLUMNS}}', STYLES.get(flow.verdict))} "
        f"{WAYS.get(flow.direction, '?'):<3} "
        f"{ends}{' ' * max(1, 2 * END_COLUMNS - cell_width(ends))}{out.paint(tail, Style.DIM)}"
    ).rstrip()
