"""The files that a plan changes: read from the repository, spliced, never written here."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.core.drafts.change import Change, ChangeKind, check_same_places
from app.core.drafts.choice import Plan
from app.core.drafts.edits import Append, RemoveItem, show_path
from app.core.drafts.owners import owner_of
from app.core.drafts.paths import check_path
from app.core.drafts.render import render_document
from app.core.drafts.splice import read_object, remove_object, splice
from app.core.errors import DraftRejected, NotFound
from app.core.model.provenance import Maker, ObjectRef, Source
from app.ports import FileChange, PolicyRepo

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml")
_KUSTOMIZATION = ObjectRef("Kustomization", "", "")


class FileEditor:
    """Turns plans into file changes for one repository.

    `place` turns the file of a `Source`, as shown, into its path inside the repository. `sets` are
    the values given for placeholders: a name that ends in one is written with the placeholder.
    """

    def __init__(
        self, repo: PolicyRepo, place: Callable[[str], str], sets: Mapping[str, str]
    ) -> None:
        self._repo = repo
        self._place = place
        self._sets = dict(sets)

    async def edit(self, plan: Plan) -> tuple[FileChange, ...]:
        """Splice every change into the file it belongs to, as the repository has it."""
        edited: dict[str, FileChange] = {}
        for change in plan.changes:
            if change.body is not None:
                await self._add_policy(change, edited)
            elif change.kind is ChangeKind.REMOVE_POLICY:
                await self._remove_policy(change, edited)
            else:
                await self._edit_policy(change, edited)
        return tuple(edited.values())

    async def _remove_policy(self, change: Change, edited: dict[str, FileChange]) -> None:
        source = _written(change)
        path = check_path(self._place(source.file))
        text = await self._text(path, edited)
        after = remove_object(text, change.policy, line=source.line)
        self._put(path, text, after, edited)
        if after is None:
            await self._unlist_resource(path, edited)

    async def _unlist_resource(self, path: str, edited: dict[str, FileChange]) -> None:
        """Take a file that goes out of every kustomization above it that lists it."""
        for kustomization in _kustomizations_above(path):
            while (at := await self._listed_at(kustomization, path, edited)) is not None:
                text = await self._text(kustomization, edited)
                after = splice(text, _KUSTOMIZATION, [RemoveItem(("resources", at))])
                self._put(kustomization, text, after, edited)

    async def _edit_policy(self, change: Change, edited: dict[str, FileChange]) -> None:
        source = _written(change)
        _refuse_patched(change, source)
        path = check_path(self._place(source.file))
        text = await self._text(path, edited)
        written = read_object(text, change.policy, line=source.line)
        check_same_places(change, written)
        placed = _with_placeholders(change, text, self._sets)
        after = splice(text, change.policy, placed.edits, line=source.line)
        self._put(path, text, after, edited)

    async def _text(self, path: str, edited: Mapping[str, FileChange]) -> str:
        if path not in edited:
            return await self._repo.read_file(path)
        after = edited[path].after
        if after is None:
            raise NotFound(f"`{path}` goes")
        return after

    @staticmethod
    def _put(
        path: str, before: str | None, after: str | None, edited: dict[str, FileChange]
    ) -> None:
        first = edited[path].before if path in edited else before
        edited[path] = FileChange(path, first, after)

    async def _add_policy(self, change: Change, edited: dict[str, FileChange]) -> None:
        if change.source is None:
            raise DraftRejected(
                f"it is not known where the policies of `{change.policy.namespace}` are kept",
                hint="give the checkout they are deployed from with --snapshot",
            )
        beside = check_path(self._place(change.source.file))
        path = check_path(
            posixpath.join(posixpath.dirname(beside), f"netpol-{change.policy.name}.yaml")
        )
        if await self._exists(path):
            raise DraftRejected(f"`{path}` exists already")
        self._put(path, None, render_document(change.body), edited)
        await self._list_resource(path, beside, edited)

    async def _exists(self, path: str) -> bool:
        try:
            await self._repo.read_file(path)
        except NotFound:
            return False
        return True

    async def _list_resource(self, path: str, beside: str, edited: dict[str, FileChange]) -> None:
        """Add the new file to the kustomization that lists its neighbour, or is its neighbour.

        Without one the folder is deployed as it is; a neighbour that a kustomization deploys and
        none lists by name is a case for a person.
        """
        for kustomization in _kustomizations_above(path):
            listed = await self._listed_at(kustomization, beside, edited)
            if kustomization == beside or listed is not None:
                entry = posixpath.relpath(path, posixpath.dirname(kustomization) or ".")
                text = await self._text(kustomization, edited)
                after = splice(text, _KUSTOMIZATION, [Append(("resources",), entry)])
                self._put(kustomization, text, after, edited)
                return

    async def _listed_at(
        self, path: str, file: str, edited: Mapping[str, FileChange]
    ) -> int | None:
        """Where a kustomization lists a file; None where it does not, or is not there."""
        try:
            text = await self._text(path, edited)
        except NotFound:
            return None
        tree = read_object(text, _KUSTOMIZATION)
        resources = tree.get("resources") if isinstance(tree, dict) else None
        folder = posixpath.dirname(path)
        for at, entry in enumerate(resources or ()):
            if isinstance(entry, str) and posixpath.normpath(posixpath.join(folder, entry)) == file:
                return at
        return None


def _kustomizations_above(path: str) -> Iterator[str]:
    """Every file that may be a kustomization of a file's folder or one above it, nearest first."""
    folder = posixpath.dirname(path)
    while True:
        yield from (posixpath.join(folder, name) for name in _KUSTOMIZATIONS)
        if not folder:
            return
        folder = posixpath.dirname(folder)


