"""Flows from the file to the screen: loading, keeping, filtering, grouping, and the live view.

One line each: name, value, unit, ratio to the peer in the same run, which for loading and keeping
is plain `json.loads`. Each side loads in a process of its own, for its memory; then the view is
drawn on a pseudo-terminal (`_flow_view.py`). Bars: 200,000 flows load in 2 s and are kept in
150 MiB; the view takes 50,000 flows/s at under half a core, with no stall over 60 ms.

`python benchmarks/flows.py [FLOWS]`
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import _flow_view
import msgspec
from _figures import Figure, report

from app.bootstrap.collector import relax_collector
from app.core.flows.codec import Decoder
from app.core.flows.encode import encode_line
from app.core.flows.filters import parse_filter
from app.core.flows.grouping import Connections
from app.core.flows.ring import Ring, View
from app.core.model.flow import Flow, FlowDetail, FlowEndpoint

FLOWS = 200_000
PODS = 2_000
LOAD_BAR_S = 2.0
KEEP_BAR_MIB = 150.0
START_NS = 1_772_446_500_000_000_000

FILTERS = {
    "one_field": "verdict:dropped",
    "three_fields": "from:ns-0/app-* port:443 verdict:dropped",
    "substring": "app-17",
    "substring_not_there": "no-such-thing",
}


def endpoint(number: int) -> FlowEndpoint:
    app = f"app-{number % 100}"
    labels = (f"k8s:app={app}", f"k8s:io.kubernetes.pod.namespace=ns-{number % 20}")
    return FlowEndpoint(
        identity=1000 + number % 400,
        namespace=f"ns-{number % 20}",
        pod=f"{app}-7c9fd5f5b-{number:05}",
        labels=(*labels, "k8s:io.cilium.k8s.policy.cluster=default"),
        workload_kind="Deployment",
        workload=app,
        cluster="default",
        id=number % 250 + 1,
    )


def make_flows(count: int) -> Iterator[Flow]:
    """Flows of 2,000 pods, each with a client port and a uuid of its own, one in ten dropped."""
    ends = [endpoint(number) for number in range(PODS)]
    details = [
        FlowDetail(
            kind="L3_L4",
            ip_version="IPv4",
            emitter=("Hubble", "1.19.3+g1a2b3c4d"),
            ethernet=("5e:1f:a2:0c:77:31", f"d2:90:4e:aa:61:{node:02x}"),
            node_labels=("kubernetes.io/arch=amd64", f"kubernetes.io/hostname=node-{node}"),
            interface=(node, f"lxc6b1f0c2d{node:04}"),
            trace_reason="NEW",
        )
        for node in range(16)
    ]
    for number in range(count):
        dropped = number % 10 == 0
        source, destination = number * 7 % PODS, number * 13 % PODS
        yield Flow(
            time_ns=START_NS + number * 100_001,
            uuid=f"{number:08x}-6f0e-4d1c-9d36-6f2b6a6c1f02",
            verdict="DROPPED" if dropped else "FORWARDED",
            drop_reason="POLICY_DENIED" if dropped else "",
            source=ends[source],
            destination=ends[destination],
            source_ip=f"10.0.{source >> 8}.{source & 255}",
            destination_ip=f"10.1.{destination >> 8}.{destination & 255}",
            protocol="TCP",
            source_port=32_768 + number * 31 % 28_000,
            destination_port=(443, 5432, 8080, 53)[number % 4],
            direction="EGRESS",
            is_reply=None if dropped else False,
            event=1 if dropped else 4,
            sub_event=133 if dropped else 0,
            node=f"node-{number % 16}",
            tcp_flags="SYN",
            trace_point="" if dropped else "TO_ENDPOINT",
            summary="TCP Flags: SYN",
            detail=details[number % 16],
        )


def resident_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load_ours(path: str) -> list[object]:
    ring = Ring(FLOWS)
    decoder = Decoder()
    with Path(path).open("rb") as file:
        ring.keep(flow for line in file if isinstance(flow := decoder.decode_line(line), Flow))
    return [ring]


def load_peer(path: str) -> list[object]:
    with Path(path).open("rb") as file:
        return [json.loads(line) for line in file]


def timed_load(path: str, load: Callable[[str], list[object]], answer: str) -> None:
    """In a child: seconds of processor time, and MiB that stay."""
    relax_collector()  # as the program does
    before, began = resident_mib(), time.process_time()
    kept = load(path)
    figures = (time.process_time() - began, resident_mib() - before, len(kept))
    Path(answer).write_bytes(msgspec.json.encode(figures))


def in_child(path: str, load: Callable[[str], list[object]]) -> tuple[float, float]:
    with tempfile.NamedTemporaryFile() as answer:
        context = multiprocessing.get_context("spawn")
        child = context.Process(target=timed_load, args=(path, load, answer.name))
        child.start()
        child.join()
        seconds, mib, _ = json.loads(Path(answer.name).read_bytes())
    return seconds, mib


def measure_load(count: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "flows.jsonl")
        with Path(path).open("wb") as file:
            file.writelines(encode_line(flow) + b"\n" for flow in make_flows(count))
        seconds, mib = in_child(path, load_ours)
        peer_seconds, peer_mib = in_child(path, load_peer)
    scale = count / FLOWS
    faster = f"{peer_seconds / seconds:.2f}x json.loads"
    smaller = f"{peer_mib / mib:.1f}x smaller than dicts"
    return report(
        [
            Figure("flows.load", seconds, "s", faster, LOAD_BAR_S * scale),
            Figure("flows.load_rate", count / seconds, "flows/s"),
            Figure("flows.kept", mib, "MiB", smaller, KEEP_BAR_MIB * max(scale, 0.3)),
        ],
        of_processor=True,
    )


def measure_questions(count: int) -> Iterator[Figure]:
    ring = Ring(count)
    ring.keep(make_flows(count))
    gc.collect()
    for name, text in FILTERS.items():
        view = View(ring, parse_filter(text).matches)
        began = time.process_time()
        view.update()
        spent_ms = (time.process_time() - began) * 1000
        yield Figure(f"flows.filter_{name}", spent_ms, "ms", f"{len(view):,} found")
    began = time.process_time()
    connections = Connections(ring)
    spent_ms = (time.process_time() - began) * 1000
    yield Figure("flows.group", spent_ms, "ms", f"{len(connections):,} connections")
    began = time.process_time()
    for flow in ring.range(0, 20_000):
        encode_line(flow)
    yield Figure("flows.write", 20_000 / (time.process_time() - began), "flows/s")


def main(count: int) -> int:
    """Print every figure; 1 when a bar is missed."""
    kept = [measure_load(count), report(measure_questions(count)), _flow_view.main() == 0]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else FLOWS))
