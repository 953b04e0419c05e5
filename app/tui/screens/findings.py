"""What lint found: all of it in a table, and one finding with its line in the real file."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import ClassVar

from textual.binding import BindingType

from app.core.lint.finding import Finding, Severity
from app.services.effect import apart
from app.services.lint import lint_picture
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.asked import AskedTable
from app.tui.screens.document import DocumentScreen
from app.tui.views import findings as views
from app.tui.views.words import empty, ref_text
from widgets.document import Paragraph, paragraph
from widgets.frame import StatusView
from widgets.grid import Column, Row
from widgets.spans import Line

BEFORE = 8
"""Lines of the file, or of what is said of it, above the one that is shown."""


class Findings(AskedTable[tuple[Finding, ...]]):
    """Every finding of the present namespace, by file."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.LINT, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.LINT)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.COLUMNS
    NAME: ClassVar[int] = views.CODE
    NAMESPACE: ClassVar[int] = views.SOURCE
    ASKING: ClassVar[str] = "Judging every policy."

    def question(self, picture: Picture) -> Callable[[], tuple[Finding, ...]]:
        """Judge with an engine of its own."""
        manifests = self.session.workspace.manifests()
        flows = self.session.workspace.evidence()
        return lambda: lint_picture(apart(picture), manifests, flows=flows).findings

    def count(self) -> int:
        """Count those of the namespace."""
        return len(self._here())

    def _here(self) -> tuple[Finding, ...]:
        space, found = self.session.namespace, self.found or ()
        return tuple(one for one in found if not space or one.policy.namespace in ("", space))

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out the mere notes, if so wanted."""
        return views.finding_table(
            one for one in self._here() if not faults or one.severity is not Severity.INFO
        )

    def why_none(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if total:
            return empty(f"None of {total} findings is left.", "`esc` clears the filter.")
        return empty("Nothing found: every policy does what it says, as far as the rules know.")

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say the finding in full."""
        return views.describe(self._finding(key))

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give the policy's namespace and name."""
        ref = self._finding(key).policy
        return ref.namespace, ref.name

    def command_of(self, key: Hashable) -> str:
        """Explain the rule on a command line."""
        return f"k8tre-tui lint --rules {self._finding(key).code}"

    def _finding(self, key: Hashable) -> Finding:
        return next(one for one in self.found or () if one.key == key)

    def do_open(self) -> None:
        """Open the finding at its line."""
        self.go(Place("finding", subject=self._finding(self.grid.cursor_key)))


class FindingScreen(DocumentScreen):
    """A finding, and below it the file that it is about, at its line."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.FINDING, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.FINDING)]

    def show_picture(self, picture: Picture) -> None:
        """Draw it once: it is of the moment when it was found."""
        del picture
        one = self.place.subject
        if not isinstance(one, Finding):
            self.document.show((paragraph("This finding is not there (any more)."),))
            return
        said = views.describe(one)
        lines = self.session.read_lines(one.file)
        patch = (one.patch or "").splitlines()
        text = (*said, *(paragraph(row) for row in patch), paragraph())
        self.document.show((*text, *views.in_file(one, lines)), keep_place=False)
        if one.line and lines:
            self.call_after_refresh(
                self.document.show_paragraph, max(len(text) + one.line - BEFORE, 0)
            )

    def status(self) -> StatusView:
        """Say which finding."""
        one = self.place.subject
        name = f"{one.code} {ref_text(one.policy)}" if isinstance(one, Finding) else "?"
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("lint", name), view=view)
