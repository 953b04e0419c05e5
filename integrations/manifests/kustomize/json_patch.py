"""JSON patches (RFC 6902), as the library that kustomize uses applies them.

Source: gopkg.in/evanphx/json-patch.v4 `patch.go`: negative indices count from the end, `replace`
sets a key that is not there, and `add` with a null value leaves null.
"""

from __future__ import annotations

from typing import Any

from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.tree import Map, Place, Seq, copied


def apply_operations(target: Map, operations: Seq) -> Map:
    """Apply a list of operations, each placed where it was written."""
    for operation, place in operations.pairs():
        if not isinstance(operation, Map):
            raise Refused("an operation of a JSON patch is no mapping")
        target = _Operation(operation, place).apply(target)
    return target


class _Operation:
    def __init__(self, body: Map, place: Place | None) -> None:
        self._body = body
        self._place = body.places.get("value") or place
        self._path = body.get("path")

    def apply(self, target: Map) -> Map:
        kind, path = self._body.get("op"), self._path
        if not isinstance(path, str):
            raise Refused("an operation of a JSON patch has no path")
        if path == "" and kind == "replace":
            value = self._value()
            if not isinstance(value, Map):
                raise Refused("a JSON patch replaces the object by something else")
            return value
        steps = {
            "add": self._add,
            "remove": self._remove,
            "replace": self._replace,
            "move": self._move,
            "copy": self._copy,
            "test": self._test,
        }
        step = steps.get(kind) if isinstance(kind, str) else None
        if step is None:
            raise Refused(f"unknown operation `{kind}` in a JSON patch")
        step(target)
        return target

    def _value(self) -> Any:
        return copied(self._body.get("value"))

    def _add(self, target: Map) -> None:
        self._insert(target, self._value())

    def _insert(self, target: Map, value: Any) -> None:
        parent, key = _find(target, str(self._path))
        if isinstance(parent, Map):
            parent.put(key, value, self._place)
        elif key == "-":
            parent.add(value, self._place)
        else:
            parent.insert_at(_index(key, len(parent) + 1, key), value, self._place)

    def _remove(self, target: Map) -> None:
        _take(target, str(self._path))

    def _replace(self, target: Map) -> None:
        parent, key = _find(target, str(self._path))
        if isinstance(parent, Map):
            parent.put(key, self._value(), self._place)
        else:
            index = _index(key, len(parent), str(self._path))
            parent[index] = self._value()
            parent.places[index] = self._place

    def _move(self, target: Map) -> None:
        self._insert(target, _take(target, self._from()))

    def _copy(self, target: Map) -> None:
        self._insert(target, copied(_get(*_find(target, self._from()))))

    def _from(self) -> str:
        source = self._body.get("from")
        if not isinstance(source, str):
            raise Refused("an operation of a JSON patch has no `from`")
        return source

    def _test(self, target: Map) -> None:
        if _get(*_find(target, str(self._path))) != self._value():
            raise Refused(f"the test of `{self._path}` in a JSON patch fails")


def _find(target: Map, path: str) -> tuple[Map | Seq, str]:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]
    if not steps:
        raise Refused(f"no such path in the object: `{path}`")
    value: Any = target
    for step in steps[:-1]:
        value = _get(value, step) if isinstance(value, (Map, Seq)) else None
    if not isinstance(value, (Map, Seq)):
        raise Refused(f"no such path in the object: `{path}`")
    return value, steps[-1]


def _get(parent: Map | Seq, key: str) -> Any:
    if isinstance(parent, Map):
        return parent.get(key)
    return parent[_index(key, len(parent), key)]


def _take(target: Map, path: str) -> Any:
    parent, key = _find(target, path)
    if isinstance(parent, Map):
        if key not in parent:
            raise Refused(f"nothing to remove at `{path}`")
        value = parent[key]
        parent.drop(key)
        return value
    index = _index(key, len(parent), path)
    value = parent[index]
    parent.drop_at(index)
    return value


def _index(key: str, length: int, path: str) -> int:
    try:
        index = int(key)
    except ValueError:
        raise Refused(f"`{key}` is no index of a list (`{path}`)") from None
    if not -length <= index < length:
        raise Refused(f"index {index} is not in the list (`{path}`)")
    return index + length if index < 0 else index
