"""A commit's files from a forge, without fetching what a checkout has already.

A blob is named by its content (gitformat-pack(5)), so a file of the checkout with the same name of
its blob is that file, whoever wrote it there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from app.core.errors import SourceCause, SourceUnavailable
from integrations.git.export import Entry, is_wanted
from integrations.git.paths import FOLDER

FETCHED_MAX = 400
"""Files that are fetched one by one; a checkout that lacks more is to be brought up to date."""

_SUFFIXES = (".yaml", ".yml", ".json", ".env", ".toml", ".tpl", "kustomization")
"""What policies may be made of; of all else only what the checkout has is there."""


class Blobs(Protocol):
    """Gives the bytes of one blob."""

    async def __call__(self, blob: str) -> bytes:
        """The bytes of a file."""
        ...


def read_entries(listed: Iterable[Any], *, folders: bool = False) -> list[Entry]:
    """Read the entries of a tree as GitHub and Gitea list them, with its folders if wanted."""
    return [
        Entry(str(one["path"]), _mode(one), str(one["sha"]), int(one.get("size") or 0))
        for one in listed
        if one.get("type") == "blob" or (folders and one.get("type") == "tree")
    ]


def _mode(one: Any) -> str:
    return FOLDER if one.get("type") == "tree" else str(one["mode"])


async def fetch(
    entries: Iterable[Entry], blobs: Blobs, mirror: Path | None, source: str
) -> list[tuple[Entry, bytes]]:
    """Give the files of a commit with their bytes.

    Raises SourceUnavailable when too many of them would have to be fetched.
    """
    present, missing = [], []
    for entry in filter(is_wanted, entries):
        content = _from(mirror, entry)
        if content is not None:
            present.append((entry, content))
        elif entry.path.lower().endswith(_SUFFIXES):
            missing.append(entry)
    if len(missing) > FETCHED_MAX:
        raise SourceUnavailable(
            f"the checkout lacks {len(missing)} files of {source}",
            source=source,
            cause=SourceCause.CONFLICT,
            hint="bring it up to date with `git pull` first",
        )
    fetched = [(entry, await blobs(entry.blob)) for entry in missing]
    return [*present, *fetched]


def _from(mirror: Path | None, entry: Entry) -> bytes | None:
    if mirror is None or entry.mode not in ("100644", "100755"):
        return None
    try:
        path = (mirror / entry.path).resolve()
        if not path.is_relative_to(mirror.resolve()) or not path.is_file():
            return None
        if entry.size >= 0 and path.stat().st_size != entry.size:
            return None
        content = path.read_bytes()
    except (OSError, ValueError, RuntimeError):
        return None
    return content if _blob_of(content, entry.blob) == entry.blob else None


def _blob_of(content: bytes, like: str) -> str:
    kind: Callable[..., Any] = hashlib.sha1 if len(like) == 40 else hashlib.sha256  # noqa: PLR2004
    return str(kind(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())
