"""Endpoints, and one endpoint with the policies that select it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from textual.binding import BindingType

from app.core.cluster.commands import get_pod
from app.core.model.cluster import Endpoint as ClusterEndpoint
from app.services.inventory import EndpointRow, endpoint_detail, endpoint_rows
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.document import DocumentScreen
from app.tui.screens.table import TableScreen
from app.tui.views import endpoints as views
from widgets.document import Paragraph, paragraph
from widgets.frame import StatusView
from widgets.grid import Column, Row
from widgets.spans import Line


class Endpoints(TableScreen):
    """Pods, and workloads that have none, with default deny per direction."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.ENDPOINTS, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.ENDPOINTS)]
    COLUMNS: ClassVar[tuple[Column, ...]] = views.COLUMNS
    NAME: ClassVar[int] = views.NAME
    NAMESPACE: ClassVar[int] = views.NAMESPACE

    _endpoints: tuple[EndpointRow, ...] = ()

    def all_rows(self, picture: Picture) -> int:
        """Ask for the endpoints of the namespace."""
        namespace = self.session.namespace
        self._endpoints = endpoint_rows(picture, lambda one: not namespace or one == namespace)
        return len(self._endpoints)

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Leave out what is closed by default, if so wanted."""
        rows = (row for row in self._endpoints if not faults or views.is_open(row))
        return views.endpoint_table(rows, self.session.marks)

    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        return views.why_empty(self.session, total=total, sought=self.filter_text)

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say what restricts the endpoint."""
        return views.glance(self._row(key), self.session.marks)

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give namespace and name."""
        endpoint = self._row(key).endpoint
        return endpoint.namespace, endpoint.name

    def command_of(self, key: Hashable) -> str:
        """Show it with kubectl."""
        return get_pod(self._row(key).endpoint)

    def _row(self, key: Hashable) -> EndpointRow:
        return next(row for row in self._endpoints if row.endpoint.key == key)

    def do_open(self) -> None:
        """Open the endpoint."""
        self.go(Place("endpoint", (str(self.grid.cursor_key),)))

    def do_used_by(self) -> None:
        """Open the endpoint, where its policies are."""
        self.do_open()

    def do_flows(self) -> None:
        """Show its flows."""
        self.go(flows_of(self._row(self.grid.cursor_key).endpoint))

    def do_why(self) -> None:
        """Ask why it cannot connect."""
        self.go(Place("why", (f"pod:{self.grid.cursor_key}",)))


class Endpoint(DocumentScreen):
    """One endpoint; `args` hold its `NS/NAME`."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.ENDPOINT, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.ENDPOINT)]

    _endpoint: ClusterEndpoint | None = None

    def show_picture(self, picture: Picture) -> None:
        """Look the endpoint up again."""
        key = self.place.args[0]
        found = next((one for one in picture.cluster.endpoints if one.key == key), None)
        self._endpoint = found
        if found is None:
            self.document.show((paragraph(f"{key} is not there (any more)."),))
            return
        detail = endpoint_detail(picture, found)
        self.document.show(views.describe(detail, self.session.marks))

    def status(self) -> StatusView:
        """Say which endpoint."""
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("endpoints", self.place.args[0]), view=view)

    def do_flows(self) -> None:
        """Show its flows."""
        if self._endpoint is not None:
            self.go(flows_of(self._endpoint))

    def do_why(self) -> None:
        """Ask why it cannot connect."""
        self.go(Place("why", (f"pod:{self.place.args[0]}",)))


def flows_of(endpoint: ClusterEndpoint) -> Place:
    """Flows to or from one endpoint."""
    return Place("flows", namespace=endpoint.namespace, filter=endpoint.name)
