"""The pulse: how things stand at a glance, each line a way to the thing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from app.core.flows.ring import Ring
from app.core.flows.times import NS_PER_S
from app.core.insights.alert import Alert, Alerts, AlertSeverity, AlertState
from app.core.lint.finding import Finding, Severity
from app.services.boundaries import Ruling
from app.services.wording import counted
from app.tui.links import to_command
from app.tui.session import Session
from app.tui.views.alerts import port_of
from app.tui.views.boundaries import state_of
from app.tui.views.chips import Chips
from app.tui.views.frame import pill_of
from app.tui.views.words import field, nothing_read, section
from widgets.document import Paragraph, heading, paragraph
from widgets.marks import Marks, sparkline
from widgets.spans import Line, Span, Tone

MINUTES = 20
"""Bars of a sparkline, one a minute."""
MOST = 6
"""Lines of a list."""
LOOKED_AT = 20_000
"""Flows that are counted at once: more would take a moment that is felt."""
_MINUTE_NS = 60 * NS_PER_S
_SEVERITIES = {
    AlertSeverity.HIGH: Tone.BAD,
    AlertSeverity.MEDIUM: Tone.WARN,
    AlertSeverity.LOW: Tone.PLAIN,
    AlertSeverity.EXPECTED: Tone.DIM,
}


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is worked out beside the screen. None is not known yet, or without a source."""

    rulings: tuple[Ruling, ...] | None = None
    findings: tuple[Finding, ...] | None = None
    alerts: Alerts | None = None


def drops_by_space(ring: Ring, now_ns: int) -> dict[str, tuple[int, ...]]:
    """Count drops by the namespace they came from (else went to), a figure a minute, oldest first.

    Looks at the newest `LOOKED_AT` flows at most.
    """
    first = now_ns // _MINUTE_NS - MINUTES + 1
    counts: dict[str, list[int]] = {}
    for flow in reversed(ring.range(max(ring.first_seq, ring.next_seq - LOOKED_AT), ring.next_seq)):
        at = flow.time_ns // _MINUTE_NS - first
        if flow.verdict == "DROPPED" and 0 <= at < MINUTES:
            space = flow.source.namespace or flow.destination.namespace
            counts.setdefault(space, [0] * MINUTES)[at] += 1
    ranked = sorted(counts.items(), key=lambda one: (-sum(one[1]), one[0]))
    return {space: tuple(bars) for space, bars in ranked}


def page(session: Session, vitals: Vitals, chips: Chips, now_ns: int) -> Iterator[Paragraph]:
    """The whole pulse."""
    if not session.has_read:
        yield from (Paragraph(one) for one in nothing_read(session))
        yield paragraph()
    yield from _sources(session, now_ns)
    if session.has_read:
        yield from section("Boundaries", *_boundaries(vitals.rulings, session.marks))
    yield from section("Violations", *_violations(vitals.alerts, session))
    yield from section("Drops by cause", *_causes(vitals.alerts))
    drops = _spaces(drops_by_space(session.ring, now_ns), chips, session.marks)
    of = f"{MINUTES} minutes" if len(session.ring) <= LOOKED_AT else f"newest {LOOKED_AT:,} flows"
    yield from section(f"Drops by namespace, {of}", *drops)
    if session.has_read:
        yield from section("Policies", *_policies(session, vitals.findings))


def _sources(session: Session, now_ns: int) -> Iterator[Paragraph]:
    yield heading("Sources")
    for state in session.picture.sources.values():
        pill = pill_of(state, now_ns, session.marks)
        word = Span(f"{pill.glyph} {pill.word}", pill.tone)
        about = Span(f"  {pill.detail}", pill.tone)
        to = to_command("sources")
        yield field(pill.name, Span("  "), word, about, width=16, target=to)


