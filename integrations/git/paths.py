"""A file of a commit by its path, through the links that lie on the way.

Source: path_resolution(7); git keeps a link as a blob of mode 120000 that holds its target.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Protocol

from app.core.drafts.paths import check_path
from app.core.errors import DraftRejected
from app.core.text import clean
from integrations.git.export import FILE_MAX, LINK, Entry

REGULAR = ("100644", "100755")
FOLDER = "040000"
_LINKS_MAX = 8


class Folders(Protocol):
    """Gives the folders and blobs of commits."""

    async def folder(self, commit: str, path: str, tree: str) -> Sequence[Entry]:
        """What is in one folder."""
        ...

    async def blob(self, blob: str) -> bytes:
        """The bytes of a file."""
        ...


async def find_file(folders: Folders, commit: str, path: str) -> Entry | None:
    """Give the regular file behind a path, under the path where it really is; None without one.

    Raises DraftRejected when a link leads out of the repository, or to what drafts do not touch.
    """
    at = path
    for _ in range(_LINKS_MAX):
        found, rest = await _walk(folders, commit, at)
        if found is None or found.mode in REGULAR:
            return found if not rest else None
        if found.mode != LINK:
            raise DraftRejected(f"`{path}` is a folder")
        target = clean((await folders.blob(found.blob)).decode(errors="replace"))
        at = posixpath.normpath(posixpath.join(posixpath.dirname(found.path), target, *rest))
        if at.startswith(("../", "/")) or at == "..":
            raise DraftRejected(f"`{path}` is a link that leads out of the repository")
        check_path(at)
    raise DraftRejected(f"`{path}` is a link that leads to a link, and so on")


async def _walk(folders: Folders, commit: str, path: str) -> tuple[Entry | None, tuple[str, ...]]:
    """The first entry on the way that is no folder, or the last; and the names after it."""
    parts = path.split("/")
    tree, entry = commit, None
    for depth, name in enumerate(parts):
        inside = await folders.folder(commit, "/".join(parts[:depth]), tree)
        entry = next((one for one in inside if one.path == name), None)
        if entry is None:
            return None, ()
        full = Entry("/".join(parts[: depth + 1]), entry.mode, entry.blob, entry.size)
        if entry.mode != FOLDER:
            return full, tuple(parts[depth + 1 :])
        tree, entry = entry.blob, full
    return entry, ()


async def read_text(folders: Folders, entry: Entry) -> str:
    """Give a file's text. Raises DraftRejected when it is none, or very long."""
    content = await folders.blob(entry.blob)
    if len(content) > FILE_MAX:
        raise DraftRejected(f"`{entry.path}` is too large for a draft")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DraftRejected(f"`{entry.path}` is not UTF-8 text") from error
