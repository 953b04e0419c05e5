"""Insights: detectors' rate and memory, and panels over a store of many flows.

One line each: name, value, unit, ratio. Bars: all detectors together take 20,000 flows/s on one
core, in memory that workloads bound and flows do not; over the store each panel answers within
500 ms.

`python benchmarks/insights.py [FLOWS IN THE STORE]`; ClickHouse is measured beside SQLite where
`CLICKHOUSE_URL` names a server.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random

import msgspec
from _figures import Figure, report

from app.core.insights.performance import Performance
from app.core.insights.violations import Judge
from app.core.insights.watch import Watch
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow, FlowEndpoint
from app.core.policy.engine import Engine
from app.ports import FlowHistory, HistoryQuery
from app.testing.clock import FakeClock

FLOWS = 400_000
STORED = 1_000_000
BATCH = 20_000
WORKLOADS = 400
RATE_BAR = 20_000.0
MEMORY_BAR = 1.3
PANEL_BAR_MS = 500.0
START_NS = 1_780_000_000_000_000_000
DAY_NS = 86_400_000_000_000


def ends() -> list[FlowEndpoint]:
    """Pods of many workloads, two replicas each."""
    return [
        FlowEndpoint(
            identity=1000 + number // 2,
            namespace=f"project-{number % 20}",
            pod=f"app-{number // 2}-7c9fd5f5b-{number:05}",
            labels=(
                f"k8s:app=app-{number // 2}",
                f"k8s:io.kubernetes.pod.namespace=p{number % 20}",
            ),
            workload_kind="Deployment",
            workload=f"app-{number // 2}",
        )
        for number in range(2 * WORKLOADS)
    ]


def flows(count: int, *, seed: int = 1, gap_ns: int = 50_000) -> Iterator[Flow]:
    """Verdicts, traces, answers and drops between them; the same pairs again and again."""
    random, pods = Random(seed), ends()  # noqa: S311  # made-up traffic
    pairs = [
        (random.choice(pods), random.choice(pods), random.choice((80, 443, 5432)))
        for _ in range(1500)
    ]
    base = Flow(START_NS, "FORWARDED", protocol="TCP", event=5, direction="EGRESS", node="n1")
    for number in range(count):
        source, destination, port = pairs[number % len(pairs)]
        drop = number % 23 == 0
        answer = number % 3 == 2
        client = 32_768 + number % 28_000
        yield msgspec.structs.replace(
            base,
            time_ns=START_NS + number * gap_ns,
            verdict="DROPPED" if drop else "FORWARDED",
            drop_reason="POLICY_DENIED" if drop else "",
            source=destination if answer else source,
            destination=source if answer else destination,
            source_ip="10.0.0.1",
            destination_ip="10.0.0.2",
            source_port=port if answer else client,
            destination_port=client if answer else port,
            is_reply=None if drop else answer,
            event=(5, 4, 4)[number % 3],
            tcp_flags="SYN,ACK" if answer else "SYN",
            uuid=f"{number:032x}",
        )


def watched(count: int) -> tuple[float, int]:
    """Seconds and bytes that watching so many flows takes; the flows themselves do not count."""
    made = list(flows(count))
    gc.collect()
    watch = Watch()
    began = time.perf_counter()
    watch.add(made)
    took = time.perf_counter() - began
    tracemalloc.start()
    again = Watch()
    again.add(made)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    watch.alerts(Judge(Engine.build(Cluster())))
    return took, size


def detectors() -> Iterator[Figure]:
    """How fast flows are watched, and whether memory grows with them."""
    took, size = watched(FLOWS)
    yield Figure("insights.watch", FLOWS / took, "flows/s", bar=RATE_BAR, more=True)
    _, half = watched(FLOWS // 2)
    yield Figure("insights.watch.memory", size / 2**20, "MiB")
    growth = size / half
    yield Figure("insights.watch.memory_for_twice_the_flows", growth, "x", bar=MEMORY_BAR)
    made = list(flows(FLOWS))
    measured = Performance()
    began = time.perf_counter()
    measured.add(made)
    rate = FLOWS / (time.perf_counter() - began)
    yield Figure("insights.performance", rate, "flows/s", bar=RATE_BAR, more=True)


async def fill(history: FlowHistory, count: int) -> float:
    """Keep so many flows, a week of them; gives flows a second."""
    began, batch = time.perf_counter(), []
    for flow in flows(count, gap_ns=7 * DAY_NS // count):
        batch.append(flow)
        if len(batch) == BATCH:
            history.keep(batch)
            await history.flush()
            batch = []
    history.keep(batch)
    await history.flush()
    return count / (time.perf_counter() - began)


async def timed(ask: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds of the second time: the first warms the page cache, as a screen has."""
    await ask()
    began = time.perf_counter()
    await ask()
    return (time.perf_counter() - began) * 1000


async def panels(name: str, history: FlowHistory, count: int) -> list[Figure]:
    """Fill a store and ask what the panels ask."""
    rate = await fill(history, count)
    last = START_NS + 7 * DAY_NS
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "top_dropped_week": lambda: history.top_dropped(HistoryQuery(limit=100)),
        "top_dropped_hour": lambda: history.top_dropped(
            HistoryQuery(since_ns=last - DAY_NS // 24, limit=100)
        ),
        "newest_500": lambda: history.query(HistoryQuery(limit=500)),
        "newest_500_dropped": lambda: history.query(HistoryQuery(verdicts=("DROPPED",), limit=500)),
        "span": history.span,
    }
    figures = [Figure(f"insights.{name}.keep", rate, "flows/s", f"{count:,} flows")]
    for panel, ask in questions.items():
        bar = PANEL_BAR_MS if name == "sqlite" else None
        figures.append(Figure(f"insights.{name}.{panel}", await timed(ask), "ms", bar=bar))
    await history.close()
    return figures


def stores(count: int) -> Iterator[Figure]:
    """SQLite, and ClickHouse where a server is named."""
    from integrations.history.sqlite import Limits, SqliteHistory

    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(days=3650, size=64 << 30)
        clock = FakeClock(START_NS)
        history = SqliteHistory(Path(folder) / "flows", clock=clock, limits=limits)
        yield from asyncio.run(panels("sqlite", history, count))
    if url := os.environ.get("CLICKHOUSE_URL"):
        from integrations.history.clickhouse import ClickHouseHistory, Server

        server = Server(url, table="insights_benchmark", days=3650)
        yield from asyncio.run(panels("clickhouse", ClickHouseHistory(server), count))


def main() -> int:
    """Print every figure; 1 when a bar is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else STORED
    kept = report(detectors())
    return 0 if report(stores(count)) and kept else 1


if __name__ == "__main__":
    sys.exit(main())
