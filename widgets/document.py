"""Text to read: headings, prose, YAML, trees. Wraps to the width and never parses markup.

Some lines are stops: they carry a `target` (a rule, a fix, a section) that the cursor can stand on.
A document without stops scrolls; with stops, the cursor goes from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from widgets.motion import Motion, stepped
from widgets.spans import (
    TONE_CLASSES,
    TONE_CSS,
    Line,
    Span,
    Styles,
    Tone,
    line,
    plain,
    strip_of,
    tone_styles,
    width_of,
    wrap,
)
from widgets.sturdy import Sturdy

_STEP = 1
_SIDE_STEP = 8


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One line of a document; `indent` is for what wraps, `target` makes it a stop."""

    spans: Line = ()
    indent: int = 0
    target: str = ""
    wraps: bool = True


def paragraph(*parts: str | Span, indent: int = 0, target: str = "") -> Paragraph:
    """Make a paragraph; bare strings are plain."""
    return Paragraph(line(*parts), indent, target)


def heading(text: str) -> Paragraph:
    """Make a heading."""
    return Paragraph((Span(text, Tone.HEADING),))


@dataclass(frozen=True, slots=True)
class _Drawn:
    spans: Line
    paragraph: int


class Document(Sturdy, ScrollView, can_focus=True):
    """Paragraphs, wrapped to the width, with a search, and a cursor over the stops if wanted."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "document--cursor",
        "document--found",
        *TONE_CLASSES,
    }
    DEFAULT_CSS = (
        "Document {"
        + TONE_CSS
        + """
        padding: 0 1;
        scrollbar-gutter: stable;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
        & > .document--cursor { background: $foreground 20%; text-style: bold; }
        &:focus > .document--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: bold;
        }
        & > .document--found { text-style: reverse; }
    }
    """
    )

    class Moved(Message):
        """The cursor stands on another stop."""

        def __init__(self, document: Document) -> None:
            self.document = document
            super().__init__()

    class Opened(Message):
        """The stop under the cursor was clicked, or any stop of a text without a cursor."""

        def __init__(self, document: Document, target: str) -> None:
            self.document = document
            self.target = target
            super().__init__()

        @property
        def control(self) -> Document:
            """The text it happened in."""
            return self.document

    def __init__(
        self,
        paragraphs: tuple[Paragraph, ...] = (),
        *,
        cursor: bool = True,
        id: str | None = None,  # noqa: A002  # Textual's own name
    ) -> None:
        super().__init__(id=id)
        self._has_cursor = cursor
        self._paragraphs = paragraphs
        self._drawn: list[_Drawn] = []
        self._width = 0
        self._stop = 0
        self._sought = ""
        self._wraps = True
        self._styles: Styles = {}
        self._base = Style.null()

    @property
    def paragraphs(self) -> tuple[Paragraph, ...]:
        """What is shown."""
        return self._paragraphs

    @property
    def text(self) -> str:
        """The whole text, one paragraph a line, as it would be copied."""
        return "\n".join(plain(one.spans) for one in self._paragraphs)

    @property
    def target(self) -> str:
        """The target of the stop under the cursor; empty without stops."""
        stops = self._stops()
        return self._paragraphs[stops[min(self._stop, len(stops) - 1)]].target if stops else ""

    def show(self, paragraphs: tuple[Paragraph, ...], *, keep_place: bool = True) -> None:
        """Replace the text. The cursor stays on its target if that is still there."""
        target = self.target
        self._paragraphs = paragraphs
        targets = [paragraphs[at].target for at in self._stops()]
        self._stop = targets.index(target) if target in targets else 0
        self._wrap()
        if not keep_place:
            self._stop = 0
            self.scroll_to(x=0, y=0, animate=False, immediate=True)

    def set_wrap(self, *, wraps: bool) -> None:
        """Wrap long lines, or cut them and scroll sideways."""
        self._wraps = wraps
        self._wrap()

    def select(self, target: str) -> bool:
        """Put the cursor on a stop; False when there is none of that target."""
        targets = [self._paragraphs[at].target for at in self._stops()]
        if target not in targets:
            return False
        self._go(targets.index(target))
        return True

    @property
    def top(self) -> int:
        """The first line in view."""
        return round(self.scroll_y)

    def return_to(self, target: str, top: int) -> None:
        """Put cursor and view back where they were; to be called when the size is known."""
        targets = [self._paragraphs[at].target for at in self._stops()]
        if target in targets:
            self._stop = targets.index(target)
        self.scroll_to(y=top, animate=False, immediate=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Go to a stop that is clicked; a click on the cursor opens it."""
        at = self.top + event.y
        number = self._drawn[at].paragraph if at < len(self._drawn) else None
        if number is None or not (target := self._paragraphs[number].target):
            return
        stops = self._stops()
        if not stops or stops[min(self._stop, len(stops) - 1)] == number:
            self.post_message(self.Opened(self, target))
        else:
            self._go(stops.index(number))

    def show_paragraph(self, number: int) -> None:
        """Scroll so that a paragraph (0-based) stands near the top."""
        for y, drawn in enumerate(self._drawn):
            if drawn.paragraph >= number:
                self.scroll_to(y=max(0, y - 3), animate=False, immediate=True)
                return

    def search(self, text: str) -> None:
        """Mark every line that holds `text`, whatever its case; empty marks none."""
        self._sought = text.casefold()
        self.refresh()

    def search_next(self, *, back: bool = False) -> bool:
        """Scroll to the next line found, around the end; False when there is none."""
        found = [y for y, drawn in enumerate(self._drawn) if self._holds(drawn)]
        if not found:
            return False
        top = round(self.scroll_y)
        if back:
            target = max((y for y in found if y < top), default=found[-1])
        else:
            target = min((y for y in found if y > top), default=found[0])
        self.scroll_to(y=target, animate=False, immediate=True)
        return True

    def move(self, motion: Motion) -> None:
        """Move the cursor from stop to stop, or scroll where there is none."""
        height = self.scrollable_content_region.height
        if motion in (Motion.LEFT, Motion.RIGHT):
            step = _SIDE_STEP if motion is Motion.RIGHT else -_SIDE_STEP
            self.scroll_to(x=self.scroll_x + step, animate=False, immediate=True)
        elif motion in (Motion.UP, Motion.DOWN) and self._stops():
            self._step(motion)
        else:
            count = max(1, len(self._drawn) - height + 1)
            y = stepped(motion, round(self.scroll_y), count=count, page=height)
            self.scroll_to(y=y, animate=False, immediate=True)

    def _step(self, motion: Motion) -> None:
        """Go to the next stop, but scroll a line when that is more than a screen away."""
        stops = self._stops()
        target = self._stop + (1 if motion is Motion.DOWN else -1)
        top, height = round(self.scroll_y), self.scrollable_content_region.height
        if 0 <= target < len(stops):
            y = self._first_line(stops[target])
            if top - height < y < top + 2 * height:
                self._go(target)
                return
        step = _STEP if motion is Motion.DOWN else -_STEP
        self.scroll_to(y=top + step, animate=False, immediate=True)

    def _go(self, stop: int) -> None:
        self._stop = stop
        y = self._first_line(self._stops()[stop])
        top, height = round(self.scroll_y), self.scrollable_content_region.height
        if not top <= y < top + height:
            target = y - height + 2 if y > top else max(0, y - 1)
            self.scroll_to(y=target, animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved(self))

    def _stops(self) -> list[int]:
        if not self._has_cursor:
            return []
        return [at for at, one in enumerate(self._paragraphs) if one.target]

    def _first_line(self, number: int) -> int:
        return next((y for y, drawn in enumerate(self._drawn) if drawn.paragraph == number), 0)

    def _holds(self, drawn: _Drawn) -> bool:
        return bool(self._sought) and self._sought in plain(drawn.spans).casefold()

    def _wrap(self) -> None:
        self._width = max(1, self.scrollable_content_region.width)
        self._drawn = [
            _Drawn(piece, number)
            for number, one in enumerate(self._paragraphs)
            for piece in self._pieces(one)
        ]
        uncut = (one for one in self._paragraphs if not (self._wraps and one.wraps))
        longest = max((width_of(plain(one.spans)) for one in uncut), default=0)
        self.virtual_size = Size(max(longest, self._width), len(self._drawn))
        self.refresh()

    def _pieces(self, one: Paragraph) -> list[Line]:
        if not self._wraps or not one.wraps:
            return [one.spans]
        return wrap(one.spans, self._width, one.indent)

    def on_mount(self) -> None:
        """Wait for the first size."""
        self._wrap()

    def on_resize(self, _event: events.Resize) -> None:
        """Wrap to the new width."""
        self._wrap()

    def notify_style_update(self) -> None:
        """Forget the styles of another theme."""
        super().notify_style_update()
        self._styles = {}

    def render_line(self, y: int) -> Strip:
        """Draw one line of the view."""
        if not self._styles:
            self._styles, self._base = tone_styles(self), self.rich_style
        base = self._base
        left, top = round(self.scroll_x), round(self.scroll_y)
        index = top + y
        if index >= len(self._drawn):
            return Strip.blank(self._width, base)
        drawn = self._drawn[index]
        strip = strip_of(drawn.spans, self._styles, self.virtual_size.width, base)
        if (target := self._paragraphs[drawn.paragraph].target) and target == self.target:
            style = self.get_component_rich_style("document--cursor")
            strip = Strip([Segment(text, style) for text, _, _ in strip])
        elif self._holds(drawn):
            style = self.get_component_rich_style("document--found", partial=True)
            strip = strip.apply_style(style)
        return strip.crop_extend(left, left + self._width, base)
