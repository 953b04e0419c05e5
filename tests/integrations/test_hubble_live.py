from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import grpc.experimental
import pytest

from app.core.errors import BadInput, SourceCause, SourceUnavailable
from app.core.model.flow import GAP, Flow, FlowBatch, FlowEndpoint, NodeStatus
from app.ports import FlowRequest, SourceState
from app.testing.clock import FakeClock
from integrations.hubble import live, waiting
from integrations.hubble.live import RelayFlows, make_request
from integrations.hubble.relay import Relay, single_threaded_option
from tests.testbed.hubble.agent import ScriptedAgent

SECOND = 1_000_000_000
WITHIN_S = 15


def flow(number: int, verdict: str = "FORWARDED", namespace: str = "a") -> Flow:
    return Flow(
        time_ns=number * SECOND,
        verdict=verdict,
        uuid=f"u{number}",
        source=FlowEndpoint(namespace=namespace, pod=f"p{number}"),
        protocol="TCP",
        destination_port=80,
    )


@pytest.fixture
def agent() -> Iterator[ScriptedAgent]:
    running = ScriptedAgent().start()
    yield running
    running.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def source(agent: ScriptedAgent, clock: FakeClock) -> Iterator[RelayFlows]:
    relay = Relay(lambda: f"127.0.0.1:{agent.port}")
    yield RelayFlows(relay, clock=clock)
    relay.close()


async def collect(source: RelayFlows, request: FlowRequest) -> list[FlowBatch]:
    async with asyncio.timeout(WITHIN_S):
        return [item async for item in source.flows(request) if isinstance(item, FlowBatch)]


def uuids(batches: list[FlowBatch]) -> list[str]:
    return [one.uuid for batch in batches for one in batch.flows]


async def take(items: AsyncIterator[FlowBatch | SourceState], count: int) -> list[FlowBatch]:
    """Batches until `count` flows came."""
    batches: list[FlowBatch] = []
    async with asyncio.timeout(WITHIN_S):
        async for item in items:
            if isinstance(item, FlowBatch):
                batches.append(item)
            if len(uuids(batches)) >= count:
                return batches
    raise AssertionError("the source ended")


async def test_history_is_sorted_trimmed_and_filtered_at_the_source(
    agent: ScriptedAgent, source: RelayFlows
) -> None:
    agent.emit(flow(3), flow(1), flow(2, "DROPPED"), flow(4))
    last = FlowRequest(follow=False, last=2)
    assert uuids(await collect(source, last)) == ["u2", "u4"]
    dropped = FlowRequest(follow=False, allow=({"verdict": ["DROPPED"]},))
    assert uuids(await collect(source, dropped)) == ["u2"]
    assert agent.requests[-1].whitelist[0].verdict == [2]
    since = FlowRequest(follow=False, since_ns=3 * SECOND)
    assert uuids(await collect(source, since)) == ["u3", "u4"]


async def test_follow_gives_history_and_then_each_new_flow_once(
    agent: ScriptedAgent, source: RelayFlows
) -> None:
    agent.emit(flow(1), flow(2))
    async with aclosing(source.flows(FlowRequest())) as items:  # type: ignore[type-var]  # the port's type is wider
        assert uuids(await take(items, 2)) == ["u1", "u2"]
        agent.emit(flow(3))
        agent.lose(7)
        batches = await take(items, 1)
        agent.emit(flow(4))
        batches += await take(items, 1)
    assert uuids(batches) == ["u3", "u4"]
    assert sum(lost.count for batch in batches for lost in batch.lost) == 7
    assert agent.requests[-1].number == 1


async def test_follow_after_a_break_resumes_without_repeating(
    agent: ScriptedAgent, source: RelayFlows, clock: FakeClock
) -> None:
    agent.emit(flow(1))
    async with aclosing(source.flows(FlowRequest())) as items:  # type: ignore[type-var]
        await take(items, 1)
        port = agent.port
        agent.stop()
        with pytest.raises(SourceUnavailable):
            await take(items, 1)
    agent.emit(flow(2))
    agent.start(port)
    clock.advance(5)
    async with aclosing(source.flows(FlowRequest())) as items:  # type: ignore[type-var]
        batches = await take(items, 1)
    assert uuids(batches) == ["u2"]
    assert not [one for batch in batches for one in batch.statuses]


async def test_follow_after_a_break_longer_than_the_ring_reports_a_gap(clock: FakeClock) -> None:
    agent = ScriptedAgent(ring=1).start()
    source = RelayFlows(Relay(lambda: f"127.0.0.1:{agent.port}"), clock=clock)
    agent.emit(flow(1))
    async with aclosing(source.flows(FlowRequest())) as items:  # type: ignore[type-var]
        await take(items, 1)
    clock.advance(600)
    agent.emit(flow(2))
    async with aclosing(source.flows(FlowRequest())) as items:  # type: ignore[type-var]
        batches = await take(items, 1)
    [gap] = [one for batch in batches for one in batch.statuses]
    assert gap.state == GAP
    assert "600 s" in gap.message
    agent.stop()


