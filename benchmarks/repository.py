"""Reading a repository, as a command does: for the first time, and again when nothing changed.

Each line: name, value, unit, ratio. The time is the processor's, of the whole process; a ratio is
to the bar, and to a process that only parses the same files with PyYAML's C loader, keeping no
line. `python benchmarks/repository.py`
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from _checkout import write_gitops, write_policies
from _child import Ran, run_child
from _figures import Figure, report

POLICIES, FILES = 5_000, 2_000
_PEER = """
import pathlib, sys, yaml
for file in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    list(yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader))
"""


def measured(tree: Path) -> tuple[Ran, Ran, Ran]:
    """Give what reading costs without and with a cache, and what the peer costs."""
    with TemporaryDirectory() as cache:
        env = {**os.environ, "XDG_CACHE_HOME": cache, "XDG_CONFIG_HOME": cache}
        words = (sys.executable, "-m", "app.cli", "policies", "--snapshot", str(tree))
        cold = run_child(*words, env=env)
        warm = run_child(*words, env=env)
        return cold, warm, run_child(sys.executable, "-c", _PEER, str(tree), env=env)


def figures(what: str, tree: Path, *, cold_s: float, warm_s: float) -> Iterator[Figure]:
    """Give the figures of one tree."""
    cold, warm, peer = measured(tree)
    for name, ran, bar in (("for the first time", cold, cold_s), ("unchanged", warm, warm_s)):
        ratio = f"{ran.seconds / peer.seconds:.2f} of PyYAML alone"
        yield Figure(f"{what}: {name}", ran.seconds, "s", ratio, bar)
    yield Figure(f"{what}: memory", max(cold.mib, warm.mib), "MiB", bar=400)


def main() -> int:
    """Measure; 1 when a bar is missed."""
    with TemporaryDirectory() as folder:
        gitops, policies = Path(folder) / "gitops", Path(folder) / "policies"
        gitops.mkdir()
        count = write_gitops(gitops)
        write_policies(policies, POLICIES, FILES)
        what = f"a GitOps checkout of {count:,} files"
        first = report(figures(what, gitops, cold_s=1.5, warm_s=0.4), of_processor=True)
        what = f"{POLICIES:,} policies in {FILES:,} files"
        second = report(figures(what, policies, cold_s=5, warm_s=1), of_processor=True)
    return 0 if first and second else 1


if __name__ == "__main__":
    sys.exit(main())
