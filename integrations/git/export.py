"""A commit's files in a folder, for those who read folders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from app.core.errors import BadInput
from app.core.text import clean

FILE_MAX = 4 << 20
"""Bytes of one file; larger ones hold no policies and are not generated from."""

FILES_MAX = 100_000
LINK = "120000"
_FORBIDDEN = frozenset({"", ".", "..", ".git"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit: mode as git writes it, name of its blob, size in bytes or -1."""

    path: str
    mode: str
    blob: str
    size: int


def is_wanted(entry: Entry) -> bool:
    """Whether a file is written: neither too large nor of a name that leads elsewhere."""
    parts = entry.path.split("/")
    harmless = not any(part.lower() in _FORBIDDEN or "\0" in part for part in parts)
    return harmless and entry.size <= FILE_MAX


def export(folder: Path, files: Iterable[tuple[Entry, bytes]]) -> None:
    """Write files below `folder`, which is marked as a checkout's root.

    Links are made last, and only those that stay inside. Raises BadInput for more than FILES_MAX.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".git").mkdir(exist_ok=True)
    links = []
    for number, (entry, content) in enumerate(files):
        if number >= FILES_MAX:
            raise BadInput(f"the commit has more than {FILES_MAX} files")
        if entry.mode == LINK:
            links.append((folder / entry.path, content.decode(errors="replace")))
            continue
        _write(folder / entry.path, content)
    for path, target in links:
        if _stays(folder, path, target) and not path.exists():
            _make_folder(path)
            path.symlink_to(target)


def _write(path: Path, content: bytes) -> None:
    _make_folder(path)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(f"`{clean(str(path))}` of the commit: {error.strerror}") from error


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"`{clean(str(path))}` of the commit: {error.strerror}") from error


def _stays(folder: Path, path: Path, target: str) -> bool:
    if PurePosixPath(target).is_absolute() or "\0" in target or not target:
        return False
    try:
        return (path.parent / target).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return False
