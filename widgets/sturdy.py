"""A message pump that outlives an unforeseen error of its handlers.

Textual ends the loop of a widget or screen whose handler raises, and with it the program. In the
middle of an incident that costs the operator everything on screen, so the error goes to the app,
which shows it and keeps it, and the next message is handled.
Source: Textual 8.2.8 `message_pump.py` (`_process_messages_loop`).
"""

from __future__ import annotations

from textual.message import Message
from textual.message_pump import MessagePump


class Sturdy(MessagePump):
    """Put before Textual's class; a named supervisor."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:  # noqa: BLE001  # the named supervisor: the app shows it
            self.app._handle_exception(error)  # noqa: SLF001  # Textual's one place for it
