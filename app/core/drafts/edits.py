"""What may be changed about a YAML document, as data, and what each change does to its value.

The value after an edit is worked out here from the value before, with no look at any text; the
text made by `splice` must then parse to exactly that value.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.core.errors import DraftRejected

Path = tuple[str | int, ...]
"""Keys and list indexes from the root of the object: `("spec", "egress", 0, "toFQDNs")`."""

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)|\.")


def parse_path(text: str) -> Path:
    """Read `spec.egress[0].toFQDNs`, the form of traces; keys with dots cannot be written so."""
    steps: list[str | int] = []
    for index, key in (match.groups() for match in _STEP.finditer(text)):
        if index is not None:
            steps.append(int(index))
        elif key is not None:
            steps.append(key)
    return tuple(steps)


def show_path(path: Iterable[str | int]) -> str:
    """Write a path as traces do."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


@dataclass(frozen=True, slots=True)
class Append:
    """Add `item` to the end of the list at `path`; an absent, null or empty list is made."""

    path: Path
    item: Any


@dataclass(frozen=True, slots=True)
class SetScalar:
    """Give the scalar at `path` another value."""

    path: Path
    value: str | int | bool


@dataclass(frozen=True, slots=True)
class AddKey:
    """Add `key` with `value` to the end of the mapping at `path`; the key must be absent."""

    path: Path
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class RemoveItem:
    """Take the list item at `path` (which ends in its index) out."""

    path: Path


@dataclass(frozen=True, slots=True)
class RemoveKey:
    """Take the key at the end of `path` out of its mapping, with its value."""

    path: Path


@dataclass(frozen=True, slots=True)
class RenameKey:
    """Give the key at the end of `path` another name, its value and place as they are."""

    path: Path
    key: str


@dataclass(frozen=True, slots=True)
class MergeItem:
    """Join the mapping at `path` (which ends in its index) with the item before it."""

    path: Path


@dataclass(frozen=True, slots=True)
class Restore:
    """Put `text` back where `instead` stands, `start` characters into the document.

    `path` is that of an object, `value` what the object then is: the way back from an edit that no
    other edit undoes.
    """

    path: Path
    start: int
    instead: str
    text: str
    value: Any


Edit = Append | SetScalar | AddKey | RemoveItem | RemoveKey | RenameKey | MergeItem | Restore


def apply_edit(tree: Any, edit: Edit) -> Any:
    """Give a copy of `tree` with the edit done; DraftRejected when its place does not exist."""
    tree = copy.deepcopy(tree)
    match edit:
        case Append(path, item):
            _append(tree, path, item)
        case AddKey(path, key, value):
            _add_key(tree, path, key, value)
        case SetScalar(path, value):
            _set_scalar(tree, path, value)
        case RenameKey(path, key):
            _rename_key(tree, path, key)
        case MergeItem(path):
            _merge_item(tree, path)
        case RemoveItem(path):
            _remove(tree, path, list)
        case RemoveKey(path):
            _remove(tree, path, dict)
        case Restore(path, value=value):
            return _put(tree, path, copy.deepcopy(value))
    return tree


def _set_scalar(tree: Any, path: Path, value: object) -> None:
    parent = value_at(tree, path[:-1])
    if isinstance(value_at(tree, path), dict | list):
        raise _no_place(path, "not a plain value")
    parent[path[-1]] = value


def _remove(tree: Any, path: Path, owner: type) -> None:
    value_at(tree, path)
    if not isinstance(value_at(tree, path[:-1]), owner):
        what = "an item of a list" if owner is list else "a key of a mapping"
        raise _no_place(path, f"not {what}")
    del value_at(tree, path[:-1])[path[-1]]


def _put(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    value_at(tree, path[:-1])[path[-1]] = value
    return tree


def _add_key(tree: Any, path: Path, key: str, value: Any) -> None:
    target = value_at(tree, path)
    if target is None and path:
        value_at(tree, path[:-1])[path[-1]] = {key: value}
        return
    if not isinstance(target, dict) or key in target:
        raise _no_place(path, f"`{key}` cannot be added")
    target[key] = value


def _rename_key(tree: Any, path: Path, key: str) -> None:
    value_at(tree, path)
    parent = value_at(tree, path[:-1])
    if not isinstance(parent, dict) or key in parent:
        raise _no_place(path, f"it cannot become `{key}`")
    renamed = {key if name == path[-1] else name: value for name, value in parent.items()}
    parent.clear()
    parent.update(renamed)


def _merge_item(tree: Any, path: Path) -> None:
    parent, item = value_at(tree, path[:-1]), value_at(tree, path)
    before = parent[int(path[-1]) - 1] if isinstance(parent, list) and path[-1] else None
    if not isinstance(before, dict) or not isinstance(item, dict) or set(before) & set(item):
        raise _no_place(path, "it cannot be joined with the item before")
    before.update(item)
    del parent[int(path[-1])]


def _append(tree: Any, path: Path, item: Any) -> None:
    parent = value_at(tree, path[:-1])
    present = _step(parent, path[-1])
    if present is None and isinstance(parent, dict):
        parent[path[-1]] = [item]
    elif isinstance(present, list):
        present.append(item)
    else:
        raise _no_place(path, "not a list")


def value_at(tree: Any, path: Path) -> Any:
    """Give the value at a path; DraftRejected when there is none."""
    for depth, step in enumerate(path):
        present = isinstance(tree, dict) and step in tree
        present |= isinstance(tree, list) and isinstance(step, int) and step < len(tree)
        if not present:
            raise _no_place(path[: depth + 1], "no such place")
        tree = tree[step]
    return tree


def _step(parent: Any, step: str | int) -> Any:
    if isinstance(parent, dict):
        return parent.get(step)
    if isinstance(parent, list) and isinstance(step, int) and step < len(parent):
        return parent[step]
    return None


def _no_place(path: Path, why: str) -> DraftRejected:
    return DraftRejected(f"cannot edit `{show_path(path)}`: {why}")
