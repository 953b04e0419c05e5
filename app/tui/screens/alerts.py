"""What was refused and what is not usual: violations and patterns, the most severe first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import ClassVar

from textual.binding import BindingType

from app.core.insights.alert import Alert, Alerts, AlertSeverity, AlertState
from app.services.effect import apart
from app.services.insights import alerts_of
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.questions import words_of
from app.tui.screens.asked import AskedTable
from app.tui.screens.flow import go_to_rule, why_of
from app.tui.views import alerts as views
from app.tui.views.words import empty
from widgets.document import Paragraph
from widgets.grid import Column, Row
from widgets.spans import Line


class AlertsScreen(AskedTable[Alerts]):
    """The alerts of the flows that are kept; `a` looks again."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.ALERTS, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.ALERTS)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.COLUMNS
    NAME: ClassVar[int] = views.SOURCE
    NAMESPACE: ClassVar[int] = 0
    ASKING: ClassVar[str] = "Looking at every flow that is kept."

    def question(self, picture: Picture) -> Callable[[], Alerts]:
        """Look at the flows of now."""
        ring = self.session.ring
        flows, lost = list(ring), ring.lost.total()
        return lambda: alerts_of(apart(picture), flows, lost=lost)

    def _here(self) -> tuple[Alert, ...]:
        space, items = self.session.namespace, self.found.items if self.found else ()
        return tuple(
            one
            for one in items
            if not space or space in (one.source_namespace, one.destination_namespace)
        )

    def count(self) -> int:
        """Count those of the namespace."""
        return len(self._here())

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out what is isolation at work, and what has ended, if so wanted."""
        return views.alert_table(
            (
                one
                for one in self._here()
                if not faults
                or (
                    one.severity is not AlertSeverity.EXPECTED and one.state is not AlertState.ENDED
                )
            ),
            self.session.zone,
        )

    def why_none(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if total:
            return empty(f"None of {total} alerts is left.", "`esc` clears the filter.")
        if not self.session.workspace.expects_flows:
            return empty(
                "There is no source of flows: what is refused is not known.",
                "`--flows FILE` reads recorded ones, `:sources` says more.",
            )
        return empty("Nothing was refused, and nothing is unusual.", "`a` looks again.")

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say it in full."""
        return tuple(views.describe(self._alert(key), self.session.marks, self.session.zone))

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give the source."""
        one = self._alert(key)
        return one.source_namespace, one.source

    def command_of(self, key: Hashable) -> str:
        """Ask why on a command line."""
        sample = self._alert(key).sample
        return words_of(sample).command() if sample else "k8tre-tui alerts"

    def _alert(self, key: Hashable) -> Alert:
        return next(one for one in self._here() if one.id == key)

    def do_open(self) -> None:
        """Ask why."""
        if (sample := self._alert(self.grid.cursor_key).sample) is None:
            self.say("no flow of it is kept any more")
            return
        self.go(why_of(sample))

    def do_rule(self) -> None:
        """Go to the rule that decides."""
        if (sample := self._alert(self.grid.cursor_key).sample) is None:
            self.say("no flow of it is kept any more")
            return
        go_to_rule(self, sample)

    def do_again(self) -> None:
        """Look again, at the flows of now."""
        self.ask_again()
