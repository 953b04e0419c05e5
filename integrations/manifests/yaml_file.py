"""YAML text into Kubernetes objects, each with its line and, where answers need it, every line.

A document that cannot be read becomes a notice with its line, and the rest of the file is read; of
a `kind: List` in block style only the item that cannot be read is lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from yaml.nodes import MappingNode, Node, SequenceNode

from app.core.documents.limits import READING
from app.core.documents.split import Chunk, ListText, split_documents, split_items
from app.core.documents.tree import TreeBuilder, compose, may_alias, scalar_of
from app.core.errors import BadInput
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import ObjectRef, Source
from app.core.text import clean_tree
from integrations.manifests.comments import comments_of
from integrations.manifests.files import KUSTOMIZATION_NAMES
from integrations.manifests.found import (
    Found,
    item_defaults,
    keeps_lines,
    make_ref,
)
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.templates import TEMPLATE, could_hold_policies

_WHOLE_UP_TO = 4 << 20
"""Characters of a list that is composed at once; a longer one is cut first, to save memory."""

_ALL_LINES_UP_TO = 1 << 18
"""Characters of a file of which every line is kept, whatever the kinds of its objects."""

_OBJECT = re.compile(r"""^[ \t-]*["']?(?:apiVersion|kind)["']?[ \t]*:""", re.MULTILINE)


class YamlFile:
    """One YAML text; `read` adds its objects to `found`."""

    def __init__(self, text: str, file: str, placeholders: Placeholders, found: Found) -> None:
        self._text = text
        self._file = file
        self._placeholders = placeholders
        self._found = found

    def read(self) -> None:
        """Read every document."""
        if len(self._text) > READING.size:
            too_large = BadInput(f"more than {READING.size >> 20} MiB of YAML; JSON may be larger")
            self._found.broken(too_large, self._file)
            return
        chunks = split_documents(self._text)
        if not chunks:
            self._found.skip("empty", self._file)
        if len(chunks) > READING.documents:
            self._found.broken(BadInput(f"more than {READING.documents:,} documents"), self._file)
        for index, chunk in enumerate(chunks[: READING.documents]):
            try:
                self._read_document(chunk, index)
            except BadInput as error:
                self._report(error, chunk)

    def _report(self, error: BadInput, chunk: Chunk, ref: ObjectRef | None = None) -> None:
        """Say what was not read; what only looks like YAML of ours is left out like other files."""
        if TEMPLATE in chunk.text and ref is None:
            if not could_hold_policies(chunk.text):
                self._found.skip("template", self._file)
                return
            error = BadInput(f"a template that nobody rendered: {error.message}", line=error.line)
        elif ref is None and not self._could_be_ours(chunk.text):
            self._found.skip("not an object", self._file)
            return
        self._found.broken(error, self._file, ref)

    def _could_be_ours(self, text: str) -> bool:
        name = self._file.rpartition("/")[2]
        return name in KUSTOMIZATION_NAMES or _OBJECT.search(text) is not None

    def _read_document(self, chunk: Chunk, index: int) -> None:
        if len(chunk.text) > _WHOLE_UP_TO and (listed := split_items(chunk)):
            self._read_items(listed, chunk, index)
            return
        try:
            root = compose(chunk.text, chunk.line)
        except BadInput:
            listed = split_items(chunk)
            if listed is None or len(listed.items) < 2:  # noqa: PLR2004  # else all of it is lost
                raise
            self._read_items(listed, chunk, index)
            return
        if root is None:
            return
        nodes = _items(root)
        if nodes is not None and not nodes:
            self._found.empty_lists.add(self._file)
        defaults = _defaults(root) if nodes is not None else {}
        for node in [root] if nodes is None else nodes:
            self._read_object(node, chunk, index, defaults if nodes is not None else None)

    def _read_items(self, listed: ListText, chunk: Chunk, index: int) -> None:
        """Read a list item by item. Raises BadInput where what surrounds them is no list."""
        head = compose(listed.head, chunk.line)
        if head is None or not scalar_of(head, "kind").endswith("List"):
            raise BadInput("not YAML, or too large for one document", line=chunk.line)
        for item in listed.items:
            try:
                root = compose(item.text, item.line)
            except BadInput as error:
                self._report(error, item)
                continue
            for node in root.value if isinstance(root, SequenceNode) else ():
                self._read_object(node, item, index, _defaults(head))

    def _read_object(
        self, node: Node, chunk: Chunk, index: int, defaults: Mapping[str, str] | None
    ) -> None:
        """Read one object; `defaults` are those of the list it is an item of."""
        kind = scalar_of(node, "kind") or (defaults or {}).get("kind", "")
        lines: dict[str, int] = {}
        words: dict[str, str] = {}
        keeps = self._keeps_lines(kind)
        builder = TreeBuilder(
            READING,
            aliases=may_alias(chunk.text),
            first_line=chunk.line,
            fill=self._placeholders.fill,
            lines=lines if keeps else None,
            words=words if keeps else None,
        )
        try:
            body = clean_tree(builder.build(node))
        except BadInput as error:
            self._report(error, chunk, _ref_of(node, kind))
            return
        if isinstance(body, dict) and defaults:
            body = {**defaults, **body}
        line = node.start_mark.line + chunk.line
        said = comments_of(chunk.text, lines, chunk.line) if kind in POLICY_KINDS else {}
        source = Source(self._file, line, document=index, lines=lines, comments=said, words=words)
        self._found.add(body, source, listed=defaults is not None)

    def _keeps_lines(self, kind: str) -> bool:
        """A broken field of any object is shown at its line where that costs little."""
        return len(self._text) <= _ALL_LINES_UP_TO or keeps_lines(kind, self._file)


def _ref_of(node: Node, kind: str) -> ObjectRef | None:
    """Which object a node is, as far as it says; None where it does not say its kind."""
    if not kind or not isinstance(node, MappingNode):
        return None
    metadata = next((value for key, value in node.value if key.value == "metadata"), None)
    return make_ref(kind, scalar_of(metadata, "namespace"), scalar_of(metadata, "name"))


def _items(root: Node) -> list[Node] | None:
    """The items of a list; None where the document is an object of its own."""
    if isinstance(root, MappingNode) and scalar_of(root, "kind").endswith("List"):
        for key, value in root.value:
            if key.value == "items" and isinstance(value, SequenceNode):
                return list(value.value)
    return None


def _defaults(root: Node) -> Mapping[str, str]:
    return item_defaults(scalar_of(root, "kind"), scalar_of(root, "apiVersion"))
