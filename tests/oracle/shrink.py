"""Make a case that shows something as small as it can get while it still shows it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.oracle.client import Case

Path = tuple[str | int, ...]
Shows = Callable[[Case], bool]

KEPT_KEYS = frozenset({"kind", "apiVersion", "metadata", "name", "namespace", "cidr"})
"""Without these an object is another one, or none."""


def shrink(case: Case, index: int | None, shows: Shows) -> Case:
    """Give the smallest case found for which `shows` holds; `index` is the question it is about.

    Deletes questions, then objects, then every part of an object that is not needed, and repeats
    until nothing more can go. `shows` must hold for `case` and decides alone what is kept.
    """
    if index is not None:
        only = {**case, "queries": [case["queries"][index]]}
        case = only if shows(only) else case
    size = -1
    while size != (size := _size(case)):
        case = _without_parts(case, shows)
    return case


def _size(tree: Any) -> int:
    if isinstance(tree, dict):
        return 1 + sum(_size(value) for value in tree.values())
    if isinstance(tree, list):
        return 1 + sum(_size(value) for value in tree)
    return 1


def _without_parts(case: Case, shows: Shows) -> Case:
    """Try to delete every part once, bigger ones first, later ones before earlier ones."""
    for path in _paths(case):
        smaller = _without(case, path)
        if smaller is not None and shows(smaller):
            case = smaller
    return case


def _paths(case: Case) -> Iterator[Path]:
    paths: list[Path] = [("queries", index) for index in range(len(case["queries"]))]
    for number, body in enumerate(case["objects"]):
        paths.append(("objects", number))
        if body["kind"] != "Namespace":  # the API server always labels one with its name
            paths += [("objects", number, *rest) for rest in _parts(body)]
    if len(case["queries"]) == 1:
        paths = paths[1:]
    return iter(sorted(paths, key=lambda path: (len(path), [_place(step) for step in path])))


def _place(step: str | int) -> tuple[int, str]:
    """Order later list items first, so that deleting one leaves the places of the rest alone."""
    return (-step, "") if isinstance(step, int) else (0, step)


def _parts(tree: Any) -> Iterator[Path]:
    steps: list[tuple[str | int, Any]] = []
    if isinstance(tree, dict):
        steps = list(tree.items())
    elif isinstance(tree, list):
        steps = list(enumerate(tree))
    for step, value in steps:
        if step not in KEPT_KEYS:
            yield (step,)
        for rest in _parts(value):
            yield (step, *rest)


def _without(case: Case, path: Path) -> Case | None:
    """Copy the case without one part; None when the part has gone already."""
    smaller = copy.deepcopy(case)
    parent: Any = smaller
    try:
        for step in path[:-1]:
            parent = parent[step]
        del parent[path[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    return smaller
