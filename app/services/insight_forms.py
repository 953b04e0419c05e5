"""The JSON forms of insights as types (docs/forms.md §4.6)."""

from __future__ import annotations

import msgspec

from app.core.insights.alert import AlertSeverity, AlertState, Block, Tried
from app.core.model.answer import Confidence
from app.services.form_parts import Document, Listing, Place, Ref, Schema


class AlertRule(Place, kw_only=True):
    """The rule that refuses, or that was meant to allow."""

    policy: Ref
    path: str


class AlertCause(Place, kw_only=True):
    """Why: a cause code of section 4.1, or the kind of the pattern; `rule` null without one."""

    code: str
    summary: str
    confidence: Confidence
    rule: AlertRule | None


class Alert(msgspec.Struct, kw_only=True):
    """One violation or pattern. Times are RFC 3339; `port` null means several.

    `window_s` and `lost_events` are those of everything that was looked at; `block` and `tried` are
    null for a pattern that is not about a refusal.
    """

    schema: Schema
    id: str
    kind: str
    state: AlertState
    severity: AlertSeverity
    from_: str = msgspec.field(name="from")
    to: str
    port: int | None
    protocol: str
    cause: AlertCause
    block: Block | None
    tried: Tried | None
    boundary: str | None
    audit: bool
    first: str
    last: str
    count: int
    attempts: int
    window_s: int
    lost_events: int
    flows: list[str]
    pods: list[str]
    evidence: list[str]
    not_known: list[str]


class Alerts(Listing, kw_only=True):
    """`alerts`; `forgotten` counts groups that were let go because there were too many."""

    items: list[Alert]
    seen: int = 0
    window_s: int = 0
    lost_events: int = 0
    forgotten: int = 0


class Latency(msgspec.Struct, kw_only=True):
    """Percentiles in milliseconds, within 1 %, of `count` measurements."""

    count: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None


class PairMeasured(msgspec.Struct, kw_only=True):
    """One pair of workloads. Null is what was not measured; `bytes` never is from flows."""

    from_: str = msgspec.field(name="from")
    to: str
    port: int
    protocol: str
    seconds: float
    requests: int
    request_rate: float | None
    errors: int
    error_share: float | None
    client_errors: int
    connections: int
    refused: int
    http: Latency | None
    dns: Latency | None
    tcp: Latency | None
    bytes: int | None


class PerformanceList(Listing, kw_only=True):
    """`insights performance`."""

    items: list[PairMeasured]


class UsedPath(msgspec.Struct, kw_only=True):
    """One way from workload to workload; `port` as in the matrix."""

    from_: str = msgspec.field(name="from")
    to: str
    port: str
    protocol: str


class RestingPath(UsedPath, kw_only=True):
    """A used path that one broad rule alone lets through."""

    rule: AlertRule
    broad: str


class CoverageFound(Document, kw_only=True):
    """`insights coverage`; `unused` and `idle` are null where the flows reach back too little."""

    used: int
    reaches_days: float
    asked_days: float
    lost_events: int
    forgotten: int
    unjudged: int
    resting: list[RestingPath]
    unused: list[UsedPath] | None
    idle: list[AlertRule] | None
