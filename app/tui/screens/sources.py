"""What the program stands on: sources, rights, diagnostics, and the doctor's list."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from textual.binding import BindingType

from app.services.doctor import examine
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.document import DocumentScreen
from app.tui.session import Session
from app.tui.views import sources as views
from widgets.document import Paragraph
from widgets.frame import StatusView


class _Report(DocumentScreen):
    """A text that is written anew once a second and with every picture."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.SOURCES, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.SOURCES)]
    REWRITE_S = 1.0

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._written_at = session.clock.monotonic()

    @abstractmethod
    def paragraphs(self) -> tuple[Paragraph, ...]:
        """Write the text."""

    def show_picture(self, picture: Picture) -> None:
        """Write it anew."""
        del picture
        self.document.show(self.paragraphs())

    def tick(self) -> None:
        """Ages go on without news."""
        now = self.session.clock.monotonic()
        if now - self._written_at >= self.REWRITE_S:
            self._written_at = now
            self.document.show(self.paragraphs())

    def status(self) -> StatusView:
        """Say what is searched for."""
        return StatusView(
            (self.place.screen,), view=(self.filter_text,) if self.filter_text else ()
        )

    def do_open(self) -> None:
        """Try the sources again."""
        self.do_retry()


class Sources(_Report):
    """Connections and losses."""

    def paragraphs(self) -> tuple[Paragraph, ...]:
        """Every source."""
        return tuple(views.sources(self.session))


class Rights(_Report):
    """What may be read."""

    def paragraphs(self) -> tuple[Paragraph, ...]:
        """Every right."""
        return tuple(views.rights(self.session.picture, self.session.marks))


class Log(_Report):
    """What went wrong."""

    def paragraphs(self) -> tuple[Paragraph, ...]:
        """Every error caught, and every notice."""
        return tuple(views.diagnostics(self.session))


class Doctor(_Report):
    """Found and not found."""

    def paragraphs(self) -> tuple[Paragraph, ...]:
        """Every check."""
        checks = examine(self.session.picture, self.session.surroundings)
        return tuple(views.doctor(checks, self.session.marks))
