from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from app.core.errors import SourceUnavailable
from app.core.model.flow import Flow, FlowBatch
from app.ports import DroppedTotal, FlowRequest, HistoryQuery, HistorySpan, SourceState
from app.services import kept as kept_module
from app.services.kept import Kept


def flow(number: int, verdict: str = "FORWARDED") -> Flow:
    return Flow(time_ns=number, uuid=f"u{number}", verdict=verdict)


class Remembering:
    """A history in memory."""

    failure = ""

    def __init__(self, *flows: Flow) -> None:
        self.kept: list[Flow] = list(flows)
        self.flushed = False

    def keep(self, flows: Sequence[Flow]) -> None:
        self.kept.extend(flows)

    async def flush(self) -> None:
        self.flushed = True

    async def query(self, query: HistoryQuery) -> tuple[Flow, ...]:
        fitting = [one for one in self.kept if one.time_ns >= (query.since_ns or 0)]
        return tuple(fitting[-query.limit :])

    async def top_dropped(self, query: HistoryQuery) -> tuple[DroppedTotal, ...]:
        return ()

    async def span(self) -> HistorySpan:
        return HistorySpan()

    async def close(self) -> None:
        return


class Scripted:
    """A source that gives its batches and ends."""

    name = "scripted"

    def __init__(self, *items: FlowBatch | SourceState) -> None:
        self._items = items

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        for item in self._items:
            yield item


async def uuids(kept: Kept, request: FlowRequest) -> list[str]:
    items = [one async for one in kept.flows(request)]
    return [flow.uuid for one in items if isinstance(one, FlowBatch) for flow in one.flows]


SINCE = FlowRequest(since_ns=2)


async def test_flows_that_pass_are_kept() -> None:
    history = Remembering()
    kept = Kept(Scripted(SourceState("s", "live"), FlowBatch((flow(5),))), history)
    assert await uuids(kept, FlowRequest()) == ["u5"]
    assert [one.uuid for one in history.kept] == ["u5"]
    assert history.flushed
    assert kept.name == "scripted"


async def test_request_that_reaches_back_gets_what_the_source_forgot_once() -> None:
    history = Remembering(flow(1), flow(2), flow(3))
    kept = Kept(Scripted(FlowBatch((flow(3), flow(4)))), history)
    assert await uuids(kept, SINCE) == ["u2", "u3", "u4"]


async def test_history_answers_when_the_source_has_nothing() -> None:
    assert await uuids(Kept(Scripted(), Remembering(flow(2), flow(3))), SINCE) == ["u2", "u3"]


async def test_filters_hold_for_the_history_too() -> None:
    history = Remembering(flow(2), flow(3, "DROPPED"))
    request = replace(SINCE, allow=({"verdict": ["DROPPED"]},))
    assert await uuids(Kept(Scripted(), history), request) == ["u3"]


class Failing(Remembering):
    """A history whose server is gone: nothing is read, kept or flushed."""

    failure = "connection refused"

    async def query(self, query: HistoryQuery) -> tuple[Flow, ...]:
        raise SourceUnavailable("connection refused", source="clickhouse")

    async def flush(self) -> None:
        await asyncio.Event().wait()


async def test_history_that_fails_ends_nothing_and_is_said_in_the_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_module, "LONGEST_FLUSH_S", 0.01)
    live = SourceState("s", "live", "not heard: node-2")
    kept = Kept(Scripted(live, FlowBatch((flow(4),)), FlowBatch((flow(5),))), Failing())
    async with asyncio.timeout(5):
        items = [one async for one in kept.flows(SINCE)]
    assert [one.flows[0].uuid for one in items if isinstance(one, FlowBatch)] == ["u4", "u5"]
    last = [one for one in items if isinstance(one, SourceState)][-1]
    assert last.is_read
    assert last.reason.startswith("not heard: node-2; flow history: ")
    assert "refused" in last.reason


async def test_history_that_works_again_is_no_longer_complained_of() -> None:
    history = Failing()
    kept = Kept(Scripted(SourceState("s", "live"), FlowBatch(()), FlowBatch(())), history)
    reasons = []
    async for item in kept.flows(FlowRequest()):
        if isinstance(item, SourceState):
            reasons.append(item.reason)
            history.failure = ""
            history.flush = Remembering().flush  # type: ignore[method-assign]
    assert reasons == ["flow history: connection refused", ""]
