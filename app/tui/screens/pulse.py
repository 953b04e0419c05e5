"""Home: boundaries, violations, drops by cause and namespace, policies, sources."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType

from app.services.boundaries import judge
from app.services.effect import apart
from app.services.insights import alerts_of
from app.services.lint import lint_picture
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.places import ALL, Place
from app.tui.screens.document import DocumentScreen
from app.tui.session import Session
from app.tui.views import pulse as views
from app.tui.views.chips import make_chips
from widgets.frame import StatusView

REWRITE_S = 2.0
"""Seconds between two writings of what moves."""
ALERTS_S = 15.0
"""Seconds between two lookings at the flows for alerts."""


class Pulse(DocumentScreen):
    """Worked out in a thread; what is not there yet says so."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.PULSE, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.PULSE)]

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__(session, place)
        self._vitals = views.Vitals()
        self._asked: object = None
        self._written_s = self._alerted_s = float("-inf")

    def show_picture(self, picture: Picture) -> None:
        """Write it, and ask anew where policies or pods are other ones."""
        if self.session.has_read and self._asked is not picture.engine:
            self._asked = picture.engine
            self.work("judge", self._judge(picture))
        self._write()

    def tick(self) -> None:
        """Flows go on without news of objects."""
        now_s = self.session.clock.monotonic()
        if self.session.ring.seen and now_s - self._alerted_s >= ALERTS_S:
            self._alerted_s = now_s
            self.work("alerts", self._watch(self.session.picture))
        if now_s - self._written_s >= REWRITE_S:
            self._write()

    def _write(self) -> None:
        session = self.session
        self._written_s = session.clock.monotonic()
        chips = make_chips(session.picture.cluster.namespaces)
        page = views.page(session, self._vitals, chips, session.clock.now_ns())
        self.document.show(tuple(page))

    async def _judge(self, picture: Picture) -> None:
        own = await asyncio.to_thread(apart, picture)
        rulings = await asyncio.to_thread(judge, own)
        self._vitals = replace(self._vitals, rulings=rulings)
        self._write()
        manifests = self.session.workspace.manifests()
        report = await asyncio.to_thread(lint_picture, own, manifests)
        self._vitals = replace(self._vitals, findings=report.findings)
        self._write()

    async def _watch(self, picture: Picture) -> None:
        ring = self.session.ring
        flows, lost = list(ring), ring.lost.total()
        alerts = await asyncio.to_thread(lambda: alerts_of(apart(picture), flows, lost=lost))
        self._vitals = replace(self._vitals, alerts=alerts)
        self._write()

    def status(self) -> StatusView:
        """Say where one is."""
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("pulse", self.session.namespace or ALL), view=view)
