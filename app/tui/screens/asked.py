"""Tables of what has to be worked out first: asked beside the screen, once for each engine."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from app.core.errors import K8treError
from app.core.model.unread import could_decide
from app.services.picture import Picture
from app.services.wording import counted
from app.tui.places import Place
from app.tui.screens.table import TableScreen
from app.tui.session import Session
from app.tui.views.words import empty, nothing_read
from widgets.spans import Line, Span, Tone

Found = TypeVar("Found")


class AskedTable(TableScreen, Generic[Found]):
    """`ASKING` is said meanwhile. What was found before stays until there is something newer."""

    ASKING: ClassVar[str]

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self.found: Found | None = None
        self._problem: K8treError | None = None
        self._asked: object = None

    @abstractmethod
    def question(self, picture: Picture) -> Callable[[], Found]:
        """Give what a thread shall do; it has nothing of the loop's that changes."""

    @abstractmethod
    def count(self) -> int:
        """Count what was found and may be shown here."""

    @abstractmethod
    def why_none(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows, where an answer is there."""

    def all_rows(self, picture: Picture) -> int:
        """Give what was found, and ask again where the policies or pods are other ones."""
        if self.session.has_read and self._asked is not picture.engine:
            self._asked = picture.engine
            self.work("ask", self._ask(self.question(picture)))
        return self.count()

    def ask_again(self) -> None:
        """Ask although the policies are the same."""
        self._asked = None
        self._total = self.all_rows(self.session.picture)

    async def _ask(self, question: Callable[[], Found]) -> None:
        try:
            self.found, self._problem = await asyncio.to_thread(question), None
        except K8treError as error:
            self._problem = error
        self._total = self.count()
        self.took()
        self.show_rows()
        self.draw_frame()

    def took(self) -> None:
        """Make ready for what was found."""

    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if not self.session.has_read:
            return nothing_read(self.session)
        if self._problem is not None:
            return empty(str(self._problem), self._problem.hint)
        if self.found is None:
            return empty(self.ASKING)
        return self.why_none(total)

    def _notes(self) -> tuple[Span, ...]:
        """What was not read could change what is promised here."""
        unread = [one for one in self.session.picture.cluster.unread if could_decide(one)]
        if not unread:
            return super()._notes()
        return (Span(f"not certain: {counted(len(unread), 'part')} not read (!)", Tone.WARN),)
