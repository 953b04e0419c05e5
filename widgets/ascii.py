"""For terminals and fonts that draw nothing but ASCII: the last filter over every line."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from widgets.spans import width_of

_LOOKALIKES = str.maketrans(
    {
        "…": "~",
        "·": ".",
        "→": ">",
        "←": "<",
        "↑": "^",
        "↓": "v",
        "│": "|",
        "▏": "|",
        "─": "-",
        "▎": "|",
        "▁": "_",
        "█": "#",
    }
)


class AsciiOnly(LineFilter):
    """Replaces what is not ASCII by something of the same width: a look-alike, or `?`."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Give the segments of one line in ASCII."""
        del background
        return [
            segment if segment.text.isascii() else Segment(to_ascii(segment.text), segment.style)
            for segment in segments
        ]


def to_ascii(text: str) -> str:
    """Give `text` in ASCII, as wide as it was."""
    return "".join(
        character if character.isascii() else "?" * width_of(character)
        for character in text.translate(_LOOKALIKES)
    )
