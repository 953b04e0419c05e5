"""Lists and watches: ours against the typed client of the `kubernetes` package, in one run.

One line each: name, value, unit, ratio to the peer. Each side runs in a process of its own, for
its memory; the server is a third. `python benchmarks/kube.py [PODS]`
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _figures import Figure, report

from app.testing.kube_api import FakeKubeApi

PODS = 10_000
FASTER, SMALLER = 4, 1.5
"""Bars: how many times the typed client."""
PATH = "/api/v1/pods"


def pod(number: int) -> dict[str, Any]:
    """A pod as clusters hold them, about 6 KB: most of it is not ours to keep."""
    labels = {
        "app": f"app-{number % 200}",
        "app.kubernetes.io/name": f"app-{number % 200}",
        "pod-template-hash": f"{number % 200:08x}",
    }
    noise = {"name": "VALUE", "value": "x" * 60}
    container = {
        "name": "main",
        "image": "registry.example.org/team/app:1.2.3",
        "env": [{**noise, "name": f"VALUE_{index}"} for index in range(40)],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "volumeMounts": [{"name": f"v{i}", "mountPath": f"/data/{i}"} for i in range(10)],
    }
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind in ("Ready", "Initialized", "ContainersReady", "PodScheduled")
    ]
    owner = {"kind": "ReplicaSet", "name": f"app-{number % 200}-abc", "controller": True}
    return {
        "metadata": {
            "name": f"app-{number % 200}-abc-{number:05x}",
            "namespace": f"ns-{number % 100}",
            "labels": labels,
            "resourceVersion": str(number + 1),
            "uid": f"00000000-0000-0000-0000-{number:012d}",
            "ownerReferences": [{**owner, "apiVersion": "apps/v1", "uid": "u"}],
        },
        "spec": {
            "nodeName": f"node-{number % 50}",
            "serviceAccountName": "default",
            "containers": [container],
        },
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": conditions,
        },
    }


def serve(count: int, folder: str, ready: Any, done: Any) -> None:
    with FakeKubeApi() as api:
        collection = api.put(PATH)
        collection.items = [json.dumps(pod(number)).encode() for number in range(count)]
        api.kubeconfig(Path(folder) / "config")
        ready.set()
        done.wait()


def list_ours(config: str, count: int) -> None:
    from integrations.kubernetes.client import Credentials, connect
    from integrations.kubernetes.reflector import Reflector
    from integrations.kubernetes.resources import RESOURCES

    server = connect(Credentials(config))
    kind = next(one for one in RESOURCES if one.kind == "Pod")
    listing = Reflector(server, kind).list_pages()
    assert len(listing.objects) == count  # noqa: S101  # a wrong answer has no speed


def list_typed(config: str, count: int) -> None:
    from kubernetes import client
    from kubernetes import config as settings

    api = settings.new_client_from_config(config)  # type: ignore[no-untyped-call]  # the peer's own API
    items: list[Any] = []
    token = None
    while True:
        page = client.CoreV1Api(api).list_pod_for_all_namespaces(limit=500, _continue=token)
        items += page.items
        token = page.metadata._continue if page.metadata else None  # noqa: SLF001  # its own name
        if not token or len(items) >= count:
            break
    assert len(items) >= count  # noqa: S101


def measured(work: Callable[[str, int], None], config: str, count: int, out: Any) -> None:
    import kubernetes.client  # noqa: F401  # imports are not what is compared

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    work(config, count)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out.put((seconds, peak / 1024, (peak - before) / 1024))


def alone(work: Callable[[str, int], None], config: str, count: int) -> tuple[float, float, float]:
    spawn = multiprocessing.get_context("spawn")
    out = spawn.Queue()
    process = spawn.Process(target=measured, args=(work, config, count, out))
    process.start()
    figures: tuple[float, float, float] = out.get(timeout=600)
    process.join()
    return figures


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PODS
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    with tempfile.TemporaryDirectory() as folder:
        server = spawn.Process(target=serve, args=(count, folder, ready, done))
        server.start()
        ready.wait()
        config = f"{folder}/config"
        seconds, peak, grown = alone(list_ours, config, count)
        their_seconds, their_peak, their_grown = alone(list_typed, config, min(count, PODS))
        scale = count / min(count, PODS)
        done.set()
        server.join()
    faster, smaller = their_seconds * scale / seconds, their_peak * scale / peak
    name = f"list {count:,} pods"
    kept = report(
        [
            Figure(name, seconds, "s"),
            Figure(
                f"{name}: times faster than the typed client", faster, "x", "", FASTER, more=True
            ),
            Figure(
                f"{name}: peak memory", peak, "MiB", f"grew {grown:.0f}, theirs {their_grown:.0f}"
            ),
            Figure(f"{name}: times smaller", smaller, "x", "", SMALLER, more=True),
        ]
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
