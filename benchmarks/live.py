"""Live flows and their history: ours beside the `hubble` command, in one run.

One line each: name, value, unit, ratio or bar. Needs the testbed's binaries for the Relay part
(tests/testbed/build.sh .build/testbed hubble); without them that part says so and is left out.

`python benchmarks/live.py [FLOWS] [ROWS]`
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _flow_view
import msgspec
from _figures import Figure, report

from app.core.model.flow import Flow, FlowBatch, FlowDetail, FlowEndpoint
from app.ports import FlowRequest, HistoryQuery

FLOWS = 400_000
ROWS = 10_000_000
PODS = 2_000
RATE = 8_000
RATE_S = 10.0
SPAN_S = 10 * 3600
MEASURED = 400_000
TIMES_HUBBLE, FOLLOW_CPU = 3, 30
_NS = 1_000_000_000


class SystemClock:
    """The machine's own time."""

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def endpoint(number: int) -> FlowEndpoint:
    name = f"app-{number % 200}"
    labels = (
        f"k8s:app={name}",
        f"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=ns-{number % 50}",
        "k8s:io.cilium.k8s.policy.cluster=default",
        "k8s:io.cilium.k8s.policy.serviceaccount=default",
        f"k8s:io.kubernetes.pod.namespace=ns-{number % 50}",
    )
    return FlowEndpoint(
        identity=1000 + number % 400,
        namespace=f"ns-{number % 50}",
        pod=f"{name}-7c9fd5f5b-{number:05}",
        labels=(*labels, f"k8s:app.kubernetes.io/name={name}"),
        workload_kind="Deployment",
        workload=name,
        cluster="default",
        id=number % 250 + 1,
    )


DETAIL = FlowDetail(
    kind="L3_L4",
    ip_version="IPv4",
    emitter=("Hubble", "1.19.3+g1a2b3c4d"),
    ethernet=("5e:1f:a2:0c:77:31", "d2:90:4e:aa:61:0b"),
    node_labels=(
        "kubernetes.io/arch=amd64",
        "kubernetes.io/hostname=tre-worker-2",
        "kubernetes.io/os=linux",
    ),
    interface=(48, "lxc6b1f0c2d9a3e"),
    trace_reason="NEW",
)
DROP_DETAIL = msgspec.structs.replace(
    DETAIL, trace_reason="", drop_reason=133, file=("bpf_lxc.c", 1382)
)


def make_flows(count: int, start_ns: int, step_ns: int) -> Iterator[Flow]:
    ends = [endpoint(number) for number in range(PODS)]
    for number in range(count):
        dropped = number % 10 == 0
        yield Flow(
            time_ns=start_ns + number * step_ns,
            uuid=f"{number:08x}-0000-4000-8000-000000000000",
            verdict="DROPPED" if dropped else "FORWARDED",
            drop_reason="POLICY_DENIED" if dropped else "",
            source=ends[number * 7 % PODS],
            destination=ends[number * 13 % PODS],
            source_ip=f"10.0.{number * 7 % PODS >> 8}.{number * 7 % PODS & 255}",
            destination_ip=f"10.1.{number * 13 % PODS >> 8}.{number * 13 % PODS & 255}",
            protocol="TCP",
            source_port=1024 + number % 60_000,
            destination_port=(53, 443, 5432, 8080)[number % 4],
            direction="EGRESS",
            event=1 if dropped else 4,
            detail=DROP_DETAIL if dropped else DETAIL,
            is_reply=None if dropped else False,
            sub_event=133 if dropped else 0,
            trace_point="" if dropped else "TO_ENDPOINT",
            node="node-1",
            tcp_flags="SYN",
            summary="TCP Flags: SYN",
        )


