from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.binaries import require
from tests.testbed.hubble.agent import ScriptedAgent
from tests.testbed.hubble.server import RelayKeys, RelayServer


@pytest.fixture
def start_relay(tmp_path: Path) -> Iterator[Callable[..., RelayServer]]:
    """Start a Relay before `nodes` scripted agents; everything ends with the test."""
    binaries = require("hubble-relay", "hubble")
    servers: list[RelayServer] = []

    def start(nodes: int = 1, keys: RelayKeys | None = None, **options: Any) -> RelayServer:
        agents = [ScriptedAgent(f"node-{number + 1}", **options).start() for number in range(nodes)]
        agents[0].peers = [(one.node, one.address) for one in agents]
        server = RelayServer(tmp_path, binaries, agents, keys)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()
