"""A table that draws only the rows on screen, however many there are.

`DataTable` costs time for every row it holds; a stream of flows asks for the opposite. A `Grid` is
given `Rows`, which make the cells of one row when it is drawn, so replacing all rows costs nothing
and the cursor stays on its key. `widgets.stream` adds following.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from app.core.text import clean
from widgets.marks import UNICODE, Marks
from widgets.motion import Motion, stepped
from widgets.spans import (
    TONE_CLASSES,
    TONE_CSS,
    Line,
    Span,
    Styles,
    fit,
    plain,
    segments,
    strip_of,
    tone_styles,
    width_of,
    wrap,
)
from widgets.sturdy import Sturdy

GAP = 1
"""Blank cells between columns."""
GUTTER = 1
"""Blank cells left of the first column."""
KEPT_STRIPS = 512
"""Drawn rows kept: a few screens' worth."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. With `flex` it takes that share of the cells that are left over.

    Columns with the highest `rank` give way first when the grid is narrow; rank 0 never does.
    `wide` ones appear in wide mode only, where nothing gives way and the grid scrolls sideways.
    """

    key: str
    title: str
    width: int
    flex: int = 0
    rank: int = 0
    right: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its lasting key, how to draw it, and what a column sorts it by.

    Both are asked for when they are needed: most rows of a long table are never drawn.
    """

    key: Hashable
    draw: Callable[[], tuple[Line, ...]]
    sort: Callable[[int], str | float] | None = None


class Rows(Protocol):
    """Rows by position. Cells are asked for when a row is drawn."""

    def __len__(self) -> int: ...

    def key(self, index: int) -> Hashable:
        """The row's lasting key."""
        ...

    def cells(self, index: int) -> tuple[Line, ...]:
        """A line for every column, in the grid's order."""
        ...

    def find(self, key: Hashable) -> int | None:
        """Where the row is now; None when it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows that are all there, as inventories have them."""

    rows: tuple[Row, ...] = ()
    _places: dict[Hashable, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {row.key: at for at, row in enumerate(self.rows)})

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> Hashable:
        """Give the key at a position."""
        return self.rows[index].key

    def cells(self, index: int) -> tuple[Line, ...]:
        """Give the cells at a position."""
        return self.rows[index].draw()

    def find(self, key: Hashable) -> int | None:
        """Find a key's position."""
        return self._places.get(key)


def sort_rows(rows: Iterable[Row], column: int, *, descending: bool = False) -> TableRows:
    """Sort by one column's value; equal rows keep their order."""
    return TableRows(
        tuple(sorted(rows, key=lambda row: _sort_value(row, column), reverse=descending))
    )


def _sort_value(row: Row, column: int) -> tuple[int, float, str]:
    value = row.sort(column) if row.sort else plain(row.draw()[column])
    if isinstance(value, str):
        return (1, 0.0, value)
    return (0, value, "")


def lay_out(columns: tuple[Column, ...], width: int, *, wide: bool) -> tuple[tuple[int, int], ...]:
    """Choose which columns show and how wide each is: (index, cells), in order."""
    shown = [at for at, column in enumerate(columns) if wide or not column.wide]
    while not wide and len(shown) > 1 and _needed(columns, shown) > width:
        victim = max(shown, key=lambda at: (columns[at].rank, at))
        if columns[victim].rank == 0:
            break
        shown.remove(victim)
    spare = max(0, width - _needed(columns, shown))
    shares = sum(columns[at].flex for at in shown)
    laid: list[tuple[int, int]] = []
    for at in shown:
        extra = spare * columns[at].flex // shares if shares else 0
        spare -= extra
        shares -= columns[at].flex
        laid.append((at, columns[at].width + extra))
    return tuple(laid)


def _needed(columns: tuple[Column, ...], shown: list[int]) -> int:
    return GUTTER + sum(columns[at].width for at in shown) + GAP * max(0, len(shown) - 1)


def fit_line(cell: Line, width: int, *, right: bool = False) -> list[Span]:
    """Make a cell exactly `width` cells wide, with an ellipsis when it is cut."""
    if len(cell) == 1:
        return [Span(fit(clean(cell[0].text), width, right=right), cell[0].tone)]
    spans: list[Span] = []
    left = width
    for span in cell:
        text = clean(span.text)
        if (length := width_of(text)) > left:
            spans.append(Span(fit(text, left), span.tone))
            return spans
        spans.append(Span(text, span.tone))
        left -= length
    if left:
        blanks = Span(" " * left)
        return [blanks, *spans] if right else [*spans, blanks]
    return spans


