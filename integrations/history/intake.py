"""The way into a store of flows: a bounded queue, and one thread that writes it in batches.

Flows that do not fit into the queue, or that the store refuses, are dropped and counted; nothing
that happens here reaches whoever hands them over.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.core.errors import SourceUnavailable
from app.core.model.flow import Flow
from app.core.text import clean
from integrations.threads import in_daemon_thread

QUEUED_FLOWS = 200_000
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Pace:
    """When a batch is written: after `within_s`, or as soon as it holds `at_most` flows."""

    within_s: float = 0.5
    at_most: int = 20_000


class Intake:
    """Hands queued flows to `write`, in a thread of its own; `end` is called there at the end.

    `write` raises `SourceUnavailable` for flows it could not keep.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Flow]], None],
        end: Callable[[], None],
        *,
        pace: Pace | None = None,
    ) -> None:
        self.dropped = 0
        self.failure = ""
        self._write = write
        self._end = end
        self._pace = pace or Pace()
        self._waiting = 0
        self._queue: queue.SimpleQueue[Sequence[Flow] | threading.Event | None]
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def keep(self, flows: Sequence[Flow]) -> None:
        """Queue flows; may be called from any thread."""
        if self._waiting + len(flows) > QUEUED_FLOWS:
            self.dropped += len(flows)
            return
        self._waiting += len(flows)
        self._queue.put(flows)

    async def flush(self) -> None:
        """Wait until everything queued so far is kept or counted as dropped."""
        done = threading.Event()
        self._queue.put(done)
        await in_daemon_thread("history flush", lambda: done.wait(LONGEST_WAIT_S))

    async def close(self) -> None:
        """Write what is queued and end the thread."""
        self._queue.put(None)
        await in_daemon_thread("history close", lambda: self._thread.join(LONGEST_WAIT_S))

    def _run(self) -> None:
        is_last = False
        while not is_last:
            flows, flushed, is_last = self._gather()
            if flows:
                self._try_to_write(flows)
            for event in flushed:
                event.set()
        self._end()

    def _try_to_write(self, flows: Sequence[Flow]) -> None:
        try:
            self._write(flows)
            self.failure = ""
        except SourceUnavailable as error:
            self.dropped += len(flows)
            self.failure = error.message
        except Exception as error:  # noqa: BLE001  # the named supervisor: live answers go on
            self.dropped += len(flows)
            self.failure = f"the flow history failed: {clean(str(error), 200)}"
        finally:
            self._waiting -= len(flows)

    def _gather(self) -> tuple[list[Flow], list[threading.Event], bool]:
        """One batch, who waits for it, and whether it is the last one."""
        flows: list[Flow] = []
        deadline = time.monotonic() + self._pace.within_s
        while len(flows) < self._pace.at_most:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            try:
                item = self._queue.get(timeout=left_s)
            except queue.Empty:
                break
            if item is None:
                return flows, [], True
            if isinstance(item, threading.Event):
                return flows, [item], False
            flows.extend(item)
        return flows, [], False
