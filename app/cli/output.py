"""What goes to the terminal: data to stdout, talk to stderr, colour only where it is wanted.

Colour never carries meaning alone: every verdict has a sign and a word. Text that came from a
cluster was cleaned where it entered and is written as it is.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TextIO

from app.core.text import cell_width, clean

GAP = "  "
_BREAK = re.compile(r"[\x00-\x1a\x1c-\x1f\x85\u2028\u2029]")
"""Every control character but escape, which starts the colours written here."""
NARROWEST = 60
"""Columns below which text is not wrapped any narrower."""


class Style(Enum):
    """SGR codes by what they mark."""

    GOOD = "32"
    BAD = "31"
    WARN = "33"
    DIM = "2"
    BOLD = "1"


@dataclass(slots=True)
class Output:
    """Where a command writes. `columns` is None when stdout is no terminal: nothing is cut."""

    stdout: TextIO
    stderr: TextIO
    colour: bool = False
    columns: int | None = None
    said: set[str] = field(default_factory=set)

    @classmethod
    def of(
        cls, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str], *, plain: bool
    ) -> Output:
        """An output fit for the terminal or pipe that `stdout` is."""
        terminal = stdout.isatty()
        colour = terminal and not plain and not environ.get("NO_COLOR")
        columns = shutil.get_terminal_size().columns if terminal else None
        return cls(stdout, stderr, colour and environ.get("TERM") != "dumb", columns)

    def line(self, text: str = "") -> None:
        """One line of data."""
        self.stdout.write(f"{text}\n")

    def say(self, text: str) -> None:
        """One line to the person at the terminal; the same line only once.

        A line break in it, which only text from elsewhere has, is made visible.
        """
        if text not in self.said:
            self.said.add(text)
            self.stderr.write(f"{one_line(text)}\n")

    def paint(self, text: str, style: Style | None) -> str:
        """`text` in a style, where colour is on."""
        if not self.colour or style is None:
            return text
        return f"\x1b[{style.value}m{text}\x1b[0m"

    def wrap(self, text: str, indent: int, *, first: int | None = None) -> str:
        """Fold `text` to the terminal; lines after the first start at column `indent`."""
        if self.columns is None:
            return text
        width = max(self.columns, NARROWEST)
        lead = " " * (indent if first is None else first)
        folded = textwrap.wrap(
            lead + text,
            width,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        return "\n".join(folded)[len(lead) :] if folded else ""

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str | Cell]]) -> None:
        """Columns as wide as their widest cell, as kubectl prints them."""
        cells = [[_cell(one) for one in row] for row in rows]
        widths = [
            max(cell_width(title), *(cell_width(row[at].text) for row in cells), 0)
            for at, title in enumerate(head)
        ]
        for row in ([_cell(title) for title in head], *cells):
            parts = [
                self.paint(cell.text, cell.style) + " " * (widths[at] - cell_width(cell.text))
                for at, cell in enumerate(row)
            ]
            self.line(GAP.join(parts).rstrip())

    def json(self, value: Any) -> None:
        """One JSON document."""
        self.line(json.dumps(value, ensure_ascii=not self._is_utf8, indent=2))

    def jsonl(self, values: Iterable[Any]) -> None:
        """One JSON document a line."""
        ascii_only = not self._is_utf8
        for value in values:
            self.line(json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")))

    def yaml(self, value: Any) -> None:
        """One YAML document."""
        import yaml

        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=self._is_utf8, width=100)
        self.stdout.write(text)

    @property
    def _is_utf8(self) -> bool:
        """Whether stdout takes every character; JSON and YAML have escapes of their own for it."""
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        return codecs.lookup(encoding).name == "utf-8"

    def close(self) -> OSError | None:
        """Flush; what cannot be written is given back, and the interpreter tries no more."""
        try:
            self.stdout.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())
            return error
        return None


def standard_output(stream: TextIO | None) -> TextIO:
    """A standard stream that takes any text: what its encoding lacks is written as an escape.

    Python has None where the caller closed it; then what is written goes nowhere.
    """
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  # for as long as we run
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def standard_input(stream: TextIO | None) -> TextIO:
    """Standard input; an empty one where the caller closed it."""
    return io.StringIO() if stream is None else stream


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell with a style."""

    text: str
    style: Style | None = None


def one_line(text: str) -> str:
    """`text` with line breaks and tabs made visible, so that nothing can forge a line."""
    return text if _BREAK.search(text) is None else _BREAK.sub(lambda found: clean(found[0]), text)


def _cell(value: str | Cell) -> Cell:
    if isinstance(value, Cell):
        return Cell(one_line(value.text), value.style)
    return Cell(one_line(value))
