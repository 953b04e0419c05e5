"""The way back from a change: kept with the draft as stretches of lines, and done on a later file.

What others changed in the meantime stays. Every stretch must be found once, with as many of the
lines around it as are still there; otherwise nothing is done.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.drafts.diff import split_lines
from app.core.errors import DraftRejected

_AROUND = 3
_SIZE_MAX = 256 << 10
_PACKED_MAX = 6_000
"""Characters of what is kept with a draft; a larger change is taken back by hand."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """A stretch of lines as it was and as it is, and the lines before and after it."""

    above: str
    was: str
    now: str
    below: str


@dataclass(frozen=True, slots=True)
class FileUndo:
    """How one file goes back; `new` is one that was not there before, with its whole text in it."""

    path: str
    hunks: tuple[Hunk, ...]
    new: bool = False
    gone: bool = False


def undo_of(path: str, before: str | None, after: str | None) -> FileUndo:
    """Give the way back from one text to another."""
    was, now = split_lines(before or ""), split_lines(after or "")
    hunks = []
    matcher = difflib.SequenceMatcher(None, was, now, autojunk=False)
    for group in matcher.get_grouped_opcodes(_AROUND):
        changed = [code for code in group if code[0] != "equal"]
        old, new, old_end, new_end = changed[0][1], changed[0][3], changed[-1][2], changed[-1][4]
        above, below = now[group[0][3] : new], now[new_end : group[-1][4]]
        parts = (above, was[old:old_end], now[new:new_end], below)
        hunks.append(Hunk(*("".join(part) for part in parts)))
    return FileUndo(path, tuple(hunks), new=before is None, gone=after is None)


def take_back(undo: FileUndo, present: str | None) -> str | None:
    """Give a file's text without the change; None for a file that goes.

    Raises DraftRejected when the change is not found there, or more than once.
    """
    whole = "".join(hunk.now for hunk in undo.hunks)
    if undo.gone:
        if present is not None:
            raise DraftRejected(f"`{undo.path}` is there again")
        return "".join(hunk.was for hunk in undo.hunks)
    if present is None:
        raise DraftRejected(f"`{undo.path}` is not there any more")
    if undo.new:
        if present != whole:
            raise DraftRejected(f"`{undo.path}` was changed since")
        return None
    for hunk in undo.hunks:
        present = _replaced(undo.path, present, hunk)
    return present


def _replaced(path: str, text: str, hunk: Hunk) -> str:
    above, below = split_lines(hunk.above), split_lines(hunk.below)
    for around in range(_AROUND, -1 if hunk.now.strip() else 0, -1):
        head = "".join(above[len(above) - min(around, len(above)) :])
        tail = "".join(below[:around])
        sought = head + hunk.now + tail
        starts = _starts(text, sought) if sought.strip() else []
        if len(starts) == 1:
            at = starts[0] + len(head)
            return text[:at] + hunk.was + text[at + len(hunk.now) :]
        if len(starts) > 1:
            break
    raise DraftRejected(f"the lines of the change are not found in `{path}`, or not just once")


def _starts(text: str, sought: str) -> list[int]:
    """Where a stretch of whole lines stands."""
    found, at = [], text.find(sought)
    while at >= 0:
        if at == 0 or text[at - 1] == "\n":
            found.append(at)
        at = text.find(sought, at + 1)
    return found


def pack(undos: Sequence[FileUndo]) -> str:
    """Give the way back as base64url text; empty when it is too long to be kept with a draft."""
    content = [
        {
            "path": one.path,
            "new": one.new,
            "gone": one.gone,
            "hunks": [[hunk.above, hunk.was, hunk.now, hunk.below] for hunk in one.hunks],
        }
        for one in undos
    ]
    packed = zlib.compress(json.dumps(content, ensure_ascii=False).encode(), 9)
    text = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    return text if len(text) <= _PACKED_MAX else ""


def unpack(text: str) -> tuple[FileUndo, ...]:
    """Read what `pack` gave. Raises DraftRejected for anything else."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        inflate = zlib.decompressobj()
        content = json.loads(inflate.decompress(raw, _SIZE_MAX))
        return tuple(_read(one) for one in content)
    except (binascii.Error, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DraftRejected("what the draft keeps of its change cannot be read") from error


def _read(one: Mapping[str, object]) -> FileUndo:
    hunks = one["hunks"]
    if not isinstance(hunks, list) or not isinstance(one["path"], str):
        raise TypeError
    read = []
    for hunk in hunks:
        above, was, now, below = hunk
        if not all(isinstance(part, str) for part in (above, was, now, below)):
            raise TypeError
        read.append(Hunk(above, was, now, below))
    return FileUndo(one["path"], tuple(read), new=one["new"] is True, gone=one["gone"] is True)
