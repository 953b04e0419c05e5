"""YAML text into Kubernetes objects, each with its line and, where answers need it, every line.

A document that cannot be read becomes a notice with its line, and the rest of the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from yaml.nodes import MappingNode, Node, SequenceNode

from app.core.documents.limits import READING
from app.core.documents.split import Chunk, split_documents
from app.core.documents.tree import TreeBuilder, compose, may_alias, scalar_of
from app.core.errors import BadInput
from app.core.model.provenance import Source
from integrations.manifests.found import DECIDING_KINDS, LINE_KINDS, TEMPLATE, Found, tame
from integrations.manifests.placeholders import Placeholders


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
        for index, chunk in enumerate(split_documents(self._text)):
            try:
                self._read_document(chunk, index)
            except BadInput as error:
                self._report(error, chunk)

    def _report(self, error: BadInput, chunk: Chunk) -> None:
        if TEMPLATE in chunk.text:
            self._found.skip("template", self._file)
        else:
            self._found.broken(error, self._file)

    def _read_document(self, chunk: Chunk, index: int) -> None:
        root = compose(chunk.text, chunk.line)
        if root is None:
            return
        aliases = may_alias(chunk.text)
        for node in _items(root):
            self._read_object(node, chunk, index, aliases=aliases)

    def _read_object(self, node: Node, chunk: Chunk, index: int, *, aliases: bool) -> None:
        kind = scalar_of(node, "kind")
        if kind in DECIDING_KINDS and TEMPLATE in chunk.text:
            self._found.skip("template", self._file)
            return
        lines: dict[str, int] = {}
        builder = TreeBuilder(
            READING,
            aliases=aliases,
            first_line=chunk.line,
            fill=self._placeholders.fill,
            lines=lines if kind in LINE_KINDS else None,
        )
        body = tame(builder.build(node))
        if kind in LINE_KINDS:
            self._placeholders.note_open(body, self._file)
        line = node.start_mark.line + chunk.line
        self._found.add(body, Source(self._file, line, document=index, lines=lines))


def _items(root: Node) -> Iterator[Node]:
    if isinstance(root, MappingNode) and scalar_of(root, "kind").endswith("List"):
        for key, value in root.value:
            if key.value == "items" and isinstance(value, SequenceNode):
                yield from value.value
                return
    yield root
