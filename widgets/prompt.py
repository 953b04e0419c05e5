"""One line of input at the foot of the screen: a command after `:`, a filter after `/`."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.timer import Timer
from textual.widgets import Input

from app.core.text import clean
from widgets.lines import Lines
from widgets.spans import Span, Tone

QUIET_S = 0.1
"""Seconds without a keystroke before a filter is tried."""

Complete = Callable[[str], str | None]
"""From what was typed to what it could become (which begins with it); None for nothing."""


class _Ghost(Suggester):
    def __init__(self, complete: Complete) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        """Ask the owner; what it gives is shown as typed text would be, so it is cleaned."""
        suggested = self._complete(value)
        return None if suggested is None else clean(suggested)


class Prompt(Horizontal):
    """Hidden until opened. Escape closes it; what was typed is then given up."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Close", show=False),
        Binding("tab", "accept", "Complete", show=False),
        Binding("up", "recall(-1)", "Before", show=False),
        Binding("down", "recall(1)", "After", show=False),
    ]
    DEFAULT_CSS = """
    Prompt {
        height: 1; width: 1fr; display: none; background: $panel;
        Lines { width: 3; }
        Input { border: none; height: 1; padding: 0; background: $panel; width: 1fr; }
    }
    """

    class Submitted(Message):
        """Enter was pressed."""

        def __init__(self, mode: str, text: str) -> None:
            self.mode = mode
            self.text = text
            super().__init__()

    class Changed(Message):
        """The text rests for a moment; sent for filters, which apply while typing."""

        def __init__(self, mode: str, text: str) -> None:
            self.mode = mode
            self.text = text
            super().__init__()

    class Cancelled(Message):
        """Escape was pressed."""

        def __init__(self, mode: str) -> None:
            self.mode = mode
            super().__init__()

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's own name
        super().__init__(id=id)
        self.mode = ""
        self._timer: Timer | None = None
        self._past: tuple[str, ...] = ()
        self._recalled = 0

    def compose(self) -> ComposeResult:
        """Lay out the mark and the input."""
        yield Lines()
        yield Input(compact=True, select_on_focus=False)

    @property
    def is_open(self) -> bool:
        """Whether the prompt has the keyboard."""
        return bool(self.display)

    def open(self, mode: str, text: str, complete: Complete, *, past: tuple[str, ...] = ()) -> None:
        """Show the prompt for `:` or `/` with a text to start from.

        `past` is what was typed before, newest last: the arrows bring it back.
        """
        self.mode = mode
        self._past, self._recalled = past, len(past)
        mark = self.query_one(Lines)
        mark.styles.width = len(mode) + 2
        mark.show(((Span(f" {mode} ", Tone.KEY),),))
        entry = self.query_one(Input)
        entry.suggester = _Ghost(complete)
        with self.prevent(Input.Changed):
            entry.value = text
        entry.cursor_position = len(text)
        self.display = True
        self.screen.set_focus(entry)  # at once: what was typed ahead belongs here

    def close(self) -> None:
        """Hide the prompt."""
        self._stop_timer()
        self.display = False

    def action_cancel(self) -> None:
        """Give up."""
        self.close()
        self.post_message(self.Cancelled(self.mode))

    def action_recall(self, step: int) -> None:
        """Bring back what was typed before, or what came after it."""
        at = self._recalled + step
        if not 0 <= at <= len(self._past) or not self._past:
            return
        self._recalled = at
        entry = self.query_one(Input)
        entry.value = self._past[at] if at < len(self._past) else ""
        entry.cursor_position = len(entry.value)

    def action_accept(self) -> None:
        """Take over the completion that is shown."""
        self.query_one(Input).action_cursor_right()

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self._stop_timer()
        if self.mode == "/":
            self._timer = self.set_timer(QUIET_S, self._settled)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.close()
        self.post_message(self.Submitted(self.mode, event.value))

    def _settled(self) -> None:
        self.post_message(self.Changed(self.mode, self.query_one(Input).value))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
