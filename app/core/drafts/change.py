"""A wanted change of policies, as data: what it is called, what it edits, what it leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from app.core.drafts.edits import Edit, apply_edit
from app.core.model.provenance import Manifest, ObjectRef, Source


class ChangeKind(StrEnum):
    """The forms of contracts.md §4.1."""

    ADD_RULE = "add-rule"
    EXTEND_RULE = "extend-rule"
    NEW_POLICY = "new-policy"


@dataclass(frozen=True, slots=True)
class Change:
    """One policy changed or made.

    `edits` change the object `policy`, whose document is at `source`. `body` is the object of a
    new policy, which has no edits; `source` is then that of a policy it should lie beside.
    """

    kind: ChangeKind
    title: str
    policy: ObjectRef
    edits: tuple[Edit, ...] = ()
    body: Mapping[str, Any] | None = None
    source: Source | None = None


def apply_change(policies: Iterable[Manifest], change: Change) -> tuple[Manifest, ...]:
    """Give a cluster's policies with the change done; DraftRejected when its place is not there."""
    if change.body is not None:
        version = str(change.body["apiVersion"])
        return (*policies, Manifest(change.policy, version, change.body))
    return tuple(
        _edited(manifest, change.edits) if manifest.ref == change.policy else manifest
        for manifest in policies
    )


def _edited(manifest: Manifest, edits: Sequence[Edit]) -> Manifest:
    body = dict(manifest.body)
    for edit in edits:
        body = apply_edit(body, edit)
    return replace(manifest, body=body)
