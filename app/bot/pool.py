"""Where answers are worked out: a few threads of their own, and a queue with an end.

The event loop acknowledges commands within Slack's three seconds while answers are made, so
answers never run on it, nor in the threads that everything else shares. Threads of Python take
turns: while one computes, the loop waits for its turn, `SWITCH_S` at most.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from app.core.errors import SourceCause, SourceUnavailable

P = ParamSpec("P")
T = TypeVar("T")

WORKERS = 2
WAITING_MAX = 1000
SWITCH_S = 0.001


class Pool:
    """Runs functions in threads of its own; `close` waits for those that run."""

    def __init__(self, *, workers: int = WORKERS, waiting_max: int = WAITING_MAX) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="answer")
        self._waiting_max = waiting_max
        self.pending = 0

    async def run(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Give what the function gives. Raises `SourceUnavailable` when too many wait."""
        if self.pending >= self._waiting_max:
            raise SourceUnavailable(
                "too many questions at once: ask again in a moment",
                source="bot",
                cause=SourceCause.OVERLOADED,
            )
        self.pending += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, lambda: work(*args, **named))
        finally:
            self.pending -= 1

    def close(self) -> None:
        """Let go of what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def prompt_turns() -> Iterator[None]:
    """Let waiting threads have their turn sooner than Python's default of 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
