"""Cut what tools write around flows into records: one line, one array item or one object each.

Flows are kept as JSON lines, as a JSON array, as pretty-printed JSON, or inside the one object
that Loki's or Elasticsearch's API answers with. A record is handed on whole; what is in it is
`app.core.flows.wire`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_RECORD = 1 << 26
"""Bytes of one record, 64 MiB: Loki answers 5,000 lines at most by default, about 15 MB."""

_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|["{}\[\]]')
"""A whole text, a quotation mark that nothing closes, or a bracket."""
_OPENING = (b"{", b"[")
_CLOSING = (b"}", b"]")
_ARRAY = re.compile(rb'\s*\[\s*(?:[\[{"\]]|$)')
"""A JSON array; a log line that begins with a time in brackets is none."""
_SHOWN = 1024


class Records:
    """Gathers lines into records. Feed whole lines with their ends, then ask for the `rest`.

    A line that is a record of its own costs no scan, so JSON lines stay as fast as they were. What
    was broken off (its writer was killed) ends where a whole object begins a line, and is handed
    on shortened: nothing can be read from it, but it is counted.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_array = False

    def feed(self, line: bytes) -> Iterator[bytes]:
        """Yield the records that a line completes; an empty line is handed on as it is."""
        if not line or (not self._depth and not self._in_array and _is_record(line)):
            yield line
        elif self._depth and line.startswith(b'{"') and _is_whole(line):
            yield from self.rest()
            yield line
        else:
            yield from self._cut(self._opened(line))

    def rest(self) -> Iterator[bytes]:
        """Yield the start of what was never completed."""
        left = b"".join(self._parts)[:_SHOWN]
        self._clear()
        if left.strip():
            yield left

    def _opened(self, line: bytes) -> bytes:
        """The line without the bracket that begins an array of records."""
        if self._depth or self._in_array or not _ARRAY.match(line):
            return line
        self._in_array = True
        return line.lstrip()[1:]

    def _cut(self, line: bytes) -> Iterator[bytes]:
        start = 0
        for token in _TOKEN.finditer(line):
            sign = token.group()
            if sign == b'"':
                yield from self._give_up(line)
                return
            if sign in _OPENING:
                start = start if self._depth else token.start()
                self._depth += 1
            elif sign in _CLOSING:
                self._depth -= 1
            elif not self._depth:
                yield sign
            if self._depth < 0:
                self._clear()
                return
            if sign in _CLOSING and not self._depth:
                yield b"".join((*self._parts, line[start : token.end()]))
                self._parts.clear()
                self._size = 0
        if self._depth:
            self._parts.append(line[start:])
            self._size += len(line) - start
        if self._size > LONGEST_RECORD:
            yield from self._give_up(b"")

    def _give_up(self, line: bytes) -> Iterator[bytes]:
        self._parts.append(line)
        yield from self.rest()

    def _clear(self) -> None:
        self._parts.clear()
        self._size = self._depth = 0
        self._in_array = False


def _is_record(line: bytes) -> bool:
    """Whether a line stands for itself: it is no JSON, or a whole object."""
    text = line.lstrip()
    if text.startswith(b"["):
        return not _ARRAY.match(text)
    return not text.startswith(b"{") or _is_whole(text)


def _is_whole(line: bytes) -> bool:
    """Whether every brace of an object is closed; those in texts count only where they differ."""
    if line.rstrip().endswith(b"}") and line.count(b"{") == line.count(b"}"):
        return True
    depth = 0
    for token in _TOKEN.finditer(line):
        sign = token.group()
        if sign == b'"':  # what follows is no JSON, and looking for its end again costs a square
            return True
        depth += (sign == b"{") - (sign == b"}")
    return depth <= 0
