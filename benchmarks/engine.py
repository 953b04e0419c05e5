"""The policy engine's speed, one line for each figure: name, value, unit, and a ratio.

The ratio is to a peer measured in the same run, or to the bar the figure has to stay under at the
pace of the machine (`_figures.py`); a missed bar ends the run with 1, after all is measured. Peers:
Cilium's own engine in Go, where it has been built (`python -m tests.oracle.build`), and
network-config-analyzer, in an environment of its own that the first run makes under `.build/`. Each
part runs in a process of its own, for its memory.

`python benchmarks/engine.py [CASES…]` judges recorded cases (JSON lines, `.gz` too) instead of
random ones.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import _knp
import _tre
import yaml
from _figures import Figure, report

from app.bootstrap.collector import relax_collector
from app.core.cluster.build import build_cluster
from app.core.model.cluster import Cluster, Endpoint
from app.core.model.labels import K8S_SOURCE, Label, LabelSet
from app.core.model.provenance import Manifest
from app.core.model.verdict import Protocol, Question
from app.core.policy.difference import row_changes
from app.core.policy.engine import Engine
from app.core.policy.index import members_of
from app.core.policy.reachability import Reachability
from app.core.policy.rows import Port, Row
from app.services import conformance
from app.services.picture import Ingredients, make_picture

BUILD = Path(__file__).parents[1] / ".build"
PEER = "network-config-analyzer==2.1.0"
PORTS: tuple[Port, ...] = (
    *((Protocol.TCP, port) for port in (22, 80, 443, 5432, 6443, 8080, 8443, 8888, 9090)),
    (Protocol.UDP, 53),
    (Protocol.SCTP, 1),
    (Protocol.ICMP, 8),
)

RANDOM_CASES = 700
LARGE = _tre.Size(identities=10_000, pods_per_identity=5, policies=1_000)
SQUARE = _tre.Size(identities=5_000, pods_per_identity=1, policies=1_000)
QUESTIONS = 1_000
EDITS, MOVES = 30, 20
KNP_PODS, KNP_POLICIES = 400, 200


class WrongAnswer(Exception):
    """A wrong answer has no speed."""


# -- verdicts from cold clusters ----------------------------------------------------------------


def cold_verdicts(paths: Sequence[str]) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        files = list(paths) or [_random_cases(Path(folder) / "cases.jsonl")]
        started = time.process_time()
        judged = conformance.run(files)
        disagree = sum(1 for _ in judged)
        seconds = time.process_time() - started
    if paths and disagree:
        raise WrongAnswer(f"{disagree} verdicts disagree")
    scaled = seconds / judged.verdicts * 70_000
    figures = [Figure("70,000 verdicts, one cold cluster per 30", scaled, "s", bar=15)]
    if not paths and (peer := _cilium_seconds()) is not None:
        ratio = f"{scaled / peer:.1f} times Cilium's own engine in Go ({peer:.2g} s)"
        figures.append(Figure("the same against Go", scaled, "s", ratio))
    return figures


def _cases() -> Iterator[dict[str, Any]]:
    from tests.oracle.clusters.cases import make_case

    for seed in range(RANDOM_CASES):
        case = make_case(seed, f"seed-{seed}", with_requests=seed % 4 == 0)
        case["queries"] = case["queries"][:30]
        yield case


def _random_cases(path: Path) -> str:
    path.write_text("".join(json.dumps(case) + "\n" for case in _cases()), encoding="utf-8")
    return str(path)


def _cilium_seconds() -> float | None:
    """Seconds that Cilium's engine needs for 70,000 such verdicts; None where it is not built."""
    from tests.oracle.build import BUILD as DRIVERS_FOLDER
    from tests.oracle.build import DRIVERS

    program = DRIVERS[0].program(DRIVERS_FOLDER)
    if not program.exists():
        return None
    lines = [json.dumps(case).encode() for case in _cases()]
    empty = json.dumps({"name": "x", "config": {}, "objects": [], "queries": []}).encode()
    start = _process_seconds(program, [empty])
    return (_process_seconds(program, lines) - start) / (len(lines) * 30) * 70_000


