"""Where two sets of answers to one case differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.oracle.client import Answers, Case

Expectation = dict[str, Any]
INVALID = -1
"""The index of a disagreement about which objects are refused."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One difference: which question (`INVALID`: none), and what either side says."""

    index: int
    what: str
    theirs: str
    ours: str

    def __str__(self) -> str:
        return f"{self.what}: Cilium says {self.theirs}, we say {self.ours}"


def find_disagreements(case: Case, theirs: Answers, ours: Answers) -> list[Disagreement]:
    """List every difference in refused objects, verdicts and deciding policies."""
    found = []
    refused, our_refused = set(theirs.get("invalid") or {}), set(ours["invalid"])
    if refused != our_refused:
        found.append(
            Disagreement(INVALID, "refused objects", _list(refused), _list(our_refused)),
        )
    pairs = zip(theirs["expect"], ours["expect"], strict=True)
    for index, (their, our) in enumerate(pairs):
        if not their.get("skip"):
            found += _of_question(index, case["queries"][index], their, our)
    return found


def _of_question(
    index: int, query: dict[str, Any], their: Expectation, our: Expectation
) -> list[Disagreement]:
    found = []
    words = describe(query)
    if their["verdict"] != our["verdict"]:
        found.append(Disagreement(index, words, their["verdict"], our["verdict"]))
    for name in ("egress", "ingress"):
        their_side, our_side = _side(their.get(name)), _side(our.get(name))
        if (their.get(name) or {}).get("byUnsure"):
            their_side, our_side = their_side[:2], our_side[:2]
        if their_side != our_side:
            found.append(
                Disagreement(index, f"{words}, {name}", " ".join(their_side), " ".join(our_side))
            )
    return found


def _side(direction: Expectation | None) -> tuple[str, ...]:
    if direction is None:
        return ("not judged",)
    return (direction["verdict"], direction.get("l4", ""), _list(set(direction["by"])))


def _list(names: set[str]) -> str:
    return f"[{', '.join(sorted(names))}]"


def describe(query: dict[str, Any]) -> str:
    """Write a question in one line."""
    request = "".join(f" {kind} {query[kind]}" for kind in ("http", "dns", "sni") if kind in query)
    return f"{query['from']} to {query['to']} {query['port']}/{query['protocol']}{request}"
