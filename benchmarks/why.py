"""A full diagnosis: name, value, unit, and the ratio to the bar it has to stay under.

The environment has 1,000 policies; the evidence is 50,000 flows, a fifth of them of the
connections that are asked about. Ends are named as people name them, so resolving them, every
step of the guided path and the story of the flows are part of the time; over its bar the run ends
with 1. The second figure adds up to three fixes, each tried out on the engine against every pair of
identities: there a ratio is to the diagnosis alone. Time is the processor's. What was read is taken
out of the garbage collector's sight, as the terminal does (`app.tui.app.settle_memory`).
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import _tre
from _figures import Figure, report

from app.bootstrap.collector import relax_collector
from app.core.cluster.build import build_cluster
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.naming import parse_end, parse_port
from app.core.diagnose.why import diagnose
from app.core.model.asked import Asked
from app.core.model.cluster import Endpoint
from app.core.model.flow import Flow, FlowEndpoint
from app.core.policy.engine import Engine
from app.services.ask import why
from app.services.picture import Picture

SIZE = _tre.Size(identities=2_000, pods_per_identity=3, policies=1_000)
FLOWS = 50_000
QUESTIONS = 200
BAR_MS = 100
PORTS = (8080, 8888, 5432, 8443, 443)
_NS = 1_000_000_000


def make_flows(asked: Sequence[tuple[Endpoint, Endpoint, int]], pods: Sequence[Endpoint],
               dice: random.Random) -> tuple[Flow, ...]:  # fmt: skip
    """Flows in order of time: every fifth belongs to a question, half of those are drops."""
    ends = {pod.key: FlowEndpoint(1000 + n, pod.namespace, pod.name) for n, pod in enumerate(pods)}
    flows = []
    for number in range(FLOWS):
        source, destination, port = dice.choice(asked)
        if number % 5:
            source, destination = dice.sample(pods, 2)
        dropped = number % 10 == 0
        flows.append(
            Flow(
                time_ns=number * _NS // 50,
                verdict="DROPPED" if dropped else "FORWARDED",
                source=ends[source.key],
                destination=ends[destination.key],
                source_ip=str(source.addresses[0]),
                destination_ip=str(destination.addresses[0]),
                protocol="TCP",
                source_port=dice.randrange(32_768, 61_000),
                destination_port=port,
                direction="INGRESS",
                drop_reason="POLICY_DENIED" if dropped else "",
                is_reply=False,
                event=5,
            )
        )
    return tuple(flows)


def measure(ask: Callable[[Asked], object], asked: Sequence[Asked]) -> list[float]:
    """Milliseconds of each question, in rising order."""
    seconds = []
    for question in asked:
        started = time.process_time()
        ask(question)
        seconds.append(time.process_time() - started)
    return sorted(second * 1e3 for second in seconds)


def figures(name: str, milliseconds: Sequence[float], **of_p99: Any) -> list[Figure]:
    """Give the 99th percentile, with its bar or ratio, and the median."""
    what = f"{name}, {FLOWS:,} flows and {SIZE.policies:,} policies"
    p99 = milliseconds[int(len(milliseconds) * 0.99)]
    median = milliseconds[len(milliseconds) // 2]
    return [Figure(f"{what}: p99", p99, "ms", **of_p99), Figure(f"{what}: median", median, "ms")]


def main() -> int:
    """Measure; 1 when a bar is not kept."""
    dice = random.Random(3)  # noqa: S311  # a benchmark
    cluster = build_cluster(_tre.manifests(SIZE))
    engine = Engine.build(cluster)
    pods = cluster.endpoints
    pairs = [dice.sample(pods, 2) for _ in range(QUESTIONS)]
    ends = [(one, other, dice.choice(PORTS)) for one, other in pairs]
    asked = [
        Asked(parse_end(one.key), parse_end(other.key), parse_port(str(port)))
        for one, other, port in ends
    ]
    evidence = FlowEvidence(make_flows(ends, pods, dice), lost=7)
    picture = Picture(cluster, engine)
    gc.collect()
    gc.freeze()
    relax_collector()
    engine.reachability()  # what the first question after a reading makes for all
    alone = measure(lambda one: diagnose(one, engine, evidence), asked)
    diagnosis = figures("why", alone, bar=BAR_MS)
    with_fixes = measure(lambda one: why(picture, evidence, one), asked)
    times = with_fixes[int(len(with_fixes) * 0.99)] / diagnosis[0].value
    fixes = figures(
        "why with its fixes", with_fixes, ratio=f"{times:.1f} times the diagnosis", bar=BAR_MS
    )
    return 0 if report([*diagnosis, *fixes], of_processor=True) else 1


if __name__ == "__main__":
    sys.exit(main())
