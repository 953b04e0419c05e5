from collections.abc import AsyncIterator

import pytest

from app.core.errors import K8treError, SourceCause, SourceUnavailable, UsageError
from app.core.flows.observe_flags import Given
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowBatch, LostEvents
from app.ports import FlowRequest, SourceState
from app.services.flows import DEFAULT_LAST, Selection, Sifted, make_request, observe
from app.testing.clock import START_NS
from app.testing.sources import FakeFlows


def batch(*times: int, verdict: str = "FORWARDED") -> FlowBatch:
    return FlowBatch(tuple(Flow(at, verdict=verdict) for at in times))


async def times(
    source: FakeFlows | Sifted, request: FlowRequest, first: int | None = None
) -> list[int]:
    found = []
    async for item in observe([source], request, first=first):
        if isinstance(item, FlowBatch):
            found += [flow.time_ns for flow in item.flows]
    return found


@pytest.mark.parametrize(
    ("chosen", "recorded", "last"),
    [
        (Selection(), False, DEFAULT_LAST),
        (Selection(), True, None),
        (Selection(last=3), True, 3),
        (Selection(everything=True), False, None),
        (Selection(since="5m"), False, None),
        (Selection(until="5m"), False, None),
        (Selection(first=3), False, None),
        (Selection(follow=True), False, None),
        (Selection(follow=True, last=3), False, 3),
    ],
)
def test_request_limits_as_hubble_observe_does(
    chosen: Selection, *, recorded: bool, last: int | None
) -> None:
    assert make_request(chosen, START_NS, recorded=recorded).last == last


def test_request_has_times_and_filters() -> None:
    chosen = Selection(
        given=(Given("verdict", "DROPPED"), Given("protocol", "dns", negated=True)),
        allow=('{"source_pod": ["lung/"]}',),
        since="1m",
        until="2026-03-02",
    )
    request = make_request(chosen, START_NS, recorded=True)
    assert request.since_ns == START_NS - 60 * NS_PER_S
    assert request.until_ns is not None
    assert request.allow == ({"verdict": ["DROPPED"]}, {"source_pod": ["lung/"]})
    assert request.deny == ({"protocol": ["dns"]},)


def test_followed_live_flows_begin_now_unless_history_is_asked_for() -> None:
    def since(chosen: Selection, *, recorded: bool = False) -> int | None:
        return make_request(chosen, START_NS, recorded=recorded).since_ns

    assert since(Selection(follow=True)) == START_NS
    assert since(Selection(follow=True, last=5)) is None
    assert since(Selection(follow=True, since="1m")) == START_NS - 60 * NS_PER_S
    assert since(Selection(follow=True), recorded=True) is None


@pytest.mark.parametrize("chosen", [Selection(first=1, follow=True), Selection(first=1, last=1)])
def test_request_refuses_what_contradicts_itself(chosen: Selection) -> None:
    with pytest.raises(UsageError):
        make_request(chosen, START_NS, recorded=True)


async def test_observe_gives_every_source_in_turn() -> None:
    request = FlowRequest(follow=False)
    found = []
    async for item in observe([FakeFlows([batch(1)]), FakeFlows([batch(2)])], request):
        assert isinstance(item, FlowBatch)
        found += [flow.time_ns for flow in item.flows]
    assert found == [1, 2]


async def test_observe_cuts_the_last_over_all_nodes_in_order_of_time() -> None:
    source = FakeFlows([batch(5, 1), batch(4, 9)])
    assert await times(source, FlowRequest(follow=False, last=2)) == [4, 9]


async def test_observe_keeps_losses_when_it_cuts() -> None:
    lost = FlowBatch(lost=(LostEvents("HUBBLE_RING_BUFFER", 7),))
    source = FakeFlows([batch(1, 2), lost])
    request = FlowRequest(follow=False, last=1)
    counts = [
        one.count
        async for item in observe([source], request)
        if isinstance(item, FlowBatch)
        for one in item.lost
    ]
    assert counts == [7]


async def test_observe_stops_after_the_first() -> None:
    source = FakeFlows([batch(1, 2), batch(3, 4), batch(5)])
    assert await times(source, FlowRequest(follow=False), first=3) == [1, 2, 3]


async def test_sifted_source_filters_before_it_counts() -> None:
    source = FakeFlows([FlowBatch((*batch(1, 2, verdict="DROPPED").flows, *batch(3, 4).flows))])
    request = FlowRequest(follow=False, last=1, allow=({"verdict": ["DROPPED"]},))
    assert await times(Sifted(source), request) == [2]
    assert source.asked == [FlowRequest(follow=False)]


async def test_sifted_source_passes_what_needs_no_filter() -> None:
    state = SourceState("fake-flows", "live")
    source = FakeFlows([state, batch(1, 2)])
    request = FlowRequest(follow=False, last=5)
    items = [item async for item in Sifted(source).flows(request)]
    assert items == [state, batch(1, 2)]
    assert source.asked == [request]
    assert Sifted(source).name == "fake-flows"


class Flaky(FakeFlows):
    """Breaks after each part of its script, and goes on with the next."""

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        self.asked.append(request)
        number = len(self.asked) - 1
        if number >= len(self.script):
            return
        item = self.script[number]
        if isinstance(item, K8treError):
            raise item
        yield item
        raise SourceUnavailable("stream ended", cause=SourceCause.REFUSED)


async def followed(source: FakeFlows) -> tuple[list[int], list[float]]:
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    found = []
    async for item in observe([source], FlowRequest(), pause=pause):
        if isinstance(item, FlowBatch):
            found += [flow.time_ns for flow in item.flows]
        else:
            assert item.phase == "retrying"
    return found, waited


async def test_followed_source_is_asked_again_after_a_break() -> None:
    found, waited = await followed(Flaky([batch(1), batch(2)]))
    assert found == [1, 2]
    assert len(waited) == 2
    assert all(wait <= 1 for wait in waited)


async def test_source_that_never_answered_is_an_error() -> None:
    refused = SourceUnavailable("no", cause=SourceCause.REFUSED)
    with pytest.raises(SourceUnavailable):
        await followed(Flaky([refused]))


async def test_refused_credentials_are_not_tried_again() -> None:
    refused = SourceUnavailable("no", cause=SourceCause.FORBIDDEN)
    with pytest.raises(SourceUnavailable):
        await followed(Flaky([batch(1), refused]))


async def test_observe_leaves_out_what_does_not_match_before_it_counts() -> None:
    source = FakeFlows([batch(1, 2, 3, 4)])
    request = FlowRequest(follow=False, last=1)
    found = []
    async for item in observe([source], request, matches=lambda flow: flow.time_ns < 3):
        assert isinstance(item, FlowBatch)
        found += [flow.time_ns for flow in item.flows]
    assert found == [2]
    assert source.asked == [FlowRequest(follow=False)]
