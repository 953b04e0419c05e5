"""Where reflector threads leave changes and the event loop picks them up.

Changes are merged by object, newest wins, so the inbox is bounded by the number of objects in the
cluster and needs no policy for being full: nothing is ever dropped.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from app.core.model.provenance import Manifest, Notice, ObjectRef
from integrations.kubernetes.reflector import Delta

T = TypeVar("T")


@dataclass(slots=True)
class Merged:
    """What arrived since the last look."""

    upserts: dict[ObjectRef, Manifest] = field(default_factory=dict)
    deletes: set[ObjectRef] = field(default_factory=set)
    notices: list[Notice] = field(default_factory=list)


class Inbox:
    """Thread-safe at `put` and `wake`; `take` and `arrived` belong to the loop's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._merged = Merged()
        self._event = asyncio.Event()

    def put(self, delta: Delta) -> None:
        """Merge one step in."""
        with self._lock:
            for ref in delta.deletes:
                self._merged.upserts.pop(ref, None)
                self._merged.deletes.add(ref)
            self._merged.upserts.update(delta.upserts)
            self._merged.deletes.difference_update(delta.upserts)
            self._merged.notices.extend(delta.notices)
        if delta.upserts or delta.deletes or delta.notices:
            self.wake()

    def wake(self) -> None:
        """Let a waiting `arrived` return; harmless after the loop is gone."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop closed between the check and the call
            return

    async def arrived(self, timeout_s: float) -> None:
        """Wait for a change, or `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return

    def take(self) -> Merged:
        """Give what was merged and start anew."""
        self._event.clear()
        with self._lock:
            merged, self._merged = self._merged, Merged()
        return merged


async def in_daemon_thread(name: str, work: Callable[[], T]) -> T:
    """Run blocking `work` in a thread that does not hold up the program's end.

    `asyncio.to_thread` would: its threads are joined at exit, and a hung server would make quitting
    take as long as its timeout. A cancelled caller leaves the thread to its own timeout.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not future.done():
            give()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  # handed to the awaiting task, whatever it is
            deliver: Callable[[], None] = _raiser(future, error)
        else:

            def deliver() -> None:
                future.set_result(value)

        try:
            loop.call_soon_threadsafe(settle, deliver)
        except RuntimeError:  # the loop is gone, and with it whoever waited
            return

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future


def _raiser(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    return lambda: future.set_exception(error)
