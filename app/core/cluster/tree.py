"""Careful reading of raw Kubernetes objects.

Readers of pods, Services and the rest take what they need and nothing else; a value of the wrong
type raises `BrokenObject`, and only that one object is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from app.core.model.cluster import Address, Network

Tree = Mapping[str, Any]


@dataclass(eq=False)
class BrokenObject(Exception):
    """A value that cannot be what it should be; `path` says where, from `tree` on."""

    path: str
    wanted: str
    tree: Tree | None = None

    def within(self, body: Tree) -> BrokenObject:
        """The same with its path from `body` on, in which `tree` stands."""
        before = _path_to(body, self.tree)
        return BrokenObject(f"{before}.{self.path}" if before else self.path, self.wanted, body)

    def __str__(self) -> str:
        return f"`{self.path}` is not {self.wanted}"


_PORT_MAX = 65535
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
EMPTY: Tree = {}


def _path_to(body: Tree, tree: Tree | None) -> str:
    """Where `tree` itself, not another that equals it, stands in `body`; empty at the top."""
    waiting: list[tuple[str, Any]] = [("", body)]
    while waiting:
        path, here = waiting.pop()
        if here is tree:
            return path
        if isinstance(here, Mapping):
            before = f"{path}." if path else ""
            waiting += ((f"{before}{key}", value) for key, value in here.items())
        elif isinstance(here, list | tuple):
            waiting += ((f"{path}[{index}]", value) for index, value in enumerate(here))
    return ""


def section(tree: Tree, *names: str) -> Tree:
    """Give a nested object; empty when a part of the way is missing."""
    for depth, name in enumerate(names):
        value = tree.get(name)
        if value is None:
            return EMPTY
        if not isinstance(value, Mapping):
            raise BrokenObject(".".join(names[: depth + 1]), "an object", tree)
        tree = value
    return tree


def items(tree: Tree, name: str) -> Iterator[Tree]:
    """Yield the objects of a list."""
    value = tree.get(name)
    if value is None:
        return
    if not isinstance(value, list | tuple):
        raise BrokenObject(name, "a list", tree)
    for index, item in enumerate(value):
        if not isinstance(item, Mapping):
            raise BrokenObject(f"{name}[{index}]", "an object", tree)
        yield item


def words(tree: Tree, name: str) -> tuple[str, ...]:
    """Give a list of strings."""
    value = tree.get(name)
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise BrokenObject(name, "a list of text", tree)
    return tuple(value)


def word(tree: Tree, name: str, default: str = "") -> str:
    """Give a string."""
    value = tree.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise BrokenObject(name, "text", tree)
    return value


def whole(tree: Tree, name: str, default: int = 0) -> int:
    """Give an integer."""
    value = tree.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise BrokenObject(name, "a whole number", tree)
    return value


def port(tree: Tree, name: str) -> int:
    """Give a port's number; 0 where there is none."""
    number = whole(tree, name)
    if not 0 <= number <= _PORT_MAX:
        raise BrokenObject(name, f"a port from 1 to {_PORT_MAX}", tree)
    return number


def protocol(tree: Tree) -> str:
    """Give a port's transport protocol, which is TCP unless it says otherwise.

    Source: Kubernetes core/v1 `Protocol`: the API server takes TCP, UDP and SCTP, in capitals.
    """
    name = word(tree, "protocol", "TCP")
    if name not in _PROTOCOLS:
        raise BrokenObject("protocol", "TCP, UDP or SCTP", tree)
    return name


def pairs(tree: Tree, name: str) -> dict[str, str]:
    """Give a map of strings, as labels are; numbers are what a file forgot to quote."""
    return {
        str(key): value if isinstance(value, str) else _unquoted(value, f"{name}.{key}", tree)
        for key, value in section(tree, name).items()
    }


def _unquoted(value: Any, path: str, tree: Tree) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if not isinstance(value, int | float):
        raise BrokenObject(path, "text", tree)
    return str(value)


def address(text: str) -> Address | None:
    """Read an address; None when it is none (`None` of headless Services, a host name)."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def addresses(texts: Iterator[str] | tuple[str, ...] | list[str]) -> tuple[Address, ...]:
    """Read the addresses among texts, each once, in order."""
    found = (address(text) for text in texts)
    return tuple(dict.fromkeys(item for item in found if item is not None))


def blocks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read the address blocks among texts, each once, in order."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue  # an empty field, or no block: no address lies in it
    return tuple(dict.fromkeys(found))