def _process_seconds(program: Path, lines: list[bytes]) -> float:
    started = time.perf_counter()
    subprocess.run([program], input=b"\n".join(lines), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


# -- a large environment ------------------------------------------------------------------------


def large_environment(_: Sequence[str]) -> list[Figure]:
    objects = _tre.manifests(LARGE)
    started = time.process_time()
    cluster = build_cluster(objects)
    engine = Engine.build(cluster)
    pairs = engine.reachability()
    built = time.process_time() - started
    for port in PORTS:
        pairs.pairs(port)
    why = _why_seconds(engine)
    edit = _edit_seconds(engine)
    moves = _move_seconds(engine)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = f"{LARGE.identities:,} identities, {LARGE.policies:,} policies"
    return [
        Figure(f"{size}: cold build from objects", built, "s", bar=2),
        Figure(f"{size}: one why, p99", _quantile(why, 0.99) * 1e3, "ms", bar=5),
        Figure(f"{size}: one why, median", _quantile(why, 0.5) * 1e3, "ms"),
        Figure(
            f"{size}: one policy edited, answers fresh", _quantile(edit, 0.5) * 1e3, "ms", bar=20
        ),
        Figure(f"{size}: the same, p90", _quantile(edit, 0.9) * 1e3, "ms", bar=15),
        *(
            Figure(f"{size}: {what}, p90", _quantile(seconds, 0.9) * 1e3, "ms", bar=30)
            for what, seconds in moves.items()
        ),
        Figure(f"{size}: peak memory", peak_gib, "GiB", bar=1),
    ]


def _why_seconds(engine: Engine) -> list[float]:
    """Seconds of single traces between pods at random, each pair new to the engine."""
    dice = random.Random(1)  # noqa: S311  # a benchmark
    seconds = []
    for _ in range(QUESTIONS):
        source, destination = dice.sample(engine.cluster.endpoints, 2)
        ends = engine.peer_of(source), engine.peer_of(destination)
        question = Question(*ends, dice.choice((443, 5432, 8080)))
        started = time.process_time()
        engine.trace(question)
        seconds.append(time.process_time() - started)
    return seconds


def _edit_seconds(engine: Engine) -> list[float]:
    """Seconds from a changed policy to all the pairs that answer differently, on every port."""
    dice = random.Random(2)  # noqa: S311  # a benchmark
    seconds = []
    for _ in range(EDITS):
        policies = list(engine.cluster.policies)
        place = dice.randrange(len(policies))
        policies[place] = _edited(policies[place])
        cluster = replace(engine.cluster, policies=tuple(policies))
        before = engine.reachability()
        started = time.process_time()
        after = engine.replace(cluster)
        changes = list(row_changes(before, after.reachability(), PORTS))
        seconds.append(time.process_time() - started)
        if not changes:
            raise WrongAnswer(f"nothing changes with {policies[place].ref}")
    return seconds


def _move_seconds(engine: Engine) -> dict[str, list[float]]:
    """Seconds from changed pods, or a learned name, to an engine that has all its groups.

    The first change makes room for groups to come, and is not counted.
    """
    dice = random.Random(3)  # noqa: S311  # a benchmark
    changes = {
        "one pod changed": _other_pod,
        "one pod gone": _without_pod,
        "a namespace label changed": _other_namespace,
        "a name learned": _one_more_name,
    }
    found: dict[str, list[float]] = {what: [] for what in changes}
    for number in range(MOVES + 1):
        for what, change in changes.items():
            cluster = change(engine.cluster, dice)
            started = time.process_time()
            engine = engine.replace(cluster)
            engine.reachability()
            if number:
                found[what].append(time.process_time() - started)
    return found


def _other_pod(cluster: Cluster, dice: random.Random) -> Cluster:
    pods = list(cluster.endpoints)
    place = dice.randrange(len(pods))
    pods[place] = _labelled(pods[place], "tier", dice.choice(("front", "back", "data")))
    return replace(cluster, endpoints=tuple(pods))


def _without_pod(cluster: Cluster, dice: random.Random) -> Cluster:
    place = dice.randrange(len(cluster.endpoints))
    return replace(cluster, endpoints=cluster.endpoints[:place] + cluster.endpoints[place + 1 :])


def _other_namespace(cluster: Cluster, dice: random.Random) -> Cluster:
    name, value = dice.choice(cluster.endpoints).namespace, f"team-{dice.randrange(99)}"
    key = "io.cilium.k8s.namespace.labels.team"
    pods = (
        _labelled(one, key, value) if one.namespace == name else one for one in cluster.endpoints
    )
    return replace(cluster, endpoints=tuple(pods))


def _one_more_name(cluster: Cluster, dice: random.Random) -> Cluster:
    learned = {f"host-{dice.randrange(999)}.pypi.org": (ip_address("198.51.100.7"),)}
    return replace(cluster, learned_names={**cluster.learned_names, **learned})


def _labelled(pod: Endpoint, key: str, value: str) -> Endpoint:
    others = (label for label in pod.labels.values() if label.key != key)
    return replace(pod, labels=LabelSet([*others, Label(K8S_SOURCE, key, value)]))


def _edited(policy: Manifest) -> Manifest:
    """Open the policy's first rule list to everybody."""
    body = copy.deepcopy(dict(policy.body))
    direction = next(name for name in ("ingress", "egress", "egressDeny") if name in body["spec"])
    peers = {"fromEntities" if direction == "ingress" else "toEntities": ["all"]}
    body["spec"][direction] = [{} if policy.ref.kind == "NetworkPolicy" else peers]
    return replace(policy, body=body)


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def from_objects(_: Sequence[str]) -> list[Figure]:
    """What a live cluster pays for one pod that changed: from all objects to fresh groups."""
    dice = random.Random(4)  # noqa: S311  # a benchmark
    objects = _tre.manifests(LARGE)
    pods = [place for place, one in enumerate(objects) if one.ref.kind == "Pod"]
    picture = make_picture(Ingredients(tuple(objects)))
    seconds = []
    for number in range(MOVES + 1):
        place = dice.choice(pods)
        body = copy.deepcopy(dict(objects[place].body))
        body["metadata"]["labels"]["tier"] = dice.choice(("front", "back", "data"))
        objects[place] = replace(objects[place], body=body)
        started = time.process_time()
        picture = make_picture(Ingredients(tuple(objects)), before=picture)
        picture.engine.reachability()
        if number:
            seconds.append(time.process_time() - started)
    name = f"{LARGE.identities * LARGE.pods_per_identity:,} pods: one changed, from objects, p90"
    return [Figure(name, _quantile(seconds, 0.9) * 1e3, "ms", bar=150)]


def all_pairs(_: Sequence[str]) -> list[Figure]:
    engine = Engine.build(build_cluster(_tre.manifests(SQUARE)))
    pairs = engine.reachability()
    started = time.process_time()
    allowed = sum(row.allowed.bit_count() for port in PORTS for row in pairs.pairs(port))
    seconds = time.process_time() - started
    name = (
        f"all pairs of {SQUARE.identities:,} identities x {len(PORTS)} ports ({allowed:,} allowed)"
    )
    return [Figure(name, seconds, "s", bar=0.3)]


# -- another analyser ---------------------------------------------------------------------------


def beside_the_peer(_: Sequence[str]) -> list[Figure]:
    analyser = _analyser()
    if analyser is None:
        return [Figure("network-config-analyzer", 0, "s", f"not measured: no {PEER}")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cluster.yaml"
        objects = _knp.Maker(seed=1).objects(KNP_PODS, KNP_POLICIES)
        path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        started = time.perf_counter()
        pairs = _our_pairs(path)
        rows = {port: pairs.pairs((Protocol.TCP, port)) for port in ASKED}
        our_seconds = time.perf_counter() - started
        started = time.perf_counter()
        subprocess.run([analyser, "--version"], capture_output=True, check=False)
        start = time.perf_counter() - started
        started = time.perf_counter()
        theirs = _their_connections(analyser, path)
        their_seconds = time.perf_counter() - started - start
    ours = _our_connections(pairs, rows)
    if ours != theirs:
        raise WrongAnswer(f"{len(ours ^ theirs)} connections differ from {PEER}")
    times = their_seconds / our_seconds
    size = f"{KNP_PODS} pods x {KNP_POLICIES} policies"
    peer = f"{PEER} ({their_seconds:.3g} s)"
    ratio = f"{times:.0f} times faster than {peer}, the same {len(ours):,} connections"
    return [
        Figure(f"{size}: YAML to all pairs on 9 ports", our_seconds, "s", ratio),
        Figure(f"{size}: times faster than the peer", times, "x", bar=100, more=True),
    ]


def _analyser() -> Path | None:
    """Make the peer's own environment on demand; None where it cannot be had."""
    home = BUILD / "nca"
    program = home / "bin" / "nca"
    if program.exists():
        return program
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", PEER]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    return program if installed.returncode == 0 else None


Connection = tuple[str, str, int]
OTHER_PORT = 1
"""Stands for every port that no policy names."""
ASKED = (*_knp.PORTS, OTHER_PORT)


def _our_pairs(path: Path) -> Reachability:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    bodies = yaml.load_all(path.read_text(encoding="utf-8"), Loader=loader)
    return Engine.build(build_cluster([_tre.manifest(body) for body in bodies])).reachability()


def _our_connections(pairs: Reachability, rows: dict[int, list[Row]]) -> set[Connection]:
    """Write the pairs out; every pod of a group has its group's."""
    members = [[one.key for one in group.endpoints] for group in pairs.groups]
    return {
        (source, destination, port)
        for port, found in rows.items()
        for number, row in enumerate(found)
        for other in members_of(row.allowed)
        for source in members[number]
        for destination in members[other]
        if source != destination
    }


LINE = re.compile(r"(?P<from>\S+/\S+) => (?P<to>\S+/\S+) : (?P<what>.*)")


def _their_connections(analyser: Path, path: Path) -> set[Connection]:
    options = ["-r", str(path), "-o", "txt_no_fw_rules", "--output_endpoints", "pods"]
    command = [str(analyser), "--connectivity", str(path), *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return {
        (match["from"], match["to"], port)
        for match in map(LINE.match, printed.splitlines())
        if match is not None
        for port in _their_ports(match["what"])
    }


def _their_ports(what: str) -> Iterator[int]:
    """Yield the ports of a line as `{protocols:TCP,dst_ports:80,443-445}`."""
    if what.startswith("All"):
        yield from ASKED
        return
    spans = [
        tuple(int(number) for number in span.split("-"))
        for span in re.findall(r"\b\d+(?:-\d+)?", what.partition("dst_ports:")[2])
    ]
    yield from (port for port in ASKED if any(span[0] <= port <= span[-1] for span in spans))


# -- running ------------------------------------------------------------------------------------

Part = Callable[[Sequence[str]], list[Figure]]
PARTS: tuple[Part, ...] = (
    cold_verdicts,
    large_environment,
    from_objects,
    all_pairs,
    beside_the_peer,
)


def _measured(part: Part, paths: Sequence[str]) -> list[Figure]:
    relax_collector()  # as the program does
    return part(paths)


def _alone(part: Part, paths: Sequence[str]) -> list[Figure]:
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as pool:
        return pool.apply(_measured, (part, paths))


def main(paths: Sequence[str]) -> int:
    kept = [report(_alone(part, paths), of_processor=True) for part in PARTS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
