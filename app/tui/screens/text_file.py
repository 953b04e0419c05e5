"""A file as it is written, at a line: where every `file:line` on screen leads."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from app.core.lint.finding import Finding
from app.core.model.provenance import ObjectRef
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.editor import show_file
from app.tui.links import policy_place
from app.tui.screens.document import DocumentScreen
from app.tui.views import text_file as views
from app.tui.views.words import ref_text, source_text
from widgets.document import paragraph
from widgets.frame import StatusView
from widgets.spans import Span, Tone

ABOVE = 5
"""Lines that are shown above the one that is meant."""


class FileScreen(DocumentScreen):
    """`args` are the file as its objects name it, and a line; the text is read when it opens."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.FILE, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.FILE)]

    _policy: ObjectRef | None = None
    _lines: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file."""
        return self.place.args[0]

    @property
    def line(self) -> int:
        """The line that is meant; 0 for the whole file."""
        return int(self.place.args[1]) if len(self.place.args) > 1 else 0

    def begin(self) -> None:
        """Read the file and go to the line."""
        self._lines = self.session.read_lines(self.file)
        super().begin()
        if self.line and self.place.cursor is None:
            at = max(self.line - 1 - ABOVE, 0)
            self.call_after_refresh(self.document.show_paragraph, at)

    def show_picture(self, picture: Picture) -> None:
        """Say what stands there; the text is of the moment it was opened."""
        lines = self._lines
        standing = views.standing_at(picture, self.file, self.line)
        if not lines:
            said = f"{self.file} cannot be read here (any more)."
            where = "`enter` opens the policy as it is in force."
            self.document.show((paragraph(said), paragraph(Span(where, Tone.DIM))))
        marked = range(self.line, self.line + 1)
        found: tuple[Finding, ...] = ()
        if standing is not None:
            self._policy = standing.manifest.ref
            marked = range(standing.first, standing.last + 1)
            found = self.session.lint_of(self._policy)
        if lines:
            wrong = tuple(one for one in found if one.file == self.file)
            self.document.show(tuple(views.file_paragraphs(lines, marked, wrong)))

    def status(self) -> StatusView:
        """Say which file and line, and what stands there."""
        crumbs = ["file", source_text(self.file, self.line)]
        crumbs += [ref_text(self._policy)] if self._policy else []
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(tuple(crumbs), view=view)

    def do_open(self) -> None:
        """Open the policy that stands there."""
        place = policy_place(str(self._policy), self.session.picture) if self._policy else None
        if place is None:
            self.say("no policy stands here")
            return
        self.go(place)

    def do_edit(self) -> None:
        """Show a copy in `$EDITOR`: what is changed in it changes nothing."""
        self.say(show_file(self.app, self._lines, self.file, self.line))

    def do_copy_place(self) -> None:
        """Copy `file:line`."""
        self.copy(source_text(self.file, self.line), "the place")
