"""How the bot is, over HTTP: `/healthz`, `/readyz` and `/metrics`.

Served by the event loop that answers Slack, so that a loop which hangs is not well either.
Source of the paths and codes: Kubernetes, "Liveness, Readiness and Startup Probes"; of the form of
`/metrics`: the Prometheus text exposition, which its own client writes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from app.core.errors import ConfigError

PORT_MAX = 65_535


class Numbers(Protocol):
    """What is told of the bot."""

    @property
    def decisions(self) -> Mapping[str, int]:
        """How often what was decided."""
        ...

    @property
    def buckets(self) -> Mapping[float, int]:
        """How many took no longer than each bound."""
        ...

    @property
    def total_s(self) -> float:
        """Seconds that all of them took."""
        ...

    @property
    def answered(self) -> int:
        """How many there were."""
        ...

    @property
    def pending(self) -> Callable[[], int]:
        """Tells how many are being answered."""
        ...

    @property
    def is_connected(self) -> Callable[[], bool]:
        """Tells whether Slack is connected."""
        ...

    @property
    def trouble(self) -> str:
        """Why it should be started again; empty when it should not."""
        ...

    @property
    def unready(self) -> str:
        """Why no question can be answered now; empty when it can."""
        ...

    def ages_s(self) -> Mapping[str, float]:
        """Seconds since something was read last, by what it is."""
        ...

    def sources(self) -> Mapping[str, str]:
        """How every source is."""
        ...


class _Collector:
    """Makes the families anew each time they are asked for."""

    def __init__(self, numbers: Numbers, bounds_s: tuple[float, ...]) -> None:
        self._numbers = numbers
        self._bounds_s = bounds_s

    def collect(self) -> Iterator[Metric]:
        numbers = self._numbers
        questions = CounterMetricFamily(
            "k8tre_tui_bot_questions", "Questions, by what was decided", labels=("decision",)
        )
        for decision, count in sorted(numbers.decisions.items()):
            questions.add_metric((decision,), count)
        yield questions
        took = HistogramMetricFamily("k8tre_tui_bot_answer_seconds", "How long decisions took")
        buckets = [(str(bound), float(numbers.buckets.get(bound, 0))) for bound in self._bounds_s]
        took.add_metric((), [*buckets, ("+Inf", float(numbers.answered))], numbers.total_s)
        yield took
        yield _gauge("k8tre_tui_bot_pending", "Questions being answered", numbers.pending())
        connected = float(numbers.is_connected())
        yield _gauge("k8tre_tui_bot_connected", "1 while Slack is connected", connected)
        age = GaugeMetricFamily(
            "k8tre_tui_source_age_seconds", "Seconds since it was read", labels=("what",)
        )
        for what, seconds in numbers.ages_s().items():
            age.add_metric((what,), seconds)
        yield age
        phase = GaugeMetricFamily(
            "k8tre_tui_source_phase", "1 for how a source is now", labels=("source", "phase")
        )
        for source, word in numbers.sources().items():
            phase.add_metric((source, word), 1)
        yield phase


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


@asynccontextmanager
async def serving_status(
    numbers: Numbers, bounds_s: tuple[float, ...], listen: str
) -> AsyncIterator[str]:
    """Serve until the block is left; gives the address. Raises `ConfigError`."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ConfigError(f"`{listen}` is not HOST:PORT", hint="127.0.0.1:9090", key="bot.status")
    registry = CollectorRegistry()
    registry.register(_Collector(numbers, bounds_s))

    async def health(_request: web.Request) -> web.Response:
        trouble = numbers.trouble
        return web.Response(status=503 if trouble else 200, text=trouble or "fine")

    async def readiness(_request: web.Request) -> web.Response:
        unready = numbers.unready
        return web.Response(status=503 if unready else 200, text=unready or "ready")

    async def metrics(_request: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(registry), headers=headers)

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", health), web.get("/readyz", readiness), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            raise ConfigError(f"cannot listen on {listen}: {words}", key="bot.status") from error
        bound = runner.addresses[0]
        yield f"http://{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()
