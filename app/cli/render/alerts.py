"""Alerts on a terminal: a line each, and below it why, and what of it is not known."""

from __future__ import annotations

from collections.abc import Iterable

from app.cli.output import Cell, Output, Style
from app.core.diagnose.evidence import clock, span
from app.core.insights.alert import Alert, Alerts, AlertSeverity, Block
from app.services.wording import counted, place

SIGNS = {
    AlertSeverity.HIGH: "✗",
    AlertSeverity.MEDIUM: "!",
    AlertSeverity.LOW: "·",
    AlertSeverity.EXPECTED: "✓",
}
_STYLES = {
    AlertSeverity.HIGH: Style.BAD,
    AlertSeverity.MEDIUM: Style.WARN,
    AlertSeverity.EXPECTED: Style.DIM,
}
_MEANT = {
    Block.ISOLATION: "isolation",
    Block.FAULT: "fault",
    Block.OTHER: "no policy",
    Block.UNKNOWN: "not known",
}
MOST_UNKNOWN = 2
HEAD = ("SEVERITY", "STATE", "KIND", "FROM", "TO", "PORT", "COUNT", "LAST", "CAUSE")


def print_alerts(out: Output, alerts: Alerts, items: Iterable[Alert]) -> None:
    """The table, then each alert's cause in words, then how much was looked at."""
    shown = list(items)
    if shown:
        out.table(HEAD, [_row(one) for one in shown])
        out.line()
        for one in shown:
            print_words(out, one)
    out.line(summary(alerts, len(shown)))


def print_alert(out: Output, alert: Alert) -> None:
    """One alert as it comes: the line and its cause."""
    sign = out.paint(f"{SIGNS[alert.severity]} {alert.severity.value}", _STYLES.get(alert.severity))
    out.line(
        f"{clock(alert.last_ns)} {sign} {alert.state.value} {alert.kind} "
        f"{alert.source} → {alert.destination} {_port(alert)} {counted(alert.count, 'time')} "
        f"{alert.cause.code}"
    )
    print_words(out, alert)


def print_words(out: Output, alert: Alert) -> None:
    """Why, where to look, the evidence, and what is not known."""
    text = f"{alert.source} → {alert.destination} {_port(alert)}: {alert.cause.summary}"
    out.line(out.wrap(text, 2))
    tails = [_meant(alert), place(alert.cause.file, alert.cause.line)]
    tails += [f"boundary {alert.boundary}"] if alert.boundary else []
    if told := " · ".join(filter(None, tails)):
        out.line("  " + out.paint(out.wrap(told, 4, first=2), Style.DIM))
    for line in alert.evidence:
        out.line("  " + out.paint(out.wrap(line, 4, first=2), Style.DIM))
    for line in alert.not_known[:MOST_UNKNOWN]:
        out.line("  " + out.paint(out.wrap(f"not known: {line}", 4, first=2), Style.WARN))
    if (more := len(alert.not_known) - MOST_UNKNOWN) > 0:
        out.line(f"  not known: {counted(more, 'thing')} more (-o json)")


def summary(alerts: Alerts, shown: int) -> str:
    """`12 alerts (3 hidden) in 15 min of flows (4,512 seen, 7 events lost)`."""
    hidden = len(alerts.items) - shown
    words = counted(shown, "alert") + (f" ({hidden} hidden)" if hidden else "")
    lost = f", {counted(alerts.lost, 'event')} lost, so there may be more" if alerts.lost else ""
    gone = f", {counted(alerts.forgotten, 'group')} let go" if alerts.forgotten else ""
    window = span((alerts.since_ns, alerts.until_ns))
    return f"{words} in {window} of flows ({alerts.seen:,} seen{lost}{gone})"


def _row(alert: Alert) -> list[str | Cell]:
    severity = f"{SIGNS[alert.severity]} {alert.severity.value}"
    return [
        Cell(severity, _STYLES.get(alert.severity)),
        alert.state.value,
        alert.kind,
        alert.source,
        alert.destination,
        _port(alert),
        f"{alert.count:,}",
        clock(alert.last_ns),
        alert.cause.code,
    ]


def _port(alert: Alert) -> str:
    if alert.port is None:
        return f"*/{alert.protocol}" if alert.protocol else "*"
    return f"{alert.port}/{alert.protocol}"


def _meant(alert: Alert) -> str:
    words = [_MEANT[alert.block]] if alert.block else []
    if alert.tried is not None:
        words.append(f"tried: {alert.tried.value}")
    if alert.audited:
        words.append("audit mode let it through")
    return " · ".join(words)
