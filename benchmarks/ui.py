"""The screen on a pseudo-terminal: what it sends, what it costs, how soon it is there and gone.

One line each: name, value, unit, ratio or bar; a missed bar ends with 1. The peers of the start
are harlequin and posting, which are installed into `.build/peers` on the first run (each into an
environment of its own, from the package index that pip is set to); where that fails, it is said
and they are left out. A start counts until 100 letters are on screen.

`python benchmarks/ui.py`
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import truediv
from pathlib import Path

import _flow_view
from _figures import Figure, report
from _pty import Program, letters

ROOT = Path(__file__).parents[1]
PEERS = ("harlequin", "posting")
OURS = [sys.executable, "-m", "app.cli"]
ALONE = {
    "XDG_CONFIG_HOME": "/nonexistent",
    "HOME": tempfile.gettempdir(),
    "PYTHONPATH": str(ROOT),
}
"""The environment of a start: no settings and no cluster of this machine."""
CALM, BUSY, KEPT = 20, 5_000, 50_000
"""Flows a second of a quiet and of a busy project, and how many are kept."""
WARM_S, CALM_S, BUSY_S, IDLE_S = 8.0, 8.0, 10.0, 6.0
LETTERS = 100
STARTS, KEYS = 3, 20
GIVE_UP_S = 30.0
CURSOR = b"48;2;61;89;161"
"""The background of the cursor's row in the dark theme (`app.tui.themes`)."""
OUTPUT_BAR, CALM_CPU_BAR, IDLE_CPU_BAR = 40, 10, 2
BUSY_CPU_BAR, STALL_BAR_MS, KEY_BAR_MS, GROWTH_BAR = 50, 150, 100, 150
START_BAR_S, ROWS_BAR_S, QUIT_BAR_S = 1.5, 1.0, 1.0


def run_follower(rate: int, *, plainly: bool) -> None:
    """The child: the flow screen over a hose; with `plainly`, what Textual sends is sent."""
    from textual.app import App

    from app.bootstrap.sources import SystemClock
    from app.config import Settings
    from app.services.workspace import Workspace
    from app.tui.app import K8treApp
    from app.tui.places import Place
    from widgets.painting import Painting

    if plainly:
        Painting._display = App._display  # type: ignore[method-assign]  # noqa: SLF001
    clock = SystemClock()
    hose = _flow_view.Hose(rate=rate)
    workspace = Workspace([], [hose], clock=clock, keep_flows=KEPT)
    app = K8treApp(workspace, Settings(), clock=clock, start=Place("flows"))
    worst = [0.0]

    async def watch() -> None:
        await asyncio.sleep(WARM_S)
        while True:
            asked = time.monotonic()
            await asyncio.sleep(0.005)
            worst[0] = max(worst[0], time.monotonic() - asked - 0.005)

    app.call_later(lambda: app.run_worker(watch()))
    app.run()
    print(f"stall {worst[0] * 1000:.1f}")


def follower(rate: int, *, plainly: bool = False) -> Program:
    """Start the child with this file."""
    word = "plain" if plainly else "painted"
    return Program([sys.executable, __file__, word, str(rate)])


def calm() -> Iterator[Figure]:
    """What following a quiet project sends and costs, and what Textual alone would send."""
    sent: list[float] = []
    for plainly in (False, True):
        program = follower(CALM, plainly=plainly)
        program.read(WARM_S)
        before, used, began = len(program.output), program.processor_s(), time.monotonic()
        program.read(CALM_S)
        elapsed = time.monotonic() - began
        sent.append((len(program.output) - before) / elapsed / 1000)
        if not plainly:
            share = (program.processor_s() - used) / elapsed * 100
        program.write(b"\x11")
        program.wait(GIVE_UP_S)
    less = f"{sent[1] / sent[0]:.0f}x less than textual alone, {sent[1]:.0f} kB/s"
    name = f"ui: following {CALM} flows/s at 160x50"
    yield Figure(f"{name}, sent", sent[0], "kB/s", less, OUTPUT_BAR)
    yield Figure(f"{name}, processor", share, "% of a core", bar=CALM_CPU_BAR)


def busy() -> Iterator[Figure]:
    """What a busy cluster costs, and how long a key takes in it."""
    program = follower(BUSY)
    program.read(WARM_S)
    used, began, held = program.processor_s(), time.monotonic(), program.resident_mib()
    program.read(BUSY_S)
    share = (program.processor_s() - used) / (time.monotonic() - began) * 100
    growth = program.resident_mib() - held
    program.write(b"k")  # stands still: from now on only keys move the cursor
    program.read(1.0)
    took = []
    for number in range(KEYS):
        before = len(program.output)
        program.write(b"jk"[number % 2 :][:1])
        found = program.read(2.0, lambda output: CURSOR in output[before:])  # noqa: B023
        took.append((found or 2.0) * 1000)
        program.read(0.1 + number % 7 * 0.03)
    program.write(b"\x11")
    program.wait(GIVE_UP_S)
    stall = float(program.output.rpartition(b"stall ")[2].split()[0])
    name = f"ui: {BUSY:,} flows/s, {KEPT:,} kept"
    yield Figure(f"{name}, processor", share, "% of a core", bar=BUSY_CPU_BAR)
    yield Figure(f"{name}, worst stall", stall, "ms", bar=STALL_BAR_MS)
    yield Figure(f"{name}, memory grown", growth, "MiB", bar=GROWTH_BAR)
    p95 = sorted(took)[int(len(took) * 0.95)]
    about = f"median {statistics.median(took):.0f}"
    yield Figure(f"{name}, key to paint, p95", p95, "ms", about, KEY_BAR_MS)


