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
    start, line = 0, 1
    for end in [*_cuts(text), len(text)]:
        part = text[start:end]
        if not _CONTENT.search(part) and _only_directives(part) and end != len(text):
            continue
        if _CONTENT.search(part):
            chunks.append(Chunk(part, line, start, end))
        line += part.count("\n")
        start = end
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
