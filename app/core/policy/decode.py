"""Strict reading of an object's raw tree, with the path of every complaint.

A policy passes three readers in a real cluster: the API server drops fields it does not know and
refuses what does not fit the schema, Go's JSON decoder refuses values of the wrong type, and the
agent checks the meaning. `Refused` says which of them stops it; what is only dropped becomes a
warning, so that an unknown peer is never silently an empty one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.model.provenance import Manifest, Notice, RuleRef

AGENT = "agent"
API_SERVER = "api-server"


@dataclass(eq=False)
class Refused(Exception):
    """The whole object is refused; `path` points at the part that is the reason."""

    reason: str
    path: str
    refused_by: str = AGENT

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Undecodable(Refused):
    """A value of the wrong type, which Go's JSON decoder refuses before anything has a meaning."""


_OBJECT = (dict, Mapping)
"""What an object is: nearly always a dict, which is told at once."""


@dataclass(slots=True)
class Reader:
    """Reads one object; keeps the warnings about it, and whether it names Services.

    `dropped` are the paths of fields that the API server does not know and leaves out.
    """

    manifest: Manifest
    warnings: list[Notice] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    names_services: bool = False

    def warn(self, text: str, path: str) -> None:
        """Note something that does not stop the object."""
        ref, (file, line) = self.manifest.ref, self.manifest.place_of(path)
        self.warnings.append(Notice(f"{ref}: {path}: {text}", file, line, ref))

    def rule_ref(self, path: str) -> RuleRef:
        """Name a part of the object with its file and line."""
        manifest = self.manifest
        return RuleRef(manifest.ref, path, *manifest.place_of(path))

    def fields(self, value: Any, path: str, known: Iterable[str]) -> Mapping[str, Any]:
        """Give the known fields of an object that are set; unknown ones are dropped, aloud."""
        if value is None:
            return {}
        if not isinstance(value, _OBJECT):
            raise Undecodable(f"must be an object, not {kind_of(value)}", path)
        wanted = frozenset(known)
        if value.keys() <= wanted:
            return value
        for name in value:
            if name not in wanted:
                self.dropped.append(f"{path}.{name}")
                self.warn(f"the API server drops `{name}`, which is no field here", path)
        return {name: content for name, content in value.items() if name in wanted}


def items(value: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Yield the items of a list with their paths; nothing for a missing one."""
    if value is None:
        return
    if not isinstance(value, list | tuple):
        raise Undecodable(f"must be a list, not {kind_of(value)}", path)
    for index, item in enumerate(value):
        yield item, f"{path}[{index}]"


def text(value: Any, path: str, *, default: str = "") -> str:
    """Read a string; the decoder takes no number or boolean for one."""
    if value is None:
        return default
    if not isinstance(value, str):
        raise Undecodable(f"must be text, not {kind_of(value)}", path)
    return value


def number(value: Any, path: str) -> int:
    """Read an integer; 0 when missing."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise Undecodable(f"must be a whole number, not {kind_of(value)}", path)
    return value


def flag(value: Any, path: str) -> bool | None:
    """Read a boolean; None when missing."""
    if value is None or isinstance(value, bool):
        return value
    raise Undecodable(f"must be true or false, not {kind_of(value)}", path)


def texts(value: Any, path: str) -> tuple[str, ...]:
    """Read a list of strings."""
    return tuple(text(item, where) for item, where in items(value, path))


def text_map(value: Any, path: str) -> dict[str, str]:
    """Read a map of strings, as `matchLabels`."""
    if value is None:
        return {}
    if not isinstance(value, _OBJECT):
        raise Undecodable(f"must be an object, not {kind_of(value)}", path)
    return {str(key): text(item, f"{path}.{key}") for key, item in value.items()}


def kind_of(value: Any) -> str:
    """Say in plain words what a decoded value is."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        ((list, tuple), "a list"),
        (Mapping, "an object"),
    )
    for kind, name in names:
        if isinstance(value, kind):
            return name
    return "nothing"
