"""Keys one after the other: each is done, screens changed included, before the next is looked at.

Textual hands a key to the widget that has the keyboard at that moment, and a screen changes a few
messages later. Typed fast, or arriving in one packet over a slow line, `esc : policies` would find
the prompt of the screen that is being left, and its letters would be commands of the next one.
Source: Textual 8.2.8 `app.py` (`App.on_event`), `widget.py` (`_forward_event`).
"""

from __future__ import annotations

from collections import deque
from time import monotonic

from textual import events, on
from textual.app import App
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

ROUNDS = 4
"""Times an echo goes the way of the key: what a key sets off sends at most so many messages on."""
LOST_S = 0.5
"""Seconds after which an echo is sent again: its widget may have gone away with it."""
RETRY_S = 0.01
"""Seconds between two looks at whether the screen is there."""


class Echo(Message):
    """Follows a key through the same queues; when it comes back, the key has been handled."""

    def __init__(self, turn: int, left: int) -> None:
        self.turn = turn
        self.left = left
        super().__init__()


class OrderedKeys(App[None]):
    """An app whose keys wait for each other. `has_settled` says whether the next one may come."""

    def __init__(self, *, watch_css: bool = False) -> None:
        super().__init__(watch_css=watch_css)
        self._ahead: deque[events.Key | events.Paste] = deque()
        self._turn = 0
        self._is_held = False
        self._left = 0
        self._sent_at = 0.0
        self._sent_on: Screen[object] | None = None

    @property
    def has_settled(self) -> bool:
        """Whether the screen can take keys."""
        return True

    def take_key(self, event: events.Key | events.Paste) -> bool:
        """Do what a key means before any widget sees it; gives whether it meant something."""
        del event
        return False

    async def on_event(self, event: events.Event) -> None:
        """Put keys and pasted text in line; everything else goes on at once."""
        if not isinstance(event, (events.Key, events.Paste)) or event.is_forwarded:
            await super().on_event(event)
        elif not self._is_held:
            await self._send(event)
        else:
            self._ahead.append(event)

    def renew_echo(self) -> None:
        """Send an echo again that went with its screen, or may be lost otherwise.

        To be called when the screen has changed, and now and then.
        """
        is_late = monotonic() - self._sent_at > LOST_S
        if self._left and (is_late or self._sent_on is not self.screen):
            self._follow(self._left)

    async def _send(self, event: events.Key | events.Paste) -> None:
        self._turn += 1
        self._is_held = True
        try:
            if not self.take_key(event):
                await super().on_event(event)
        except BaseException:  # an error is shown elsewhere; the keys after it must go on
            self._follow(ROUNDS)
            raise
        if isinstance(self.focused, Input) and (
            isinstance(event, events.Paste) or event.is_printable
        ):
            await self._next()  # a field takes what is typed in its own order
            return
        self._follow(ROUNDS)

    def _follow(self, left: int) -> None:
        self._left, self._sent_at, self._sent_on = left, monotonic(), self.screen
        (self.focused or self.screen).post_message(Echo(self._turn, left))

    @on(Echo)
    async def _echoed(self, event: Echo) -> None:
        event.stop()
        if (event.turn, event.left) != (self._turn, self._left):
            return
        if event.left > 1:
            self._follow(event.left - 1)
        else:
            self._left = 0
            await self._next()

    async def _next(self) -> None:
        if not self.has_settled:
            self.set_timer(RETRY_S, self._next)
            return
        self._is_held = False
        if self._ahead:
            await self._send(self._ahead.popleft())
