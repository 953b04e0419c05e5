"""Objects as trees that remember where every field was written.

A build changes objects field by field, and an answer names the file and line a field came from: the
base's, or the patch's. So the trees a build works on carry a place beside every key and item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Place = tuple[str, int]
"""A file as shown, and its 1-based line."""

Lines = Mapping[str, int]


class Map(dict[str, Any]):
    """A mapping; `places` says where each key was written, where that is known."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[str, Place] = {}

    def put(self, key: str, value: Any, place: Place | None) -> None:
        """Set a key, and where it comes from."""
        self[key] = value
        if place is not None:
            self.places[key] = place

    def drop(self, key: str) -> None:
        """Take a key out, if it is there."""
        self.pop(key, None)
        self.places.pop(key, None)


class Seq(list[Any]):
    """A sequence; `places` runs beside it."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        super().__init__()
        self.places: list[Place | None] = []

    def add(self, value: Any, place: Place | None) -> None:
        """Append an item, and where it comes from."""
        self.append(value)
        self.places.append(place)

    def insert_at(self, index: int, value: Any, place: Place | None) -> None:
        """Insert an item, and where it comes from."""
        self.insert(index, value)
        self.places.insert(index, place)

    def drop_at(self, index: int) -> None:
        """Take an item out."""
        del self[index]
        del self.places[index]

    def become(self, items: list[tuple[Any, Place | None]]) -> None:
        """Hold exactly these items."""
        self[:] = [value for value, _ in items]
        self.places[:] = [place for _, place in items]

    def pairs(self) -> list[tuple[Any, Place | None]]:
        """Items with their places."""
        return list(zip(self, self.places, strict=True))


def grow(value: Any, file: str, lines: Lines, path: str = "") -> Any:
    """Copy a plain value into a tree; `lines` gives the line of every path that has one."""
    if isinstance(value, Mapping):
        return _grow_map(value, file, lines, path)
    if isinstance(value, list):
        return _grow_seq(value, file, lines, path)
    return value


def _grow_map(value: Mapping[str, Any], file: str, lines: Lines, path: str) -> Map:
    grown = Map()
    for key, item in value.items():
        if not lines:
            grown[key] = grow(item, file, lines)
            continue
        child = f"{path}.{key}" if path else key
        line = lines.get(child)
        grown.put(key, grow(item, file, lines, child), (file, line) if line else None)
    return grown


def _grow_seq(value: list[Any], file: str, lines: Lines, path: str) -> Seq:
    grown = Seq()
    for index, item in enumerate(value):
        child = f"{path}[{index}]" if lines else ""
        line = lines.get(child)
        grown.add(grow(item, file, lines, child), (file, line) if line else None)
    return grown


def with_words(value: Any, words: Mapping[str, str], path: str = "") -> Any:
    """Give a plain value with other texts at some paths; what holds none is shared."""
    if not words:
        return value
    if isinstance(value, Mapping):
        return {
            key: with_words(item, words, f"{path}.{key}" if path else key)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [with_words(item, words, f"{path}[{at}]") for at, item in enumerate(value)]
    return words.get(path, value)


def copied(value: Any) -> Any:
    """Copy a tree with its places."""
    if isinstance(value, Map):
        twin = Map()
        for key, item in value.items():
            twin[key] = copied(item)
        twin.places = dict(value.places)
        return twin
    if isinstance(value, Seq):
        items = Seq()
        items.become([(copied(item), place) for item, place in value.pairs()])
        return items
    return value


def placed(value: Any, place: Place | None) -> Any:
    """Copy a plain value into a tree that was written at one place."""
    if isinstance(value, Mapping):
        grown = Map()
        for key, item in value.items():
            grown.put(key, placed(item, place), place)
        return grown
    if isinstance(value, list):
        items = Seq()
        items.become([(placed(item, place), place) for item in value])
        return items
    return value


def walk_places(value: Any, path: str = "") -> Iterator[tuple[str, Place]]:
    """Give the place of every path that has one, as `spec.egress[1]`, parents first."""
    if isinstance(value, Map):
        for key, item in value.items():
            child = f"{path}.{key}" if path else key
            if place := value.places.get(key):
                yield child, place
            yield from walk_places(item, child)
    elif isinstance(value, Seq):
        for index, (item, place) in enumerate(value.pairs()):
            child = f"{path}[{index}]"
            if place:
                yield child, place
            yield from walk_places(item, child)


def text_of(value: Any) -> str:
    """Give a scalar as YAML writes it, which is how merge keys and names are compared."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return value if isinstance(value, str) else str(value)
