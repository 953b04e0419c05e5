"""Alerts as messages: one group, a storm of one source, and the digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from app.core.flows.times import NS_PER_S
from app.core.insights.alert import Alert, AlertSeverity, AlertState
from app.core.model.chat import Fact, Reply, ReplyKind, Table
from app.services.wording import counted, place

LISTED = 10
_SIGNS = {
    AlertSeverity.HIGH: "✗",
    AlertSeverity.MEDIUM: "!",
    AlertSeverity.LOW: "·",
    AlertSeverity.EXPECTED: "·",
}


def alert_reply(group: Sequence[Alert]) -> Reply:
    """One source, destination and port. The newest, most severe alert speaks for all."""
    first = min(group, key=lambda one: one.order)
    count = sum(one.count for one in group)
    facts = [Fact("Cause", f"{first.cause.summary} ({first.cause.code})")]
    if first.cause.file:
        facts.append(Fact("Look at", place(first.cause.file, first.cause.line), code=True))
    if first.boundary:
        facts.append(Fact("Boundary", first.boundary))
    facts += [Fact("Seen", one) for one in first.evidence[:2]]
    facts += [Fact("Not known", one) for one in first.not_known[:2]]
    facts.append(Fact("Since", _span(group)))
    words = f"{_SIGNS[first.severity]} {first.severity} {first.kind}: {_ends(first)}"
    return Reply(
        ReplyKind.ANSWER,
        f"{words}, {counted(count, 'packet')}{_ended(group)}",
        facts=tuple(facts),
    )


def storm_reply(group: Sequence[Alert]) -> Reply:
    """One source that tries many destinations or ports: a scan is one message."""
    first = min(group, key=lambda one: one.order)
    ports = {(one.destination, one.port) for one in group}
    count = sum(one.count for one in group)
    rows = tuple(
        (one.destination, _port(one), str(one.count), one.cause.code)
        for one in sorted(group, key=lambda one: -one.count)[:LISTED]
    )
    facts = [Fact("Since", _span(group))]
    if len(group) > LISTED:
        facts.append(Fact("Shown", f"the {LISTED} of {len(group)} with most packets"))
    return Reply(
        ReplyKind.ANSWER,
        f"{_SIGNS[first.severity]} {first.severity}: {first.source} tries "
        f"{counted(len(ports), 'destination and port', 'destinations and ports')}, "
        f"{counted(count, 'packet')}{_ended(group)}",
        facts=tuple(facts),
        table=Table(("Destination", "Port", "Packets", "Cause"), rows),
    )


def digest_reply(namespace: str, alerts: Sequence[Alert], every_s: float) -> Reply:
    """What was not worth a message of its own."""
    counts = Counter(one.severity for one in alerts)
    words = ", ".join(f"{counts[one]} {one}" for one in AlertSeverity if counts[one])
    rows = tuple(
        (one.severity.value, one.source, one.destination, _port(one), str(one.count))
        for one in sorted(alerts, key=lambda one: one.order)[:LISTED]
    )
    facts = (Fact("Shown", f"{LISTED} of {len(alerts)}"),) if len(alerts) > LISTED else ()
    return Reply(
        ReplyKind.ANSWER,
        f"{namespace}, the last {every_s / 60:.0f} min: {words}",
        facts=facts,
        table=Table(("Severity", "From", "To", "Port", "Packets"), rows),
    )


def _ends(alert: Alert) -> str:
    return f"{alert.source} → {alert.destination} {_port(alert)}"


def _port(alert: Alert) -> str:
    return alert.protocol if alert.port is None else f"{alert.port}/{alert.protocol}"


def _ended(group: Sequence[Alert]) -> str:
    return ", ended" if all(one.state is AlertState.ENDED for one in group) else ""


def _span(group: Sequence[Alert]) -> str:
    first = datetime.fromtimestamp(min(one.first_ns for one in group) / NS_PER_S, UTC)
    last = datetime.fromtimestamp(max(one.last_ns for one in group) / NS_PER_S, UTC)
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S} UTC"
