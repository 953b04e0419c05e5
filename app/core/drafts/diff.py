"""Unified diffs that `git apply` takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

_NO_NEWLINE = "\\ No newline at end of file\n"


def unified_diff(path: str, before: str | None, after: str | None) -> str:
    """Give the change of one file, empty when there is none.

    `before` None is a new file, `after` None one that goes.

    Lines end at line feeds only, so a carriage return stays part of its line.
    """
    if before == after:
        return ""
    head = f"diff --git a/{path} b/{path}\n"
    if before is None:
        head += "new file mode 100644\n"
    elif after is None:
        head += "deleted file mode 100644\n"
    lines = difflib.unified_diff(
        split_lines(before or ""),
        split_lines(after or ""),
        "/dev/null" if before is None else f"a/{path}",
        "/dev/null" if after is None else f"b/{path}",
    )
    return head + "".join(_closed(line) for line in lines)


def count_changes(diff: str) -> tuple[int, int]:
    """Give how many lines a diff adds and removes."""
    added = removed = 0
    in_hunk = False
    for line in _split(diff):
        in_hunk = in_hunk or line.startswith("@@")
        in_hunk = in_hunk and not line.startswith("diff --git ")
        added += in_hunk and line.startswith("+")
        removed += in_hunk and line.startswith("-")
    return added, removed


def diff_lines(diff: str) -> list[str]:
    """Give the lines of a diff as they are shown, without line ends; CRLF is one, as in a file."""
    return [line.removesuffix("\n").removesuffix("\r") for line in _split(diff)]


def split_lines(text: str) -> list[str]:
    """Give the lines of a text with their ends, which are line feeds only."""
    return list(_split(text))


def _split(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        newline = text.find("\n", at)
        end = len(text) if newline < 0 else newline + 1
        yield text[at:end]
        at = end


def _closed(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}"
