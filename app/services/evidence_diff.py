"""Two evidence packs compared: what stands otherwise, and what came and went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.core.errors import BadInput
from app.core.insights.claims import Standing
from app.services.contract import SCHEMA, Form, document

_BETTER = {Standing.FAILS.value: 0, Standing.NOT_SHOWN.value: 1, Standing.HOLDS.value: 2}
_KEYS: Mapping[str, Callable[[Any], str]] = {
    "boundaries": lambda one: f"{one['name']}: {'holds' if one['holds'] else 'does not hold'}",
    "lint": lambda one: (
        f"{one['code']} {one['policy']['namespace']}/{one['policy']['name']} "
        f"{one['path']}: {one['summary']}"
    ),
    "exceptions": lambda one: f"{one['what']} {one['policy']}: {one['reason']}",
    "violations": lambda one: (
        f"{one['kind']} {one['from']} → {one['to']} "
        f"{'*' if one['port'] is None else one['port']}/{one['protocol']} ({one['cause']['code']})"
    ),
    "projects": str,
    "not_read": str,
}


def check_pack(pack: Any, file: str) -> Form:
    """Give a document back if it is an evidence pack. Raises `BadInput`."""
    wanted = {"claims", "inputs", "window", "versions", *_KEYS}
    if not isinstance(pack, dict) or pack.get("schema") != SCHEMA or not wanted <= set(pack):
        raise BadInput("not an evidence pack", hint="name the folder of `evidence -o`", file=file)
    return pack


def compare(before: Form, after: Form) -> Form:
    """What is otherwise in the second pack. Raises `BadInput` where a pack lacks parts."""
    try:
        return _compare(before, after)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"an evidence pack lacks {error}", hint="write it again") from error


def _compare(before: Form, after: Form) -> Form:
    old = {one["statement"]: one for one in before["claims"]}
    new = {one["statement"]: one for one in after["claims"]}
    claims = []
    for statement in sorted(old.keys() | new.keys()):
        was, now = old.get(statement), new.get(statement)
        proofs = _came_and_went(_proofs(was), _proofs(now))
        standings = tuple(one["standing"] if one else None for one in (was, now))
        if standings[0] != standings[1] or proofs["added"] or proofs["gone"]:
            claims.append(
                {"statement": statement, "before": standings[0], "after": standings[1], **proofs}
            )
    parts = {
        name: _came_and_went([key(one) for one in before[name]], [key(one) for one in after[name]])
        for name, key in _KEYS.items()
    }
    same = before["inputs"]["objects_sha256"] == after["inputs"]["objects_sha256"]
    return document(
        {
            "worse": any(_is_worse(one["before"], one["after"]) for one in claims),
            "same_objects": same,
            "versions": {"before": before["versions"], "after": after["versions"]},
            "claims": claims,
            **parts,
        }
    )


def _is_worse(before: str | None, after: str | None) -> bool:
    return _BETTER.get(after or "", -1) < _BETTER.get(before or "", -1)


def _proofs(claim: Form | None) -> list[str]:
    if claim is None:
        return []
    lines = [f"{one['text']} {one['ref'] or ''}".strip() for one in claim["proofs"]]
    return [*lines, *(f"not known: {one}" for one in claim["not_known"])]


def _came_and_went(before: list[str], after: list[str]) -> Form:
    return {
        "added": sorted(set(after) - set(before)),
        "gone": sorted(set(before) - set(after)),
    }
