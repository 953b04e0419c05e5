"""Sources, rights, diagnostics and the doctor's list, as paragraphs."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.flows.times import NS_PER_S
from app.ports import Right, SourceState
from app.services.doctor import Check, Health
from app.services.picture import Picture
from app.services.tasks import Caught
from app.tui.session import Session
from app.tui.times import clock_time, span_of
from app.tui.views.frame import pill_of
from app.tui.views.words import field, section
from widgets.document import Paragraph, heading, paragraph
from widgets.marks import Marks
from widgets.spans import Span, Tone

_LONG = 16


def sources(session: Session) -> Iterator[Paragraph]:
    """Every source with its state, age, reason and remedy; then what was kept and lost."""
    now_ns = session.clock.now_ns()
    states = session.picture.sources
    if not states:
        yield paragraph("No source has said anything yet.")
    for state in states.values():
        yield from _source(state, now_ns, session)
    yield from section("Kept and lost", *_losses(session))
    if troubles := tuple(_troubles(session)):
        yield from section("Not seen", *troubles)
    yield from section("Picture", *_picture(session))


def _source(state: SourceState, now_ns: int, session: Session) -> Iterator[Paragraph]:
    pill = pill_of(state, now_ns, session.marks)
    since = span_of((now_ns - state.since_ns) / NS_PER_S)
    yield Paragraph(
        (
            Span(f"{state.source:<{_LONG}} ", Tone.STRONG),
            Span(f"{pill.glyph} {pill.word}", pill.tone),
            Span(f"  for {since}", Tone.DIM),
            Span(f"  {pill.detail}", pill.tone),
        ),
        indent=_LONG + 1,
    )
    if hint := state.detail.get("hint"):
        yield field("", f"To mend it: {hint}", width=_LONG + 1)
    for key, value in state.detail.items():
        if key not in ("hint", "cause") and value:
            yield field("", Span(f"{key}: {value}", Tone.DIM), width=_LONG + 1)


def _losses(session: Session) -> Iterator[Paragraph]:
    ring = session.workspace.ring
    yield field("Flows", f"{len(ring):,} kept of {ring.capacity:,}; {ring.seen:,} seen", width=17)
    yield field("Let go", f"{ring.evicted:,} older ones", width=17)
    for source, count in ring.lost.items():
        text = Span(f"{count:,} events lost before they reached us", Tone.BAD)
        yield field(source.lower(), text, width=17)
    if ring.dropped:
        yield field("Dropped here", Span(f"{ring.dropped:,}", Tone.BAD), width=17)
    if ring.unreadable:
        yield field("Unreadable", Span(f"{ring.unreadable:,}", Tone.BAD), width=17)
    for name, count in ring.unknown.most_common(10):
        yield field("Unknown", Span(f"{name}: {count:,}", Tone.WARN), width=17)


def _troubles(session: Session) -> Iterator[Paragraph]:
    """Nodes that are away, times with gaps, and what Relay was not asked for."""
    ring, zone = session.workspace.ring, session.zone
    if (narrowing := session.workspace.narrowing) is not None:
        since = clock_time(narrowing.since_ns, zone)
        yield field(since, f"only flows of `{narrowing.text}` are asked for", width=17)
    for node, status in sorted(ring.away.items()):
        word = status.state.removeprefix("NODE_").lower()
        text = f"{node}: {word}{': ' if status.message else ''}{status.message}"
        yield field(clock_time(status.time_ns, zone), Span(text, Tone.BAD), width=17)
    for gap in reversed(ring.gaps):
        yield field(clock_time(gap.time_ns, zone), Span(gap.message, Tone.WARN), width=17)


def _picture(session: Session) -> Iterator[Paragraph]:
    picture = session.picture
    cluster = picture.cluster
    version = ".".join(map(str, cluster.config.cilium_version))
    yield field("As of", clock_time(picture.as_of_ns, session.zone), width=17)
    yield field("Revision", str(picture.revision), width=17)
    yield field("Cilium", f"semantics of {version}", width=17)
    counts = (
        ("Policies", len(cluster.policies)),
        ("Endpoints", len(cluster.endpoints)),
        ("Services", len(cluster.services)),
        ("Nodes", len(cluster.nodes)),
        ("Namespaces", len(cluster.namespaces)),
    )
    for name, count in counts:
        yield field(name, f"{count:,}" if session.has_read else "?", width=17)


def rights(picture: Picture, marks: Marks) -> Iterator[Paragraph]:
    """Verb by kind, and what each missing one costs."""
    if not picture.rights:
        yield paragraph("These sources need no rights: they are files, or nothing was read yet.")
        return
    yield heading("What may be read")
    for right in picture.rights:
        yield _right(right, marks)


def _right(right: Right, marks: Marks) -> Paragraph:
    mark, tone, word = f"{marks.good} yes", Tone.GOOD, ""
    if right.allowed is None:
        mark, tone, word = f"{marks.off} none", Tone.DIM, "the cluster has no such kind"
    elif not right.allowed:
        mark, tone, word = f"{marks.bad} no", Tone.BAD, right.reason
    elif right.scope != "cluster":
        mark, tone, word = f"{marks.audit} some", Tone.WARN, f"in {right.scope} only"
    costs = "" if right.allowed and right.scope == "cluster" else right.cost
    detail = "  ".join(text for text in (word, costs) if text)
    return Paragraph(
        (
            Span(f"{mark:<7}", tone),
            Span(f"{right.verb:<6}", Tone.DIM),
            Span(f"{right.kind:<34}", Tone.STRONG),
            Span(detail),
        ),
        indent=15,
    )


def diagnostics(session: Session) -> Iterator[Paragraph]:
    """What was caught lately, newest first, then every notice of reading."""
    caught = tuple(session.workspace.diagnostics)
    yield heading("Errors that were caught")
    if not caught:
        yield paragraph("none")
    for one in reversed(caught):
        yield _caught(one, session.marks)
    notices = session.picture.notices
    yield from section(
        f"Notices of reading ({len(notices)})",
        *(
            Paragraph((Span(f"{session.marks.error} ", Tone.WARN), Span(str(notice))), indent=2)
            for notice in notices
        ),
    )


def _caught(one: Caught, marks: Marks) -> Paragraph:
    kind = type(one.error).__name__
    return Paragraph(
        (Span(f"{marks.bad} ", Tone.BAD), Span(str(one)), Span(f"  {kind}", Tone.DIM)), indent=2
    )


_HEALTH = {
    Health.FINE: ("good", Tone.GOOD),
    Health.MISSING: ("audit", Tone.WARN),
    Health.BROKEN: ("bad", Tone.BAD),
}


def doctor(checks: tuple[Check, ...], marks: Marks) -> Iterator[Paragraph]:
    """Found and not found, with the way out of each."""
    yield heading("What was found, and what is missing")
    for check in checks:
        glyph, tone = _HEALTH[check.health]
        mark = f"{getattr(marks, glyph)} {check.health.value:<8}"
        yield Paragraph(
            (Span(mark, tone), Span(f"{check.area:<12}", Tone.DIM), Span(check.text)), indent=22
        )
        if check.fix:
            yield field("", Span(check.fix, Tone.KEY), width=22)
