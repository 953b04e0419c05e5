"""A program on a pseudo-terminal of its own, and what it sends there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence

_CODES = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|.)", re.DOTALL
)
SCREEN = b"\x1b[?1049h"
"""What a program sends to get a screen of its own."""
_PIECE = 1 << 16
_LOOK_S = 0.01


class Program:
    """A child on a terminal; `output` is all that it sent."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        columns: int = 160,
        lines: int = 50,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.began = time.monotonic()
        self.output = bytearray()
        self.is_over = False
        self._pid, self._terminal = pty.fork()
        size = struct.pack("HHHH", lines, columns, 0, 0)
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            terminal = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execvpe(words[0], list(words), {**os.environ, **terminal, **(environ or {})})  # noqa: S606

    def write(self, keys: bytes) -> None:
        """Type."""
        os.write(self._terminal, keys)

    def read(
        self, seconds: float, until: Callable[[bytearray], bool] | None = None
    ) -> float | None:
        """Take what comes; gives after how many seconds `until` held, None where it never did."""
        began = time.monotonic()
        while not self.is_over and (left := began + seconds - time.monotonic()) > 0:
            if not select.select([self._terminal], [], [], min(left, _LOOK_S))[0]:
                continue
            try:
                self.output += os.read(self._terminal, _PIECE)
            except OSError:  # the child closed its end
                self.is_over = True
            if until is not None and until(self.output):
                return time.monotonic() - began
        return None

    def processor_s(self) -> float:
        """Seconds of processor it took so far. Source: proc(5), /proc/PID/stat fields 14 and 15."""
        with open(f"/proc/{self._pid}/stat", encoding="ascii") as file:  # noqa: PTH123  # not a file
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Memory it holds. Source: proc(5), /proc/PID/statm field 2."""
        with open(f"/proc/{self._pid}/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def wait(self, seconds: float) -> float | None:
        """Wait for its end; gives how long that took, None where it had to be killed."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self.read(_LOOK_S)
            if os.waitpid(self._pid, os.WNOHANG)[0]:
                os.close(self._terminal)
                return time.monotonic() - began
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)
        return None


def letters(output: bytes | bytearray) -> int:
    """Count what a reader sees on the screen of its own: characters that are no blanks or codes."""
    drawn = bytes(output).partition(SCREEN)[2]
    return len(b"".join(_CODES.sub(b" ", drawn).split()))
