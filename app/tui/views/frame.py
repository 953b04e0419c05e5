"""The header of every screen, from the state of the sources."""

from __future__ import annotations

from app.core.flows.times import NS_PER_S
from app.ports import SourceState
from app.tui.session import Session
from app.tui.times import clock_time, span_of
from widgets.frame import HeaderView, Pill
from widgets.marks import Marks
from widgets.spans import Span, Tone

STALE_WARN_S = 30
STALE_BAD_S = 120

_LOOKS = {
    "live": ("live", Tone.GOOD),
    "ended": ("live", Tone.DIM),
    "connecting": ("connecting", Tone.WARN),
    "stale": ("connecting", Tone.WARN),
    "retrying": ("connecting", Tone.WARN),
    "denied": ("bad", Tone.BAD),
    "off": ("off", Tone.DIM),
}
_WORDS = {"ended": "read"}


def pill_of(state: SourceState, now_ns: int, marks: Marks) -> Pill:
    """Show a source's state: glyph, word, and why and how long where that matters."""
    glyph, tone = _LOOKS.get(state.phase, ("unknown", Tone.WARN))
    age_s = max(0.0, (now_ns - state.since_ns) / NS_PER_S)
    if state.phase == "retrying" and age_s > STALE_BAD_S:
        tone = Tone.BAD
    word = _WORDS.get(state.phase, state.phase)
    if state.is_read and state.reason:
        tone = Tone.WARN
    if state.phase == "ended" and state.unheard:
        word = "read in part"
    return Pill(state.source, getattr(marks, glyph), word, tone, _pill_detail(state, age_s))


def _pill_detail(state: SourceState, age_s: float) -> str:
    parts = [state.reason]
    if state.next_try_s is not None:
        parts.append(f"next try in {max(0, round(state.next_try_s - age_s))} s")
    return ", ".join(part for part in parts if part)


def picture_age(session: Session, now_ns: int) -> Span:
    """Say how old what is shown is; a source that is not live ages it from when it was lost."""
    picture = session.picture
    if not session.has_read:
        return Span("nothing read yet", Tone.WARN)
    lost = [state.since_ns for state in picture.sources.values() if state.is_broken]
    if not lost:
        return Span(f"as of {clock_time(picture.as_of_ns, session.zone)}", Tone.DIM)
    age_s = (now_ns - min(lost)) / NS_PER_S
    tone = Tone.DIM
    if age_s > STALE_WARN_S:
        tone = Tone.BAD if age_s > STALE_BAD_S else Tone.WARN
    return Span(f"stale {span_of(age_s)}", tone)


def header_view(session: Session, digits: tuple[tuple[str, str], ...], chosen: str) -> HeaderView:
    """Say where one looks, whether the sources live, how old the picture is.

    `digits` are the screen's (digit, meaning) pairs, of which one meaning may be `chosen`.
    """
    now_ns = session.clock.now_ns()
    picture = session.picture
    return HeaderView(
        context=session.context,
        namespace=session.namespace,
        badge=session.badge,
        pills=tuple(pill_of(one, now_ns, session.marks) for one in picture.sources.values()),
        clock=clock_time(now_ns, session.zone),
        age=picture_age(session, now_ns),
        policies=len(picture.cluster.policies) if session.has_read else None,
        drops=session.meter.read(now_ns),
        digits=digits,
        chosen=chosen,
    )