def _written(change: Change) -> Source:
    """Where a policy is written by hand. Raises DraftRejected where it is not, and says by whom."""
    source = change.source
    if source is None:
        raise _in_no_file(change)
    if source.made_by is not None:
        raise _not_by_hand(change.policy, source.made_by)
    return source


def _in_no_file(change: Change) -> DraftRejected:
    owner = owner_of(change.present)
    if owner is None:
        return DraftRejected(
            f"{change.policy} is in no file that is known",
            hint="give the checkout it is deployed from with --snapshot",
        )
    return DraftRejected(
        f"{change.policy} is in no file that is known: {owner.words}", hint=owner.hint
    )


def _refuse_patched(change: Change, source: Source) -> None:
    """Refuse to edit in one file what another writes."""
    for edit in change.edits:
        file, line = source.place_of(show_path(edit.path))
        if file != source.file:
            raise DraftRejected(
                f"`{show_path(edit.path)}` of {change.policy} is written by {file}:{line}",
                hint="change it there: a kustomization puts it over the object's own",
            )


def _not_by_hand(policy: ObjectRef, maker: Maker) -> DraftRejected:
    """Why an object cannot be edited, and the nearest place for a change of it."""
    at = f", deployed at {maker.file}:{maker.line}" if maker.file else ""
    where = f"beside `{maker.file}`" if maker.file else "in the checkout that deploys it"
    return DraftRejected(
        f"{policy} is rendered by {maker.what}{at}",
        hint=f"change the chart's values, or draft a policy of its own {where}",
    )


def _with_placeholders(change: Change, text: str, sets: Mapping[str, str]) -> Change:
    """Write a name that ends in a placeholder's value with the placeholder, if the file uses it."""
    used = {name: value for name, value in sets.items() if value and f"${{{name}}}" in text}
    if not used:
        return change
    edits = tuple(
        replace(edit, item=_unfill(edit.item, used)) if isinstance(edit, Append) else edit
        for edit in change.edits
    )
    return replace(change, edits=edits)


def _unfill(value: Any, used: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _unfill(item, used) for key, item in value.items()}
    if isinstance(value, list):
        return [_unfill(item, used) for item in value]
    for name, known in used.items():
        if isinstance(value, str) and value.endswith(f".{known}"):
            return value.removesuffix(known) + f"${{{name}}}"
    return value
