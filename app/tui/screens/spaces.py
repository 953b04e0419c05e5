"""The matrix: which namespaces may talk to which, against what flows show, as a heat map."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType

from app.services.effect import apart
from app.services.matrix import Party
from app.services.picture import Picture
from app.services.spaces import NODES, OUTSIDE, Spaces, spaces
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.asked import AskedTable
from app.tui.session import Session
from app.tui.views import spaces as views
from app.tui.views.chips import make_chips
from app.tui.views.words import empty
from widgets.document import Paragraph
from widgets.frame import StatusView
from widgets.grid import Column, Row
from widgets.spans import Line, Span, Tone


class Matrix(AskedTable[Spaces]):
    """A row and a column for each namespace; `h` and `l`'s arrows go from column to column."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.MATRIX, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.MATRIX)]
    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("from", "FROM", views.LABEL),)
    NAME: ClassVar[int] = 0
    NAMESPACE: ClassVar[int] = 0
    ASKING: ClassVar[str] = "Asking about every pair of workloads, on every port told apart."

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._at = 0
        self._asked_for = session.namespace

    def question(self, picture: Picture) -> Callable[[], Spaces]:
        """Ask for the present namespace against all, or for all."""
        namespace = self._asked_for = self.session.namespace
        evidence = self.session.workspace.evidence()

        def wanted(source: Party, destination: Party) -> bool:
            return not namespace or namespace in (source.namespace, destination.namespace)

        flows = evidence.flows if evidence else None
        return lambda: spaces(apart(picture), wanted, flows)

    def all_rows(self, picture: Picture) -> int:
        """Ask again for another namespace, too."""
        if self._asked_for != self.session.namespace:
            self._asked = None
        return super().all_rows(picture)

    def took(self) -> None:
        """Make a column for each namespace, and go to what is odd first."""
        if self.found is not None:
            self.grid.set_columns(views.columns_of(self.found))
            self._at = min(self._at, max(len(self.found.names) - 1, 0))

    def count(self) -> int:
        """Count namespaces."""
        return len(self.found.names) if self.found else 0

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out those in which nothing is odd, if so wanted."""
        if self.found is None:
            return ()
        chips = make_chips(self.session.picture.cluster.namespaces)
        return views.space_table(self.found, chips, self.session.marks, at=self._at, faults=faults)

    def why_none(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if total:
            return empty("No namespace is left.", "`esc` clears the filter.")
        return empty("There are no pods and no workloads, so there is nobody to ask about.")

    @property
    def _pair(self) -> tuple[str, str] | None:
        if self.found is None or self.grid.cursor_key is None or not self.found.names:
            return None
        return str(self.grid.cursor_key), self.found.names[self._at]

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say what the pair under the cursor may do and did."""
        del key
        if (pair := self._pair) is None or self.found is None:
            return ()
        found = self.found
        return tuple(views.describe(found.of(*pair), self.session.marks, flows=found.flows))

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give the source's namespace."""
        return str(key), str(key)

    def command_of(self, key: Hashable) -> str:
        """List the pair on a command line."""
        del key
        source, destination = self._pair or ("", "")
        return f"k8tre-tui matrix --from {source}/ --to {destination}/"

    def status(self) -> StatusView:
        """Name the pair under the cursor, and the glyphs."""
        status = super().status()
        crumbs = status.crumbs
        if (pair := self._pair) is not None:
            crumbs = (*crumbs, f"{pair[0]} {self.session.marks.arrow} {pair[1]}")
        legend = Span(views.legend(self.session.marks), Tone.DIM)
        return replace(status, crumbs=crumbs, notes=(*status.notes, legend))

    def do_left(self) -> None:
        """One column to the left."""
        self._step(-1)

    def do_right(self) -> None:
        """One column to the right."""
        self._step(1)

    def _step(self, step: int) -> None:
        if self.found is None or not self.found.names:
            return
        self._at = (self._at + step) % len(self.found.names)
        self.show_rows()

    def do_open(self) -> None:
        """Show the flows from the one to the other."""
        if (pair := self._pair) is None:
            return
        terms = [
            f"{side}:{'world' if name == OUTSIDE else f'{name}/'}"
            for side, name in zip(("from", "to"), pair, strict=True)
            if name != NODES
        ]
        self.go(Place("flows", namespace="", filter=" ".join(terms)))

    def do_endpoints(self) -> None:
        """Show the endpoints of the source."""
        if (pair := self._pair) is not None:
            self.go(Place("endpoints", namespace="" if pair[0] in (OUTSIDE, NODES) else pair[0]))

    def do_again(self) -> None:
        """Ask again, with the flows of now."""
        self.ask_again()
