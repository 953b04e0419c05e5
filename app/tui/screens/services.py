"""Services with their backends, and workloads with what policies do to them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual.binding import BindingType

from app.core.model.cluster import Service
from app.services.inventory import endpoint_rows
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.table import TableScreen
from app.tui.views import services as views
from app.tui.views.words import empty, nothing_read
from widgets.document import Paragraph
from widgets.grid import Column, Row
from widgets.spans import Line


class Services(TableScreen):
    """Every Service; `enter` goes to the endpoints behind it."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.SERVICES, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.SERVICES)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.COLUMNS
    NAME: ClassVar[int] = 1
    NAMESPACE: ClassVar[int] = 0

    _services: tuple[Service, ...] = ()

    def all_rows(self, picture: Picture) -> int:
        """Take those of the namespace."""
        space = self.session.namespace
        services = sorted(picture.cluster.services, key=lambda one: one.key)
        self._services = tuple(one for one in services if not space or one.namespace == space)
        return len(self._services)

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out those that have a ready backend, if so wanted."""
        return views.service_table(
            one for one in self._services if not faults or views.is_broken(one)
        )

    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if not self.session.has_read:
            return nothing_read(self.session)
        if total:
            return empty(f"None of {total} Services is left.", "`esc` clears the filter.")
        return empty("No Service here.", "`0` shows all namespaces, `:can-i` what may be read.")

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say it in full."""
        return tuple(views.describe_service(self._service(key), self.session.marks))

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give namespace and name."""
        one = self._service(key)
        return one.namespace, one.name

    def command_of(self, key: Hashable) -> str:
        """Show it with kubectl."""
        one = self._service(key)
        return f"kubectl -n {one.namespace} get service {one.name} -o yaml"

    def _service(self, key: Hashable) -> Service:
        return next(one for one in self._services if one.key == key)

    def do_open(self) -> None:
        """Show the endpoints behind it."""
        one = self._service(self.grid.cursor_key)
        if not one.selector:
            self.say("it selects no pods: its backends are written by hand")
            return
        labels = " ".join(f"-l {key}={value}" for key, value in sorted(one.selector.items()))
        self.go(Place("endpoints", namespace=one.namespace, filter=labels))

    def do_why(self) -> None:
        """Ask why nobody reaches it."""
        one = self._service(self.grid.cursor_key)
        port = f":{one.ports[0].port}" if one.ports else ""
        self.go(Place("why", ("", f"svc:{one.key}{port}")))


class Workloads(TableScreen):
    """Deployments and their kin; `enter` goes to their pods."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.WORKLOADS, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.WORKLOADS)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.WORKLOAD_COLUMNS
    NAME: ClassVar[int] = 2
    NAMESPACE: ClassVar[int] = 0

    _workloads: tuple[views.WorkloadRow, ...] = ()

    def all_rows(self, picture: Picture) -> int:
        """Gather the endpoints of the namespace."""
        space = self.session.namespace
        rows = endpoint_rows(picture, lambda one: not space or one == space)
        self._workloads = views.workloads_of(rows)
        return len(self._workloads)

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out those that are closed by default, if so wanted."""
        wanted = (one for one in self._workloads if not faults or views.is_open(one))
        return views.workload_table(wanted, self.session.marks)

    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if not self.session.has_read:
            return nothing_read(self.session)
        if total:
            return empty(f"None of {total} workloads is left.", "`esc` clears the filter.")
        return empty("No workload here.", "`0` shows all namespaces, `:can-i` what may be read.")

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say which pods it has."""
        return tuple(views.describe_workload(self._workload(key), self.session.marks))

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give namespace and name."""
        one = self._workload(key)
        return one.namespace, one.name

    def command_of(self, key: Hashable) -> str:
        """Show it with kubectl."""
        one = self._workload(key)
        return f"kubectl -n {one.namespace} get {one.kind.lower()} {one.name} -o yaml"

    def _workload(self, key: Hashable) -> views.WorkloadRow:
        return next(one for one in self._workloads if one.key == key)

    def do_open(self) -> None:
        """Show its pods."""
        one = self._workload(self.grid.cursor_key)
        if one.kind == "Pod":
            self.go(Place("endpoint", (f"{one.namespace}/{one.name}",)))
            return
        sought = f'"workload:{one.kind} {one.name}"'
        self.go(Place("endpoints", namespace=one.namespace, filter=sought))

    def do_flows(self) -> None:
        """Show its flows."""
        one = self._workload(self.grid.cursor_key)
        self.go(Place("flows", namespace=one.namespace, filter=f"pod:{one.namespace}/{one.name}"))

    def do_why(self) -> None:
        """Ask why it cannot connect."""
        one = self._workload(self.grid.cursor_key)
        self.go(Place("why", (f"pod:{one.rows[0].endpoint.key}",)))
