"""The one way to start a task: whatever is started has an owner that waits for its end.

`Tasks` is a block built on `asyncio.TaskGroup`. Leaving the block cancels what still runs and
waits for it, so nothing outlives its owner. A task that fails does not take its siblings along:
its error goes to the owner's `report` with the task's name, and the rest go on. This module and
no other holds the program's `except Exception` for background work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

T = TypeVar("T")

_log = logging.getLogger("k8tre_tui.tasks")


@dataclass(frozen=True, slots=True)
class Caught:
    """An error that a supervisor caught, and the name of the work that raised it."""

    task: str
    error: Exception

    def __str__(self) -> str:
        return f"{self.task}: {str(self.error) or type(self.error).__name__}"


Report = Callable[[Caught], None]


async def guard(name: str, work: Awaitable[T], report: Report) -> T | None:
    """Give what `work` gives; an error is reported under `name` instead, and None comes back.

    Cancellation passes through.
    """
    try:
        return await work
    except Exception as error:  # noqa: BLE001  # the named supervisor: it reports what it caught
        _log.exception("work failed", extra={"work": name})
        report(Caught(name, error))
        return None


class Tasks:
    """Owner of background tasks, used as `async with Tasks(report) as tasks`.

    An error of the block itself leaves it as it is, not wrapped in a group: no task can add one.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._running:
            task.cancel()
        await self._group.__aexit__(None, None, None)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` until it ends or the block is left; a failure is reported under `name`."""
        task = self._group.create_task(guard(name, work, self._report), name=name)
        self._running.add(task)

        def forget(ended: asyncio.Task[None]) -> None:
            self._running.discard(ended)
            work.close()  # a task that was cancelled before its first step never awaited it

        task.add_done_callback(forget)
        return task

    async def finished(self) -> None:
        """Wait until everything started so far has ended."""
        if running := tuple(self._running):
            await asyncio.wait(running)
