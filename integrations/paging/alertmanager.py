"""Alerts to Prometheus' Alertmanager, which groups, silences and routes them to people.

What goes on is sent with an end a few minutes ahead, so that it is over by itself if this program
is; what ended is sent with the end it had.

Source: Alertmanager `api/v2/openapi.yaml` (`POST /alerts`, `postableAlert`: labels are required,
names `[a-zA-Z_][a-zA-Z0-9_]*`; an alert whose `endsAt` has passed is resolved).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from app.core.flows.times import NS_PER_S, format_time
from app.ports import Page
from integrations.paging.post import Target, post

PATH = "/api/v2/alerts"
LASTS_NS = 5 * 60 * NS_PER_S


class Alertmanager:
    """An Alertmanager as a `Pager`; the address is without `/api/v2`."""

    def __init__(
        self, target: Target, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._target = target
        self._transport = transport

    @property
    def name(self) -> str:
        """What to call it on screen."""
        return f"Alertmanager {self._target.shown}"

    @property
    def wants_repeats(self) -> bool:
        """It resolves what it does not hear of any more."""
        return True

    async def send(self, pages: Sequence[Page], now_ns: int) -> None:
        """Send alerts. Raises `SourceUnavailable` when they did not arrive."""
        body = [_postable(one, now_ns) for one in pages]
        await post(self._target, PATH, body, transport=self._transport)


def _postable(page: Page, now_ns: int) -> dict[str, Any]:
    ends_ns = min(page.ends_ns, now_ns) if page.ends_ns else now_ns + LASTS_NS
    return {
        "labels": dict(page.labels),
        "annotations": dict(page.annotations),
        "startsAt": format_time(min(page.starts_ns, ends_ns)),
        "endsAt": format_time(ends_ns),
    }
