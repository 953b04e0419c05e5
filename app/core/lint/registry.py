"""Every rule, by its code."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.errors import UsageError
from app.core.lint.finding import Rule
from app.core.lint.rules import (
    across,
    blocks,
    dns,
    entities,
    found,
    keys,
    names,
    ports,
    reach,
    requests,
    selectors,
    services,
    structure,
    tls,
)

_BOOKS = (
    names,
    dns,
    selectors,
    keys,
    found,
    requests,
    tls,
    blocks,
    entities,
    services,
    ports,
    structure,
    across,
    reach,
)

RULES: tuple[Rule, ...] = tuple(
    sorted((rule for module in _BOOKS for rule in module.BOOK.rules), key=lambda rule: rule.code)
)

UNSTATED: dict[str, str] = {
    "NP014": "told as NP027",
    "NP015": "told as NP126 where anybody can have the neighbouring name",
    "NP047": "told as NP127",
    "NP049": "not visible in objects: pods that were just started",
    "NP069": "not visible in objects: a running Envoy with an old policy",
    "NP073": "not visible in objects: connections that are open while a policy changes",
    "NP080": "told as NP127 for Services; a hostPort of a pod is not looked at",
}
"""Mistakes of the catalogue without a rule of their own, and why."""


def choose(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Give the rules whose code or name is selected (all without a selection) and not ignored.

    `NP1` stands for every code that begins so. Raises `UsageError` for one that means no rule.
    """
    wanted, left_out = tuple(select), tuple(ignore)
    for word in (*wanted, *left_out):
        if not any(_is_meant(rule, word) for rule in RULES) and word.upper() not in UNSTATED:
            raise UsageError(f"`{word}` is no rule", hint="k8tre-tui lint --rules lists them")
    return tuple(
        rule
        for rule in RULES
        if (not wanted or any(_is_meant(rule, word) for word in wanted))
        and not any(_is_meant(rule, word) for word in left_out)
    )


def _is_meant(rule: Rule, word: str) -> bool:
    return word == rule.name or (bool(word) and rule.code.startswith(word.upper()))