def _boundaries(rulings: tuple[Ruling, ...] | None, marks: Marks) -> Iterator[Paragraph]:
    to = to_command("boundaries")
    if rulings is None:
        yield paragraph(Span("  being asked", Tone.DIM))
    elif not rulings:
        yield field("None", "declared: set `check.boundaries`", width=18, target=to)
    for one in sorted(rulings or (), key=lambda one: one.holds)[: 2 * MOST]:
        name = Span(one.boundary.name, Tone.STRONG)
        witness = Span(f"  {one.boundary.why}" if not one.holds else "", Tone.DIM)
        yield Paragraph((Span("  "), state_of(one, marks), Span("  "), name, witness), 4, to)


def _violations(alerts: Alerts | None, session: Session) -> Iterator[Paragraph]:
    if alerts is None:
        yield paragraph(Span(_no_flows(session), Tone.DIM))
        return
    open_ones = [one for one in alerts.items if one.state is not AlertState.ENDED]
    by_severity = Counter(one.severity for one in open_ones)
    said = ", ".join(f"{by_severity[one]} {one.value}" for one in AlertSeverity)
    yield field("Going on", said, width=18, target=to_command("alerts"))
    severe = [one for one in open_ones if one.severity.rank <= AlertSeverity.MEDIUM.rank]
    for one in severe[:MOST]:
        yield Paragraph(alert_line(one, session.marks), 4, to_command("alerts"))
    if alerts.lost or alerts.forgotten:
        lost = f"{alerts.lost:,} events lost: there may be more"
        yield field("", Span(lost, Tone.WARN), width=18)


def _no_flows(session: Session) -> str:
    if not session.workspace.expects_flows:
        return "  there is no source of flows: what is refused is not known (`:sources`)"
    return "  no flow has come yet"


def alert_line(one: Alert, marks: Marks) -> Line:
    """One alert in a line."""
    said = port_of(one)
    port = f":{said}" if one.port is not None else f" {said}".rstrip()
    return (
        Span(f"  {one.severity.value:<9}", _SEVERITIES[one.severity]),
        Span(f"{one.source} {marks.arrow} {one.destination}{port}", Tone.STRONG),
        Span(f"  {one.cause.code}", Tone.BAD),
        Span(f"  {counted(one.count, 'packet')}", Tone.DIM),
    )


def _causes(alerts: Alerts | None) -> Iterator[Paragraph]:
    counts: Counter[str] = Counter()
    for one in alerts.items if alerts else ():
        counts[one.cause.code] += one.count
    for code, count in counts.most_common(MOST):
        words = Span(f"{count:>8,}  ", Tone.STRONG), Span(code, Tone.BAD)
        yield Paragraph(words, 4, to_command(f"alerts /cause:{code}"))


def _spaces(drops: dict[str, tuple[int, ...]], chips: Chips, marks: Marks) -> Iterator[Paragraph]:
    for space, bars in list(drops.items())[: 2 * MOST]:
        spans = (
            Span("  "),
            *(chips.of(space) if space else (Span(f"{'(outside)':<10}", Tone.DIM),)),
            Span(f"  {sum(bars):>7,}  ", Tone.STRONG),
            Span(sparkline(bars, marks), Tone.BAD),
        )
        yield Paragraph(spans, 4, to_command(f"drops {space}".strip()))


def _policies(session: Session, findings: tuple[Finding, ...] | None) -> Iterator[Paragraph]:
    engine = session.picture.engine
    policies = to_command("policies")
    yield field("Read", f"{len(session.picture.cluster.policies):,}", width=18, target=policies)
    refused = len(engine.rejected)
    tone = Tone.BAD if refused else Tone.DIM
    yield field("Refused", Span(f"{refused} by Cilium", tone), width=18, target=policies)
    if findings is None:
        yield field("Lint", Span("being judged", Tone.DIM), width=18)
        return
    counts = Counter(one.severity for one in findings)
    said = ", ".join(counted(counts[one], one.value) for one in (Severity.ERROR, Severity.WARNING))
    tone = Tone.BAD if counts[Severity.ERROR] else Tone.WARN if findings else Tone.GOOD
    yield field("Lint", Span(said, tone), width=18, target=to_command("lint"))
    idle = sum(one.code == "NP106" for one in findings)
    if idle:
        words = Span(f"{idle} select nothing", Tone.WARN)
        yield field("", words, width=18, target=to_command("lint /code:NP106"))
