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
    """Save what the screen shows; the end of the name says in which form. Or a `text` as it is."""

    def __init__(self, name: str, text: str = "") -> None:
        self.name = name
        self.text = text
        super().__init__()


class Repaint(Message):
    """Send the whole screen anew: something else may have written to the terminal."""


class Copy(Message):
    """Put text on the clipboard; `what` names it in the answer."""

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        super().__init__()
