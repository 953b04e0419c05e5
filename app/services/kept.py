"""Flows of a live source, with those the history kept from before.

Hubble's rings hold seconds to minutes; "since yesterday" is answered from the disk, and what the
source still has is taken from the source. What passes is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from app.core.errors import K8treError
from app.core.flows.match import compile_filters
from app.core.model.flow import Flow, FlowBatch
from app.ports import FlowHistory, FlowRequest, FlowSource, HistoryQuery, SourceState

MOST_KEPT = 100_000
"""Flows read from the history for one request."""

LONGEST_FLUSH_S = 5.0
"""What a history that hangs may hold up; what it still had to write is then lost."""


class Kept:
    """A `FlowSource` that writes to a history, and reads what its source has forgotten.

    The history is optional: what it cannot give or keep is said in the source's state, and what
    is live goes on.
    """

    def __init__(self, source: FlowSource, history: FlowHistory) -> None:
        self._source = source
        self._history = history
        self._unread = ""
        self._said = ""

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """Older flows from the history, when the request reaches back, and then the source's."""
        begun = request.since_ns is None
        state = SourceState(self.name, "live")
        try:
            async for item in self._source.flows(request):
                if isinstance(item, SourceState):
                    state = item
                    yield self._with_history(state)
                    continue
                if self._trouble != self._said:
                    yield self._with_history(state)
                if not begun and (before := await self._before(request, item.flows)):
                    yield FlowBatch(before)
                begun = True
                self._history.keep(item.flows)
                yield item
            if not begun and (before := await self._before(request, ())):
                yield FlowBatch(before)
            if self._trouble != self._said:
                yield self._with_history(state)
        finally:
            await self._flush()

    @property
    def _trouble(self) -> str:
        return self._unread or self._history.failure

    def _with_history(self, state: SourceState) -> SourceState:
        """The source's state, with what the history does not do."""
        self._said = self._trouble
        if not self._said or not state.is_read:
            return state
        words = f"flow history: {self._said}"
        return replace(state, reason="; ".join(filter(None, (state.reason, words))))

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_FLUSH_S):
                await self._history.flush()
        except TimeoutError:
            return

    async def _before(self, request: FlowRequest, known: tuple[Flow, ...]) -> tuple[Flow, ...]:
        """What the history has from the requested time on and `known` does not."""
        uuids = {flow.uuid for flow in known}
        query = HistoryQuery(
            since_ns=request.since_ns, until_ns=request.until_ns, limit=request.last or MOST_KEPT
        )
        passes = compile_filters(request.allow, request.deny)
        try:
            kept = await self._history.query(query)
        except K8treError as error:
            self._unread = f"older ones cannot be read ({error.message})"
            return ()
        self._unread = ""
        return tuple(
            flow for flow in kept if flow.uuid not in uuids and (passes is None or passes(flow))
        )
