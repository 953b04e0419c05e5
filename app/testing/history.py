"""A flow history in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.core.model.flow import EVENT_VERDICT, Flow, FlowEndpoint
from app.ports import DroppedTotal, HistoryQuery, HistorySpan

_SIZE = 100
"""Bytes that a flow is said to take."""


@dataclass(slots=True)
class FakeHistory:
    """Implements `FlowHistory`; `kept` is what is on its disk, `room` how much the queue holds."""

    room: int = 10_000
    kept: list[Flow] = field(default_factory=list)
    is_closed: bool = False
    failure: str = ""
    _queue: list[Flow] = field(default_factory=list)
    _dropped: int = 0

    def keep(self, flows: Sequence[Flow]) -> None:
        """Queue flows; what finds no room is counted."""
        taken = flows[: self.room - len(self._queue)]
        self._queue += taken
        self._dropped += len(flows) - len(taken)

    async def flush(self) -> None:
        """Keep what is queued; a flow that is kept already is the same flow."""
        known = {one.uuid for one in self.kept if one.uuid}
        self.kept += [one for one in self._queue if not one.uuid or one.uuid not in known]
        self._queue.clear()

    async def query(self, query: HistoryQuery) -> tuple[Flow, ...]:
        """The newest flows that fit, oldest first."""
        fitting = sorted(self._fitting(query), key=lambda one: one.time_ns)
        return tuple(fitting[-query.limit :])

    async def top_dropped(self, query: HistoryQuery) -> tuple[DroppedTotal, ...]:
        """The most frequent drops; a policy verdict beside a drop event is the same packet."""
        counts: Counter[tuple[str, str, str, int, str]] = Counter()
        newest: dict[tuple[str, str, str, int, str], int] = {}
        for flow in self._fitting(query):
            if flow.verdict == "DROPPED" and flow.event != EVENT_VERDICT:
                ends = (_who(flow.source), _who(flow.destination))
                key = (*ends, flow.protocol, flow.destination_port, flow.drop_reason)
                counts[key] += 1
                newest[key] = max(newest.get(key, 0), flow.time_ns)
        ranked = counts.most_common(query.limit)
        return tuple(DroppedTotal(*key, count, newest[key]) for key, count in ranked)

    async def span(self) -> HistorySpan:
        """How far it reaches, and what it lost."""
        times = [one.time_ns for one in self.kept]
        return HistorySpan(
            oldest_ns=min(times, default=None),
            newest_ns=max(times, default=None),
            flows=len(times),
            size=_SIZE * len(times),
            dropped=self._dropped,
            writing=not self.is_closed,
        )

    async def close(self) -> None:
        """Keep what is queued."""
        await self.flush()
        self.is_closed = True

    def _fitting(self, query: HistoryQuery) -> Iterator[Flow]:
        for flow in self.kept:
            ends = (flow.source, flow.destination)
            if (
                (query.since_ns is None or flow.time_ns >= query.since_ns)
                and (query.until_ns is None or flow.time_ns <= query.until_ns)
                and (not query.namespace or query.namespace in [end.namespace for end in ends])
                and (query.identity is None or query.identity in [end.identity for end in ends])
                and (not query.verdicts or flow.verdict in query.verdicts)
            ):
                yield flow


def _who(end: FlowEndpoint) -> str:
    if name := end.workload or end.pod:
        return f"{end.namespace}/{name}"
    reserved = (label.removeprefix("reserved:") for label in end.labels)
    return next(reserved, str(end.identity))
