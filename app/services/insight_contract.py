"""Fills the JSON forms of insights (docs/forms.md §4.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.core.flows.times import format_time
from app.core.insights.alert import Alert, AlertCause, Alerts
from app.core.insights.performance import Latency, PairPerformance
from app.core.model.provenance import Notice, RuleRef
from app.services.contract import SCHEMA, Form, document, listing, ref_form
from app.services.coverage import Coverage, Path


def alert_form(alert: Alert, alerts: Alerts) -> Form:
    """One alert of a list; the window and the losses are those of the list."""
    return {
        "schema": SCHEMA,
        "id": alert.id,
        "kind": alert.kind,
        "state": alert.state.value,
        "severity": alert.severity.value,
        "from": alert.source,
        "to": alert.destination,
        "port": alert.port,
        "protocol": alert.protocol,
        "cause": _cause_form(alert.cause),
        "block": alert.block.value if alert.block else None,
        "tried": alert.tried.value if alert.tried else None,
        "boundary": alert.boundary or None,
        "audit": alert.audited,
        "first": format_time(alert.first_ns),
        "last": format_time(alert.last_ns),
        "count": alert.count,
        "attempts": alert.attempts,
        "window_s": alerts.window_s,
        "lost_events": alerts.lost,
        "flows": list(alert.flows),
        "pods": list(alert.pods),
        "evidence": list(alert.evidence),
        "not_known": list(alert.not_known),
    }


def alerts_form(alerts: Alerts, items: Iterable[Alert], notices: Sequence[Notice] = ()) -> Form:
    """Some alerts of a list, with what the list as a whole has seen."""
    form = listing((alert_form(one, alerts) for one in items), notices)
    return form | {
        "seen": alerts.seen,
        "window_s": alerts.window_s,
        "lost_events": alerts.lost,
        "forgotten": alerts.forgotten,
    }


def _cause_form(cause: AlertCause) -> Form:
    return {
        "code": cause.code,
        "summary": cause.summary,
        "confidence": cause.confidence.value,
        "rule": _rule_form(cause.rule) if cause.rule is not None else None,
        "file": cause.file,
        "line": cause.line,
    }


def _rule_form(rule: RuleRef) -> Form:
    return {
        "policy": ref_form(rule.policy),
        "path": rule.path,
        "file": rule.file,
        "line": rule.line,
    }


def performance_form(one: PairPerformance) -> Form:
    """One pair; null is what was not measured."""
    return {
        "from": one.source.text,
        "to": one.destination.text,
        "port": one.port,
        "protocol": one.protocol,
        "seconds": one.seconds,
        "requests": one.requests,
        "request_rate": one.request_rate,
        "errors": one.errors,
        "error_share": one.error_share,
        "client_errors": one.client_errors,
        "connections": one.connections,
        "refused": one.refused,
        "http": _latency_form(one.http),
        "dns": _latency_form(one.dns),
        "tcp": _latency_form(one.tcp),
        "bytes": None,
    }


def coverage_form(found: Coverage) -> Form:
    """What was used; `unused` and `idle` are null where the flows do not reach back far enough."""
    unused, idle = found.unused, found.idle
    return document(
        {
            "used": found.used,
            "reaches_days": found.reaches_days,
            "asked_days": found.asked_days,
            "lost_events": found.lost,
            "forgotten": found.forgotten,
            "unjudged": found.unjudged,
            "resting": [
                _path_form(one.path) | {"rule": _rule_form(one.rule), "broad": one.broad}
                for one in found.resting
            ],
            "unused": None if unused is None else [_path_form(one) for one in unused],
            "idle": None if idle is None else [_rule_form(one) for one in idle],
        }
    )


def _latency_form(one: Latency | None) -> Form | None:
    if one is None:
        return None
    return {
        "count": one.count,
        "p50_ms": one.p50_ms,
        "p90_ms": one.p90_ms,
        "p99_ms": one.p99_ms,
    }


def _path_form(path: Path) -> Form:
    return {
        "from": path.source,
        "to": path.destination,
        "port": path.port,
        "protocol": path.protocol,
    }
