"""`record`: follow Hubble without a screen, keep the flows, and serve metrics."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from app.cli.context import Context
from app.cli.options import add_paging_options
from app.core.errors import ConfigError, UsageError
from app.core.flows.times import NS_PER_S

if TYPE_CHECKING:
    from app.bootstrap.recording import Closable
    from app.services.recorder import Reading
    from app.services.resuming import Resuming
    from app.services.workspace import Workspace

EXAMPLE = """  k8tre-tui record
  k8tre-tui record --listen 0.0.0.0:9468 --notify
  curl http://127.0.0.1:9468/metrics

goes on where the history ends, and says what is missing; the history is that of the settings
(flows.history_folder, or ClickHouse with flows.clickhouse); ends with SIGTERM or ctrl+c"""

DEFAULT_LISTEN = "127.0.0.1:9468"
NOWHERE = "none"
EVERY_S = 1.0
SPAN_NS = 15 * NS_PER_S
"""How often the history is asked how far it reaches, which reads it."""
SUMMARY_NS = 60 * NS_PER_S
"""How often a line says what was received."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help=f"where /metrics and /healthz are served, or none (default: {DEFAULT_LISTEN})",
    )
    parser.add_argument(
        "--for", dest="lasts_s", type=float, default=None, metavar="SECONDS",
        help="end after so many seconds",
    )  # fmt: skip
    add_paging_options(parser)


def run(context: Context) -> int:
    """Record until told to end."""
    host, port = _address(context.args.listen)
    return asyncio.run(_record(context, host, port))


def _address(text: str) -> tuple[str, int | None]:
    if text == NOWHERE:
        return "", None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:  # noqa: PLR2004  # the highest port
        raise UsageError(f"`{text}` is not HOST:PORT", hint=f"as {DEFAULT_LISTEN}, or none")
    return host.strip("[]") or "127.0.0.1", int(port)


async def _record(context: Context, host: str, port: int | None) -> int:
    from app.bootstrap.flows import asks_relay
    from app.bootstrap.recording import build_recorder
    from app.services.tasks import Tasks

    if not (asks_relay(context.sources) or context.sources.demo):
        raise UsageError("only a live Hubble Relay is recorded", hint="--record FILE writes a file")
    made = build_recorder(context.sources, context.config.settings)
    if made is None:
        raise ConfigError("no history is kept", hint="set flows.history", key="flows.history")
    workspace, resuming = made
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # where the loop cannot
            loop.add_signal_handler(number, ended.set)
    recording = _Recording(context, workspace, resuming)
    server = recording.serve(host, port) if port is not None else None
    try:
        async with Tasks(workspace.report) as tasks:
            tasks.start("workspace", workspace.run())
            await recording.go_on(ended, context.args.lasts_s)
    finally:
        if server is not None:
            server.close()
        recording.say_summary()
    return 0


class _Recording:
    """What is counted while flows pass, and said now and then."""

    def __init__(self, context: Context, workspace: Workspace, resuming: Resuming) -> None:
        from app.cli.commands.alerts import paging_of
        from app.core.insights.alert import Alerts
        from app.ports import HistorySpan
        from app.services.insights import AlertBook
        from app.services.recorder import DropCounts

        self._context = context
        self._workspace = workspace
        self._resuming = resuming
        self._book = AlertBook()
        self._drops = DropCounts()
        self._paging = paging_of(context)
        self._span = HistorySpan()
        self._alerts = Alerts()
        self._reading: Reading | None = None
        self._said_ns = _now_ns()
        self._spanned_ns = 0

    def serve(self, host: str, port: int) -> Closable:
        """Serve the newest reading."""
        from app.bootstrap.recording import build_metrics_server

        server = build_metrics_server(host, port, lambda: self._reading or self._read())
        self._context.out.say(f"metrics at http://{server.address}/metrics")
        return server

    async def go_on(self, ended: asyncio.Event, lasts_s: float | None) -> None:
        """Count every second, until told to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(lasts_s):
                while not ended.is_set():
                    await self._look()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(EVERY_S):
                            await ended.wait()
                await self._look()

    async def _look(self) -> None:
        picture, now_ns = self._workspace.picture, _now_ns()
        self._book.know(picture)
        self._book.follow(self._workspace.ring)
        if self._workspace.history is not None and now_ns - self._spanned_ns >= SPAN_NS:
            self._spanned_ns, self._span = now_ns, await self._workspace.history.span()
        self._alerts = self._book.alerts(picture, now_ns)
        self._reading = self._read()
        if self._paging is not None:
            for trouble in await self._paging.tell(self._alerts, now_ns):
                self._context.out.say(f"warning: {trouble}")
        self._say_gaps()
        if now_ns - self._said_ns >= SUMMARY_NS:
            self._said_ns = now_ns
            self.say_summary()

    def _read(self) -> Reading:
        from app.services.recorder import take_reading

        return take_reading(
            self._workspace,
            self._alerts,
            drops=self._drops.update(self._alerts, self._workspace.picture),
            span=self._span,
            missed=self._resuming.missed,
            now_ns=_now_ns(),
            newest_ns=self._book.watch.last_ns,
        )

    def _say_gaps(self) -> None:
        for gap in self._workspace.ring.gaps:
            self._context.out.say(f"gap: {gap.message}")
        for caught in self._workspace.diagnostics:
            self._context.out.say(f"warning: {caught}")

    def say_summary(self) -> None:
        """How much was received and kept, and what was lost."""
        ring = self._workspace.ring
        lost = sum(ring.lost.values()) + ring.dropped + self._span.dropped
        states = ", ".join(
            f"{name} {state.phase}"
            for name, state in sorted(self._workspace.picture.sources.items())
        )
        self._context.out.say(
            f"{ring.seen:,} flows received, {self._span.flows:,} kept, {lost:,} events lost, "
            f"{self._resuming.missed.seconds:.0f} s missed ({states})"
        )


def _now_ns() -> int:
    from app.bootstrap.sources import SystemClock

    return SystemClock().now_ns()
