"""Label selectors over the labels of flows, in Kubernetes' syntax with Cilium's sources.

`app=web,tier in (a,b),!canary,env!=prod`, a key may carry a source (`k8s:app`, `reserved:world`),
without one it means any source.
Source: Cilium `pkg/hubble/filters/{labels,labelparser}.go`, Kubernetes
`apimachinery/pkg/labels/selector.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from app.core.errors import UsageError
from app.core.model.labels import parse_label

Labels = tuple[str, ...]

KEEP_ANSWERS = 16_384
"""Answers kept per filter: flows share their labels and addresses, so most are asked again."""

_KEY = re.compile(r"(?:[A-Za-z0-9_.-]+:)?[A-Za-z0-9]([A-Za-z0-9_./:-]*[A-Za-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9_.:/-]{0,253}")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARE = re.compile(r"(?P<key>[^\s=!<>]+)\s*(?P<op>==|=|!=|>|<)\s*(?P<values>\S*)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one key. `operator` is in, notin, exists, absent, gt or lt."""

    source: str
    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Labels) -> bool:
        """Say whether labels as Hubble prints them satisfy it."""
        value = self._value_in(labels)
        if self.operator == "exists":
            return value is not None
        if self.operator == "absent":
            return value is None
        if self.operator == "notin":
            return value is None or value not in self.values
        if value is None:
            return False
        if self.operator == "in":
            return value in self.values
        return self._compares(value)

    def _compares(self, value: str) -> bool:
        (bound,) = self.values
        if not value.lstrip("-").isdecimal():
            return False
        return int(value) > int(bound) if self.operator == "gt" else int(value) < int(bound)

    def _value_in(self, labels: Labels) -> str | None:
        for text in labels:
            label = parse_label(text)
            if label.key == self.key and self.source in ("any", label.source):
                return label.value
        return None


def compile_selectors(selectors: Iterable[str]) -> Callable[[Labels], bool]:
    """Give a test for label tuples that any of the selectors selects."""
    parsed = [parse_selector(selector) for selector in selectors]
    return lru_cache(KEEP_ANSWERS)(
        lambda labels: any(all(each.holds(labels) for each in selector) for selector in parsed)
    )


def parse_selector(selector: str) -> tuple[Requirement, ...]:
    """Read one selector; raises `UsageError`."""
    return tuple(_requirement(part.strip(), selector) for part in _split(selector))


def _split(selector: str) -> list[str]:
    """Cut at commas that are not in parentheses."""
    depth, cuts = 0, [-1]
    for index, letter in enumerate(selector):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            cuts.append(index)
    cuts.append(len(selector))
    return [selector[start + 1 : end] for start, end in pairwise(cuts)]


def _requirement(part: str, selector: str) -> Requirement:
    if match := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return _checked(selector, match["key"], match["op"], values)
    if match := _COMPARE.fullmatch(part):
        operator = {"!=": "notin", ">": "gt", "<": "lt"}.get(match["op"], "in")
        return _checked(selector, match["key"], operator, frozenset({match["values"]}))
    if part.startswith("!"):
        return _checked(selector, part[1:].strip(), "absent", frozenset())
    return _checked(selector, part, "exists", frozenset())


def _checked(selector: str, key: str, operator: str, values: frozenset[str]) -> Requirement:
    numeric = operator not in ("gt", "lt") or all(v.lstrip("-").isdecimal() for v in values)
    if not _KEY.fullmatch(key) or not numeric or not all(map(_VALUE.fullmatch, values)):
        raise UsageError(
            f"`{selector}` is not a label selector",
            hint="for example app=web,tier in (a,b),!canary",
        )
    source, colon, name = key.partition(":")
    anywhere = not colon or source == "unspec"  # Cilium `pkg/labels`: `ParseSelectDotLabel`
    return Requirement("any" if anywhere else source, name if colon else key, operator, values)
