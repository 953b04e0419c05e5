"""The record of what was asked and what was decided: JSON lines, each chained to the one before.

A line carries the SHA-256 of its predecessor, so a line that was changed or taken out shows.
The file is its owner's alone; at `ROTATE_BYTES` it is set aside and the chain goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIRST = "0" * 64
ROTATE_BYTES = 10 << 20
_TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision. `decision` is answered, refused, limited or failed; texts are cleaned."""

    time: str
    team: str
    channel: str
    user: str
    command: str
    decision: str
    summary: str
    duration_ms: int


class Unrecorded:
    """No record at all, for trying the bot on one's own machine."""

    def record(self, entry: Entry) -> None:
        """Forget the entry."""


class AuditLog:
    """Appends entries to a file; one process writes it, from any thread."""

    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._last = _last_hash(path)

    def record(self, entry: Entry) -> None:
        """Write one entry and flush it to the disk. Raises `OSError`."""
        with self._lock:
            self._append(entry)

    def _append(self, entry: Entry) -> None:
        body = {name: getattr(entry, name) for name in entry.__slots__}
        line = _line({**body, "previous": self._last})
        self._make_room(len(line))
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._last = _hash(line)

    def _make_room(self, size: int) -> None:
        if self._path.exists() and self._path.stat().st_size + size > self._rotate_bytes:
            number = 1
            while (aside := self._path.with_suffix(f".{number}.jsonl")).exists():
                number += 1
            self._path.rename(aside)


def broken_at(lines: Iterable[bytes], first: str | None = None) -> int | None:
    """The 1-based number of the first line that does not follow from the one before it.

    `first` is the hash before the first line; None takes the first line's own word for it.
    """
    previous = first
    for number, line in enumerate(lines, start=1):
        claimed = json.loads(line)["previous"]
        if previous is not None and claimed != previous:
            return number
        previous = _hash(line)
    return None


def _line(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _last_hash(path: Path) -> str:
    if not path.exists():
        return FIRST
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().splitlines(keepends=True)
    return _hash(lines[-1]) if lines else FIRST
