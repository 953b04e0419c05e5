"""What a headless recorder says of itself: one reading of everything that it counts.

Labels are bounded: causes are the codes of docs/forms.md §4.1, and pairs of projects are at most
`MOST_PAIRS`, the rest being `other`. What is no project's is `platform`, or where it is not in the
cluster `outside`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.core.flows.times import NS_PER_S
from app.core.insights.alert import VIOLATION, Alert, Alerts, AlertState
from app.core.lint.projects import is_project
from app.ports import HistorySpan
from app.services.picture import Picture
from app.services.resuming import Missed
from app.services.workspace import Workspace

MOST_PAIRS = 400
STALE_S = 300.0
"""A source that said nothing for so long is not healthy, whatever its state."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything counted at one moment, ready to be written as metrics."""

    flows: Mapping[str, int]
    lost: Mapping[str, int]
    drops: Mapping[tuple[str, str, str], int]
    alerts: Mapping[tuple[str, str], int]
    phases: Mapping[str, str]
    newest_age_s: float | None
    objects_age_s: float | None
    stored: HistorySpan
    missed: Missed
    unreadable: int
    caught: int


@dataclass(slots=True)
class DropCounts:
    """Drops by cause and pair of projects; counters that never go back."""

    _told: dict[str, int] = field(default_factory=dict)
    _totals: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def update(self, alerts: Alerts, picture: Picture) -> Mapping[tuple[str, str, str], int]:
        """Add what violations count more than they did, and give the totals."""
        told: dict[str, int] = {}
        for one in alerts.items:
            if one.kind != VIOLATION:
                continue
            told[one.id] = one.count
            more = one.count - self._told.get(one.id, 0)
            if more > 0:
                self._totals[self._key(one, picture)] += more
        self._told = told
        return dict(self._totals)

    def _key(self, one: Alert, picture: Picture) -> tuple[str, str, str]:
        source = _project(one.source_namespace, one.source, picture)
        destination = _project(one.destination_namespace, one.destination, picture)
        key = (one.cause.code, source, destination)
        if key in self._totals or len(self._totals) < MOST_PAIRS:
            return key
        return (one.cause.code, "other", "other")


def take_reading(
    workspace: Workspace,
    alerts: Alerts,
    *,
    drops: Mapping[tuple[str, str, str], int],
    span: HistorySpan,
    missed: Missed,
    now_ns: int,
    newest_ns: int,
) -> Reading:
    """Count everything as of now."""
    ring, picture = workspace.ring, workspace.picture
    lost = dict(ring.lost)
    lost["queue"] = ring.dropped
    lost["history"] = span.dropped
    severities = Counter(
        (one.kind, one.severity.value) for one in alerts.items if one.state is not AlertState.ENDED
    )
    return Reading(
        flows=dict(ring.verdicts),
        lost=lost,
        drops=drops,
        alerts=severities,
        phases={name: state.phase for name, state in picture.sources.items()},
        newest_age_s=_age_s(newest_ns, now_ns),
        objects_age_s=_age_s(picture.as_of_ns, now_ns),
        stored=span,
        missed=missed,
        unreadable=ring.unreadable,
        caught=len(workspace.diagnostics),
    )


def ailments(reading: Reading) -> tuple[str, ...]:
    """Why a recorder is not healthy; empty when it is."""
    broken = [
        f"{name} is {phase}"
        for name, phase in sorted(reading.phases.items())
        if phase in ("retrying", "denied", "stale", "connecting", "off")
    ]
    if not reading.phases:
        broken.append("nothing was read yet")
    if reading.stored.failure:
        broken.append(f"the history: {reading.stored.failure}")
    elif not reading.stored.writing:
        broken.append("another process keeps this history: nothing is written here")
    return tuple(broken)


def _age_s(then_ns: int, now_ns: int) -> float | None:
    return max(0.0, (now_ns - then_ns) / NS_PER_S) if then_ns else None


def _project(namespace: str, name: str, picture: Picture) -> str:
    if not namespace:
        return "outside" if "." in name or ":" in name else "platform"
    known = picture.cluster.namespaces.get(namespace)
    labels = known.labels if known is not None else {}
    return namespace if is_project(namespace, labels) else "platform"
