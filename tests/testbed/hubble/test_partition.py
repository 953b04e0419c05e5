"""Packets between us and Relay, or Relay and a node, vanish while we follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.core.errors import SourceCause
from app.core.model.flow import GAP
from integrations.hubble import live, relay
from tests.testbed.binaries import require
from tests.testbed.hubble.agent import ScriptedAgent
from tests.testbed.hubble.server import RelayServer
from tests.testbed.hubble.test_failures import following, numbered
from tests.testbed.network import Island

pytestmark = pytest.mark.testbed


@pytest.fixture
def on_island(island: Island, tmp_path: Path) -> Iterator[Callable[[], RelayServer]]:
    """Start a Relay on the island, before two nodes with an address each on this side."""
    binaries = require("hubble-relay")
    servers: list[RelayServer] = []

    def start() -> RelayServer:
        hosts = [island.here, island.another_address(0)]
        agents = [ScriptedAgent(f"node-{host}", host=host).start() for host in hosts]
        agents[0].peers = [(one.node, one.address) for one in agents]
        server = RelayServer(tmp_path, binaries, agents, island=island)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


async def test_relay_behind_a_cut_is_noticed_left_and_followed_again(
    on_island: Callable[[], RelayServer], island: Island, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.3)
    monkeypatch.setattr(relay, "UNARY_TIMEOUT_S", 1.0)
    server = await asyncio.to_thread(on_island)
    agent = server.agents[1]
    agent.emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        island.cut(island.here)
        await seen.until(lambda: bool(seen.breaks))
        agent.emit(*numbered(2))
        await seen.until(lambda: len(seen.breaks) > 1)  # it is tried again, in vain
        island.mend(island.here)
        agent.emit(*numbered(3))
        await seen.until(lambda: "u3" in seen.uuids)
    assert sorted(seen.uuids) == ["u1", "u2", "u3"]
    assert {one.cause for one in seen.breaks} <= {SourceCause.TIMEOUT, SourceCause.REFUSED}
    assert seen.breaks[0].cause is SourceCause.TIMEOUT


async def test_following_behind_a_cut_ends_at_once(
    on_island: Callable[[], RelayServer], island: Island
) -> None:
    server = await asyncio.to_thread(on_island)
    server.agents[1].emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        island.cut(island.here)
        asked = time.monotonic()
    assert time.monotonic() - asked < 1


async def test_node_behind_a_cut_does_not_silence_the_others(
    on_island: Callable[[], RelayServer], island: Island, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.3)
    monkeypatch.setattr(relay, "UNARY_TIMEOUT_S", 1.0)
    server = await asyncio.to_thread(on_island)
    near, far = server.agents
    far.emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        island.cut(far.host)
        far.emit(*numbered(2))
        await seen.until(lambda: bool(seen.unavailable))
        near.emit(*numbered(3))
        await seen.until(lambda: "u3" in seen.uuids)
        island.mend(far.host)
        await seen.until(lambda: "u2" in seen.uuids)
        await seen.until(lambda: not seen.unavailable)
    assert sorted(seen.uuids) == ["u1", "u2", "u3"]
    assert not seen.breaks


async def test_start_beside_a_node_behind_a_cut_shows_the_others_and_says_so(
    on_island: Callable[[], RelayServer], island: Island, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "UNARY_TIMEOUT_S", 1.0)
    server = await asyncio.to_thread(on_island)
    near, far = server.agents
    near.emit(*numbered(1))
    island.cut(far.host)
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        near.emit(*numbered(2))
        await seen.until(lambda: "u2" in seen.uuids)
        assert seen.unavailable in {live.SILENT, far.node}  # Relay may answer just in time
    assert [one.message for one in seen.statuses if one.state == GAP] == [
        "older flows may be missing: a node of Relay does not answer"
    ]
    assert not seen.breaks
