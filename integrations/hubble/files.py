"""Flows from a file: `hubble observe -o json`, the exporter's `events.log`, a recording, `-`.

What log stores and their tools keep of those lines is read, too (`app.core.flows.records`, `wire`).

Lines are decoded in a thread, in blocks, and handed over through a queue of a few blocks: a file
can wait, so nothing of it is ever dropped. A followed file may grow, be truncated, or be rotated
(another file appears under its name); what was written before the change is read first.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from msgspec import structs

from app.core.documents.packed import GZIP_MAGIC, blocks_of, cut_lines, unpacked
from app.core.errors import BadInput, SourceCause, SourceUnavailable
from app.core.flows.codec import Decoder
from app.core.flows.match import compile_filters
from app.core.flows.records import LONGEST_RECORD, Records
from app.core.model.flow import Flow, FlowBatch, LostEvents, NodeStatus
from app.core.text import clean
from app.ports import FlowRequest, SourceState
from integrations.hubble.batches import joined
from integrations.threads import Channel

STDIN = "-"
BLOCK_LINES = 2048
"""Lines decoded before they are handed over; small enough for a first screen at once."""
QUEUED_BLOCKS = 4
POLL_S = 0.25
"""How often a followed file is looked at."""


class FlowFile:
    """A file of flows as a `FlowSource`; `-` is standard input, `.gz` is unpacked."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """The file's name, or `standard input`."""
        return "standard input" if self._path == STDIN else clean(Path(self._path).name)

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """Yield what the request lets through, to the end of the file or, followed, for ever.

        `last` needs the end of the file and therefore gives one batch. Raises `BadInput` when the
        file cannot be opened, and `SourceUnavailable` where it cannot be unpacked further, or at
        its end when it is not empty and nothing in it could be read.
        """
        blocks = _blocks_in_thread(lambda stop: _read_blocks(self._path, request, stop))
        sift = _Sift(request)
        try:
            async for block in blocks:
                if request.last is None:
                    yield sift.take(block)
                else:
                    sift.hold(block, request.last)
        except SourceUnavailable:  # what came before the damage is good
            yield sift.held()
            raise
        if request.last is not None:
            yield sift.held()
        if sift.unreadable and not sift.read:
            raise SourceUnavailable(
                f"none of {sift.unreadable:,} records could be read as a flow",
                source=self.name,
                hint="write them with `hubble observe -o json`, or export log lines unchanged",
            )


@dataclass(slots=True)
class _Block:
    """Decoded lines, and what of them could not be understood."""

    items: list[Flow | LostEvents | NodeStatus]
    unreadable: int
    ignored: int
    unknown: Counter[str]


class _Sift:
    """Applies a request's filters and times, and gathers the last flows where asked.

    `read` counts the items that the filters were asked about, `unreadable` what was none.
    """

    def __init__(self, request: FlowRequest) -> None:
        self.read = 0
        self.unreadable = 0
        self._passes = compile_filters(request.allow, request.deny)
        self._since_ns = request.since_ns
        self._until_ns = request.until_ns
        self._kept: deque[Flow] = deque()
        self._rest: list[FlowBatch] = []

    def take(self, block: _Block) -> FlowBatch:
        """The block as a batch."""
        self.read += len(block.items) + block.ignored
        self.unreadable += block.unreadable
        flows = tuple(one for one in block.items if isinstance(one, Flow) and self._lets(one))
        return FlowBatch(
            flows,
            tuple(one for one in block.items if isinstance(one, LostEvents)),
            tuple(one for one in block.items if isinstance(one, NodeStatus)),
            block.unreadable,
            dict(block.unknown),
        )

    def _lets(self, flow: Flow) -> bool:
        if self._since_ns is not None and flow.time_ns < self._since_ns:
            return False
        if self._until_ns is not None and flow.time_ns > self._until_ns:
            return False
        return self._passes is None or self._passes(flow)

    def hold(self, block: _Block, last: int) -> None:
        """Keep the newest `last` flows, and everything that is not a flow."""
        batch = self.take(block)
        self._kept.extend(batch.flows)
        while len(self._kept) > last:
            self._kept.popleft()
        self._rest.append(structs.replace(batch, flows=()))

    def held(self) -> FlowBatch:
        """What was kept, as one batch."""
        return structs.replace(joined(self._rest), flows=tuple(self._kept))


