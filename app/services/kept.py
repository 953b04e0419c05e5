"""Flows of a live source, with those the history kept from before.

Hubble's rings hold seconds to minutes; "since yesterday" is answered from the disk, and what the
source still has is taken from the source. What passes is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.core.flows.match import compile_filters
from app.core.model.flow import Flow, FlowBatch
from app.ports import FlowHistory, FlowRequest, FlowSource, HistoryQuery, SourceState

MOST_KEPT = 100_000
"""Flows read from the history for one request."""


class Kept:
    """A `FlowSource` that writes to a history, and reads what its source has forgotten."""

    def __init__(self, source: FlowSource, history: FlowHistory) -> None:
        self._source = source
        self._history = history

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """Older flows from the history, when the request reaches back, and then the source's."""
        begun = request.since_ns is None
        try:
            async for item in self._source.flows(request):
                if isinstance(item, FlowBatch):
                    if not begun and (before := await self._before(request, item.flows)):
                        yield FlowBatch(before)
                    begun = True
                    self._history.keep(item.flows)
                yield item
            if not begun and (before := await self._before(request, ())):
                yield FlowBatch(before)
        finally:
            await self._history.flush()

    async def _before(self, request: FlowRequest, known: tuple[Flow, ...]) -> tuple[Flow, ...]:
        """What the history has from the requested time on and `known` does not."""
        uuids = {flow.uuid for flow in known}
        query = HistoryQuery(
            since_ns=request.since_ns, until_ns=request.until_ns, limit=request.last or MOST_KEPT
        )
        passes = compile_filters(request.allow, request.deny)
        return tuple(
            flow
            for flow in await self._history.query(query)
            if flow.uuid not in uuids and (passes is None or passes(flow))
        )
