"""A grid that follows the newest row until the reader looks back.

Looking back (a step up, the wheel, the scroll bar) posts `Released`; whoever owns the rows then
gives a picture of them that stands still, and `follow` again to go on.
"""

from __future__ import annotations

from textual.message import Message

from widgets.grid import Column, Grid, Rows
from widgets.marks import UNICODE, Marks
from widgets.motion import Motion
from widgets.spans import Line

_BACK = (Motion.UP, Motion.PAGE_UP, Motion.HALF_UP, Motion.TOP)


class Stream(Grid):
    """Rows that grow at the end. While following, the cursor is on the last row."""

    class Released(Message):
        """The reader looked back; following has stopped."""

        def __init__(self, stream: Stream) -> None:
            self.stream = stream
            super().__init__()

    class Resumed(Message):
        """The reader went to the end on purpose; following has begun again."""

        def __init__(self, stream: Stream) -> None:
            self.stream = stream
            super().__init__()

    def __init__(
        self,
        columns: tuple[Column, ...],
        *,
        marks: Marks = UNICODE,
        id: str | None = None,  # noqa: A002  # Textual's own name
    ) -> None:
        super().__init__(columns, marks=marks, id=id)
        self._following = True
        self._own_scroll = False

    @property
    def following(self) -> bool:
        """Whether the newest row is kept in view."""
        return self._following

    def show_stream(self, rows: Rows, *, empty: tuple[Line, ...] = ()) -> None:
        """Show the rows as they are now; a row of the same key looks the same as before."""
        self._own_scroll = True
        try:
            self.show(rows, empty=empty, redraw=False)
            if self._following:
                self._to_end()
        finally:
            self._own_scroll = False

    def follow(self) -> None:
        """Go to the newest row and stay there."""
        self._following = True
        self._own_scroll = True
        try:
            self._to_end()
        finally:
            self._own_scroll = False
        self.refresh()

    def stand(self) -> None:
        """Stand still from the beginning, as one who comes back to rows that did."""
        self._following = False

    def release(self) -> None:
        """Stop following; the view stays where it is."""
        if self._following:
            self._following = False
            self.post_message(self.Released(self))

    def move(self, motion: Motion) -> None:
        """Move the cursor; a step back releases, the end follows again."""
        if motion in _BACK:
            self.release()
        if motion is Motion.BOTTOM and not self._following:
            self._following = True
            self.post_message(self.Resumed(self))
        super().move(motion)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Release when the wheel or the scroll bar goes back."""
        super().watch_scroll_y(old_value, new_value)
        if not self._own_scroll and new_value < min(old_value, self.max_scroll_y):
            self.release()

    def _to_end(self) -> None:
        last = len(self.rows) - 1
        if last < 0:
            return
        key = self.rows.key(last)
        moved = key != self._cursor_key
        self._cursor, self._cursor_key = last, key
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True)
        if moved:
            self.post_message(self.Moved(self))
