"""Structural mutations of JSON trees: the shapes that people, tools and enemies get wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

HOSTILE_TEXTS = (
    "",
    " ",
    "\x1b]52;c;aGk=\x07",
    "a\n✓ ALLOWED  forged",
    "tab\there\r",
    "\u202egnp.exe",
    "x" * 5000,
    "{{ .Values.x }}",
    "${UNSET}",
    "[bold]@click=app.quit[/]",
    "=1+1",
    "*a*a*a*a*a*a*a*a*.b.org",
    "../../etc/passwd",
    "%s%n{0}",
    "<!channel> `code` |x|",
    "é\u0301\U0001f600",
    "-1",
    "0x" + "F" * 300,
    "999.999.999.999/99",
    "a=b,c=d;e",
    "(" * 200,
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    80,
    65536,
    10**30,
    1.5,
    1e308,
    [],
    {},
    [None],
    [[]],
    [1, "a", None],
    {"": ""},
    {"a": None},
    {"a": {"b": [1]}},
    "tcp",
    "80",
    *HOSTILE_TEXTS,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path inside a tree but its own."""
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutate(tree: Any, dice: random.Random) -> str:
    """Change one place of `tree`; gives what was done, for the report of a failure."""
    found = list(places(tree))
    if not found:
        return "nothing"
    *way, key = dice.choice(found)
    owner = tree
    for step in way:
        owner = owner[step]
    act = dice.choice((_replace, _replace, _replace, _replace, _drop, _wrap, _repeat, _rename))
    said = act(owner, key, dice)
    return f"{'.'.join(map(str, (*way, key)))[:200]}: {said[:200]}"


def _replace(owner: Any, key: Any, dice: random.Random) -> str:
    owner[key] = dice.choice(ODD_VALUES)
    return f"= {owner[key]!r}"


def _drop(owner: Any, key: Any, _dice: random.Random) -> str:
    del owner[key]
    return "dropped"


def _wrap(owner: Any, key: Any, dice: random.Random) -> str:
    depth = dice.choice((1, 1, 2, 60))
    for _ in range(depth):
        owner[key] = [owner[key]] if dice.random() < 0.5 else {"x": owner[key]}
    return f"wrapped {depth} times"


def _repeat(owner: Any, key: Any, _dice: random.Random) -> str:
    if isinstance(owner[key], list):
        owner[key] = owner[key] * 3
    elif isinstance(owner[key], str):
        owner[key] = owner[key] * 20
    return "repeated"


def _rename(owner: Any, key: Any, dice: random.Random) -> str:
    if not isinstance(owner, dict):
        return "kept"
    name = dice.choice((*HOSTILE_TEXTS, key.swapcase(), f"{key}s"))
    owner[name] = owner.pop(key)
    return f"renamed to {name!r}"
