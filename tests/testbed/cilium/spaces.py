"""Where a run's processes live: network namespaces, a cgroup and a folder, all under one name.

Everything that a run starts is in its cgroup, and everything that it makes begins with its name, so
that `sweep` can end and remove all of it, whoever calls it: the run itself, its guard after a kill,
or the next run. Nothing is shared with the machine but the kernel.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PREFIX = "packets"
"""How the name of every run begins; the process id of its owner follows."""

NETNS = Path("/run/netns")
SWEPT_WITHIN_S = 20.0
_CLONE_NEWNET = 0x40000000
_OWNER = re.compile(rf"{PREFIX}(\d+)")


def cgroup_root() -> Path | None:
    """Where cgroup v2 is mounted; None where it is not."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, target, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(target)
    return None


@dataclass(frozen=True, slots=True)
class Run:
    """The names of one run."""

    name: str
    folder: Path
    cgroup: Path

    @classmethod
    def of_process(cls, pid: int, serial: int = 0) -> Self:
        """The run that a process owns; `serial` tells several of one process apart."""
        root = cgroup_root()
        if root is None:
            raise RuntimeError("no cgroup v2 is mounted")
        name = f"{PREFIX}{pid}" + (f"-{serial}" if serial else "")
        # a path of a Unix socket may have 108 bytes, so it is short
        return cls(name, Path("/tmp") / name, root / name)  # noqa: S108  # swept at the end

    def namespace(self, name: str) -> str:
        """The name of one of its network namespaces."""
        return f"{self.name}.{name}"

    def namespaces(self) -> list[str]:
        """Its network namespaces that exist."""
        if not NETNS.exists():
            return []
        return sorted(one.name for one in NETNS.iterdir() if one.name.startswith(f"{self.name}."))


class Space:
    """A network namespace, and threads that are inside it."""

    _inside = threading.local()

    def __init__(self, name: str) -> None:
        self.name = name
        self._pool = ThreadPoolExecutor(8, name, initializer=self._enter)

    def make(self) -> Self:
        """Make the namespace, its loopback up."""
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        return self

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with (NETNS / self.name).open("rb") as handle:
            if libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {self.name}")
        self._inside.name = self.name

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function on a thread inside; what it starts or connects is inside too."""
        if getattr(self._inside, "name", "") == self.name:
            return function(*args, **kwargs)
        return self._pool.submit(function, *args, **kwargs).result()

    def close(self) -> None:
        """End the threads, which keep the namespace alive."""
        self._pool.shutdown()


def ip(*words: str) -> str:
    """Run iproute2 and give its output; raises `RuntimeError` with what it says."""
    ended = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {ended.stderr.strip()}")
    return ended.stdout


def in_cgroup(cgroup: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` in a cgroup."""
    enter = 'echo $$ >"$0"/cgroup.procs; exec "$@"'
    return ["sh", "-c", enter, str(cgroup), *command]


def sweep(run: Run) -> None:
    """End every process of a run and remove all that it made; nothing is wrong with doing it twice.

    Network devices, routes, rules, netfilter, and BPF programs on devices go with the network
    namespaces; BPF programs on cgroups with those; pinned maps and mounts with the mount
    namespaces, which end with their last process.
    """
    _end_processes(run)
    for name in run.namespaces():
        with suppress(RuntimeError):
            ip("netns", "delete", name)
    _remove_cgroups(run)
    shutil.rmtree(run.folder, ignore_errors=True)


def _remove_cgroups(run: Run) -> None:
    """Remove its cgroups; one with a process that is still dying is busy for a moment."""
    deadline = time.monotonic() + SWEPT_WITHIN_S
    while run.cgroup.exists() and time.monotonic() < deadline:
        for folder in (*sorted(run.cgroup.glob("*/")), run.cgroup):
            with suppress(OSError):
                folder.rmdir()
        time.sleep(0.05)


def _end_processes(run: Run) -> None:
    deadline = time.monotonic() + SWEPT_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            (run.cgroup / "cgroup.kill").write_text("1")
        pids = _pids(run)
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _pids(run: Run) -> list[int]:
    """The processes in its cgroups and network namespaces, this one left out."""
    found: set[int] = set()
    for file in run.cgroup.glob("**/cgroup.procs"):
        with suppress(OSError):
            found.update(int(line) for line in file.read_text(encoding="ascii").split())
    for name in run.namespaces():
        with suppress(RuntimeError):
            found.update(int(line) for line in ip("netns", "pids", name).split())
    return sorted(found - {os.getpid()})


def sweep_abandoned() -> list[str]:
    """Sweep the runs whose owner is gone and whose guard could not, and give their names."""
    root = cgroup_root()
    folders = [*Path("/tmp").glob(f"{PREFIX}*"), *(root.glob(f"{PREFIX}*") if root else ())]  # noqa: S108
    names = {one.name for one in folders}
    if NETNS.exists():
        names |= {one.name.partition(".")[0] for one in NETNS.glob(f"{PREFIX}*")}
    swept = []
    for name in sorted(names):
        owner = _OWNER.match(name)
        if owner is None or Path(f"/proc/{owner[1]}").exists() or root is None:
            continue
        sweep(Run(name, Path("/tmp") / name, root / name))  # noqa: S108
        swept.append(name)
    return swept


class Guard:
    """A process that sweeps a run when its owner is gone, however it went.

    It hears of the owner's end by the end of a pipe, which the kernel closes even after a kill.
    """

    def __init__(self, run: Run) -> None:
        command = [sys.executable, "-m", __name__, run.name, str(run.folder), str(run.cgroup)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def dismiss(self) -> None:
        """Let it sweep what is left, and wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


if __name__ == "__main__":
    sys.stdin.read()
    sweep(Run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
