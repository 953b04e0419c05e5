"""Relay and its nodes are killed, frozen, restarted and cut off while we follow."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
from msgspec.structs import replace

from app.core.errors import BadInput, SourceCause, SourceUnavailable
from app.core.flows.filters import parse_filter
from app.core.model.flow import GAP, Flow, FlowBatch, NodeStatus
from app.ports import FlowRequest, SourceState
from app.services.workspace import Workspace
from integrations.hubble import live, relay
from integrations.hubble.live import RelayFlows
from integrations.hubble.relay import Relay
from tests.testbed.hubble.server import RelayServer

pytestmark = pytest.mark.testbed

WITHIN_S = 40


class RealClock:
    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()


class Follower:
    """Follows Relay through every break, as the workspace does, and keeps what it was given."""

    def __init__(self, server: RelayServer) -> None:
        self.uuids: list[str] = []
        self.statuses: list[NodeStatus] = []
        self.breaks: list[SourceUnavailable] = []
        self.lost = 0
        self.unavailable = ""
        self._relay = Relay(lambda: server.address)
        self._source = RelayFlows(self._relay, clock=RealClock())
        self._changed = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                async with aclosing(self._source.flows(FlowRequest())) as items:  # type: ignore[type-var]
                    async for item in items:
                        self._take(item)
            except SourceUnavailable as error:
                self.breaks.append(error)
                self._changed.set()
                await asyncio.sleep(0.2)

    def _take(self, item: FlowBatch | SourceState) -> None:
        if isinstance(item, FlowBatch):
            self.uuids.extend(flow.uuid for flow in item.flows)
            self.statuses.extend(item.statuses)
            self.lost += sum(lost.count for lost in item.lost)
        elif item.phase == "live":
            self.unavailable = str(item.detail["unavailable"])
        self._changed.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not reached():
                self._changed.clear()
                await self._changed.wait()

    def close(self) -> None:
        self._relay.close()


@asynccontextmanager
async def following(server: RelayServer) -> AsyncIterator[Follower]:
    follower = Follower(server)
    task = asyncio.ensure_future(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        follower.close()


def numbered(*numbers: int) -> list[Flow]:
    now = time.time_ns()
    return [
        Flow(time_ns=now + number, uuid=f"u{number}", verdict="FORWARDED") for number in numbers
    ]


async def test_relay_when_killed_and_started_again_misses_and_repeats_nothing(
    start_relay: Callable[..., RelayServer],
) -> None:
    server = await asyncio.to_thread(start_relay)
    agent = server.agents[0]
    agent.emit(*numbered(1, 2))
    async with following(server) as seen:
        await seen.until(lambda: len(seen.uuids) == 2)
        server.kill()
        await seen.until(lambda: bool(seen.breaks))
        agent.emit(*numbered(3, 4))
        await asyncio.to_thread(server.start)
        agent.emit(*numbered(5))
        await seen.until(lambda: "u5" in seen.uuids)
        agent.emit(*numbered(6))
        await seen.until(lambda: "u6" in seen.uuids)
    assert sorted(seen.uuids) == ["u1", "u2", "u3", "u4", "u5", "u6"]
    assert not [one for one in seen.statuses if one.state == GAP]
    assert seen.breaks[0].cause is SourceCause.REFUSED


async def test_agent_when_restarted_with_an_empty_ring_is_followed_again(
    start_relay: Callable[..., RelayServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.5)
    server = await asyncio.to_thread(start_relay, 2)
    first, second = server.agents
    first.emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        port = second.port
        await asyncio.to_thread(second.stop)
        first.emit(*numbered(2))
        await seen.until(lambda: "u2" in seen.uuids)
        second.forget()
        second.start(port)
        number = 3
        while not [one for one in seen.uuids if one not in {"u1", "u2"}]:
            second.emit(*numbered(number))  # Relay tries a lost node again, or we ask it anew
            number += 1
            await asyncio.sleep(0.3)
            assert number < 100
    assert len(seen.uuids) == len(set(seen.uuids))


async def test_relay_when_frozen_is_noticed_and_followed_after_the_thaw(
    start_relay: Callable[..., RelayServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.3)
    monkeypatch.setattr(relay, "UNARY_TIMEOUT_S", 1.0)
    server = await asyncio.to_thread(start_relay)
    agent = server.agents[0]
    agent.emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        server.signal(signal.SIGSTOP)
        await seen.until(lambda: bool(seen.breaks))
        agent.emit(*numbered(2))
        server.signal(signal.SIGCONT)
        await seen.until(lambda: "u2" in seen.uuids)
    assert seen.uuids == ["u1", "u2"]
    assert seen.breaks[0].cause is SourceCause.TIMEOUT


async def test_rare_flows_show_at_once_although_relay_gathers_a_hundred(
    start_relay: Callable[..., RelayServer],
) -> None:
    server = await asyncio.to_thread(start_relay)
    agent = server.agents[0]
    agent.emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        await asyncio.sleep(0.3)
        for number in range(2, 8):  # steady arrivals keep Relay's sort buffer from draining
            agent.emit(*numbered(number))
            await asyncio.sleep(0.08)
        emitted = time.monotonic()
        await seen.until(lambda: "u6" in seen.uuids)
    assert time.monotonic() - emitted < 0.5


async def test_narrowed_workspace_gets_from_relay_what_it_asked_for_and_nothing_twice(
    start_relay: Callable[..., RelayServer],
) -> None:
    server = await asyncio.to_thread(start_relay)
    agent = server.agents[0]
    source = RelayFlows(Relay(lambda: server.address), clock=RealClock())
    workspace = Workspace([], [source], clock=RealClock(), can_narrow=True)

    async def until(*uuids: str) -> None:
        async with asyncio.timeout(WITHIN_S):
            while [flow.uuid for flow in workspace.ring] != list(uuids):
                await asyncio.sleep(0.02)

    async def asked(count: int) -> None:
        async with asyncio.timeout(WITHIN_S):
            while sum(one.follow for one in agent.requests) < count:
                await asyncio.sleep(0.02)

    task = asyncio.ensure_future(workspace.run())
    try:
        agent.emit(*numbered(1))
        await until("u1")
        await asked(1)
        workspace.narrow("verdict:dropped", parse_filter("verdict:dropped").to_hubble())
        await asked(2)
        agent.emit(*numbered(2), *(replace(one, verdict="DROPPED") for one in numbered(3)))
        await until("u1", "u3")
        workspace.widen()
        await asked(3)
        agent.emit(*numbered(4))
        await until("u1", "u3", "u2", "u4")  # the two seconds of overlap brought u2
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(workspace.ring.gaps) == 1


async def test_bad_filter_is_refused_once_and_said(
    start_relay: Callable[..., RelayServer],
) -> None:
    server = await asyncio.to_thread(start_relay, 2)
    connection = Relay(lambda: server.address)
    source = RelayFlows(connection, clock=RealClock())
    request = FlowRequest(follow=False, last=1, allow=({"source_label": ["(("]},))
    with pytest.raises(BadInput, match="filter"):
        async for _ in source.flows(request):
            pass
    connection.close()


async def test_lost_events_of_a_node_reach_us(start_relay: Callable[..., RelayServer]) -> None:
    server = await asyncio.to_thread(start_relay)
    server.agents[0].emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        server.agents[0].lose(137)
        server.agents[0].emit(*numbered(2))
        await seen.until(lambda: seen.lost == 137)


async def test_status_nodes_and_namespaces_of_relay(
    start_relay: Callable[..., RelayServer],
) -> None:
    server = await asyncio.to_thread(start_relay, 2)
    connection = Relay(lambda: server.address)
    status = await asyncio.to_thread(connection.status)
    nodes = await asyncio.to_thread(connection.nodes)
    await asyncio.to_thread(connection.namespaces)
    connection.close()
    assert status.connected == 2
    assert status.version.startswith("hubble-relay")
    assert [(node.name, node.state) for node in nodes] == [
        ("node-1", "NODE_CONNECTED"),
        ("node-2", "NODE_CONNECTED"),
    ]
