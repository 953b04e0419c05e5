"""A change of files, unified or side by side. Added lines are not green: they may open paths."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from app.ports import FileChange
from widgets.document import Paragraph, paragraph
from widgets.spans import Span, Tone, fit

CONTEXT = 3
ADDED, REMOVED = Tone.ACCENT, Tone.BAD
_NARROWEST = 30


def unified(patch: str, indent: int = 0) -> Iterator[Paragraph]:
    """Draw a unified diff; the sign of a line says what its colour says."""
    for row in patch.splitlines():
        tone = Tone.DIM
        if row.startswith("+"):
            tone = ADDED
        elif row.startswith("-"):
            tone = REMOVED
        elif row.startswith("@@"):
            tone = Tone.HEADING
        yield Paragraph((Span(" " * indent), Span(row, tone)), wraps=False)


def side_by_side(files: tuple[FileChange, ...], width: int) -> Iterator[Paragraph]:
    """Draw each file's changed lines before and after, with their numbers, in halves of `width`."""
    half = max(_NARROWEST, (width - 3) // 2)
    for file in files:
        yield paragraph(Span(file.path, Tone.STRONG))
        before, after = (file.before or "").splitlines(), (file.after or "").splitlines()
        groups = SequenceMatcher(None, before, after, autojunk=False).get_grouped_opcodes(CONTEXT)
        for group in groups:
            yield paragraph(Span(f"@@ line {group[0][1] + 1}", Tone.HEADING))
            for tag, low, high, first, last in group:
                for at in range(max(high - low, last - first)):
                    old = _half(before, low + at, high, half, tag)
                    new = _half(after, first + at, last, half, tag)
                    left = Span(old, REMOVED if tag in ("replace", "delete") else Tone.DIM)
                    right = Span(new, ADDED if tag in ("replace", "insert") else Tone.DIM)
                    yield Paragraph((left, Span(" | ", Tone.DIM), right), wraps=False)


def _half(lines: list[str], at: int, end: int, width: int, tag: str) -> str:
    """One line with its number and the sign of its side; blank where this side has none."""
    if at >= end:
        return " " * width
    sign = " " if tag == "equal" else "~" if tag == "replace" else "-" if tag == "delete" else "+"
    return fit(f"{at + 1:>4}{sign}{lines[at]}", width)