async def test_pulse_when_the_server_goes_ends_the_stream_with_the_reason(
    agent: ScriptedAgent, source: RelayFlows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.05)
    agent.emit(flow(1))
    states = []
    async with asyncio.timeout(WITHIN_S), aclosing(source.flows(FlowRequest())) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, SourceState):
                states.append(item)
            if len(states) == 3:
                break
        agent.stop()
        with pytest.raises(SourceUnavailable) as caught:
            async for _ in items:
                pass
    assert {state.phase for state in states} == {"live"}
    assert states[0].detail["version"] == "cilium v1.19.3"
    assert caught.value.cause is SourceCause.REFUSED


@pytest.mark.parametrize(
    ("connected", "unavailable", "phase", "reason"),
    [
        (1, [], "live", ""),
        (1, ["n2"], "live", "not heard: n2"),
        (1, ["a", "b", "c", "d", "e"], "live", "not heard: a, b, c and 2 more"),
        (0, ["n2"], "stale", "Relay has no node it can ask; not heard: n2"),
        (0, [], "stale", "Relay has no node it can ask"),
    ],
)
async def test_state_says_which_nodes_are_not_heard(
    agent: ScriptedAgent,
    source: RelayFlows,
    connected: int,
    unavailable: list[str],
    phase: str,
    reason: str,
) -> None:
    agent.status_fields = {
        "num_connected_nodes": {"value": connected},
        "num_unavailable_nodes": {"value": len(unavailable)},
        "unavailable_nodes": unavailable,
    }
    async with asyncio.timeout(WITHIN_S):
        items = [item async for item in source.flows(FlowRequest(follow=False))]
    [state] = [item for item in items if isinstance(item, SourceState)]
    assert (state.phase, state.reason) == (phase, reason)
    assert bool(state.unheard) is (phase == "live" and bool(unavailable))


async def test_flood_drops_the_oldest_and_counts_them(
    agent: ScriptedAgent, source: RelayFlows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "QUEUED", 10)
    monkeypatch.setattr(live, "BATCH_S", 0.3)
    agent.emit(flow(1))
    seen: list[FlowBatch] = []
    async with asyncio.timeout(WITHIN_S), aclosing(source.flows(FlowRequest())) as items:  # type: ignore[type-var]
        await take(items, 1)
        agent.emit(*(flow(number) for number in range(2, 200)))
        async for item in items:
            if isinstance(item, FlowBatch):
                seen.append(item)
            if "u199" in uuids(seen):
                break
    dropped = sum(batch.dropped for batch in seen)
    assert dropped > 0
    repeated = 1  # the stream begins before the newest flow, and its repeat may be dropped too
    assert len(uuids(seen)) + dropped in (198, 198 + repeated)


def rejected(node: str, message: str = "failed to build filter: bad regex") -> NodeStatus:
    return NodeStatus("NODE_ERROR", (node,), message)


def connected(*nodes: str) -> NodeStatus:
    return NodeStatus("NODE_CONNECTED", nodes)


@pytest.mark.parametrize(
    ("statuses", "flows", "refused"),
    [
        ((connected("a", "b"), rejected("a"), rejected("b")), (), True),
        ((connected("a", "b"), rejected("a")), (), False),
        ((connected("a"), rejected("a", "connection reset")), (), False),
        ((connected("a"), rejected("a")), (flow(1),), False),
        ((rejected("a"),), (), False),
        ((connected("a", "b"), rejected("a"), rejected("b", "invalid field")), (), False),
    ],
)
def test_refused_filter_is_told_from_a_failing_node(
    statuses: tuple[NodeStatus, ...], flows: tuple[Flow, ...], *, refused: bool
) -> None:
    batch = FlowBatch(flows, statuses=statuses)
    if refused:
        with pytest.raises(BadInput, match="bad regex"):
            live._refuse_if_rejected(batch)
    else:
        live._refuse_if_rejected(batch)


def test_request_with_a_field_hubble_does_not_have_is_bad_input() -> None:
    with pytest.raises(BadInput, match="not a flow filter"):
        make_request(FlowRequest(allow=({"source_podd": ["a/"]},)))


async def test_status_when_nobody_listens_is_refused(clock: FakeClock) -> None:
    agent = ScriptedAgent().start()
    agent.stop()
    source = RelayFlows(Relay(lambda: f"127.0.0.1:{agent.port}"), clock=clock)
    with pytest.raises(SourceUnavailable) as caught:
        await collect(source, FlowRequest(follow=False))
    assert caught.value.cause is SourceCause.REFUSED


def test_nodes_of_an_agent_are_unknown_and_namespaces_unimplemented(agent: ScriptedAgent) -> None:
    relay = Relay(lambda: f"127.0.0.1:{agent.port}")
    assert relay.nodes() == ()
    with pytest.raises(SourceUnavailable) as caught:
        relay.namespaces()
    assert caught.value.cause is SourceCause.UNIMPLEMENTED
    relay.close()


def test_single_threaded_option_exists_in_this_grpcio(monkeypatch: pytest.MonkeyPatch) -> None:
    assert single_threaded_option() == (("SingleThreadedUnaryStream", 1),)
    monkeypatch.delattr(grpc.experimental, "ChannelOptions")
    assert single_threaded_option() == ()
