"""Changes to a YAML file that leave every other byte alone.

A change becomes one replacement of a stretch of text inside one document, worked out from where
the parser saw things. Nothing is dumped anew: comments, quotes, indents, line ends, a byte order
mark and a missing final line end stay. Afterwards the guard reads the result and compares it with
the value the edit should have led to; if they differ in anything, nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core.documents.limits import EDITING
from app.core.documents.split import Chunk, split_documents
from app.core.documents.tree import TreeBuilder, compose
from app.core.drafts.edits import (
    Edit,
    Path,
    RemoveItem,
    RemoveKey,
    Restore,
    apply_edit,
)
from app.core.drafts.layout import Place, lay_out
from app.core.drafts.patches import Patcher
from app.core.drafts.style import is_json
from app.core.errors import BadInput, DraftRejected
from app.core.model.provenance import ObjectRef

FILE_LIMIT = 512 << 10
"""Characters of a file this program edits."""

_TAB_INDENT = re.compile(r"^ *\t", re.MULTILINE)
_BOM = "\ufeff"


def splice(text: str, ref: ObjectRef, edits: Sequence[Edit], *, line: int = 0) -> str:
    """Give `text` with the edits done to the object `ref`, every other byte as it was.

    `line` is any line of the object, which settles which one is meant when two carry its name, and
    finds it when a kustomization renamed it. A kustomization itself goes by its kind alone.
    Raises DraftRejected when the file, or the place, is not one that can be edited safely.
    """
    bom = _BOM if text.startswith(_BOM) else ""
    body = text.removeprefix(_BOM)
    _check_editable(body)
    target = _find(body, ref, line)
    chunk, document = target.chunk, target.chunk.text
    edits = [replace(edit, path=(*target.path, *edit.path)) for edit in edits]
    for edit in edits:
        document = _splice_one(document, ref, edit)
    edited = body[: chunk.start] + document + body[chunk.end :]
    _guard(body, edited, chunk, edits)
    return bom + edited


def read_object(text: str, ref: ObjectRef, *, line: int = 0) -> Any:
    """Give the object that `splice` would edit, as the file has it, placeholders and all."""
    return locate(text, ref, line=line)[1]


def locate(text: str, ref: ObjectRef, *, line: int = 0) -> tuple[str, Any]:
    """Give the document that `splice` would edit, and the object in it."""
    body = text.removeprefix(_BOM)
    _check_editable(body)
    target = _find(body, ref, line)
    return target.chunk.text, target.value


def remove_object(text: str, ref: ObjectRef, *, line: int = 0) -> str | None:
    """Give `text` without the object `ref`; None where nothing else is in it.

    Raises DraftRejected as `splice` does.
    """
    bom = _BOM if text.startswith(_BOM) else ""
    body = text.removeprefix(_BOM)
    _check_editable(body)
    target = _find(body, ref, line)
    chunk = target.chunk
    if target.path and len(_value(chunk)["items"]) > 1:
        document = _splice_one(chunk.text, ref, RemoveItem(target.path))
        edited = body[: chunk.start] + document + body[chunk.end :]
        _guard(body, edited, chunk, [RemoveItem(target.path)])
        return bom + edited
    left = body[: chunk.start] + body[chunk.end :]
    others = [one.text for one in split_documents(body) if one != chunk]
    if not others:
        return None
    if [one.text for one in split_documents(left)] != others:
        raise DraftRejected("the edited file would not mean what was wanted")
    return bom + left


def _check_editable(text: str) -> None:
    if len(text) > FILE_LIMIT:
        raise DraftRejected(f"the file is larger than {FILE_LIMIT >> 10} KiB")
    if "{{" in text and not is_json(text):
        raise DraftRejected("the file is a template", hint="change what renders it")
    if _TAB_INDENT.search(text) and not is_json(text):
        raise DraftRejected("the file is indented with tabs")


@dataclass(frozen=True, slots=True)
class _Target:
    """An object in the file: a whole document, or at `path` an item of a `List`."""

    chunk: Chunk
    path: Path
    value: Any

    @property
    def kind(self) -> str:
        kind = self.value.get("kind") if isinstance(self.value, dict) else None
        return kind if isinstance(kind, str) else ""

    def is_named(self, ref: ObjectRef) -> bool:
        if not ref.name:
            return self.kind in (ref.kind, "")
        metadata = self.value.get("metadata") if self.kind == ref.kind else None
        if not isinstance(metadata, dict) or metadata.get("name") != ref.name:
            return False
        return metadata.get("namespace") in (None, ref.namespace)

    def holds_line(self, line: int) -> bool:
        chunk, start, end = self.chunk, 0, len(self.chunk.text)
        place = lay_out(chunk.text) if self.path else None
        if place is not None and (item := place.find(self.path)) is not None:
            start, end = item.start, item.content_end
        first = chunk.line + chunk.text.count("\n", 0, start)
        return first <= line <= first + chunk.text.count("\n", start, end)


def _find(text: str, ref: ObjectRef, line: int) -> _Target:
    chunks = split_documents(text)
    if len(chunks) > EDITING.documents:
        raise DraftRejected(f"the file has more than {EDITING.documents} documents")
    targets = [target for chunk in chunks for target in _targets(chunk, ref, line)]
    named = [target for target in targets if target.is_named(ref)]
    at_line = [target for target in targets if target.kind == ref.kind and target.holds_line(line)]
    both = [target for target in named if target.holds_line(line)]
    for candidates in (both, named, at_line):
        if len(candidates) == 1:
            return candidates[0]
    if not named:
        raise DraftRejected(f"{ref} is not in the file")
    raise DraftRejected(f"{ref} stands {len(named)} times in the file")


def _targets(chunk: Chunk, ref: ObjectRef, line: int) -> Iterator[_Target]:
    """The objects of a document; of one that can hold neither name nor line nothing is read."""
    whole = _Target(chunk, (), None)
    if ref.name not in chunk.text and not whole.holds_line(line):
        return
    whole = replace(whole, value=_value(chunk))
    items = whole.value.get("items") if whole.kind.endswith("List") else None
    if not isinstance(items, list):
        yield whole
        return
    for index, item in enumerate(items):
        yield _Target(chunk, ("items", index), item)


def _value(chunk: Chunk) -> Any:
    builder = TreeBuilder(EDITING, first_line=chunk.line)
    return builder.build(compose(chunk.text, chunk.line))


def _splice_one(text: str, ref: ObjectRef, edit: Edit) -> str:
    root = lay_out(text)
    if root is None:
        raise DraftRejected(f"{ref} is empty")
    return Patcher(text, root).patch(edit).apply(text)


def _guard(before: str, after: str, chunk: Chunk, edits: Sequence[Edit]) -> None:
    """Read the result and compare it with what was wanted; DraftRejected on any difference."""
    try:
        documents = split_documents(after)
        originals = split_documents(before)
        position = originals.index(chunk)
        same = len(documents) == len(originals) and all(
            documents[at].text == original.text
            for at, original in enumerate(originals)
            if at != position
        )
        wanted = _value(chunk)
        for edit in edits:
            wanted = apply_edit(wanted, edit)
        same = same and _value(documents[position]) == wanted
        same = same and _marks(chunk.text, edits) <= _marks(documents[position].text, ())
    except BadInput as error:
        raise DraftRejected(f"the edited file would not parse: {error}") from error
    if not same:
        raise DraftRejected("the edited file would not mean what was wanted")


def _marks(text: str, edits: Sequence[Edit]) -> int:
    """How many anchors, tags and aliases a document has; none counts when items are removed."""
    if any(isinstance(edit, RemoveItem | RemoveKey | Restore) for edit in edits):
        return 0
    root = lay_out(text)
    return _count_marks(root) if root else 0


def _count_marks(place: Place) -> int:
    return place.marked + sum(_count_marks(child) for child in place.children)
