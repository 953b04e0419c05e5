"""Alerts as plain JSON to any address: what docs/forms.md §4.6 shows, several at once."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from app.ports import Page
from app.services.contract import document
from integrations.paging.post import Target, post


class Webhook:
    """An address that takes `{"schema", "alerts": […]}` as a `Pager`; it hears of changes only."""

    def __init__(
        self, target: Target, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._target = target
        self._transport = transport

    @property
    def name(self) -> str:
        """What to call it on screen."""
        return f"webhook {self._target.shown}"

    @property
    def wants_repeats(self) -> bool:
        """Each change is told once."""
        return False

    async def send(self, pages: Sequence[Page], now_ns: int) -> None:  # noqa: ARG002  # the port's
        """Send alerts. Raises `SourceUnavailable` when they did not arrive."""
        body = document({"alerts": [dict(one.form) for one in pages]})
        await post(self._target, "", body, transport=self._transport)
