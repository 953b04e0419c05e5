"""A real hubble-relay in front of scripted agents, and the real `hubble` CLI beside it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import SourceUnavailable
from integrations.hubble.relay import Relay, Tls
from tests.testbed.hubble.agent import ScriptedAgent
from tests.testbed.kube.server import free_ports
from tests.testbed.network import Island

READY_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class RelayKeys:
    """What makes Relay speak TLS, and what a client needs to be let in."""

    flags: list[str]
    client: Tls


class RelayServer:
    """Relay on a port of its own; `agents[0]` is the one that tells it of its peers."""

    def __init__(
        self,
        folder: Path,
        binaries: Path,
        agents: list[ScriptedAgent],
        keys: RelayKeys | None = None,
        island: Island | None = None,
    ) -> None:
        """On an `island` Relay is on another host than agents and clients."""
        self.agents = agents
        self._island = island
        self._keys = keys
        self._folder = folder
        self._binaries = binaries
        self._port, self._health_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"{self._island.there if self._island else '127.0.0.1'}:{self._port}"

    def start(self) -> None:
        """Start Relay and wait until its port answers and every agent is connected."""
        command = [
            str(self._binaries / "hubble-relay"),
            "serve",
            "--gops=false",
            "--peer-service",
            self.agents[0].address,
            "--listen-address",
            self.address,
            "--health-listen-address",
            f"127.0.0.1:{self._health_port}",
            "--disable-client-tls",
            *(self._keys.flags if self._keys else ["--disable-server-tls"]),
            "--retry-timeout",
            "1s",
            "--sort-buffer-drain-timeout",
            "100ms",
        ]
        if self._island is not None:
            command = self._island.inside(*command)
        with (self._folder / "relay.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError((self._folder / "relay.log").read_text()[-2000:])
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        relay = Relay(lambda: self.address, self._keys.client if self._keys else None)
        try:
            return relay.status().connected == len(self.agents)
        except SourceUnavailable:
            return False
        finally:
            relay.close()

    def signal(self, sent: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT thaws it."""
        assert self._process is not None
        self._process.send_signal(sent)

    def kill(self) -> None:
        """End Relay as a crash would; TERM does not end this version."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End Relay and its agents."""
        self.kill()
        for agent in self.agents:
            agent.stop()

    def cli(self, *words: str) -> list[dict[str, Any]]:
        """Run the upstream `hubble` CLI against Relay and give its JSON lines."""
        command = [str(self._binaries / "hubble"), *words, "--server", self.address]
        ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
        return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith(b"{")]
