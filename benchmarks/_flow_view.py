"""The view half of `flows.py` and `live.py`: flows drawn on a pseudo-terminal, 50,000 kept.

The whole way from a source's batch to the terminal runs: intake, ring, names, drop meter, filter,
paint. The peer is Textual's own `DataTable` as a rolling table of 1,000 rows, fed in one go and
as fast as it will take them. Bars: 50,000 flows/s at under half a core, no stall over 60 ms; and
20,000 flows/s beside the history in SQLite, none dropped, no stall over 60 ms.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _figures import Figure, report

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

RATE = 60_000
KEPT_RATE = 20_000
KEPT = 50_000
WARM_S = 2.0
MEASURE_S = 6.0
BATCH_S = 0.01
PEER_S = 3.0
COLUMNS, LINES = 160, 50
RATE_BAR, CPU_BAR, STALL_BAR_MS = 50_000, 50, 60


def make_flows(count: int) -> tuple[Any, ...]:
    """Flows of 400 pods, one in ten dropped, every fifth with an HTTP request."""
    from app.core.model.flow import Flow, FlowEndpoint, HttpInfo, L7Info

    ends = [
        FlowEndpoint(1000 + at, f"ns-{at % 20}", f"pod-{at}-7f9c5d", (f"k8s:app=a{at % 50}",))
        for at in range(400)
    ]
    now_ns = time.time_ns()
    return tuple(
        Flow(
            now_ns + at,
            "DROPPED" if at % 10 == 0 else "FORWARDED",
            source=ends[at % 400],
            destination=ends[at * 7 % 400],
            source_ip="10.0.0.1",
            destination_ip="10.0.0.2",
            protocol="TCP",
            source_port=40_000 + at % 20_000,
            destination_port=443,
            direction="EGRESS",
            drop_reason="POLICY_DENIED" if at % 10 == 0 else "",
            event=4,
            node=f"node-{at % 8}",
            l7=L7Info("REQUEST", http=HttpInfo("GET", f"/p/{at}")) if at % 5 == 0 else None,
        )
        for at in range(count)
    )


@dataclass(slots=True)
class Hose:
    """A flow source that gives `rate` flows a second, with uuids when they are to be kept."""

    name: str = "hose"
    rate: int = RATE
    with_uuids: bool = False
    given: int = 0
    flows_made: tuple[Any, ...] = field(default_factory=lambda: make_flows(20_000))

    async def flows(self, _request: object) -> AsyncIterator[Any]:
        """Give as many flows as time has passed for."""
        from app.core.model.flow import FlowBatch

        began = time.monotonic()
        while True:
            await asyncio.sleep(BATCH_S)
            due = round((time.monotonic() - began) * self.rate) - self.given
            start = self.given % len(self.flows_made)
            batch = self.flows_made[start : start + due]
            if self.with_uuids:
                batch = tuple(map(self._anew, batch, range(self.given, self.given + len(batch))))
            self.given += len(batch)
            yield FlowBatch(batch)

    @staticmethod
    def _anew(flow: Any, number: int) -> Any:
        import msgspec

        uuid = f"{number:08x}-0000-4000-8000-000000000000"
        return msgspec.structs.replace(flow, time_ns=time.time_ns(), uuid=uuid)


async def measure(hose: Hose) -> dict[str, float]:
    """Wait until warm, then watch rate, processor time and the lateness of the event loop."""
    await asyncio.sleep(WARM_S)
    began, given, used = time.monotonic(), hose.given, time.process_time()
    worst = 0.0
    while time.monotonic() - began < MEASURE_S:
        asked = time.monotonic()
        await asyncio.sleep(0.005)
        worst = max(worst, time.monotonic() - asked - 0.005)
    elapsed = time.monotonic() - began
    return {
        "rate": (hose.given - given) / elapsed,
        "cpu": (time.process_time() - used) / elapsed,
        "stall_ms": worst * 1000,
    }


def run_view(out: str, text: str, folder: str = "") -> None:
    """The child: the app on this terminal, its figures into a file; flows go to `folder` too."""
    from app.bootstrap.sources import SystemClock
    from app.config import Settings
    from app.services.kept import Kept
    from app.services.workspace import Workspace
    from app.tui.app import K8treApp
    from app.tui.places import Place
    from integrations.history.sqlite import SqliteHistory

    clock = SystemClock()
    history = SqliteHistory(Path(folder), clock=clock) if folder else None
    hose = Hose(rate=KEPT_RATE, with_uuids=True) if folder else Hose()
    source = Kept(hose, history) if history else hose
    workspace = Workspace([], [source], clock=clock, keep_flows=KEPT, history=history)
    app = K8treApp(workspace, Settings(), clock=clock, start=Place("flows", filter=text))

    figures: dict[str, float] = {}

    async def watch() -> None:
        figures.update(await measure(hose), kept=len(workspace.ring))
        if history is not None:
            given = hose.given
            await history.flush()
            span = await history.span()
            figures.update(missing=max(given - span.flows, 0), dropped=span.dropped)
        app.exit()

    app.call_later(lambda: app.run_worker(watch()))
    app.run()
    Path(out).write_text(json.dumps(figures))


def run_peer(out: str) -> None:
    """The child: flows a second into a `DataTable` that keeps 1,000 rows."""
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    flows = make_flows(2_000)

    class Peer(App[float]):
        def compose(self) -> ComposeResult:
            yield DataTable()

        async def on_mount(self) -> None:
            table = self.query_one(DataTable)
            for title in ("TIME", "SOURCE", "DESTINATION", "PORT", "VERDICT"):
                table.add_column(title, width=18)
            self.run_worker(self.fill(table))

        async def fill(self, table: DataTable[str]) -> None:
            began, count = time.monotonic(), 0
            while time.monotonic() - began < PEER_S:
                for flow in flows[count % 2_000 : count % 2_000 + 50]:
                    table.add_row(
                        str(flow.time_ns),
                        flow.source.pod,
                        flow.destination.pod,
                        str(flow.destination_port),
                        flow.verdict,
                        key=str(count),
                    )
                    if count >= 1_000:
                        table.remove_row(str(count - 1_000))
                    count += 1
                await asyncio.sleep(0)
            self.exit(count / (time.monotonic() - began))

    Path(out).write_text(json.dumps({"rate": Peer().run()}))


def on_terminal(*words: str) -> dict[str, float]:
    """Run this file as a child on a pseudo-terminal of its own and give its figures."""
    out = Path(f"/tmp/flow_view-{os.getpid()}.json")  # noqa: S108  # removed below
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, __file__, *words, str(out)])  # noqa: S606
    size = struct.pack("HHHH", LINES, COLUMNS, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    drain(pid, terminal)
    figures: dict[str, float] = json.loads(out.read_text())
    out.unlink()
    return figures


def drain(pid: int, terminal: int) -> None:
    """Read what the child draws until it ends, as a terminal would."""
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                os.read(terminal, 65_536)
            except OSError:
                break


def beside_history() -> bool:
    """Print how the view fares while every flow goes to SQLite; whether the bars are met."""
    with tempfile.TemporaryDirectory() as folder:
        found = on_terminal("history", folder)
    lost = found["missing"] + found["dropped"]
    name = "flows a second into SQLite beside a live view"
    about = f"{found['missing']:.0f} missing, {found['dropped']:.0f} dropped"
    return (
        report(
            [
                Figure(name, found["rate"], "flows/s", about, KEPT_RATE * 0.99, more=True),
                Figure(f"{name}: processor", found["cpu"] * 100, "% of a core"),
                Figure(f"{name}: worst stall", found["stall_ms"], "ms", bar=STALL_BAR_MS),
            ]
        )
        and not lost
    )


def main() -> int:
    """Print the figures; 1 when a bar is missed."""
    plain = on_terminal("view", "")
    filtered = on_terminal("view", "verdict:dropped")
    peer = on_terminal("peer")
    ratio = plain["rate"] / peer["rate"]
    faster = f"{ratio:.0f}x textual's own table"
    met = report(
        [
            Figure("flow_view.rate", plain["rate"], "flows/s", faster, RATE_BAR, more=True),
            Figure("flow_view.cpu", plain["cpu"] * 100, "% of a core", bar=CPU_BAR),
            Figure("flow_view.worst_stall", plain["stall_ms"], "ms", bar=STALL_BAR_MS),
            Figure("flow_view.filtered_cpu", filtered["cpu"] * 100, "% of a core"),
            Figure("flow_view.filtered_worst_stall", filtered["stall_ms"], "ms"),
        ]
    )
    return 0 if met and plain["kept"] == KEPT else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["view"]:
        run_view(sys.argv[3], sys.argv[2])
    elif sys.argv[1:2] == ["history"]:
        run_view(sys.argv[3], "", sys.argv[2])
    elif sys.argv[1:2] == ["peer"]:
        run_peer(sys.argv[2])
    else:
        sys.exit(main())
