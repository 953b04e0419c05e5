"""Text with a meaning instead of a colour, and the only way it becomes something to draw.

A view-model is made of `Span`s: literal text and a `Tone`. Nothing in it is ever parsed as markup,
and `segments` cleans each text once more, so that no widget can let a control character through
even if an adapter did. Themes decide what a tone looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from app.core.text import clean

ELLIPSIS = "…"


class Tone(StrEnum):
    """What a piece of text is for."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    ACCENT = "accent"
    KEY = "key"
    HEADING = "heading"
    BADGE = "badge"
    MARK = "mark"
    HUE_1 = "hue-1"
    HUE_2 = "hue-2"
    HUE_3 = "hue-3"
    HUE_4 = "hue-4"
    HUE_5 = "hue-5"
    HUE_6 = "hue-6"


HUES = (Tone.HUE_1, Tone.HUE_2, Tone.HUE_3, Tone.HUE_4, Tone.HUE_5, Tone.HUE_6)
"""Tones without a meaning, to tell things apart; none is the colour of a verdict."""


@dataclass(frozen=True, slots=True)
class Span:
    """Literal text with its tone."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]

BLANK: Line = ()


def line(*parts: str | Span) -> Line:
    """Make a line; bare strings are plain."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def plain(spans: Line) -> str:
    """Give the text of a line without tones."""
    return "".join(span.text for span in spans)


def width_of(text: str) -> int:
    """Count terminal cells; wide characters take two."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Make cleaned `text` exactly `width` cells wide: padded, or cut with an ellipsis."""
    length = width_of(text)
    if length == width:
        return text
    if length < width:
        gap = " " * (width - length)
        return gap + text if right else text + gap
    if width <= 1:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + ELLIPSIS


TONE_CLASSES = frozenset(f"tone--{tone}" for tone in Tone)

TONE_CSS = """
    & > .tone--plain { color: $foreground; }
    & > .tone--strong { color: $foreground; text-style: bold; }
    & > .tone--dim { color: $foreground-muted; }
    & > .tone--good { color: $text-success; }
    & > .tone--bad { color: $text-error; text-style: bold; }
    & > .tone--warn { color: $text-warning; }
    & > .tone--accent { color: $text-accent; }
    & > .tone--key { color: $text-primary; text-style: bold; }
    & > .tone--heading { color: $text-primary; text-style: bold; }
    & > .tone--badge { text-style: reverse bold; }
    & > .tone--mark { background: $warning 25%; color: $foreground; text-style: bold; }
    & > .tone--hue-1 { background: #1f5fa8; color: #ffffff; text-style: bold; }
    & > .tone--hue-2 { background: #7b4fa6; color: #ffffff; text-style: bold; }
    & > .tone--hue-3 { background: #0f7173; color: #ffffff; text-style: bold; }
    & > .tone--hue-4 { background: #8a5a2b; color: #ffffff; text-style: bold; }
    & > .tone--hue-5 { background: #9c3d78; color: #ffffff; text-style: bold; }
    & > .tone--hue-6 { background: #566373; color: #ffffff; text-style: bold; }
"""
"""Rules for the body of a widget's DEFAULT_CSS whose COMPONENT_CLASSES hold `TONE_CLASSES`."""

Styles = Mapping[Tone, Style]


def tone_styles(widget: Widget) -> dict[Tone, Style]:
    """Give the present theme's styles, over the widget's own background."""
    base = widget.rich_style
    return {
        tone: base + widget.get_component_rich_style(f"tone--{tone}", partial=True) for tone in Tone
    }


def segments(spans: Iterable[Span], styles: Styles) -> Iterator[Segment]:
    """Turn spans into segments. This is the last gate before the terminal: it cleans."""
    for span in spans:
        yield Segment(clean(span.text), styles[span.tone])


def strip_of(spans: Line, styles: Styles, width: int, base: Style) -> Strip:
    """Draw a line at exactly `width` cells, without an ellipsis."""
    return Strip(segments(spans, styles)).adjust_cell_length(width, base)


def wrap(spans: Line, width: int, indent: int = 0) -> list[Line]:
    """Break a line at blanks into pieces of at most `width` cells; later ones are indented."""
    cleaned = tuple(Span(clean(span.text), span.tone) for span in spans)
    if width_of(plain(cleaned)) <= width:
        return [cleaned]
    indent = min(indent, max(0, width // 2))
    pieces: list[Line] = []
    current: list[Span] = []
    used = 0
    for word in _words(cleaned, max(1, width - indent)):
        length = width_of(word.text)
        if used + width_of(word.text.rstrip(" ")) > width:
            pieces.append(tuple(current))
            current, used = [Span(" " * indent)] if indent else [], indent
        current.append(word)
        used += length
    pieces.append(tuple(current))
    return pieces


def _words(spans: Line, limit: int) -> Iterator[Span]:
    """Split into words with the blanks that follow them; longer ones into pieces of `limit`."""
    for span in spans:
        start = 0
        text = span.text
        while start < len(text):
            blank = text.find(" ", start)
            end = len(text) if blank < 0 else blank + 1
            while end < len(text) and text[end] == " ":
                end += 1
            yield from _pieces(text[start:end], span.tone, limit)
            start = end


def _pieces(word: str, tone: Tone, limit: int) -> Iterator[Span]:
    """Cut a word into pieces of at most `limit` cells; blanks at its end may stick out."""
    solid = word.rstrip(" ")
    if width_of(solid) <= limit:
        yield Span(word, tone)
        return
    start = used = 0
    for at, character in enumerate(solid):
        width = width_of(character)
        if used + width > limit and at > start:
            yield Span(word[start:at], tone)
            start, used = at, 0
        used += width
    yield Span(word[start:], tone)
