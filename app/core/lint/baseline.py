"""Old sins: what was found before, so that only what is new counts.

Lines and list positions move, so a finding is known again by its code, its object and the path
without numbers; how often it was there is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from app.core.errors import BadInput
from app.core.lint.finding import Finding

SCHEMA = "k8tre-tui/lint-baseline/v1"

_INDEX = re.compile(r"\[\d+\]")

Key = tuple[str, str, str]


def key_of(finding: Finding) -> Key:
    """What a finding is known by."""
    return finding.code, str(finding.policy), _INDEX.sub("[]", finding.path)


def count(findings: Iterable[Finding]) -> Counter[Key]:
    """How often each was found."""
    return Counter(map(key_of, findings))


def newly_found(findings: Iterable[Finding], known: Counter[Key]) -> tuple[Finding, ...]:
    """Give the findings that go beyond what was known, in their order."""
    left = Counter(known)
    found = []
    for finding in findings:
        key = key_of(finding)
        if left[key] > 0:
            left[key] -= 1
        else:
            found.append(finding)
    return tuple(found)


def baseline_form(findings: Iterable[Finding]) -> dict[str, Any]:
    """The baseline as JSON, in an order that makes for small diffs."""
    rows = sorted(count(findings).items())
    return {
        "schema": SCHEMA,
        "findings": [
            {"code": code, "policy": policy, "path": path, "count": number}
            for (code, policy, path), number in rows
        ],
    }


def read_baseline(tree: Any, file: str) -> Counter[Key]:
    """Read what `baseline_form` wrote. Raises `BadInput`."""
    rows = tree.get("findings") if isinstance(tree, dict) else None
    if not isinstance(rows, list) or tree.get("schema") != SCHEMA:
        raise BadInput("no baseline of findings", file=file, hint="lint --write-baseline makes one")
    known: Counter[Key] = Counter()
    for at, row in enumerate(rows):
        words = [row.get(name) for name in ("code", "policy", "path")] if _is(row) else []
        number = row.get("count", 1) if _is(row) else None
        if len(words) != 3 or not all(isinstance(one, str) for one in words):  # noqa: PLR2004
            raise BadInput("not a finding", file=file, path=f"findings[{at}]")
        if not isinstance(number, int):
            raise BadInput("not a number", file=file, path=f"findings[{at}].count")
        code, policy, path = map(str, words)
        known[code, policy, path] += number
    return known


def _is(row: Any) -> bool:
    return isinstance(row, dict)
