"""The edit that takes another one back, so that the file has the bytes that it had before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.core.drafts.edits import (
    AddKey,
    Append,
    Edit,
    RemoveItem,
    RemoveKey,
    RenameKey,
    Restore,
    SetScalar,
    value_at,
)
from app.core.drafts.splice import locate, splice
from app.core.errors import DraftRejected
from app.core.model.provenance import ObjectRef


def inverse(text: str, ref: ObjectRef, edits: Sequence[Edit], *, line: int = 0) -> tuple[Edit, ...]:
    """Give the edits that make of the edited `text` the bytes of `text` again.

    What was added is removed and what was changed is changed back, wherever it stands by then;
    only what no such edit gives back letter for letter is put back as it stood. Raises
    DraftRejected as `splice` does.
    """
    back: list[Edit] = []
    for edit in edits:
        edited = splice(text, ref, [edit], line=line)
        back.append(_inverse(text, edited, edit, ref, line))
        text = edited
    return tuple(reversed(back))


def _inverse(before: str, after: str, edit: Edit, ref: ObjectRef, line: int) -> Edit:
    document, value = locate(before, ref, line=line)
    for one in _counterparts(value, edit):
        try:
            if splice(after, ref, [one], line=line) == before:
                return one
        except DraftRejected:
            continue
    start, instead, text = _difference(locate(after, ref, line=line)[0], document)
    return Restore((), start, instead, text, value)


def _counterparts(tree: Any, edit: Edit) -> Iterator[Edit]:
    """The edits that lead back to the value, the first the likeliest."""
    match edit:
        case Append(path):
            parent = value_at(tree, path[:-1])
            if isinstance(parent, dict) and path[-1] not in parent:
                yield RemoveKey(path)
            else:
                yield RemoveItem((*path, len(value_at(tree, path) or ())))
        case AddKey(path, key):
            yield RemoveKey((*path, key))
        case SetScalar(path):
            old = value_at(tree, path)
            if isinstance(old, str | int | bool):
                yield SetScalar(path, old)
        case RenameKey(path, key):
            yield RenameKey((*path[:-1], key), str(path[-1]))
        case RemoveKey(path):
            yield AddKey(path[:-1], str(path[-1]), value_at(tree, path))
        case RemoveItem(path):
            yield Append(path[:-1], value_at(tree, path))


def _difference(now: str, then: str) -> tuple[int, str, str]:
    """Where two texts differ, and what stands there now and stood there then."""
    start = next(
        (at for at, (one, other) in enumerate(zip(now, then, strict=False)) if one != other),
        min(len(now), len(then)),
    )
    most = min(len(now), len(then)) - start
    same = next((at for at in range(most) if now[-1 - at] != then[-1 - at]), most)
    return start, now[start : len(now) - same], then[start : len(then) - same]
