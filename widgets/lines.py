"""A few fixed lines: header, status, footer, a title."""

from __future__ import annotations

from typing import ClassVar

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from widgets.spans import TONE_CLASSES, TONE_CSS, Line, Styles, strip_of, tone_styles
from widgets.sturdy import Sturdy


class Lines(Sturdy, Widget):
    """Lines of spans at their own height, cut at the right."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    DEFAULT_CSS = "Lines {" + TONE_CSS + "height: auto; width: 1fr; }"

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
