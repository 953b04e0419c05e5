from __future__ import annotations

from contextlib import aclosing

from app.core.flows.times import NS_PER_S
from app.core.model.flow import GAP, Flow, FlowBatch
from app.ports import FlowRequest, SourceState
from app.services.resuming import OVERLAP_NS, QUIET_NS, Resuming
from app.testing.history import FakeHistory
from app.testing.sources import FakeFlows

LAST_NS = 1_000 * NS_PER_S


async def first_batch(
    resuming: Resuming, request: FlowRequest
) -> tuple[FlowBatch | SourceState, ...]:
    async with aclosing(resuming.flows(request)) as items:  # type: ignore[type-var]  # a generator
        return (await anext(items),)


def at(time_ns: int) -> FlowBatch:
    return FlowBatch((Flow(time_ns, uuid=str(time_ns)),))


async def test_resuming_when_flows_were_kept_then_asks_from_the_newest_on() -> None:
    source = FakeFlows([at(LAST_NS + NS_PER_S)])
    resuming = Resuming(source, FakeHistory(kept=[Flow(LAST_NS)]))
    (batch,) = await first_batch(resuming, FlowRequest())
    assert source.asked[0].since_ns == LAST_NS - OVERLAP_NS
    assert isinstance(batch, FlowBatch)
    assert not batch.statuses
    assert resuming.missed.gaps == 0


async def test_resuming_when_the_source_forgot_then_says_from_when_to_when() -> None:
    source = FakeFlows([at(LAST_NS + 2 * QUIET_NS)])
    resuming = Resuming(source, FakeHistory(kept=[Flow(LAST_NS)]))
    (batch,) = await first_batch(resuming, FlowRequest())
    assert isinstance(batch, FlowBatch)
    (gap,) = batch.statuses
    assert gap.state == GAP
    assert "60 s" in gap.message
    assert (resuming.missed.gaps, resuming.missed.seconds) == (1, 60.0)


async def test_resuming_when_nothing_was_kept_or_a_time_is_asked_for_then_asks_as_asked() -> None:
    for kept, request in (([], FlowRequest()), ([Flow(LAST_NS)], FlowRequest(since_ns=5))):
        source = FakeFlows([at(LAST_NS * 2)])
        await first_batch(Resuming(source, FakeHistory(kept=kept)), request)
        assert source.asked[0] == request


async def test_resuming_when_it_breaks_then_the_source_itself_knows_where_it_was() -> None:
    source = FakeFlows([at(LAST_NS + NS_PER_S)])
    resuming = Resuming(source, FakeHistory(kept=[Flow(LAST_NS)]))
    await first_batch(resuming, FlowRequest())
    await first_batch(resuming, FlowRequest())
    assert [one.since_ns for one in source.asked] == [LAST_NS - OVERLAP_NS, None]
