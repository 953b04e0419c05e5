"""Where reflector threads leave changes and the event loop picks them up.

Changes are merged by object, newest wins, so the inbox is bounded by the number of objects in the
cluster and needs no policy for being full: nothing is ever dropped.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

from app.core.model.provenance import Manifest, Notice, ObjectRef
from integrations.kubernetes.reflector import Delta


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
