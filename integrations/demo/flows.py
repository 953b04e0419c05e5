"""The demo's traffic as a source of flows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import msgspec

from app.core.cluster.build import build_cluster
from app.core.model.flow import FlowBatch
from app.core.policy.engine import Engine
from app.ports import FlowRequest, SourceState
from integrations.demo.cluster import DemoCluster
from integrations.demo.topology import read_topology
from integrations.demo.traffic import Traffic

DEFAULT_SEED = 7
DEFAULT_RATE = 25.0
"""Flows a second: lively, and slow enough to read."""
_PAUSE_S = 0.1
_SHORT_PAUSE_S = 0.02
_BUSY_RATE = 5_000.0
"""From here on batches are kept small, so that making one holds nobody up."""


class DemoFlows:
    """Hubble as the demo cluster would show it: a quarter of an hour of history, then live.

    Filters of a request are left to whoever asks; `last`, `since_ns` and `until_ns` are obeyed.
    """

    def __init__(
        self,
        *,
        seed: int = DEFAULT_SEED,
        rate: float = DEFAULT_RATE,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._seed = seed
        self._rate = rate
        self._now_ns = now_ns

    @property
    def name(self) -> str:
        """What it is called on screen."""
        return "demo flows"

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """Yield the history, then, when asked to follow, what happens."""
        picture = await DemoCluster(self._now_ns).read()
        engine = await asyncio.to_thread(
            lambda: Engine.build(build_cluster(picture.manifests, settings=picture.settings))
        )
        traffic = Traffic(engine, read_topology(), seed=self._seed, rate=self._rate)
        start_ns = self._now_ns()
        yield SourceState(self.name, "live", since_ns=start_ns)
        yield _requested(traffic.history(start_ns), request)
        pause_s = _PAUSE_S if self._rate < _BUSY_RATE else _SHORT_PAUSE_S
        while request.follow:
            await asyncio.sleep(pause_s)
            yield traffic.until(self._now_ns())


def _requested(history: FlowBatch, request: FlowRequest) -> FlowBatch:
    since_ns = request.since_ns or 0
    until_ns = request.until_ns or history.flows[-1].time_ns
    flows = tuple(flow for flow in history.flows if since_ns <= flow.time_ns <= until_ns)
    if request.last is not None:
        flows = flows[-request.last :] if request.last else ()
    return msgspec.structs.replace(history, flows=flows)