def _read_blocks(path: str, request: FlowRequest, stop: threading.Event) -> Iterator[_Block]:
    decoder = Decoder()
    lines = _follow(Path(path), stop) if _is_followed(path, request) else _lines(path)
    items: list[Flow | LostEvents | NodeStatus] = []
    read = 0
    try:
        for record in _records(lines):
            if record:
                read += 1
                items += decoder.decode_record(record)
            if read >= BLOCK_LINES or (not record and read):
                yield _block(items, decoder)
                items, read = [], 0
    except SourceUnavailable:
        if read:  # what came before the damage is good
            yield _block(items, decoder)
        raise
    if read:
        yield _block(items, decoder)


def _records(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The records of a file, whatever tool wrote them down."""
    records = Records()
    for line in lines:
        yield from records.feed(line)
    yield from records.rest()


def _block(items: list[Flow | LostEvents | NodeStatus], decoder: Decoder) -> _Block:
    ignored = decoder.ignored.total()
    block = _Block(items, decoder.unreadable, ignored, Counter(decoder.unknown))
    decoder.unreadable = 0
    decoder.ignored.clear()
    decoder.unknown.clear()
    return block


def _is_followed(path: str, request: FlowRequest) -> bool:
    """Only a plain file can grow or be replaced; a pipe ends when its writer does."""
    if not request.follow or path == STDIN or not Path(path).is_file():
        return False
    with _open(Path(path)) as file:
        return file.read(len(GZIP_MAGIC)) != GZIP_MAGIC


def _lines(path: str) -> Iterator[bytes]:
    """Every line; an empty one means that no more is there at the moment."""
    if path == STDIN and sys.stdin is None:
        raise BadInput("there is no standard input to read flows from", file=path)
    opened = nullcontext(sys.stdin.buffer) if path == STDIN else _open(Path(path))
    try:
        with opened as stream:
            for lines in cut_lines(unpacked(blocks_of(stream)), LONGEST_RECORD):
                yield from lines
                if path == STDIN:  # shown as they come
                    yield b""
    except BadInput as error:
        name = "standard input" if path == STDIN else clean(path)
        raise SourceUnavailable(
            f"flows cannot be read: {error.message}",
            source=name,
            cause=SourceCause.UNREADABLE,
            hint=error.hint,
        ) from error
    except (OSError, ValueError) as error:  # a closed stream is a ValueError
        raise _unreadable(path, error) from error


def _follow(path: Path, stop: threading.Event) -> Iterator[bytes]:
    """Lines of a file that is being written, through truncation and rotation.

    A line without its end is kept until the end comes, or until the file is replaced.
    """
    file = _open(path)
    try:
        while not stop.is_set():
            for lines in cut_lines(_growing(file, path, stop), LONGEST_RECORD):
                yield from lines
                yield b""
            file.close()
            file = _open(path)
    finally:
        file.close()


def _growing(file: IO[bytes], path: Path, stop: threading.Event) -> Iterator[bytes]:
    """Yield what is appended, until another file stands under the name or `stop` is set."""
    while not stop.is_set():
        if data := file.read(1 << 20):
            yield data
        elif _was_replaced(file, path):
            return
        else:
            stop.wait(POLL_S)


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise _unreadable(str(path), error) from error


def _was_replaced(file: IO[bytes], path: Path) -> bool:
    """Whether another file stands under the name now, or this one was cut."""
    try:
        there, here = path.stat(), os.fstat(file.fileno())
    except FileNotFoundError:
        return False  # between the two steps of a rotation
    return (there.st_ino, there.st_dev) != (here.st_ino, here.st_dev) or (
        there.st_size < file.tell()
    )


def _unreadable(path: str, error: Exception) -> BadInput:
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return BadInput(f"flows cannot be read: {clean(words)}", file=path)


async def _blocks_in_thread(
    read: Callable[[threading.Event], Iterator[_Block]],
) -> AsyncIterator[_Block]:
    """Run a blocking generator in a daemon thread; leaving the iteration stops it."""
    channel: Channel[_Block] = Channel(QUEUED_BLOCKS)
    stop = threading.Event()

    def run() -> None:
        try:
            for block in read(stop):
                if not channel.put(block):
                    return
        except Exception as error:  # noqa: BLE001  # handed to whoever reads the channel
            channel.end(error)
        else:
            channel.end()

    threading.Thread(target=run, name="flow file", daemon=True).start()
    try:
        async for block in channel.values():
            yield block
    finally:
        stop.set()
        channel.close()
