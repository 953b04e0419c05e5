"""Packets between us and the API server vanish while we watch."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
import yaml

from integrations.kubernetes import client as client_module
from integrations.kubernetes import reader as reader_module
from integrations.kubernetes.client import Credentials
from integrations.kubernetes.reader import KubernetesReader
from tests.testbed.kube.server import KubeServer
from tests.testbed.kube.test_reader import (
    CNP,
    RealClock,
    has,
    new_namespace,
    policy,
    until,
    watching,
)
from tests.testbed.network import Island

pytestmark = pytest.mark.testbed


async def reader_behind(island: Island, kube: KubeServer, folder: Path) -> KubernetesReader:
    """A reader whose way to the API server leads over the island."""
    config = yaml.safe_load(kube.kubeconfig.read_text())
    port = await asyncio.to_thread(island.forward, kube.port)
    config["clusters"][0]["cluster"] |= {
        "server": f"https://{island.there}:{port}",
        "tls-server-name": "localhost",
    }
    file = folder / "config"
    file.write_text(yaml.safe_dump(config))
    credentials = Credentials(str(file), "admin")
    return KubernetesReader(credentials, clock=RealClock(), jitter=lambda: 1.0)


async def test_watch_behind_a_cut_says_so_and_misses_nothing_once_mended(
    kube: KubeServer, island: Island, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "HEARTBEAT_S", 0.5)
    monkeypatch.setattr(client_module, "READ_TIMEOUT_S", 1.0)
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT_S", 1.0)
    ns = new_namespace(kube, "cut")
    source = await reader_behind(island, kube, tmp_path)
    await source.read()
    async with watching(source) as changes:
        await until(changes, lambda change: change.state and change.state.phase == "live")
        island.cut(island.here)
        stuck = await until(
            changes, lambda change: change.state and change.state.phase == "retrying"
        )
        assert stuck.state is not None
        assert stuck.state.detail["cause"] == "timeout"
        kube.call("POST", CNP.format(ns), policy("meanwhile", "9090"))
        still = await until(changes, lambda _: True)
        assert still.as_of_ns == stuck.as_of_ns
        island.mend(island.here)
        await until(changes, has("meanwhile", "9090"))
        await until(changes, lambda change: change.state and change.state.phase == "live")


async def test_watch_behind_a_cut_ends_at_once(
    kube: KubeServer, island: Island, tmp_path: Path
) -> None:
    source = await reader_behind(island, kube, tmp_path)
    await source.read()
    async with watching(source) as changes:
        await until(changes, lambda change: change.state and change.state.phase == "live")
        island.cut(island.here)
        asked = time.monotonic()
    assert time.monotonic() - asked < 1