def idle() -> Iterator[Figure]:
    """What the program costs when nothing moves."""
    program = start_ours("--snapshot", str(ROOT / "integrations/demo/gitops/projects"))
    program.read(WARM_S)
    used, began = program.processor_s(), time.monotonic()
    program.read(IDLE_S)
    share = (program.processor_s() - used) / (time.monotonic() - began) * 100
    program.write(b"\x11")
    program.wait(GIVE_UP_S)
    yield Figure("ui: idle, processor", share, "% of a core", bar=IDLE_CPU_BAR)


def start_ours(*words: str, **environ: str) -> Program:
    """Start the program on a terminal, with no settings of this machine."""
    home = {
        "XDG_CONFIG_HOME": "/nonexistent",
        "HOME": tempfile.gettempdir(),
        "PYTHONPATH": str(ROOT),
    }
    return Program([sys.executable, "-m", "app.cli", *words], environ={**home, **environ})


def first_paint(words: Sequence[str], ends: bytes, environ: Mapping[str, str]) -> float:
    """Seconds until a program shows something to read."""
    program = Program(words, environ=environ)
    took = program.read(GIVE_UP_S, lambda output: letters(output) >= LETTERS)
    program.write(ends)
    program.wait(5.0)
    return GIVE_UP_S if took is None else took


def starts() -> Iterator[Figure]:
    """How soon our first screens are there, and the peers', one after the other in each round."""
    peers = [name for name in PEERS if install(name)]
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as home:
        for _ in range(STARTS):
            for name, words, ends, environ in (
                ("nothing", [*OURS, "--kubeconfig", "/nonexistent"], b"\x11", ALONE),
                ("demo", [*OURS, "--demo"], b"\x11", ALONE),
                *((name, peer_words(name, home), b"\x11\x03", {"HOME": home}) for name in peers),
            ):
                found[name].append(first_paint(words, ends, environ))
            found["flows"].append(first_flows())
    best = {name: min(took) for name, took in found.items()}
    beside = ", ".join(f"{name} {best[name]:.2f} s" for name in peers) or "no peer installed"
    yield Figure(
        "ui: start without a cluster to first paint", best["nothing"], "s", "", START_BAR_S
    )
    yield Figure("ui: start of the demo to first paint", best["demo"], "s", beside, START_BAR_S)
    yield Figure("ui: start of the demo to its first flows", best["flows"], "s", "", ROWS_BAR_S)
    for name in peers:
        ratio = statistics.median(map(truediv, found["demo"], found[name]))
        yield Figure(f"ui: start of the demo beside {name}'s", ratio, "times", bar=1.0)


def first_flows() -> float:
    """Seconds until the demo shows rows."""
    program = start_ours("--demo")
    took = program.read(GIVE_UP_S, lambda output: output.count(b"FORWARDED") >= 5)
    program.write(b"\x11")
    program.wait(5.0)
    return GIVE_UP_S if took is None else took


def peer_words(name: str, home: str) -> list[str]:
    """How a peer is started without a question."""
    words = {"posting": ["--collection", home], "harlequin": ["--locale", "C"]}[name]
    return [str(ROOT / ".build" / "peers" / name / "bin" / name), *words]


def install(name: str) -> bool:
    """Install a peer where it is not there yet; gives whether it is there."""
    folder = ROOT / ".build" / "peers" / name
    if (folder / "bin" / name).exists():
        return True
    needs = {"posting": ["tree-sitter<0.26"]}  # with a newer one it crashes at its start
    pip = [str(folder / "bin" / "pip"), "-q", "install", name, *needs.get(name, [])]
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)
    if made.returncode or subprocess.run(pip, check=False, timeout=600).returncode:
        print(f"{name} cannot be installed here: left out", flush=True)
        return False
    return True


def leaving() -> Iterator[Figure]:
    """How long quitting takes while the API server takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryDirectory() as folder:
        port = server.getsockname()[1]
        config = Path(folder, "config")
        config.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: hung\n"
            f"clusters: [{{name: hung, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
            "contexts: [{name: hung, context: {cluster: hung, user: nobody}}]\n"
            "users: [{name: nobody, user: {}}]\n"
        )
        program = start_ours("--kubeconfig", str(config))
        program.read(GIVE_UP_S, lambda output: letters(output) >= LETTERS)
        program.read(3.0)
        program.write(b"\x11")
        took = program.wait(GIVE_UP_S)
    found = GIVE_UP_S if took is None else took
    yield Figure("ui: quit beside a hung API server", found, "s", bar=QUIT_BAR_S)


def main() -> int:
    """Print all figures; 1 when a bar is missed."""
    kept = [report(part()) for part in (calm, busy, idle, starts, leaving)]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    if sys.argv[1:2] in (["plain"], ["painted"]):
        os.environ.setdefault("XDG_CONFIG_HOME", "/nonexistent")
        run_follower(int(sys.argv[2]), plainly=sys.argv[1] == "plain")
    else:
        sys.exit(main())
