"""Files that only their owner can read, whatever the umask says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

FILE_MODE = 0o600
FOLDER_MODE = 0o700


def open_private(path: Path, *, append: bool = False) -> IO[bytes]:
    """Open a file for writing; one that was there before gets its owner's mode. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        if os.name == "posix" and path.is_file():  # a pipe or /dev/stdout keeps its own
            os.fchmod(descriptor, FILE_MODE)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "ab" if append else "wb")


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only. Raises OSError."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            folder.mkdir(FOLDER_MODE, exist_ok=True)


def is_private(path: Path) -> bool:
    """Whether nobody but its owner can read or enter what is at `path`."""
    return os.name != "posix" or not path.stat().st_mode & 0o077
