"""What frames every screen: header with sources, status line with filters, footer with keys.

Pure functions from view-models to lines; `Lines` draws them. Everything adapts to the width: what
matters least goes first, and nothing wraps.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.text import clean
from widgets.marks import Marks, sparkline
from widgets.spans import Line, Span, Tone, fit, plain, width_of

NARROW = 100
"""Columns below which the header says less."""


@dataclass(frozen=True, slots=True)
class Pill:
    """A source: its state as glyph and word, and how fresh its data are."""

    name: str
    glyph: str
    word: str
    tone: Tone
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Drops:
    """Drops of the last minute, and per minute before it; None is not known."""

    per_minute: int | None = None
    history: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderView:
    """The top of every screen. `age` is the age of the picture with its tone."""

    context: str
    namespace: str
    badge: str
    pills: tuple[Pill, ...]
    clock: str
    age: Span
    policies: int | None
    drops: Drops
    digits: tuple[tuple[str, str], ...] = ()
    """What the digits mean on this screen: (digit, meaning) pairs."""
    chosen: str = ""
    """The meaning that is in force."""


@dataclass(frozen=True, slots=True)
class StatusView:
    """The line above the footer. Filters of the server and of the view are told apart."""

    crumbs: tuple[str, ...]
    server: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    notes: tuple[Span, ...] = ()
    counts: str = ""


@dataclass(frozen=True, slots=True)
class KeyHint:
    """A key of the footer; `enabled` False is drawn dim."""

    key: str
    label: str
    enabled: bool = True


def draw_header(view: HeaderView, width: int, marks: Marks, *, folded: bool) -> tuple[Line, ...]:
    """Give the header's lines: two, or one when folded."""
    first = _spread(_where(view, width), (Span(view.clock, Tone.DIM), Span(" ")), width)
    pills = _pills(view.pills, detailed=width >= NARROW)
    one = _spread(
        (*_where(view, width), Span("  "), *pills),
        (view.age, Span(" "), Span(view.clock, Tone.DIM), Span(" ")),
        width,
    )
    totals = _totals(view, marks)
    second = _spread(_digits(view, width - width_of(plain(totals))), totals, width)
    needed = width_of(plain((*_where(view, width), *pills, view.age))) + 3
    if needed <= width:
        if needed + len(view.clock) + 1 > width:
            one = _spread((*_where(view, width), Span("  "), *pills), (view.age, Span(" ")), width)
        return (one,) if folded else (one, second)
    pill_line = _spread((Span(" "), *pills), (view.age, Span(" ")), width)
    return (pill_line,) if folded else (first, pill_line, second)


def _where(view: HeaderView, width: int) -> Line:
    room = max(12, width // 4)
    spans = [Span(" ctx ", Tone.DIM), Span(_cut(view.context, room), Tone.STRONG)]
    spans += [Span(" ns ", Tone.DIM), Span(_cut(view.namespace or "all", room), Tone.STRONG)]
    return (*spans, Span(" "), Span(f" {view.badge} ", Tone.BADGE))


def _pills(pills: tuple[Pill, ...], *, detailed: bool) -> Line:
    spans: list[Span] = []
    for pill in pills:
        spans += [Span(f"{_cut(pill.name, 16)} ", Tone.DIM)]
        spans.append(Span(f"{pill.glyph} {pill.word}", pill.tone))
        if pill.detail and (detailed or pill.tone in (Tone.BAD, Tone.WARN)):
            spans.append(Span(f" {pill.detail}", pill.tone))
        spans.append(Span("  "))
    return tuple(spans)


def _digits(view: HeaderView, width: int) -> Line:
    spans = [Span(" ")]
    used = 1
    for digit, meaning in view.digits:
        used += len(digit) + width_of(clean(meaning)) + 4
        if used >= width:
            break
        current = meaning == view.chosen
        spans += [Span(f"<{digit}>", Tone.KEY)]
        spans += [Span(f" {meaning} ", Tone.STRONG if current else Tone.DIM)]
    return tuple(spans)


def _totals(view: HeaderView, marks: Marks) -> Line:
    policies = "?" if view.policies is None else f"{view.policies:,}"
    drops = view.drops
    rate = "?" if drops.per_minute is None else f"{drops.per_minute:,}"
    tone = Tone.BAD if drops.per_minute else Tone.DIM
    spans = [Span(f"{policies} policies  ", Tone.DIM), Span(f"{rate} drops/min ", tone)]
    if drops.history:
        spans.append(Span(sparkline(drops.history, marks), tone))
    return (*spans, Span(" "))


def draw_status(view: StatusView, width: int) -> Line:
    """Give the status line: where, filters, notes, and counts at the right."""
    left: list[Span] = [Span(" ")]
    for at, crumb in enumerate(view.crumbs):
        last = at == len(view.crumbs) - 1
        left.append(Span(_cut(crumb, 40), Tone.STRONG if last else Tone.DIM))
        if not last:
            left.append(Span(" > ", Tone.DIM))
    for kind, terms in (("server", view.server), ("view", view.view)):
        for term in terms:
            left += [Span("  "), Span(f"[{kind} {_cut(term, 40)}]", Tone.ACCENT)]
    for note in view.notes:
        left += [Span("  "), note]
    return _spread(tuple(left), (Span(view.counts, Tone.DIM), Span(" ")), width)


def draw_footer(hints: tuple[KeyHint, ...], width: int) -> Line:
    """Give as many keys as fit, in order of importance; the last one always shows."""
    spans: list[Span] = [Span(" ")]
    used = 1
    room = width - sum(len(hint.key) + len(hint.label) + 4 for hint in hints[-1:])
    for at, hint in enumerate(hints):
        room = width if at == len(hints) - 1 else room
        needed = len(hint.key) + len(hint.label) + 4
        if used + needed > room:
            continue
        used += needed
        tone = Tone.KEY if hint.enabled else Tone.DIM
        spans += [Span(f"<{hint.key}>", tone), Span(f" {hint.label} ", Tone.DIM)]
    return tuple(spans)


def _spread(left: Line, right: Line, width: int) -> Line:
    """Put one part at each side; the left one is cut when both do not fit."""
    room = width - width_of(plain(right))
    kept: list[Span] = []
    used = 0
    for span in left:
        text = clean(span.text)
        length = width_of(text)
        if used + length > room:
            kept.append(Span(fit(text, max(0, room - used)), span.tone))
            used = room
            break
        kept.append(Span(text, span.tone))
        used += length
    return (*kept, Span(" " * max(0, room - used)), *right)


def _cut(text: str, width: int) -> str:
    text = clean(text)
    return fit(text, width) if width_of(text) > width else text
