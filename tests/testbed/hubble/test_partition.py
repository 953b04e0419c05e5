"""Packets between us and Relay, or Relay and a node, vanish while we follow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from app.core.errors import SourceCause
from app.core.model.flow import GAP
from integrations.hubble import live, relay
from tests.testbed.hubble.server import RelayServer
from tests.testbed.hubble.test_failures import following, numbered
from tests.testbed.network import Island

pytestmark = pytest.mark.testbed


async def test_relay_behind_a_cut_is_noticed_left_and_followed_again(
    start_relay: Callable[..., RelayServer], island: Island, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.3)
    monkeypatch.setattr(relay, "UNARY_TIMEOUT_S", 1.0)
    server = await asyncio.to_thread(start_relay, 2, island=island)
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
    start_relay: Callable[..., RelayServer], island: Island
) -> None:
    server = await asyncio.to_thread(start_relay, 2, island=island)
    server.agents[1].emit(*numbered(1))
    async with following(server) as seen:
        await seen.until(lambda: seen.uuids == ["u1"])
        island.cut(island.here)
        asked = time.monotonic()
    assert time.monotonic() - asked < 1


async def test_node_behind_a_cut_does_not_silence_the_others(
    start_relay: Callable[..., RelayServer], island: Island, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_S", 0.3)
    monkeypatch.setattr(relay, "UNARY_TIMEOUT_S", 1.0)
    server = await asyncio.to_thread(start_relay, 2, island=island)
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
    start_relay: Callable[..., RelayServer], island: Island, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "UNARY_TIMEOUT_S", 1.0)
    server = await asyncio.to_thread(start_relay, 2, island=island)
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
