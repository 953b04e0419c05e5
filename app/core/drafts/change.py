"""A wanted change of policies, as data: what it is called, what it edits, what it leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from app.core.drafts.edits import Edit, apply_edit, value_at
from app.core.errors import DraftRejected
from app.core.model.provenance import Manifest, ObjectRef, Source


class ChangeKind(StrEnum):
    """The forms of docs/forms.md §4.1; the last three allow nothing, and no answer offers them."""

    ADD_RULE = "add-rule"
    EXTEND_RULE = "extend-rule"
    NEW_POLICY = "new-policy"
    REMOVE_RULE = "remove-rule"
    REMOVE_POLICY = "remove-policy"
    TIGHTEN_RULE = "tighten-rule"


@dataclass(frozen=True, slots=True)
class Change:
    """One policy changed, made or taken away.

    `title` says what becomes possible, `how` by which change. `edits` change the object `policy`,
    whose document is at `source`. `body` is the object of a new policy, which has no edits;
    `source` is then that of a policy it should lie beside. `present` is the object as in force,
    on which the edits were worked out. `stretched` is a rule that speaks of something else,
    `strange` grows the less the policy's words and rules have to do with what joins it.
    """

    kind: ChangeKind
    title: str
    how: str
    policy: ObjectRef
    edits: tuple[Edit, ...] = ()
    body: Mapping[str, Any] | None = None
    source: Source | None = None
    present: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    stretched: bool = field(default=False, compare=False)
    strange: int = field(default=0, compare=False)

    @property
    def operation(self) -> tuple[str, object]:
        """What is done to which policy, as a value that two equal changes share."""
        if self.kind is ChangeKind.REMOVE_POLICY:
            return str(self.policy), self.kind.value
        done = self.body if self.body is not None else [repr(edit) for edit in self.edits]
        return str(self.policy), done


def apply_change(policies: Iterable[Manifest], change: Change) -> tuple[Manifest, ...]:
    """Give a cluster's policies with the change done; DraftRejected when its place is not there."""
    if change.body is not None:
        version = str(change.body["apiVersion"])
        return (*policies, Manifest(change.policy, version, change.body))
    if change.kind is ChangeKind.REMOVE_POLICY:
        return tuple(one for one in policies if one.ref != change.policy)
    return tuple(
        _edited(manifest, change.edits) if manifest.ref == change.policy else manifest
        for manifest in policies
    )


def _edited(manifest: Manifest, edits: Sequence[Edit]) -> Manifest:
    body = dict(manifest.body)
    for edit in edits:
        body = apply_edit(body, edit)
    return replace(manifest, body=body)


def check_same_places(change: Change, written: Any) -> None:
    """Refuse when a file's object has other rules than the one in force, where an edit counts them.

    `spec.egress[2]` is the same rule in both only when both lists are equally long and the items
    have the same fields; values may differ, by placeholders and by what the API server fills in.
    """
    for edit in change.edits:
        for at, step in enumerate(edit.path):
            if not isinstance(step, int):
                continue
            ours, theirs = (value_at(tree, edit.path[:at]) for tree in (change.present, written))
            if len(ours) != len(theirs) or _fields(ours[step]) != _fields(theirs[step]):
                raise DraftRejected(
                    f"{change.policy} is not in force as its file has it",
                    hint="bring the cluster and the repository together first",
                )


def _fields(value: Any) -> frozenset[str]:
    return frozenset(value) if isinstance(value, Mapping) else frozenset()
