"""From a change at the API server to the changed verdict on screen, in milliseconds.

The server is a process of its own, holds a synthetic environment and sends one watch event per
change: a policy that denies a connection comes and goes. The program runs as it does on a
terminal, with the troubleshooter asking about that connection; the clock stops when the screen
shows the new verdict. So watch, engine, diagnosis and paint are all part of it. The bar is 500 ms
at the 95th percentile; over it the run ends with 1.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _tre
from _figures import Figure, report

from app.testing.kube_api import FakeKubeApi
from integrations.kubernetes.resources import RESOURCES

SIZE = _tre.Size(identities=2_000, pods_per_identity=3, policies=1_000)
CHANGES = 40
BAR_MS = 500
GIVE_UP_S = 20.0
LOOK_S = 0.002
"""Between two looks at the screen, so the figure is at most this much too high."""

SOURCE, DESTINATION, PORT = "project-0/proxy-415-0", "project-0/hub-210-0", "8080/TCP"
PATHS = {one.kind: one for one in RESOURCES}
CHANGED = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "switch", "namespace": "project-0", "resourceVersion": "7"},
    "spec": {
        "endpointSelector": {},
        "ingressDeny": [{"fromEndpoints": [{}]}],
    },
}


def path_of(kind: str) -> str:
    resource = PATHS[kind]
    return resource.path(resource.versions[0])


def serve(folder: str, orders: Any) -> None:
    """Serve the environment; each order is a watch event, answered with the time it was sent."""
    by_kind: dict[str, list[Any]] = {}
    for manifest in _tre.manifests(SIZE):
        by_kind.setdefault(manifest.ref.kind, []).append(manifest.body)
    with FakeKubeApi() as api:
        for kind, bodies in by_kind.items():
            api.put(path_of(kind), *bodies)
        config = api.kubeconfig(Path(folder) / "config")
        orders.send(str(config))
        while (event := orders.recv()) is not None:
            sent = time.monotonic()
            api.emit(path_of("CiliumNetworkPolicy"), event, CHANGED)
            orders.send(sent)


def text_of(app: Any) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())  # noqa: SLF001  # what the terminal is sent


async def shows(app: Any, word: str) -> float:
    """Wait until the screen says `word` and give the time."""
    async with asyncio.timeout(GIVE_UP_S):
        while word not in text_of(app):  # noqa: ASYNC110  # looking is what is measured
            await asyncio.sleep(LOOK_S)
    return time.monotonic()


async def measure(config: str, orders: Any) -> list[float]:
    from app.bootstrap.sources import SystemClock
    from app.config import Settings
    from app.services.workspace import Workspace
    from app.tui.app import K8treApp
    from app.tui.places import Place
    from integrations.kubernetes.client import Credentials
    from integrations.kubernetes.reader import KubernetesReader

    clock = SystemClock()
    workspace = Workspace([KubernetesReader(Credentials(config), clock=clock)], clock=clock)
    start = Place("why", args=(SOURCE, DESTINATION, PORT))
    app = K8treApp(workspace, Settings(), clock=clock, context="bench", start=start)
    milliseconds = []
    async with app.run_test(size=(120, 40)):
        await shows(app, f"ALLOWED  {SOURCE}")
        for number in range(CHANGES):
            comes = number % 2 == 0
            orders.send("ADDED" if comes else "DELETED")
            sent = orders.recv()
            word = "DENIED" if comes else "ALLOWED"
            seen = await shows(app, f"{word}  {SOURCE}")
            milliseconds.append((seen - sent) * 1e3)
            await asyncio.sleep(0.15 + number % 7 * 0.037)  # changes keep no step with our timers
    return sorted(milliseconds)


def main() -> int:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        server = spawn.Process(target=serve, args=(folder, theirs), daemon=True)
        server.start()
        found = asyncio.run(measure(ours.recv(), ours))
        ours.send(None)
        server.join()
    p95 = found[int(len(found) * 0.95)]
    middle = found[len(found) // 2]
    about = f"median {middle:.0f}; {SIZE.policies} policies, {len(found)} changes"
    figure = Figure("API change to verdict on screen, p95", p95, "ms", about, BAR_MS)
    return 0 if report([figure]) else 1


if __name__ == "__main__":
    sys.exit(main())
