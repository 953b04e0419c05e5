from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time

WITHIN_S = 30.0


def ignore_hangup() -> None:
    """Be as a program that nobody tells of the end of its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def test_program_when_its_terminal_is_gone_then_it_ends() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "--demo"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=ignore_hangup,  # noqa: PLW1509  # one thread, and nothing but a signal is set
        start_new_session=True,
    )
    os.close(theirs)
    try:
        deadline = time.monotonic() + WITHIN_S
        drawn = b""
        while b"demo" not in drawn and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                drawn += os.read(ours, 1 << 16)
        assert b"demo" in drawn
        os.close(ours)
        assert process.wait(WITHIN_S) == 129
    finally:
        process.kill()
        process.wait()
