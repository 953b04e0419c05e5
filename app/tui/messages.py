"""What screens ask of the app."""

from __future__ import annotations

from textual.message import Message

from app.tui.places import Place


class Go(Message):
    """Go to a place."""

    def __init__(self, place: Place) -> None:
        self.place = place
        super().__init__()


class Wander(Message):
    """Move through the history: `back`, `forward` or `last`."""

    def __init__(self, where: str) -> None:
        self.where = where
        super().__init__()


class Save(Message):
    """Save a picture of the screen, or a `text` as a file of that kind (`patch`)."""

    def __init__(self, text: str = "", kind: str = "svg") -> None:
        self.text = text
        self.kind = kind
        super().__init__()


class Repaint(Message):
    """Send the whole screen anew: something else may have written to the terminal."""


class Copy(Message):
    """Put text on the clipboard; `what` names it in the answer."""

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        super().__init__()
