"""What insights say: one violation or one pattern, with its cause, its evidence and its state.

The form is that of docs/forms.md §4.6. Faces render it; none of them works anything out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.core.flows.times import NS_PER_S
from app.core.model.answer import Confidence
from app.core.model.flow import Flow
from app.core.model.provenance import RuleRef

VIOLATION = "violation"
"""The kind of an alert about refused connections; other kinds are names of patterns."""

QUIET_NS = 5 * 60 * NS_PER_S
"""Nothing seen for so long, and it has ended. TCP tries again after at most two minutes."""
NEW_NS = 10 * 60 * NS_PER_S
"""What began no longer ago is new."""


class AlertState(StrEnum):
    """Where an alert stands at the moment it is looked at."""

    NEW = "new"
    ONGOING = "ongoing"
    ENDED = "ended"


class AlertSeverity(StrEnum):
    """How much an alert matters, most first; `EXPECTED` is isolation that does its work."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    EXPECTED = "expected"

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return tuple(AlertSeverity).index(self)


class Block(StrEnum):
    """How a refusal is meant.

    `ISOLATION`: nothing was meant to allow it. `FAULT`: a rule or a boundary was. `OTHER`: no
    policy refused it. `UNKNOWN`: no policies were at hand, or they say nothing certain.
    """

    ISOLATION = "isolation"
    FAULT = "fault"
    OTHER = "other"
    UNKNOWN = "unknown"


class Tried(StrEnum):
    """What somebody tried to reach."""

    METADATA = "cloud-metadata"
    PROJECT = "another-project"
    API_SERVER = "api-server"
    NODE = "node"
    INTERNET = "internet"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class AlertCause:
    """Why: a cause code of the engine, or the name of the pattern; the rule to look at, if any."""

    code: str
    summary: str
    confidence: Confidence
    rule: RuleRef | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One violation or pattern. Times are UTC nanoseconds; `count` is packets, not flows.

    `id` stays the same for the same ends, port and cause. `flows` are uuids of some flows, `pods`
    some of the pods behind both ends, `evidence` sentences with their numbers, `not_known` what
    could change it. `sample` is a flow to ask "why?" about.
    """

    id: str
    kind: str
    state: AlertState
    severity: AlertSeverity
    source: str
    destination: str
    port: int | None
    protocol: str
    cause: AlertCause
    first_ns: int
    last_ns: int
    count: int
    attempts: int = 0
    block: Block | None = None
    tried: Tried | None = None
    boundary: str = ""
    audited: bool = False
    source_namespace: str = ""
    destination_namespace: str = ""
    flows: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()
    sample: Flow | None = field(default=None, compare=False, repr=False)

    @property
    def order(self) -> tuple[bool, int, int, str]:
        """Sort key: what goes on before what ended, most severe first, then the newest."""
        return self.state is AlertState.ENDED, self.severity.rank, -self.last_ns, self.id


@dataclass(frozen=True, slots=True)
class Alerts:
    """All alerts of one moment, in their order.

    `since_ns`/`until_ns` bound what was looked at, `seen` flows of it. `lost` counts events that
    nodes or Relay could not deliver, `forgotten` groups that were let go because there were too
    many: a list with either may lack something.
    """

    items: tuple[Alert, ...] = ()
    since_ns: int = 0
    until_ns: int = 0
    seen: int = 0
    lost: int = 0
    forgotten: int = 0

    @property
    def window_s(self) -> int:
        """Seconds looked at."""
        return (self.until_ns - self.since_ns) // NS_PER_S


def state_at(first_ns: int, last_ns: int, now_ns: int) -> AlertState:
    """Where something stands that was seen from `first_ns` to `last_ns`."""
    if now_ns - last_ns > QUIET_NS:
        return AlertState.ENDED
    return AlertState.NEW if now_ns - first_ns <= NEW_NS else AlertState.ONGOING
