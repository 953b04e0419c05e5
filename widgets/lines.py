"""A few fixed lines: header, status, footer, a title."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from app.core.text import clean
from widgets.spans import TONE_CLASSES, TONE_CSS, Line, Styles, strip_of, tone_styles, width_of
from widgets.sturdy import Sturdy


class Lines(Sturdy, Widget):
    """Lines of spans at their own height, cut at the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    DEFAULT_CSS = "Lines {" + TONE_CSS + "height: auto; width: 1fr; }"

    class Clicked(Message):
        """A place in the lines was clicked; `span` is what is drawn there, by its position."""

        def __init__(self, lines: Lines, line: int, span: int) -> None:
            self.lines = lines
            self.line = line
            self.span = span
            super().__init__()

        @property
        def control(self) -> Lines:
            """The lines it happened in."""
            return self.lines

        @property
        def key(self) -> str:
            """The key whose hint was clicked: `x` of `<x> why`; empty elsewhere."""
            spans = self.lines.lines[self.line][: self.span + 1][::-1]
            texts = (span.text.strip() for span in spans[:2])
            found = (text[1:-1] for text in texts if text[:1] == "<" and text[-1:] == ">")
            return next(found, "")

    def __init__(
        self,
        lines: tuple[Line, ...] = (),
        *,
        id: str | None = None,  # noqa: A002  # Textual's own name
    ) -> None:
        super().__init__(id=id)
        self._lines = lines
        self._styles: Styles = {}

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def show(self, lines: tuple[Line, ...]) -> None:
        """Replace the lines; draws only when they differ."""
        if lines == self._lines:
            return
        grows = len(lines) != len(self._lines)
        self._lines = lines
        self.refresh(layout=grows)

    def get_content_height(self, _container: Size, _viewport: Size, _width: int) -> int:
        """Give as many rows as there are lines."""
        return len(self._lines)

    def on_click(self, event: events.Click) -> None:
        """Say what was clicked."""
        if event.y >= len(self._lines):
            return
        right = 0
        for at, span in enumerate(self._lines[event.y]):
            right += width_of(clean(span.text))
            if event.x < right:
                self.post_message(self.Clicked(self, event.y, at))
                return

    def notify_style_update(self) -> None:
        """Forget the styles of another theme."""
        super().notify_style_update()
        self._styles = {}

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        if not self._styles:
            self._styles = tone_styles(self)
        width, base = self.size.width, self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, base)
        return strip_of(self._lines[y], self._styles, width, base)
