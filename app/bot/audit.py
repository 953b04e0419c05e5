"""The record of what was asked and what was decided: JSON lines, each chained to the one before.

A line carries its number and the SHA-256 of its predecessor, so a line that was changed or taken
out shows (`app.bot.audit_check`). The file is its owner's alone; at `ROTATE_BYTES` it is set aside
and the chain goes on in a new one, also where the program ended in between. Several programs may
write one file: each line is added under a lock, after a look at what the others wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIRST = "0" * 64
ROTATE_BYTES = 10 << 20
_TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision; texts are cleaned.

    `decision` is answered, refused, limited (too many), failed, or what became of a request:
    requested, approved, declined, submitted. `subject` is the request or pull request it is about.
    """

    time: str
    team: str
    channel: str
    user: str
    command: str
    decision: str
    summary: str
    duration_ms: int
    role: str = ""
    cluster: str = ""
    subject: str = ""


class Unrecorded:
    """No record at all, for trying the bot on one's own machine."""

    def record(self, entry: Entry) -> None:
        """Forget the entry."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where a chain ends: the hash and the number of its last line; `size` of its file then."""

    hash: str = FIRST
    number: int = 0
    inode: int = 0
    size: int = 0
    is_torn: bool = False


class AuditLog:
    """Appends entries to a file, from any thread and any process."""

    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._lock = threading.Lock()
        self._end: _End | None = None

    def record(self, entry: Entry) -> None:
        """Write one entry and flush it to the disk. Raises `OSError`."""
        with self._lock:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone(self._path.with_suffix(".lock")):
                self._append(entry)

    def _append(self, entry: Entry) -> None:
        end = self._end
        if end is None or (end.inode, end.size) != _state(self._path):
            end = _end_of(self._path)
        body = {name: getattr(entry, name) for name in entry.__slots__}
        if not body["subject"]:
            del body["subject"]
        line = _line({"number": end.number + 1, **body, "previous": end.hash})
        if end.is_torn:
            line = b"\n" + line
        self._make_room(len(line))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._end = _End(hash_of(line.lstrip(b"\n")), end.number + 1, *_state(self._path))

    def _make_room(self, size: int) -> None:
        if self._path.exists() and self._path.stat().st_size + size > self._rotate_bytes:
            numbers = [number for number, _ in set_aside(self._path)]
            self._path.rename(self._path.with_suffix(f".{max(numbers, default=0) + 1}.jsonl"))


def set_aside(path: Path) -> list[tuple[int, Path]]:
    """The files that a log set aside, oldest first, with their numbers."""
    found = []
    for file in path.parent.glob(f"{path.stem}.*.jsonl"):
        number = file.name.removeprefix(f"{path.stem}.").removesuffix(".jsonl")
        if number.isdecimal():
            found.append((int(number), file))
    return sorted(found)


def hash_of(line: bytes) -> str:
    """What the next line says of this one."""
    return hashlib.sha256(line).hexdigest()


def _line(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_size


def _end_of(path: Path) -> _End:
    """Where the chain ends: in the file, else in the one that was set aside last."""
    for file in (path, *(aside for _, aside in reversed(set_aside(path)))):
        if file.exists() and (tail := _tail(file)):
            state = _state(path) if file == path else (0, 0)
            is_torn = not tail[-1].endswith(b"\n")
            whole = [line for line in tail if _numbered(line) is not None]
            if not whole:
                return _End("?" * 64, 0, *state, is_torn=is_torn)
            number = _numbered(whole[-1]) or 0
            return _End(hash_of(whole[-1]), number, *state, is_torn=is_torn)
    return _End()


def _tail(file: Path) -> list[bytes]:
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return stream.read().splitlines(keepends=True)


def _numbered(line: bytes) -> int | None:
    """The number of a whole line; 0 of one from before lines were numbered."""
    try:
        body = json.loads(line)
    except ValueError:
        return None
    if not isinstance(body, dict) or "previous" not in body or not line.endswith(b"\n"):
        return None
    number = body.get("number", 0)
    return number if isinstance(number, int) else 0


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock between processes, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
