"""Which files of a repository a draft may touch."""

from __future__ import annotations

import posixpath
import re

from app.core.errors import DraftRejected

_SAFE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=/ -]*")
_SUFFIXES = (".yaml", ".yml", ".json")
_PATH_LIMIT = 500
"""Gitea refuses longer paths (go-gitea `modules/structs/repo_file.go`)."""


def check_path(path: str) -> str:
    """Give `path` back when a draft may write it; DraftRejected otherwise.

    It must be relative, normalised, inside the repository, YAML or JSON by its name, and in no
    hidden folder: `.github` holds workflows, `.git` the repository itself.
    """
    if not _SAFE_PATH.fullmatch(path) or len(path) > _PATH_LIMIT:
        raise DraftRejected(f"not a path for a draft: `{path}`")
    if posixpath.normpath(path) != path or path.startswith(("../", "/")):
        raise DraftRejected(f"`{path}` is not a plain path inside the repository")
    if any(part.startswith(".") for part in path.split("/")):
        raise DraftRejected(f"`{path}` is hidden; drafts do not touch such files")
    if not path.endswith(_SUFFIXES):
        raise DraftRejected(f"`{path}` is no file of YAML or JSON")
    return path
