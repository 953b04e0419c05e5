"""A source of flows that goes on where its history ends.

A recorder that was away asks its source for what came since the newest flow it kept. What the
source has forgotten meanwhile is missing, and said: nothing can bring it back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from msgspec import structs

from app.core.flows.times import NS_PER_S, format_time
from app.core.model.flow import GAP, Flow, FlowBatch, NodeStatus
from app.ports import FlowHistory, FlowRequest, FlowSource, SourceState

OVERLAP_NS = 2 * NS_PER_S
"""Asked again from before the newest kept flow: nodes' clocks differ. What is known is known."""
QUIET_NS = 30 * NS_PER_S
"""A first flow no later than this after the newest kept one is no gap: it may have been quiet."""


@dataclass(slots=True)
class Missed:
    """What a recorder knows to be missing: `seconds` of time, in `gaps` pieces."""

    gaps: int = 0
    seconds: float = 0.0


class Resuming:
    """A `FlowSource` asked from the newest kept flow on; `missed` says what is lost for good."""

    def __init__(self, source: FlowSource, history: FlowHistory) -> None:
        self._source = source
        self._history = history
        self._begun = False
        self.missed = Missed()

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """The source's batches; the first time from where the history ends."""
        newest_ns = None
        if request.follow and request.since_ns is None and not self._begun:
            newest_ns = (await self._history.span()).newest_ns
            if newest_ns is not None:
                request = replace(request, since_ns=newest_ns - OVERLAP_NS)
        async for item in self._source.flows(request):
            if not isinstance(item, FlowBatch) or not item.flows:
                yield item
                continue
            self._begun = True
            yield item if newest_ns is None else self._with_gap(item, newest_ns)
            newest_ns = None

    def _with_gap(self, batch: FlowBatch, newest_ns: int) -> FlowBatch:
        """The first batch, with what lies between it and the newest kept flow as a gap."""
        first: Flow = min(batch.flows, key=lambda flow: flow.time_ns)
        away_ns = first.time_ns - newest_ns
        if away_ns <= QUIET_NS:
            return batch
        self.missed.gaps += 1
        self.missed.seconds += away_ns / NS_PER_S
        message = (
            f"nothing is known from {format_time(newest_ns)} to {format_time(first.time_ns)} "
            f"({away_ns // NS_PER_S} s): nobody recorded, and the source has forgotten it or was "
            f"quiet"
        )
        gap = NodeStatus(GAP, (), message, first.time_ns)
        return structs.replace(batch, statuses=(*batch.statuses, gap))
