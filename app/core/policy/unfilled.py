"""Policies with placeholders that nobody has filled: what holds of them whatever they stand for.

Flux, Argo CD or envsubst fill `${NAME}` before Cilium sees the object, so nothing is refused for
it. The least such a policy does is what its other parts do: an item with a placeholder is taken to
match nobody, and still turns default deny on. The most is what it does when each placeholder stands
for everything it could; what only the most does is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from app.core.model.kinds import KNP
from app.core.policy.rules import LabelSelector

Tree = Mapping[str, Any]

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)[^}]*\}")
_SUBJECTS = ("endpointSelector", "podSelector", "nodeSelector")
_LISTS = ("ingress", "egress", "ingressDeny", "egressDeny")
_MARK = "unfilled-placeholder"
_NOBODY = {"matchLabels": {_MARK: "nobody"}}
STANDS_FOR = "what a placeholder stands for"
"""The words for a peer that is not known."""


def placeholders(value: Any) -> tuple[str, ...]:
    """The names of the placeholders in a tree, each once."""
    return tuple(dict.fromkeys(_names(value))) if _may_hold_any(value) else ()


def _may_hold_any(value: Any) -> bool:
    """Whether any text of a tree may hold one; writing it out is a tenth of looking at each."""
    try:
        return b"${" in msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return True


def is_nobody(selector: LabelSelector) -> bool:
    """Say whether a selector is the one that stands for an item with a placeholder."""
    return any(one.key == _MARK for one in selector.requirements)


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return _PLACEHOLDER.findall(value) if "${" in value else []
    if isinstance(value, Mapping):
        return [name for pair in value.items() for one in pair for name in _names(one)]
    if isinstance(value, list | tuple):
        return [name for one in value for name in _names(one)]
    return []


def at_least(body: Tree, kind: str) -> Tree:
    """The policy with every item that holds a placeholder matching nobody.

    A rule whose subject holds one selects nobody, and is left out.
    """

    def rule(spec: Tree) -> Tree | None:
        if any(_names(spec.get(name)) for name in _SUBJECTS):
            return None
        return _with_items(spec, lambda name, _: _nobody(name, kind))

    return _with_rules(body, rule)


def at_most(body: Tree, kind: str) -> Tree:
    """The policy with every placeholder standing for all that it could."""

    def rule(spec: Tree) -> Tree | None:
        widened = {name: _any_of(spec[name]) for name in _SUBJECTS if _names(spec.get(name))}
        return _with_items({**spec, **widened}, lambda name, item: _anybody(name, item, kind))

    return _with_rules(body, rule)


def _with_rules(body: Tree, change: Callable[[Tree], Tree | None]) -> Tree:
    changed = dict(body)
    if isinstance(spec := body.get("spec"), Mapping):
        changed["spec"] = change(spec)
    if isinstance(specs := body.get("specs"), list):
        rules = (change(one) if isinstance(one, Mapping) else one for one in specs)
        changed["specs"] = [one for one in rules if one is not None]
    return changed


def _with_items(spec: Tree, change: Callable[[str, Tree], Tree]) -> Tree:
    changed = dict(spec)
    for name in _LISTS:
        if isinstance(items := spec.get(name), list):
            changed[name] = [
                change(name, item) if isinstance(item, Mapping) and _names(item) else item
                for item in items
            ]
    return changed


def _peers(name: str, kind: str) -> tuple[str, str]:
    """The fields of an item that name peers: the prefix of all, and that of pods."""
    way = "to" if name.startswith("egress") else "from"
    return way, way if kind == KNP else f"{way}Endpoints"


def _nobody(name: str, kind: str) -> Tree:
    _, pods = _peers(name, kind)
    return {pods: [{"podSelector": _NOBODY} if kind == KNP else _NOBODY]}


def _anybody(name: str, item: Tree, kind: str) -> Tree:
    way, _ = _peers(name, kind)
    ports = ("ports", "toPorts", "icmps")
    kept = {key: value for key, value in item.items() if not _names(value) and key in ports}
    peers = {key: value for key, value in item.items() if key not in ports}
    if not _names(peers):
        return {**kept, **peers}
    return kept if kind == KNP else {**kept, f"{way}Entities": ["all"]}


def _any_of(selector: Any) -> Any:
    """A selector whose placeholders stand for any value."""
    if not isinstance(selector, Mapping):
        return selector
    labels = selector.get("matchLabels") or {}
    written = selector.get("matchExpressions") or []
    if not isinstance(labels, Mapping) or not _are_expressions(written):
        return selector  # Cilium refuses it whatever the placeholder stands for
    kept = {key: value for key, value in labels.items() if not _names((key, value))}
    there = [{"key": key, "operator": "Exists"} for key, value in labels.items()
             if _names(value) and not _names(key)]  # fmt: skip
    return {"matchLabels": kept, "matchExpressions": [*there, *(_widened(one) for one in written
            if not _is_open_exclusion(one))]}  # fmt: skip


def _are_expressions(written: Any) -> bool:
    return isinstance(written, list) and all(isinstance(one, Mapping) for one in written)


def _widened(expression: Tree) -> Tree:
    if not _names(expression.get("values")):
        return expression
    return {"key": expression.get("key"), "operator": "Exists"}


def _is_open_exclusion(expression: Tree) -> bool:
    open_key = bool(_names(expression.get("key")))
    return open_key or (expression.get("operator") == "NotIn" and bool(_names(expression)))
