"""Flows written down as they pass, and played again with their timing.

A recording is Hubble's own JSON lines, so every tool that reads those reads it. The time between
two flows when replayed is the time between their own timestamps.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import msgspec

from app.core.errors import BadInput
from app.core.flows.encode import encode, encode_line
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowBatch, LostEvents, NodeStatus
from app.ports import Clock, FlowRequest, FlowSource, SourceState
from integrations.private import open_private

Tree = dict[str, Any]

LONGEST_PAUSE_S = 30.0
"""A longer gap in a recording is shortened to this."""


class Recorded:
    """A flow source whose flows are also written to a file (`.gz` packs it) as they pass.

    Only its owner can read the file. `redact` turns what is written into stand-ins.
    """

    def __init__(
        self, source: FlowSource, path: str, *, redact: Callable[[Tree], Tree] | None = None
    ) -> None:
        self._source = source
        self._path = Path(path)
        self._redact = redact

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """The source's own batches. Raises `BadInput` when the file cannot be written."""
        with self._open() as file:
            async for item in self._source.flows(request):
                if isinstance(item, FlowBatch):
                    self._write(file, item)
                yield item

    def _open(self) -> IO[bytes]:
        try:
            file = open_private(self._path, append=True)
            if not self._path.name.endswith(".gz"):
                return file
            file.close()
            return gzip.open(self._path, "ab")  # type: ignore[return-value]  # a binary file, too
        except OSError as error:
            raise self._refused(error) from error

    def _write(self, file: IO[bytes], batch: FlowBatch) -> None:
        items: Iterable[Flow | LostEvents | NodeStatus] = (
            *batch.flows,
            *batch.lost,
            *batch.statuses,
        )
        try:
            file.write(b"".join(self._line(item) + b"\n" for item in items))
            file.flush()
        except OSError as error:
            raise self._refused(error) from error

    def _line(self, item: Flow | LostEvents | NodeStatus) -> bytes:
        if self._redact is None:
            return encode_line(item)
        return msgspec.json.encode(self._redact(encode(item)))

    def _refused(self, error: OSError) -> BadInput:
        return BadInput(f"the recording cannot be written: {error.strerror}", file=str(self._path))


class Replay:
    """A recording as a live source: its flows come with the pauses they came with.

    `speed` divides the pauses. Times of the flows stay what they were.
    """

    def __init__(
        self,
        recording: FlowSource,
        *,
        clock: Clock,
        speed: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._recording = recording
        self._clock = clock
        self._speed = speed
        self._sleep = sleep

    @property
    def name(self) -> str:
        """The recording's name, marked as a replay."""
        return f"replay of {self._recording.name}"

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """Yield flows in bursts: those due at the same moment come together."""
        first_ns: int | None = None
        started = self._clock.monotonic()
        async for item in self._recording.flows(replace(request, follow=False)):
            if not isinstance(item, FlowBatch):
                yield item
                continue
            if item.lost or item.statuses or item.unreadable or item.unknown:
                yield FlowBatch((), item.lost, item.statuses, item.unreadable, item.unknown)
            burst: list[Flow] = []
            for flow in item.flows:
                first_ns = flow.time_ns if first_ns is None else first_ns
                due_s = (flow.time_ns - first_ns) / NS_PER_S / self._speed
                wait_s = due_s - (self._clock.monotonic() - started)
                if wait_s > 0:
                    if burst:
                        yield FlowBatch(tuple(burst))
                        burst = []
                    if wait_s > LONGEST_PAUSE_S:
                        started -= wait_s - LONGEST_PAUSE_S
                    await self._sleep(min(wait_s, LONGEST_PAUSE_S))
                burst.append(flow)
            if burst:
                yield FlowBatch(tuple(burst))
