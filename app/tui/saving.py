"""What is on screen as a file: its table or text, or a picture of it.

The end of the name says in which form. Nothing is written over, and only its owner can read it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from app.core.errors import UsageError
from app.services.sheets import Sheet, forms, written
from app.tui.screens.frame import Frame
from widgets.document import Document
from widgets.grid import Grid
from widgets.spans import plain

PICTURE = ".svg"
_TEXTS = (".txt", ".md")
_FONT_FACE = re.compile(r"@font-face\s*\{[^}]*\}")


def content_of(frame: Frame, suffix: str) -> str:
    """Give what a screen shows in the form that a suffix stands for. Raises `UsageError`."""
    if suffix == PICTURE:
        # A picture loads no font from elsewhere.
        return _FONT_FACE.sub("", frame.app.export_screenshot())
    if (sheet := frame.sheet()) is not None:
        return written(sheet, suffix)
    if isinstance(frame.main, Document) and suffix in _TEXTS:
        text = f"{frame.main.text}\n"
        return text if suffix == ".txt" else "".join(f"    {line}\n" for line in text.splitlines())
    raise UsageError(
        f"this screen has no table to save as `{suffix or 'a file without an end'}`",
        hint=f"texts are saved as {', '.join(_TEXTS)}, tables as {', '.join(forms())}",
    )


def grid_sheet(grid: Grid) -> Sheet:
    """Give every row and column of a grid as text."""
    rows = grid.rows
    return Sheet(
        tuple(column.title or column.key for column in grid.columns),
        tuple(tuple(plain(cell).strip() for cell in rows.cells(at)) for at in range(len(rows))),
    )


def write_new(name: str, text: str) -> Path:
    """Write a file that is not there yet; gives its path. Raises `OSError`."""
    path = Path(name).expanduser().resolve()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    return path
