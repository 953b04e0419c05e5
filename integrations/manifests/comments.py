"""What a policy's file says of each rule in comments: above it, beside it and within it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from app.core.text import clean

_RULE = re.compile(r"specs?(?:\[\d+\])?\.(?:in|e)gress(?:Deny)?\[\d+\]")
_COMMENT = re.compile(r"(?:^|[ \t])#+[ \t]*(.*)")
_LIMIT = 400
"""Characters that are kept of what is said of one rule."""


def comments_of(text: str, lines: Mapping[str, int], first: int) -> Mapping[str, str]:
    """Give what is said of each rule that anything is said of, by its path as `spec.egress[1]`.

    `lines` are those of the object's paths; `text` starts on line `first` of its file.
    """
    if "#" not in text:
        return {}
    written = text.split("\n")
    starts = {path: line - first for path, line in lines.items() if _RULE.fullmatch(path)}
    ends = sorted({line - first for line in lines.values()})
    found = {}
    for path, start in starts.items():
        last = max(line - first for one, line in lines.items() if one.startswith(path))
        end = next((line for line in ends if line > last), len(written))
        said = _said(written, start, _above(written, end))
        if said:
            found[path] = clean(said, _LIMIT)
    return found


def _said(written: Sequence[str], start: int, end: int) -> str:
    words = [
        match[1].strip()
        for line in written[_above(written, start) : end]
        if (match := _COMMENT.search(line))
    ]
    return " ".join(filter(None, words))


def _above(written: Sequence[str], line: int) -> int:
    """The first of the comment lines that stand right above a line."""
    while line > 0 and written[line - 1].lstrip().startswith("#"):
        line -= 1
    return line
