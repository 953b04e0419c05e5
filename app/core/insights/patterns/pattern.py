"""What a detector is, and what it finds.

A detector looks at each flow once (`see`) and says what it has found so far (`found`); it keeps
little, forgets by time, and tells its threshold and its evidence with each finding. None of them
claims an intent: each says what was seen, and how often.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from app.core.insights.alert import Alert, AlertCause, AlertSeverity, state_at
from app.core.insights.party import FlowParty
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import KEEP_SAMPLES, Samples
from app.core.insights.violations import alert_id
from app.core.model.answer import Confidence
from app.core.model.provenance import RuleRef

Key = TypeVar("Key")
Value = TypeVar("Value")

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS


@dataclass(slots=True, kw_only=True)
class Pattern:
    """One finding. `evidence` has the figures and the threshold they passed."""

    kind: str
    actor: Actor
    server: FlowParty | None
    to: str = ""
    port: int | None
    protocol: str
    severity: AlertSeverity
    summary: str
    evidence: tuple[str, ...]
    first_ns: int
    last_ns: int
    count: int
    samples: Samples = field(default_factory=Samples)
    rule: RuleRef | None = None


class Detector(Protocol):
    """Finds one kind of pattern."""

    kind: str

    def see(self, seen: Seen, scene: Scene) -> None:
        """Look at one flow."""
        ...

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:
        """Give what was found so far."""
        ...

    def forget_before(self, time_ns: int) -> None:
        """Let go of what is older."""
        ...


def alert_of(pattern: Pattern, now_ns: int) -> Alert:
    """The pattern as an alert; its cause has the kind for its code."""
    party, pod = pattern.actor
    server = pattern.server
    destination = pattern.to or (server.text if server is not None else "")
    pods = dict.fromkeys(filter(None, (pod, *pattern.samples.pods)))
    return Alert(
        id=alert_id(pattern.kind, party.text, pod, destination, pattern.port, pattern.protocol),
        kind=pattern.kind,
        state=state_at(pattern.first_ns, pattern.last_ns, now_ns),
        severity=pattern.severity,
        source=party.text,
        destination=destination,
        port=pattern.port,
        protocol=pattern.protocol,
        cause=AlertCause(pattern.kind, pattern.summary, Confidence.LIKELY, pattern.rule),
        first_ns=pattern.first_ns,
        last_ns=pattern.last_ns,
        count=pattern.count,
        source_namespace=party.namespace,
        destination_namespace=server.namespace if server is not None else "",
        flows=tuple(pattern.samples.uuids),
        pods=tuple(pods)[:KEEP_SAMPLES],
        evidence=pattern.evidence,
    )


def make_room(table: dict[Key, Value], most: int) -> None:
    """Let the oldest entry of a table go when it is full."""
    if len(table) >= most:
        del table[next(iter(table))]


def who(actor: Actor) -> str:
    """An actor in words: a workspace by its pod."""
    return actor[1] or actor[0].text
