"""One text into YAML documents, so that a broken one does not take its neighbours with it.

A line that starts with `---` separates documents wherever it stands: YAML forbids it at the start
of a line inside any scalar. Source: YAML 1.2 §9.1.2 (`c-forbidden`); kubectl splits in the same
way (k8s.io/apimachinery `pkg/util/yaml/decoder.go`, `splitYAMLDocument`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARKER = re.compile(r"^(?:---(?=[ \t\r\n]|$)|\.\.\.(?=[ \t\r\n]|$)[^\n]*\n?)", re.MULTILINE)
_CONTENT = re.compile(r"^(?![ \t\r]*(?:#|$|\n)|%|---[ \t\r]*(?:#|$|\n))", re.MULTILINE)


_ITEMS = re.compile(r"^items:[ \t]*(?:#[^\n]*)?\r?\n", re.MULTILINE)
_FIRST_ITEM = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*( *)-[ \t\r\n]")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The text of one document: `line` is the 1-based line its text starts on."""

    text: str
    line: int
    start: int
    end: int


def split_documents(text: str) -> tuple[Chunk, ...]:
    """Cut `text` at document markers; parts with nothing but comments and directives are left out.

    Directives (`%YAML`) stay with the document they precede.
    """
    chunks: list[Chunk] = []
    start, line, last = 0, 1, 0
    directive = False
    for end in [*_cuts(text), len(text)]:
        part = text[last:end]
        directive = directive or _only_directives(part)
        holds_content = _CONTENT.search(part) is not None
        last = end
        if directive and not holds_content and end != len(text):
            continue  # it stays with the document it precedes
        if holds_content:
            chunks.append(Chunk(text[start:end], line, start, end))
        line += text.count("\n", start, end)
        start, directive = end, False
    return tuple(chunks)


def _cuts(text: str) -> list[int]:
    cuts = []
    for marker in _MARKER.finditer(text):
        cut = marker.start() if marker.group() == "---" else marker.end()
        if cut:
            cuts.append(cut)
    return cuts


def _only_directives(part: str) -> bool:
    return "\n%" in part or part.startswith("%")


@dataclass(frozen=True, slots=True)
class ListText:
    """A `kind: List` in block style cut into its items; `head` is what stands around them."""

    head: str
    items: tuple[Chunk, ...]


def split_items(chunk: Chunk) -> ListText | None:
    """Cut a document at its `items`, each a sequence of one; None when it has no such list.

    By indentation alone, so that an item that is no YAML leaves the others readable.
    """
    text = chunk.text
    start = _ITEMS.search(text)
    first = _FIRST_ITEM.match(text, start.end()) if start else None
    if start is None or first is None:
        return None
    indent = len(first[1])
    before = r"(?![-# \t\r\n])" if not indent else rf" {{0,{indent - 1}}}[^ \t\r\n#]"
    outside = re.compile(f"^{before}", re.MULTILINE)
    left = outside.search(text, start.end())
    end = left.start() if left else len(text)
    marks = re.compile(rf"^ {{{indent}}}-(?=[ \t\r\n])", re.MULTILINE)
    cuts = [mark.start() for mark in marks.finditer(text, start.end(), end)]
    items, line, last = [], chunk.line, 0
    for at, to in zip(cuts, [*cuts[1:], end], strict=True):
        line += text.count("\n", last, at)
        items.append(Chunk(text[at:to], line, chunk.start + at, chunk.start + to))
        last = at
    return ListText(text[: start.start()] + text[end:], tuple(items))
