from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.binaries import require
from tests.testbed.hubble.agent import ScriptedAgent
from tests.testbed.hubble.server import RelayKeys, RelayServer
from tests.testbed.network import Island


@pytest.fixture
def start_relay(tmp_path: Path) -> Iterator[Callable[..., RelayServer]]:
    """Start a Relay before `nodes` scripted agents; everything ends with the test.

    With an `island` Relay is there, and every agent is on this side with an address of its own.
    """
    binaries = require("hubble-relay", "hubble")
    servers: list[RelayServer] = []

    def start(
        nodes: int = 1,
        keys: RelayKeys | None = None,
        island: Island | None = None,
        **options: Any,
    ) -> RelayServer:
        agents = []
        for number in range(nodes):
            if island:
                options["host"] = island.another_address(number - 1) if number else island.here
            agents.append(ScriptedAgent(f"node-{number + 1}", **options).start())
        agents[0].peers = [(one.node, one.address) for one in agents]
        server = RelayServer(tmp_path, binaries, agents, keys, island)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()
