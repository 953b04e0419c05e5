"""Between blocking threads and the event loop: one call, or a stream of values.

Threads here are daemons, so that a server that hangs cannot hold up the program's end, which
`asyncio.to_thread` would: its threads are joined at exit.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


async def in_daemon_thread(name: str, work: Callable[[], T]) -> T:
    """Run blocking `work`; a cancelled caller leaves the thread to its own timeout."""
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

        _call(loop, lambda: settle(deliver))

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future


def _raiser(future: asyncio.Future[T], error: BaseException) -> Callable[[], None]:
    return lambda: future.set_exception(error)


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(work)
    except RuntimeError:  # the loop is gone, and with it whoever waited
        return


class Channel(Generic[T]):
    """Values from one thread to one asynchronous reader, at most `limit` of them waiting.

    When it is full, `put` waits, so nothing is lost: a file has time.
    """

    def __init__(self, limit: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._values: deque[T] = deque()
        self._room = threading.Condition()
        self._arrived = asyncio.Event()
        self._error: BaseException | None = None
        self._ended = False
        self.closed = False

    def put(self, value: T) -> bool:
        """Hand over a value; False when nobody reads any more. Called by the thread."""
        with self._room:
            while len(self._values) >= self._limit and not self.closed:
                self._room.wait()
            if self.closed:
                return False
            was_empty = not self._values
            self._values.append(value)
        if was_empty:  # else the reader has been told, and takes everything at once
            _call(self._loop, self._arrived.set)
        return True

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more comes, or why. Called by the thread."""
        self._error = error
        self._ended = True
        _call(self._loop, self._arrived.set)

    def close(self) -> None:
        """Stop reading: a waiting `put` returns False. Called by the reader."""
        with self._room:
            self.closed = True
            self._values.clear()
            self._room.notify_all()

    async def values(self) -> AsyncIterator[T]:
        """Yield values until the thread ends; raises the error it ended with."""
        while True:
            ended = self._ended
            with self._room:
                waiting = [self._values.popleft() for _ in range(len(self._values))]
                self._room.notify_all()
            for value in waiting:
                yield value
            if waiting:
                continue
            if ended:
                if self._error is not None:
                    raise self._error
                return
            await self._arrived.wait()
            self._arrived.clear()
