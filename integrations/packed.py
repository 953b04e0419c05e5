"""Bytes of a file, a pipe or standard input, unpacked where they are gzip, within stated bounds.

Whether they are packed is told by the first bytes, never by the name. What deflates to much more
than it is worth, or is cut off, or corrupt, is `BadInput` that says which bound or where.
Source: RFC 1952 (members may follow each other; zeros may follow the last).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from app.core.errors import BadInput

FILE_BYTES_MAX = 512 << 20
"""Of one file of objects, unpacked: 50,000 pods as kubectl prints them are less."""

RATIO_MAX = 200
"""Unpacked to packed. Objects and flows reach 10 to 60; deflate can do 1,032."""

RATIO_FREE_BYTES = 32 << 20
"""So much may be unpacked before the ratio counts: a small file of zeros harms nobody."""

_MAGIC = b"\x1f\x8b"
_BLOCK = 1 << 16
_GZIP_WINDOW = 31
"""zlib's `wbits` for gzip headers."""


def read_all(stream: IO[bytes], *, most: int = FILE_BYTES_MAX) -> bytes:
    """Give everything; `BadInput` when it is more than `most` bytes, or cannot be unpacked."""
    whole = io.BytesIO()
    for block in unpacked(stream, most=most):
        whole.write(block)
    return whole.getvalue()


def unpacked(stream: IO[bytes], *, most: int | None = None) -> Iterator[bytes]:
    """Yield blocks as they come; `most` bounds their sum, None lets it grow for ever."""
    given = 0
    for block in _blocks(stream):
        given += len(block)
        if most is not None and given > most:
            raise BadInput(f"larger than {most >> 20} MiB unpacked, the most that is read")
        yield block


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    read = _reader(stream)
    first = read(_BLOCK)
    if len(first) == 1:  # a pipe may give the two magic bytes one by one
        first += read(_BLOCK)
    if first.startswith(_MAGIC):
        yield from _inflated(first, read)
        return
    while first:
        yield first
        first = read(_BLOCK)


def _reader(stream: IO[bytes]) -> Callable[[int], bytes]:
    """What is there at the moment, up to a number of bytes; nothing means the end."""
    read1: Callable[[int], bytes] | None = getattr(stream, "read1", None)
    return read1 or stream.read


def _inflated(first: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    packed, taken, given = first, 0, 0
    while packed:
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        while not inflater.eof:
            if not packed:
                raise BadInput(f"cut off: the gzip data end after {given} bytes without their end")
            taken += len(packed)
            try:
                block = inflater.decompress(packed, _BLOCK * 16)
            except zlib.error as error:
                raise BadInput(f"corrupt gzip data after {given} bytes: {_words(error)}") from error
            packed = inflater.unconsumed_tail
            taken -= len(packed)
            given += len(block)
            _check_ratio(taken, given)
            if block:
                yield block
            if not packed and not inflater.eof:
                packed = read(_BLOCK)
        taken -= len(inflater.unused_data)
        packed = _next_member(inflater.unused_data, read)


def _next_member(rest: bytes, read: Callable[[int], bytes]) -> bytes:
    rest = rest.lstrip(b"\0")
    while not rest and (more := read(_BLOCK)):
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
