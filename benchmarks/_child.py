"""A command in a process of its own: what it costs the processor, and the most memory it has."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Ran:
    """Seconds of the processor, of user and system, and MiB."""

    seconds: float
    mib: float


def run_child(*command: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command of this repository and throw away what it prints."""
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=nothing, stderr=nothing)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ran(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
