"""What the inventories have in common: rows, sorting, a filter, namespaces on digits, detail."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from app.core.errors import UsageError
from app.core.model.cluster import Cluster
from app.core.model.provenance import Notice
from app.services.picture import Picture
from app.services.wording import counted
from app.tui.actions import Need, Scope, bindings
from app.tui.links import place_of
from app.tui.places import ALL, Place
from app.tui.screens.frame import Frame
from app.tui.session import Session, judges_alike
from app.tui.sought import complete, hint, parse, sift
from widgets.document import Document, Paragraph
from widgets.frame import StatusView
from widgets.grid import Column, Grid, Row, sort_rows
from widgets.spans import Line, Span, Tone


@dataclass(frozen=True, slots=True)
class TableMemo:
    """How a table was left: the cursor's row, the first row in view, order and choices."""

    key: Hashable
    top: int
    sort: tuple[int, bool] | None
    faults: bool
    wide: bool


class TableScreen(Frame):
    """A grid of things of the cluster with the detail of one beside it where there is room."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.TABLE,)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.TABLE)]
    COLUMNS: ClassVar[tuple[Column, ...]]
    NAME: ClassVar[int]
    NAMESPACE: ClassVar[int]
    DEFAULT_CSS = """
    TableScreen {
        Grid { width: 2fr; }
        #detail { width: 1fr; border-left: vkey $panel; }
        &.-narrow #detail { display: none; }
    }
    """

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        memo = place.cursor if isinstance(place.cursor, TableMemo) else None
        self._faults = memo.faults if memo else False
        self._sort: tuple[int, bool] | None = memo.sort if memo else None
        self._total = 0
        self._shown_of: Cluster | None = None
        self._look: tuple[str, tuple[Notice, ...]] = ("", ())
        self._rows: tuple[Row, ...] = ()

    # What a table is

    @abstractmethod
    def all_rows(self, picture: Picture) -> int:
        """Ask for the rows of the present namespace and keep them; gives how many there are."""

    @abstractmethod
    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Give the rows, or with `faults` only those with something wrong."""

    @abstractmethod
    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""

    @abstractmethod
    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say more of a row, for the pane beside the table."""

    @abstractmethod
    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give a row's namespace and name."""

    @abstractmethod
    def command_of(self, key: Hashable) -> str:
        """Give a command that shows the row's object."""

    # Drawing

    def compose_body(self) -> ComposeResult:
        """Lay out table and detail."""
        with Horizontal(id="body"):
            yield Grid(self.COLUMNS, marks=self.session.marks, id="main")
            yield Document(cursor=False, id="detail")

    def begin(self) -> None:
        """Come back to the row one left; a filter that cannot be read is left out."""
        try:
            parse(self.filter_text, self.columns)
        except UsageError as error:
            self.filter_text = ""
            self.say(f"{error}; nothing is filtered", bad=True)
        super().begin()
        if isinstance(memo := self.place.cursor, TableMemo):
            self.grid.set_wide(wide=memo.wide)
            self.grid.select(memo.key)
            self.call_after_refresh(self.grid.return_to, memo.key, memo.top)
        self.show_detail()

    @property
    def columns(self) -> tuple[Column, ...]:
        """What can be sorted and filtered by."""
        return self.COLUMNS

    @property
    def grid(self) -> Grid:
        """The table."""
        return self.query_one("#main", Grid)

    def show_picture(self, picture: Picture) -> None:
        """Ask for the rows anew, unless nothing they show has changed."""
        look = (self.session.namespace, picture.notices)
        if judges_alike(picture.cluster, self._shown_of) and look == self._look:
            return
        self._shown_of, self._look = picture.cluster, look
        self._total = self.all_rows(picture)
        self.show_rows()

    def show_rows(self) -> None:
        """Filter and sort what there is."""
        wanted = self.wanted_rows(faults=self._faults)
        rows = self._rows = sift(wanted, self.columns, self.filter_text)
        column, descending = self._sort or (0, False)
        table = sort_rows(rows, column, descending=descending) if self._sort else None
        self.grid.show(
            table or sort_rows(rows, self.NAMESPACE),
            empty=self.why_empty(self._total),
            sorted_by=(self.COLUMNS[column].key, descending) if self._sort else None,
        )
        self.show_detail()

    def show_detail(self) -> None:
        """Draw the pane beside the table."""
        key = self.grid.cursor_key
        pane = self.query_one("#detail", Document)
        pane.show(self.describe(key) if key is not None else (), keep_place=False)

    def digits(self) -> tuple[tuple[tuple[str, str], ...], str]:
        """Digits choose a namespace."""
        return self.session.favourites(), self.session.namespace or ALL

    def status(self) -> StatusView:
        """Say what is filtered and how much is shown."""
        view = [self.filter_text] if self.filter_text else []
        view += ["faults"] if self._faults else []
        return StatusView(
            (self.place.screen, self.session.namespace or ALL),
            view=tuple(view),
            notes=self._notes(),
            counts=self._counts(),
        )

    def _counts(self) -> str:
        if not self.session.has_read:
            return "? rows"
        return f"{len(self._rows):,}/{self._total:,} rows"

    def _notes(self) -> tuple[Span, ...]:
        notices = len(self.session.picture.notices)
        return (Span(f"{counted(notices, 'notice')} (!)", Tone.WARN),) if notices else ()

    def apply_filter(self, text: str) -> str:
        """Filter by the grammar of tables; gives what is wrong with it."""
        try:
            parse(text, self.columns)
        except UsageError as error:
            return f"{error}; {error.hint}"
        self.filter_text = text
        self.show_rows()
        return ""

    def filter_hint(self) -> str:
        """Say what may be typed, with this table's columns."""
        return hint(self.columns)

    def complete_filter(self, text: str) -> str | None:
        """Complete the name of a column."""
        return complete(text, self.columns)

    def missing(self, need: Need) -> str:
        """A row is missing when the table is empty."""
        if need is Need.ROW and self.grid.cursor_key is None:
            return "there is no row"
        return super().missing(need)

    def memo(self) -> Place:
        """Remember filter, row, scroll and order."""
        grid = self.grid
        memo = TableMemo(grid.cursor_key, grid.top, self._sort, self._faults, grid.wide)
        return replace(self.place, filter=self.filter_text, cursor=memo)

    @on(Grid.Moved)
    def _moved(self) -> None:
        self.show_detail()

    @on(Grid.Opened)
    def _opened(self) -> None:
        self.do_open()

    @on(Grid.Titled)
    def _titled(self, event: Grid.Titled) -> None:
        """Sort by the column whose title was clicked; again, the other way round."""
        if event.column >= len(self.columns):
            return
        if self._sort is not None and self._sort[0] == event.column:
            self.do_sort_reverse()
        else:
            self._sort_by(event.column)

    @on(Document.Opened)
    def _link_opened(self, event: Document.Opened) -> None:
        if place := place_of(event.target, self.session.picture):
            self.go(place)

    @abstractmethod
    def do_open(self) -> None:
        """Open the row."""

    # Actions

    def do_namespace(self, digit: int) -> None:
        """Look at a favourite namespace."""
        namespace = self.session.favourite(digit)
        if namespace is None:
            self.say(f"no namespace on {digit}; set `ui.favourites` in the settings")
            return
        self.session.look_at(namespace)
        self.show_picture(self.session.picture)

    def do_wide(self) -> None:
        """Show all columns, or those that fit."""
        self.grid.set_wide(wide=not self.grid.wide)

    def do_faults(self) -> None:
        """Show only what is wrong."""
        self._faults = not self._faults
        self.show_rows()

    def do_sort_name(self) -> None:
        """Sort by name."""
        self._sort_by(self.NAME)

    def do_sort_namespace(self) -> None:
        """Sort by namespace."""
        self._sort_by(self.NAMESPACE)

    def do_sort_left(self) -> None:
        """Sort by the column to the left."""
        self._sort_by(((self._sort[0] if self._sort else 1) - 1) % len(self.COLUMNS))

    def do_sort_right(self) -> None:
        """Sort by the column to the right."""
        self._sort_by(((self._sort[0] if self._sort else -1) + 1) % len(self.COLUMNS))

    def do_sort_reverse(self) -> None:
        """Reverse the order."""
        column, descending = self._sort or (self.NAMESPACE, False)
        self._sort = (column, not descending)
        self.show_rows()

    def _sort_by(self, column: int) -> None:
        self._sort = (column, False)
        self.show_rows()

    def do_copy_name(self) -> None:
        """Copy the row's name."""
        namespace, name = self.name_of(self.grid.cursor_key)
        self.copy(f"{namespace}/{name}" if namespace else name, "the name")

    def do_copy_namespace(self) -> None:
        """Copy the row's namespace."""
        self.copy(self.name_of(self.grid.cursor_key)[0], "the namespace")

    def do_copy_command(self) -> None:
        """Copy a command that shows the object."""
        self.copy(self.command_of(self.grid.cursor_key), "the command")