class BlastAgent:
    """The testbed's fast agent with ready flows, in a process of its own."""

    def __init__(self, flows: Iterator[Flow], folder: Path, binaries: Path) -> None:
        from tests.testbed.hubble.agent import response_of

        file = folder / "flows"
        with file.open("wb") as out:
            for flow in flows:
                raw = response_of(flow, "node-1").SerializeToString()
                out.write(uvarint(len(raw)) + raw)
        command = [str(binaries / "blast"), str(file), str(RATE)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None  # noqa: S101  # asked for above
        self.address = self._process.stdout.readline().strip().split()[-1]

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def uvarint(number: int) -> bytes:
    """A length as protobuf and Go write it."""
    out = bytearray()
    while number > 0x7F:  # seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def cpu_of(command: list[str]) -> tuple[float, str]:
    """CPU seconds of a whole child process, and what it printed last."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, ended.stdout[-200:]


def relay_part(count: int) -> bool:
    from tests.testbed.binaries import FOLDER
    from tests.testbed.hubble.server import RelayServer

    if not (FOLDER / "blast").exists():
        print("flows from Relay\t-\t\tneeds tests/testbed/build.sh .build/testbed hubble")
        return True
    with tempfile.TemporaryDirectory() as folder:
        agent = BlastAgent(make_flows(count, time.time_ns(), 1000), Path(folder), FOLDER)
        server = RelayServer(Path(folder), FOLDER, [agent])  # type: ignore[list-item]  # its address will do
        try:
            server.start()
            return report([compare_readers(server.address, count), follow_at_rate(server.address)])
        finally:
            server.stop()


def compare_readers(address: str, count: int) -> Figure:
    from tests.testbed.binaries import FOLDER

    mine, said = cpu_of([sys.executable, __file__, "--read", address])
    assert int(said.split()[-1]) == count, said  # noqa: S101  # a wrong answer has no speed
    hubble = [str(FOLDER / "hubble"), "observe", "--server", address, "--all", "-o", "json"]
    with_masks = ["--use-default-field-masks=false"]
    theirs, _ = cpu_of(["sh", "-c", f"{' '.join([*hubble, *with_masks])} | wc -l"])
    name = "flows per CPU second from Relay, times the hubble command"
    about = f"{count / mine:,.0f} and {count / theirs:,.0f} flows/s"
    return Figure(name, theirs / mine, "x", about, TIMES_HUBBLE, more=True)


def follow_at_rate(address: str) -> Figure:
    spent, said = cpu_of([sys.executable, __file__, "--follow", address])
    idle, _ = cpu_of([sys.executable, __file__, "--follow", "nowhere"])
    seen = int(said.split()[-1])
    percent = (spent - idle) / RATE_S * 100
    return Figure(f"CPU at {seen / RATE_S:,.0f} flows/s", percent, "% of a core", bar=FOLLOW_CPU)


async def read(address: str, *, follow: bool) -> int:
    from integrations.hubble.live import RelayFlows
    from integrations.hubble.relay import Relay

    relay = Relay(lambda: address)
    source = RelayFlows(relay, clock=SystemClock())
    request = FlowRequest(follow=follow, last=1 if follow else None)
    seen = 0
    try:
        async with asyncio.timeout(RATE_S if follow else None):
            async for item in source.flows(request):
                if isinstance(item, FlowBatch):
                    seen += len(item.flows)
    except TimeoutError:
        return seen
    return seen


async def history_part(rows: int) -> list[Figure]:
    from integrations.history.sqlite import Limits, SqliteHistory

    with tempfile.TemporaryDirectory() as folder:
        history = SqliteHistory(
            Path(folder), clock=SystemClock(), limits=Limits(days=30, size=64 << 30)
        )
        seconds, cpu = await fill(history, MEASURED)
        await fill(history, rows - MEASURED)
        span = await history.span()
        started = time.perf_counter()
        await history.top_dropped(HistoryQuery(limit=20))
        top_ms = (time.perf_counter() - started) * 1000
        started = time.perf_counter()
        await history.query(HistoryQuery(namespace="ns-7", limit=200))
        newest_ms = (time.perf_counter() - started) * 1000
        await history.close()
    about = f"{MEASURED / cpu:,.0f} a CPU second"
    return [
        Figure(
            "flows a second into SQLite", MEASURED / seconds, "flows/s", about, 20_000, more=True
        ),
        Figure("rows on disk", span.flows, "rows", f"{span.size / span.flows:.0f} bytes a row"),
        Figure("most dropped over them", top_ms, "ms", bar=300),
        Figure("newest 200 of a namespace", newest_ms, "ms"),
    ]


async def fill(history: Any, count: int) -> tuple[float, float]:
    """Keep so many flows; seconds by the clock and of the processor."""
    start_ns = time.time_ns() - SPAN_S * _NS
    batch: list[Flow] = []
    started, spent = time.perf_counter(), time.process_time()
    for number, flow in enumerate(repeated(count, start_ns)):
        batch.append(flow)
        if len(batch) == 500:  # a batch as Relay gives them
            history.keep(batch)
            batch = []
        if number % 50_000 == 0:
            await history.flush()
    history.keep(batch)
    await history.flush()
    return time.perf_counter() - started, time.process_time() - spent


def repeated(count: int, start_ns: int) -> Iterator[Flow]:
    """Many flows from a few: only time and uuid differ, as making them is not what is measured."""
    few = list(make_flows(20_000, 0, 0))
    step_ns = SPAN_S * _NS // max(count, 1)
    change: Callable[..., Flow] = msgspec.structs.replace
    for number in range(count):
        uuid = f"{number:08x}-1111-4000-8000-000000000000"
        yield change(few[number % len(few)], time_ns=start_ns + number * step_ns, uuid=uuid)


def main() -> int:
    if sys.argv[1:2] == ["--read"]:
        print(asyncio.run(read(sys.argv[2], follow=False)))
        os._exit(0)
    if sys.argv[1:2] == ["--follow"]:
        known = sys.argv[2] != "nowhere"
        print(asyncio.run(read(sys.argv[2], follow=True)) if known else idle())
        sys.stdout.flush()
        os._exit(0)
    counts = [int(word) for word in sys.argv[1:]]
    kept = [
        relay_part(counts[0] if counts else FLOWS),
        _flow_view.beside_history(),
        report(asyncio.run(history_part(counts[1] if len(counts) > 1 else ROWS))),
    ]
    return 0 if all(kept) else 1


def idle() -> int:
    """Load what following loads, and do nothing: what start-up costs."""
    from integrations.hubble.live import RelayFlows  # noqa: F401
    from integrations.hubble.relay import load_grpc

    load_grpc()
    return 0


if __name__ == "__main__":
    sys.exit(main())
