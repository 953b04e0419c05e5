"""What was read before, kept on disk: parsed documents and builds, each under what it came from.

Reading a checkout is mostly parsing text that has not changed since the last time. So what a file
gave is kept under the digest of its content and of all else that its reading depends on, and a
build under its kustomization with every answer it was given. Nothing is taken for true because it
is there: a file of this cache is used when it is the user's own and nobody else's to read or
write, whole by its checksum, written by this very program, and each part of it is decoded into
declared types; anything else is as if it were not there. It may be deleted at any time.

One file holds one reading (a pack). A pack is what its last reading used, so what is no longer in
the checkout leaves it; packs go oldest first when there are too many, or too much in them.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from integrations.private import FILE_MODE, is_private, make_private_folder

T = TypeVar("T")

_MAGIC = b"k8tre-tui reading 1\n"
_DIGEST = 20
_HEAD_MAX = 1 << 10
_SUFFIX = ".pack"
PACKS = 24
"""Readings that are kept: checkouts, each with the options it was read with."""
SIZE = 64 << 20
"""Bytes of one pack; a reading that gives more is not kept."""
ALL = 512 << 20
"""Bytes of all packs together."""

_log = logging.getLogger("k8tre_tui.cache")


class _Contents(msgspec.Struct, array_like=True):
    """A pack: kind of part → its key → the part as it was encoded."""

    parts: dict[str, dict[bytes, msgspec.Raw]]


_contents = msgspec.msgpack.Decoder(_Contents)
_encoder = msgspec.msgpack.Encoder()


def digest(*parts: bytes) -> bytes:
    """One key of several parts, which cannot run into each other."""
    made = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.digest()


@cache
def program_digest() -> bytes:
    """What tells this program from an older one: the files that reading is written in."""
    root = Path(__file__).parents[2]
    folders = (root / "integrations" / "manifests", root / "app" / "core")
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    stats = ((str(file.relative_to(root)), file.stat()) for file in files)
    told = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    return digest(_MAGIC, "\n".join(told).encode())


class Pack:
    """Parts of one reading: what was kept of the last one, and what this one adds."""

    def __init__(self, file: Path | None = None, told: bytes = b"", size: int = SIZE) -> None:
        """`told` tells the reading from others; `file` None keeps nothing beyond this one."""
        self._file = file
        self._told = told
        self._size = size
        self._before = _read(file, told, size) if file is not None else {}
        self._used: dict[str, dict[bytes, msgspec.Raw]] = {}
        self._added = False

    @property
    def is_kept(self) -> bool:
        """Whether there is any use in adding to it."""
        return self._file is not None

    def find(self, kind: str, key: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
        """Give a part; None when there is none that can be decoded."""
        raw = self._before.get(kind, {}).get(key)
        if raw is None:
            return None
        try:
            found = decoder.decode(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        self._used.setdefault(kind, {})[key] = raw
        return found

    def add(self, kind: str, key: bytes, part: msgspec.Struct) -> None:
        """Keep a part; one that has no such form, as numbers of hundreds of digits, is not kept."""
        if self._file is None:
            return
        try:
            raw = msgspec.Raw(_encoder.encode(part))
        except (msgspec.MsgspecError, OverflowError, TypeError, ValueError, RecursionError):
            return
        self._used.setdefault(kind, {})[key] = raw
        self._added = True

    def close(self) -> None:
        """Write what was used. That it cannot be written is no reason to fail."""
        if self._file is None:
            return
        before, used = (sum(map(len, one.values())) for one in (self._before, self._used))
        if not (self._added or used < before):
            _touch(self._file)
            return
        payload = _encoder.encode(_Contents(self._used))
        try:
            if len(payload) <= self._size:
                _write(self._file, _head(payload, self._told), payload)
            _make_room(self._file.parent)
        except OSError as error:
            _log.debug("cache not written", extra={"reason": error.strerror or "unwritable"})


def open_pack(folder: Path | None, told: Iterable[str]) -> Pack:
    """The pack of the reading that `told` tells from others; without a folder one in memory."""
    if folder is None:
        return Pack()
    name = digest(*(text.encode("utf-8", "surrogateescape") for text in told))
    return Pack(folder / f"{name.hex()}{_SUFFIX}", name)


def _read(file: Path, told: bytes, size: int) -> dict[str, dict[bytes, msgspec.Raw]]:
    """The parts of a pack; none when it is not there, not ours, not whole, or of another time."""
    content = _content(file, size)
    head = len(_MAGIC) + 2 * _DIGEST
    payload = memoryview(content)[head:]
    if content[:head] != _head(payload, told):
        return {}
    try:
        return _contents.decode(payload).parts
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def _content(file: Path, size: int) -> bytes:
    """The bytes of a file that is ours alone; what was opened is what is looked at."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as stream:
            stat = os.fstat(stream.fileno())
            shared = os.name == "posix" and (stat.st_mode & 0o077 or stat.st_uid != os.geteuid())
            return b"" if shared or stat.st_size > size + _HEAD_MAX else stream.read()
    except OSError:
        return b""


def _head(payload: bytes | memoryview, told: bytes) -> bytes:
    whole = hashlib.blake2b(payload, digest_size=_DIGEST).digest()
    return _MAGIC + digest(program_digest(), told) + whole


def _write(file: Path, head: bytes, payload: bytes) -> None:
    """Put a pack in its place at once, so that nobody reads half of one."""
    make_private_folder(file.parent)
    if not is_private(file.parent):
        raise PermissionError(0, "others can read the folder")
    descriptor, made = tempfile.mkstemp(prefix=".", suffix=_SUFFIX, dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if os.name == "posix":
                os.fchmod(stream.fileno(), FILE_MODE)
            stream.write(head)
            stream.write(payload)
        Path(made).replace(file)
    except OSError:
        Path(made).unlink(missing_ok=True)
        raise


def _touch(file: Path) -> None:
    """Tell that a pack was used."""
    with contextlib.suppress(OSError):
        os.utime(file)


def _make_room(folder: Path) -> None:
    """Remove the packs that were used longest ago, and what a crash has left half-written."""
    stats = [(file, file.stat()) for file in folder.glob(f"*{_SUFFIX}")]
    left = ALL
    for place, (file, stat) in enumerate(sorted(stats, key=lambda one: -one[1].st_mtime_ns)):
        left -= stat.st_size
        if place >= PACKS or left < 0:
            file.unlink(missing_ok=True)
