"""What must hold whatever anybody changes: every boundary, and one with its witnesses."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import ClassVar

from textual.binding import BindingType

from app.services.boundaries import Ruling, judge
from app.services.effect import apart
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.asked import AskedTable
from app.tui.screens.document import DocumentScreen
from app.tui.views import boundaries as views
from app.tui.views.words import empty
from widgets.document import Paragraph, paragraph
from widgets.frame import StatusView
from widgets.grid import Column, Row
from widgets.spans import Line


class Boundaries(AskedTable[tuple[Ruling, ...]]):
    """Every boundary of the settings, decided for every pair it speaks of."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.BOUNDARIES, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.BOUNDARIES)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.COLUMNS
    NAME: ClassVar[int] = views.NAME
    NAMESPACE: ClassVar[int] = 0
    ASKING: ClassVar[str] = "Asking about every pair that a boundary speaks of."

    def question(self, picture: Picture) -> Callable[[], tuple[Ruling, ...]]:
        """Decide each, with an engine of its own."""
        return lambda: judge(apart(picture))

    def count(self) -> int:
        """Count them."""
        return len(self.found or ())

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out those that hold, if so wanted."""
        rulings = (one for one in self.found or () if not faults or not one.holds)
        return views.ruling_table(rulings, self.session.marks)

    def why_none(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if total:
            return empty(f"None of {total} boundaries is left.", "`esc` clears the filter.")
        return empty(
            "No boundaries are declared.",
            "Set `check.boundaries` to a file of them; `k8tre-tui check --help` shows the form.",
        )

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say it in full."""
        return tuple(views.describe(self._ruling(key), self.session.marks))

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """A boundary is in no namespace."""
        return "", self._ruling(key).boundary.name

    def command_of(self, key: Hashable) -> str:
        """Check its file on a command line."""
        return f"k8tre-tui check {self._ruling(key).boundary.file}"

    def _ruling(self, key: Hashable) -> Ruling:
        return next(one for one in self.found or () if views.key_of(one) == key)

    def do_open(self) -> None:
        """Open it with all its witnesses."""
        self.go(Place("boundary", subject=self._ruling(self.grid.cursor_key)))


class BoundaryScreen(DocumentScreen):
    """The place's subject is a ruling, as it was when it was opened."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.BOUNDARY, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.BOUNDARY)]

    def show_picture(self, picture: Picture) -> None:
        """Draw it once."""
        del picture
        one = self.place.subject
        if isinstance(one, Ruling):
            self.document.show(tuple(views.describe(one, self.session.marks)))
        else:
            self.document.show((paragraph("This boundary is not there (any more)."),))

    def status(self) -> StatusView:
        """Say which."""
        one = self.place.subject
        name = one.boundary.name if isinstance(one, Ruling) else "?"
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("boundaries", name), view=view)
