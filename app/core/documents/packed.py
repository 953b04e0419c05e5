"""Bytes of a file, a pipe or standard input, unpacked where they are gzip, within stated bounds.

Whether they are packed is told by the first bytes, never by the name. What deflates to much more
than it is worth, or is cut off, or corrupt, is `BadInput` that says which bound or where.
Source: RFC 1952 (members may follow each other; zeros may follow the last).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from app.core.errors import BadInput

FILE_BYTES_MAX = 512 << 20
"""Of one file of objects, unpacked: 50,000 pods as kubectl prints them are less."""

RATIO_MAX = 200
"""Unpacked to packed. Objects and flows reach 10 to 60; deflate can do 1,032."""

RATIO_FREE_BYTES = 32 << 20
"""So much may be unpacked before the ratio counts: a small file of zeros harms nobody."""

GZIP_MAGIC = b"\x1f\x8b"
_BLOCK = 1 << 16
_INFLATED = 1 << 15
"""Bytes unpacked at once: an error loses what the call would have given."""
_START = 1024
_GZIP_WINDOW = 31
"""zlib's `wbits` for gzip headers."""


def blocks_of(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield what a stream has at the moment, block by block, to its end; it need not seek."""
    read = getattr(stream, "read1", None) or stream.read
    while block := read(_BLOCK):
        yield block


def unpacked(blocks: Iterable[bytes], *, most: int | None = None) -> Iterator[bytes]:
    """Yield the bytes as they come; `most` bounds their sum, None lets it grow for ever.

    Raises `BadInput` when they are more than that, or cannot be unpacked.
    """
    given = 0
    for block in _unpacked(iter(blocks)):
        given += len(block)
        if most is not None and given > most:
            raise BadInput(f"larger than {most >> 20} MiB unpacked, the most that is read")
        yield block


def cut_lines(blocks: Iterable[bytes], longest: int) -> Iterator[list[bytes]]:
    """Yield the lines that each block completes, with their ends; the last may have none.

    Of a line longer than `longest` bytes only a start is given, and nothing of it is kept.
    """
    parts: list[bytes] = []
    size = 0
    for block in blocks:
        first, *others = block.split(b"\n")
        if size <= longest:
            parts.append(first)
            size += len(first)
        if size > longest:
            parts = [b"".join(parts)[:_START]]
        if not others:
            continue
        rest = others.pop()
        yield [b"".join((*parts, b"\n")), *[line + b"\n" for line in others]]
        parts, size = [rest], len(rest)
    if last := b"".join(parts):
        yield [last]


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(blocks, b"")
    if len(first) == 1:  # a pipe may give the two magic bytes one by one
        first += next(blocks, b"")
    if first.startswith(GZIP_MAGIC):
        yield from _inflated(first, blocks)
        return
    if first:
        yield first
    yield from blocks


def _inflated(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    packed, taken, given = first, 0, 0
    while packed:
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        while not inflater.eof:
            if not packed:
                raise BadInput(f"cut off: the gzip data end after {given} bytes without their end")
            taken += len(packed)
            try:
                block = inflater.decompress(packed, _INFLATED)
            except zlib.error as error:
                raise BadInput(f"corrupt gzip data after {given} bytes: {_words(error)}") from error
            packed = inflater.unconsumed_tail
            taken -= len(packed)
            given += len(block)
            _check_ratio(taken, given)
            if block:
                yield block
            if not packed and not inflater.eof:
                packed = next(blocks, b"")
        taken -= len(inflater.unused_data)
        packed = _next_member(inflater.unused_data, blocks)


def _next_member(rest: bytes, blocks: Iterator[bytes]) -> bytes:
    rest = rest.lstrip(b"\0")
    while not rest and (more := next(blocks, b"")):
        rest = more.lstrip(b"\0")
    return rest


def _check_ratio(taken: int, given: int) -> None:
    if given > RATIO_FREE_BYTES and given > RATIO_MAX * taken:
        raise BadInput(
            f"a gzip bomb: it unpacks to more than {RATIO_MAX} times its size",
            hint="unpack it yourself if it is what it should be",
        )


def _words(error: zlib.error) -> str:
    return str(error).rpartition(": ")[2] or "malformed"
