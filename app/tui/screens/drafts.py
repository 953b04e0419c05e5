"""Drafts and pull requests that this program made, with their state."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual.binding import BindingType

from app.core.errors import K8treError
from app.ports import KeptDraft
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.document import DocumentScreen
from app.tui.screens.table import TableScreen
from app.tui.views import drafts as views
from app.tui.views.words import empty
from widgets.document import Paragraph, paragraph
from widgets.frame import StatusView
from widgets.grid import Column, Row
from widgets.spans import Line


class Drafts(TableScreen):
    """What the repository or the forge has of ours; asked for when it opens, and by `a`."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.DRAFTS, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.DRAFTS)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.COLUMNS
    NAME: ClassVar[int] = 1
    NAMESPACE: ClassVar[int] = 0

    _drafts: tuple[KeptDraft, ...] | None = None
    _problem: K8treError | None = None

    def begin(self) -> None:
        """Ask for them."""
        super().begin()
        self.do_again()

    def do_again(self) -> None:
        """Ask again."""
        if self.session.drafter is not None:
            self.work("drafts", self._ask())

    async def _ask(self) -> None:
        drafter = self.session.drafter
        if drafter is None:
            return
        try:
            self._drafts, self._problem = await drafter.kept(), None
        except K8treError as error:
            self._problem = error
        self._total = len(self._drafts or ())
        self.show_rows()
        self.draw_frame()

    def all_rows(self, picture: Picture) -> int:
        """Count what was answered."""
        del picture
        return len(self._drafts or ())

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out what is merged, if so wanted."""
        drafts = (one for one in self._drafts or () if not faults or one.state != "merged")
        return views.draft_table(drafts, self.session.marks)

    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if self.session.drafter is None:
            return empty("There is no repository.", self.session.no_drafts)
        if self._problem is not None:
            return empty(str(self._problem), self._problem.hint, "`a` asks again.")
        if self._drafts is None:
            return empty("Asking the repository.")
        if total:
            return empty(f"None of {total} drafts is left.", "`esc` clears the filter.")
        return empty("No draft was made yet.", "`e` on a drop or on a fix begins one.")

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say it in full."""
        return tuple(views.describe(self._draft(key), self.session.marks))

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give its branch."""
        return "", self._draft(key).branch

    def command_of(self, key: Hashable) -> str:
        """Give its address, or what shows its branch."""
        one = self._draft(key)
        return one.url or f"git show {one.branch}"

    def _draft(self, key: Hashable) -> KeptDraft:
        return next(one for one in self._drafts or () if (one.branch, one.number) == key)

    def do_open(self) -> None:
        """Show all it says."""
        self.go(Place("kept-draft", subject=self._draft(self.grid.cursor_key)))


class KeptDraftScreen(DocumentScreen):
    """The place's subject is the draft as its repository had it."""

    def show_picture(self, picture: Picture) -> None:
        """Draw it once."""
        del picture
        one = self.place.subject
        if isinstance(one, KeptDraft):
            self.document.show(tuple(views.describe(one, self.session.marks)))
        else:
            self.document.show((paragraph("This draft is not there (any more)."),))

    def status(self) -> StatusView:
        """Say which."""
        one = self.place.subject
        name = one.branch if isinstance(one, KeptDraft) else "?"
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("drafts", name), view=view)
