"""Performance and coverage on a terminal; what was not measured is `-`, never zero."""

from __future__ import annotations

from collections.abc import Sequence

from app.cli.output import Output
from app.core.insights.performance import Latency, PairPerformance
from app.services.coverage import Coverage, Path
from app.services.wording import counted

MOST_ROWS = 40
NOT_MEASURED = "-"
HEAD = (
    "FROM", "TO", "PORT", "REQ", "REQ/S", "ERRORS", "REFUSED", "HTTP p50/p90/p99", "DNS p50/p99",
    "TCP p50/p99",
)  # fmt: skip


def performance_table(out: Output, rows: Sequence[PairPerformance]) -> None:
    """A line a pair; latencies in milliseconds."""
    if not rows:
        out.line("nothing was measured: no requests, and no connections that opened")
        return
    out.table(HEAD, [_row(one) for one in rows])


def print_coverage(out: Output, found: Coverage) -> None:
    """How far the flows reach, what rests on one broad rule, and what nobody used."""
    out.line(f"{counted(found.used, 'path')} used in {found.reaches_days:.2f} days of flows")
    if found.lost:
        out.line(f"{counted(found.lost, 'event')} lost: paths may have been used unseen")
    if found.unjudged or found.forgotten:
        out.line(
            f"{found.unjudged} paths could not be judged by the policies as they are, "
            f"{found.forgotten} were too many to keep"
        )
    for one in found.resting[:MOST_ROWS]:
        out.line(f"rests on one rule, which {one.broad}: {_words(one.path)} by {one.rule}")
    if found.idle is None or found.unused is None:
        out.line(
            f"what nobody used is not said: the flows reach back {found.reaches_days:.2f} days, "
            f"not {found.asked_days:g} (--days)"
        )
        return
    for rule in found.idle[:MOST_ROWS]:
        out.line(f"no hit in {found.asked_days:g} days: {rule}")
    for path in found.unused[:MOST_ROWS]:
        out.line(f"allowed and not used in {found.asked_days:g} days: {_words(path)}")
    more = len(found.idle) + len(found.unused) - 2 * MOST_ROWS
    if more > 0:
        out.line("there are more: -o json has all of them")


def _row(one: PairPerformance) -> list[str]:
    rate = one.request_rate
    return [
        one.source.text,
        one.destination.text,
        f"{one.port}/{one.protocol}",
        f"{one.requests:,}" if one.requests else NOT_MEASURED,
        f"{rate:.2f}" if rate is not None else NOT_MEASURED,
        f"{one.errors:,}" if one.requests else NOT_MEASURED,
        f"{one.refused:,}",
        _latency(one.http, middle=True),
        _latency(one.dns),
        _latency(one.tcp),
    ]


def _latency(one: Latency | None, *, middle: bool = False) -> str:
    if one is None or one.p50_ms is None or one.p90_ms is None or one.p99_ms is None:
        return NOT_MEASURED
    parts = (one.p50_ms, one.p90_ms, one.p99_ms) if middle else (one.p50_ms, one.p99_ms)
    return "/".join(f"{part:.1f}" for part in parts) + f" ms ({one.count})"


def _words(path: Path) -> str:
    return f"{path.source} → {path.destination} {path.port}/{path.protocol}"