class Grid(Sturdy, ScrollView, can_focus=True):
    """Rows under a header line, with a cursor that follows its row's key."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--cursor", "grid--header", *TONE_CLASSES}
    DEFAULT_CSS = (
        "Grid {"
        + TONE_CSS
        + """
        overflow-y: scroll;
        overflow-x: auto;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
        & > .grid--header { color: $foreground-muted; text-style: bold; }
        & > .grid--cursor { background: $foreground 25%; text-style: bold; }
        &:focus > .grid--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: bold;
        }
    }
    """
    )

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, grid: Grid) -> None:
            self.grid = grid
            super().__init__()

        @property
        def control(self) -> Grid:
            """The grid it happened in."""
            return self.grid

    class Opened(Message):
        """A row was clicked while the cursor was on it."""

        def __init__(self, grid: Grid) -> None:
            self.grid = grid
            super().__init__()

        @property
        def control(self) -> Grid:
            """The grid it happened in."""
            return self.grid

    class Titled(Message):
        """The title of a column was clicked; `column` is its position."""

        def __init__(self, grid: Grid, column: int) -> None:
            self.grid = grid
            self.column = column
            super().__init__()

        @property
        def control(self) -> Grid:
            """The grid it happened in."""
            return self.grid

    def __init__(
        self,
        columns: tuple[Column, ...],
        *,
        marks: Marks = UNICODE,
        id: str | None = None,  # noqa: A002  # Textual's own name
    ) -> None:
        super().__init__(id=id)
        self.marks = marks
        self._columns = columns
        self._rows: Rows = TableRows()
        self._empty: tuple[Line, ...] = ()
        self._wide = False
        self._sorted: tuple[str, bool] | None = None
        self._cursor = 0
        self._cursor_key: Hashable = None
        self._layout: tuple[tuple[int, int], ...] = ()
        self._strips: LRUCache[tuple[Hashable, bool], Strip] = LRUCache(KEPT_STRIPS)
        self._styles: Styles = {}
        self._base = Style.null()

    @property
    def rows(self) -> Rows:
        """What is shown."""
        return self._rows

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column, also those that do not fit."""
        return self._columns

    @property
    def cursor_key(self) -> Hashable:
        """The key of the row under the cursor; None when there are no rows."""
        return self._cursor_key if len(self._rows) else None

    @property
    def cursor(self) -> int:
        """The position of the cursor."""
        return self._cursor

    @property
    def wide(self) -> bool:
        """Whether every column is shown."""
        return self._wide

    def show(
        self,
        rows: Rows,
        *,
        empty: tuple[Line, ...] = (),
        sorted_by: tuple[str, bool] | None = None,
        redraw: bool = True,
    ) -> None:
        """Replace all rows. The cursor stays on its key, or near its place when that is gone.

        `empty` says why there are none. With `redraw` False, rows of the same key are known to
        look the same and stay drawn.
        """
        self._rows = rows
        self._empty = empty
        self._sorted = sorted_by
        if redraw:
            self._strips.clear()
        self._resize_content()
        self._place_cursor()
        self.refresh()

    def set_columns(self, columns: tuple[Column, ...]) -> None:
        """Take other columns, for rows that are shown next."""
        if columns != self._columns:
            self._columns = columns
            self._relayout()

    def forget(self) -> None:
        """Draw every row anew the next time."""
        self._strips.clear()
        self.refresh()

    @property
    def top(self) -> int:
        """The position of the first row in view."""
        return round(self.scroll_y)

    def return_to(self, key: Hashable, top: int) -> None:
        """Put the cursor back on a row and the view where it was, as far as both are still there.

        To be called when the size is known.
        """
        index = self._rows.find(key) if key is not None else None
        if index is not None:
            self._cursor, self._cursor_key = index, key
        self.scroll_to(y=top, animate=False, immediate=True)
        self._scroll_to_cursor()
        self.refresh()
        self.post_message(self.Moved(self))

    def set_wide(self, *, wide: bool) -> None:
        """Show all columns and scroll sideways, or the most important ones that fit."""
        self._wide = wide
        self._relayout()

    def select(self, key: Hashable) -> bool:
        """Put the cursor on a row; False when it is not there."""
        index = self._rows.find(key)
        if index is None:
            return False
        self._go(index)
        return True

    def move(self, motion: Motion) -> None:
        """Move the cursor, or scroll sideways."""
        if motion in (Motion.LEFT, Motion.RIGHT):
            step = 8 if motion is Motion.RIGHT else -8
            self.scroll_to(x=self.scroll_x + step, animate=False, immediate=True)
            return
        if len(self._rows):
            page = self.scrollable_content_region.height - 1
            self._go(stepped(motion, self._cursor, count=len(self._rows), page=page))

    def _go(self, index: int) -> None:
        key = self._rows.key(index)
        changed = key != self._cursor_key
        self._cursor, self._cursor_key = index, key
        self._scroll_to_cursor()
        self.refresh()
        if changed:
            self.post_message(self.Moved(self))

    def _place_cursor(self) -> None:
        if not len(self._rows):
            self._cursor = 0
            return
        found = None if self._cursor_key is None else self._rows.find(self._cursor_key)
        index = min(self._cursor, len(self._rows) - 1) if found is None else found
        key = self._rows.key(index)
        moved = key != self._cursor_key
        on_screen = 0 <= self._cursor - round(self.scroll_y) < self._page()
        self._cursor, self._cursor_key = index, key
        if on_screen:
            self._scroll_to_cursor()
        if moved:
            self.post_message(self.Moved(self))

    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - 1)

    def _scroll_to_cursor(self) -> None:
        top = round(self.scroll_y)
        page = self._page()
        if self._cursor < top:
            target = self._cursor
        elif self._cursor >= top + page:
            target = self._cursor - page + 1
        else:
            return
        self.scroll_to(y=target, animate=False, immediate=True)

    def _relayout(self) -> None:
        width = self.scrollable_content_region.width
        # Before the first size there is nothing to choose columns for.
        self._layout = lay_out(self._columns, width, wide=self._wide) if width > 0 else ()
        self._strips.clear()
        self._resize_content()
        self.refresh()

    def _resize_content(self) -> None:
        gaps = GAP * max(0, len(self._layout) - 1)
        width = GUTTER + sum(cells for _, cells in self._layout) + gaps
        if not self._wide:
            width = min(width, self.scrollable_content_region.width)
        size = Size(max(0, width), len(self._rows) + 1)
        if size != self.virtual_size:
            self.virtual_size = size

    def on_mount(self) -> None:
        """Wait for the first size."""
        self._relayout()

    def on_resize(self, _event: events.Resize) -> None:
        """Choose columns for the new width and keep the cursor in view."""
        self._relayout()
        self._scroll_to_cursor()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to a clicked row; a click on the cursor opens it."""
        if event.y == 0:
            self._click_title(event.x + round(self.scroll_x))
            return
        index = round(self.scroll_y) + event.y - 1
        if event.y < 1 or not 0 <= index < len(self._rows):
            return
        if index == self._cursor:
            self.post_message(self.Opened(self))
        self._go(index)

    def _click_title(self, x: int) -> None:
        right = GUTTER
        for at, cells in self._layout:
            right += cells + GAP
            if x < right:
                self.post_message(self.Titled(self, at))
                return

    def notify_style_update(self) -> None:
        """Forget what was drawn in another theme."""
        super().notify_style_update()
        self._strips.clear()
        self._styles = {}

    def render_line(self, y: int) -> Strip:
        """Draw one line of the widget: the header, a row, or why there are none."""
        width = self.scrollable_content_region.width
        if not self._styles:
            self._styles, self._base = tone_styles(self), self.rich_style
        base = self._base
        if y == 0:
            strip = self._draw_header()
        elif not len(self._rows):
            return self._draw_empty(y - 1, width, base)
        else:
            index = round(self.scroll_y) + y - 1
            if index >= len(self._rows):
                return Strip.blank(width, base)
            strip = self._draw_row(index)
        left = round(self.scroll_x)
        return strip.crop_extend(left, left + width, base)

    def _draw_header(self) -> Strip:
        spans = [Segment(" ")]
        style = self._base + self.get_component_rich_style("grid--header", partial=True)
        for at, cells in self._layout:
            column = self._columns[at]
            title = column.title
            if self._sorted and self._sorted[0] == column.key:
                title += (
                    (" v" if self._sorted[1] else " ^")
                    if self.marks.ascii
                    else (" ↓" if self._sorted[1] else " ↑")
                )
            spans.append(Segment(fit(title, cells, right=column.right) + " "))
        return Strip(Segment.apply_style(spans, style))

    def _draw_empty(self, at: int, width: int, base: Style) -> Strip:
        pieces = [piece for text in self._empty for piece in wrap(text, max(1, width - 4), 2)]
        if not 0 <= at - 1 < len(pieces):
            return Strip.blank(width, base)
        return strip_of((Span("  "), *pieces[at - 1]), self._styles, width, base)

    def _draw_row(self, index: int) -> Strip:
        key = self._rows.key(index)
        at_cursor = index == self._cursor
        cached = self._strips.get((key, at_cursor))
        if cached is not None:
            return cached
        strip = Strip(self._row_segments(index))
        if at_cursor:
            cursor = self.get_component_rich_style("grid--cursor")
            strip = Strip([Segment(text, cursor) for text, _, _ in strip])
        self._strips[(key, at_cursor)] = strip
        return strip

    def _row_segments(self, index: int) -> list[Segment]:
        cells = self._rows.cells(index)
        blank = Segment(" ", self._base)
        drawn = [blank]
        for at, width in self._layout:
            fitted = fit_line(cells[at], width, right=self._columns[at].right)
            drawn.extend(segments(fitted, self._styles))
            drawn.append(blank)
        return drawn
