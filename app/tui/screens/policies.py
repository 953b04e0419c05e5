"""The inventory: policies of every kind in one table."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual.binding import BindingType

from app.core.cluster.commands import get_policy
from app.services.inventory import PolicyRow, policy_detail, policy_rows
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.table import TableScreen
from app.tui.views import policies as views
from app.tui.views.findings import notices
from app.tui.views.words import short_kind
from widgets.document import Paragraph
from widgets.frame import StatusView
from widgets.grid import Column, Row
from widgets.spans import Line


class Policies(TableScreen):
    """Kubernetes and Cilium policies; `args` may name one kind."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.POLICIES, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.POLICIES)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.COLUMNS
    NAME: ClassVar[int] = views.NAME
    NAMESPACE: ClassVar[int] = views.NAMESPACE

    _policies: tuple[PolicyRow, ...] = ()

    def all_rows(self, picture: Picture) -> int:
        """Ask for policies that stand in, or reach into, the namespace."""
        namespace = self.session.namespace
        kind = self.place.args[0] if self.place.args else ""
        rows = policy_rows(picture, lambda one: not namespace or one in ("", namespace))
        self._policies = tuple(row for row in rows if not kind or row.ref.kind == kind)
        return len(self._policies)

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out what is in order, if so wanted."""
        rows = (row for row in self._policies if not faults or views.is_faulty(row))
        return views.policy_table(rows, self.session.marks)

    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        return views.why_empty(self.session, total=total, sought=self.filter_text)

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say what the policy does."""
        row, marks = self._row(key), self.session.marks
        told = notices(self.session.lint_of(row.ref), marks)
        return (*views.summary(policy_detail(self.session.picture, row), marks), *told)

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give namespace and name."""
        ref = self._row(key).ref
        return ref.namespace, ref.name

    def command_of(self, key: Hashable) -> str:
        """Show it with kubectl."""
        return get_policy(self._row(key).ref)

    def status(self) -> StatusView:
        """Name the kind when only one is shown."""
        status = super().status()
        if not self.place.args:
            return status
        kind = short_kind(self.place.args[0])
        return StatusView(
            status.crumbs, (kind,), status.view, notes=status.notes, counts=status.counts
        )

    def _row(self, key: Hashable) -> PolicyRow:
        return next(row for row in self._policies if views.policy_key(row) == key)

    def _open(self, tab: str) -> None:
        row = self._row(self.grid.cursor_key)
        self.go(Place("policy", (tab,), subject=views.policy_key(row)))

    def do_open(self) -> None:
        """Open the rules."""
        self._open("rules")

    def do_describe(self) -> None:
        """Open the summary."""
        self._open("summary")

    def do_yaml(self) -> None:
        """Open the source."""
        self._open("yaml")

    def do_used_by(self) -> None:
        """Open the selected endpoints."""
        self._open("selects")

    def do_flows(self) -> None:
        """Show flows of the policy's namespace."""
        self.go(Place("flows", namespace=self._row(self.grid.cursor_key).ref.namespace))

    def do_why(self) -> None:
        """Ask about a connection of something it selects."""
        self.go(why_about(self.session.picture, self._row(self.grid.cursor_key)))

    def do_what_if(self) -> None:
        """Ask what would change without it: nothing here removes one."""
        self.go(Place("what-if", (str(self._row(self.grid.cursor_key).ref),)))


def why_about(picture: Picture, row: PolicyRow) -> Place:
    """Ask about a connection from, or to, the first endpoint that a policy selects."""
    endpoints = policy_detail(picture, row).endpoints
    if not endpoints:
        return Place("why")
    end = f"pod:{endpoints[0].key}"
    return Place("why", (end,) if "egress" in row.directions else ("", end))
