"""Who is told of which alert, and when: changes at once, what goes on again every minute.

What could not be delivered stays due, and is tried again later and later; what is told is what
holds then. An alert that ended before anybody heard of it is not told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.errors import SourceUnavailable
from app.core.flows.times import NS_PER_S
from app.core.insights.alert import Alert, Alerts, AlertSeverity, AlertState
from app.ports import Page, Pager
from app.services.connection import backoff_s
from app.services.insight_contract import alert_form

REPEAT_NS = 60 * NS_PER_S
"""Well within Alertmanager's `resolve_timeout`, which is five minutes."""
MOST_PAGES = 500
"""Alerts sent at once; the most severe first, the rest with the next."""


@dataclass(slots=True)
class _Line:
    """One pager, and what it was told."""

    pager: Pager
    told: dict[str, tuple[AlertState, AlertSeverity]] = field(default_factory=dict)
    repeated_ns: int = 0
    failures: int = 0
    wait_until_ns: int = 0

    def due(self, alerts: Sequence[Alert], now_ns: int) -> list[Alert]:
        """What must be sent now."""
        if now_ns < self.wait_until_ns:
            return []
        repeat = self.pager.wants_repeats and now_ns - self.repeated_ns >= REPEAT_NS
        return [one for one in alerts if self._is_news(one) or (repeat and self._goes_on(one))]

    def _is_news(self, one: Alert) -> bool:
        told = self.told.get(one.id)
        if one.state is AlertState.ENDED:
            return told is not None and told[0] is not AlertState.ENDED
        return told is None or told[0] is AlertState.ENDED or told[1] is not one.severity

    def _goes_on(self, one: Alert) -> bool:
        return one.state is not AlertState.ENDED


class Paging:
    """Tells pagers of alerts from a severity on."""

    def __init__(self, pagers: Sequence[Pager], severity: AlertSeverity) -> None:
        self._lines = [_Line(pager) for pager in pagers]
        self._severity = severity

    async def tell(self, alerts: Alerts, now_ns: int) -> tuple[str, ...]:
        """Send what is due; gives in words what could not be delivered."""
        chosen = [one for one in alerts.items if one.severity.rank <= self._severity.rank]
        told = [await self._tell(line, alerts, chosen, now_ns) for line in self._lines]
        return tuple(filter(None, told))

    async def _tell(self, line: _Line, alerts: Alerts, chosen: Sequence[Alert], now_ns: int) -> str:
        present = {one.id for one in chosen}
        line.told = {key: told for key, told in line.told.items() if key in present}
        due = line.due(chosen, now_ns)[:MOST_PAGES]
        if not due:
            return ""
        try:
            await line.pager.send([page_of(one, alerts) for one in due], now_ns)
        except SourceUnavailable as error:
            line.failures += 1
            line.wait_until_ns = now_ns + int(backoff_s(line.failures, 0.0) * NS_PER_S)
            return f"{line.pager.name}: {error.message}"
        line.failures = 0
        line.repeated_ns = now_ns
        line.told.update((one.id, (one.state, one.severity)) for one in due)
        return ""


def page_of(alert: Alert, alerts: Alerts) -> Page:
    """One alert as it is sent. The labels are those that stay the same while it lasts."""
    port = "*" if alert.port is None else str(alert.port)
    labels = {
        "alertname": "k8tre_tui_violation" if alert.block else f"k8tre_tui_{_word(alert.kind)}",
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity.value,
        "from": alert.source,
        "to": alert.destination,
        "from_namespace": alert.source_namespace,
        "to_namespace": alert.destination_namespace,
        "port": f"{port}/{alert.protocol}",
        "cause": alert.cause.code,
        "block": alert.block.value if alert.block else "",
        "boundary": alert.boundary,
    }
    annotations = {
        "summary": f"{alert.source} → {alert.destination} {port}/{alert.protocol}",
        "description": alert.cause.summary,
        "evidence": "\n".join(alert.evidence),
        "not_known": "\n".join(alert.not_known),
    }
    ended = alert.state is AlertState.ENDED
    return Page(
        labels={key: value for key, value in labels.items() if value},
        annotations={key: value for key, value in annotations.items() if value},
        starts_ns=alert.first_ns,
        ends_ns=alert.last_ns if ended else 0,
        form=alert_form(alert, alerts),
    )


def _word(kind: str) -> str:
    return kind.replace("-", "_")
