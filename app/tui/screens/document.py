"""What the text screens have in common: stops that lead on, search, wrapping, copying."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from app.tui.actions import Scope, bindings
from app.tui.links import place_of
from app.tui.places import Place
from app.tui.screens.frame import Frame
from widgets.document import Document
from widgets.motion import Motion


@dataclass(frozen=True, slots=True)
class TextMemo:
    """How a text was left: the stop under the cursor and the first line in view."""

    target: str
    top: int


class DocumentScreen(Frame):
    """A document that `/` searches."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.TEXT,)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.TEXT)]

    _wraps = True

    def compose_body(self) -> ComposeResult:
        """Lay out the text."""
        yield Document(id="main")

    @property
    def document(self) -> Document:
        """The text."""
        return self.query_one("#main", Document)

    def begin(self) -> None:
        """Come back to the line one left."""
        super().begin()
        if isinstance(memo := self.place.cursor, TextMemo):
            self.call_after_refresh(self.document.return_to, memo.target, memo.top)

    def memo(self) -> Place:
        """Remember the line, and what is searched for."""
        memo = TextMemo(self.document.target, self.document.top)
        return replace(self.place, filter=self.filter_text, cursor=memo)

    def follow(self) -> bool:
        """Go where the stop under the cursor leads; False where it leads nowhere."""
        place = place_of(self.document.target, self.session.picture)
        if place is not None:
            self.go(place)
        return place is not None

    def do_open(self) -> None:
        """Go where the stop under the cursor leads."""
        if not self.follow():
            self.say("nothing under the cursor leads on")

    @on(Document.Opened, "#main")
    def _opened(self) -> None:
        self.do_open()

    def apply_filter(self, text: str) -> str:
        """Search: mark every place and go to the first."""
        self.document.search(text)
        if text and not self.document.search_next():
            return "" if text == self.filter_text else f"`{text}` is not in this text"
        return ""

    def do_next_match(self) -> None:
        """Go to the next place found."""
        if not self.document.search_next():
            self.say("nothing is being searched for: `/` begins")

    def do_last_match(self) -> None:
        """Go to the previous place found."""
        if not self.document.search_next(back=True):
            self.say("nothing is being searched for: `/` begins")

    def do_half_down(self) -> None:
        """Half a page down."""
        self.move(Motion.HALF_DOWN)

    def do_half_up(self) -> None:
        """Half a page up."""
        self.move(Motion.HALF_UP)

    def do_wrap(self) -> None:
        """Wrap long lines, or scroll sideways."""
        self._wraps = not self._wraps
        self.document.set_wrap(wraps=self._wraps)

    def do_copy_all(self) -> None:
        """Copy the text."""
        self.copy(self.document.text, "the text")
