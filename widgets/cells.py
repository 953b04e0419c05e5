"""What a terminal shows, cell by cell, and the fewest bytes that make it show something else.

Textual sends a widget that changed whole, each piece with its colours in full; a list that grows
by twenty rows a second is then half a megabyte a second. A `Terminal` remembers what was
sent. Rows that only moved are moved by the terminal itself (DECSTBM, then line feeds or reverse
indexes in the region: VT100 User Guide, chapter 3); of the rest, cells that differ are sent, and of
their colours what changes from one cell to the next. It is also the last gate: no control
character leaves it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import itemgetter, ne

from rich.cells import get_character_cell_size
from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style

from app.core.text import clean

TRUECOLOR = ColorSystem.TRUECOLOR
CSI = "\x1b["
RESET = f"{CSI}m"
BRIDGE = 6
"""Cells that did not change and are sent all the same: to go round them takes as many bytes."""
LEAST_ROWS = 6
"""Rows that must have changed before it is looked whether they moved."""
_ATTRIBUTES = {
    "bold": ("1", "22"),
    "dim": ("2", "22"),
    "italic": ("3", "23"),
    "underline": ("4", "24"),
    "blink": ("5", "25"),
    "reverse": ("7", "27"),
    "conceal": ("8", "28"),
    "strike": ("9", "29"),
}
"""Rich's name, and the parameters of SGR (ECMA-48, 8.3.117) that begin and end it."""
_OFF = dict(_ATTRIBUTES.values())
_SEEN_ON_BLANKS = frozenset("479")
"""Attributes that show where there is no letter."""


@dataclass(frozen=True, slots=True)
class Ink:
    """How a cell is drawn, as parameters of SGR; colours left empty are the terminal's own."""

    attributes: frozenset[str] = frozenset()
    foreground: str = ""
    background: str = ""

    def after(self, pen: Ink) -> str:
        """Give the parameters that lead from one ink to this one."""
        off = {_OFF[code] for code in pen.attributes - self.attributes}
        kept = {code for code in pen.attributes & self.attributes if _OFF[code] not in off}
        codes = [*sorted(off), *sorted(self.attributes - kept)]
        if self.foreground != pen.foreground:
            codes.append(self.foreground or "39")
        if self.background != pen.background:
            codes.append(self.background or "49")
        return ";".join(codes)

    def blank_after(self, pen: Ink) -> Ink:
        """Give the ink nearest to the pen in which a blank looks as in this one."""
        if self.attributes & _SEEN_ON_BLANKS or pen.attributes & _SEEN_ON_BLANKS:
            return self
        return Ink(pen.attributes, pen.foreground, self.background)


PLAIN = Ink()

Cell = tuple[str, Ink]
"""A character with what combines with it; the right half of a wide one is empty."""

UNKNOWN: Cell = ("?", Ink(background="unknown"))
"""A cell of which nobody knows what it shows; no cell that is wanted equals it."""

Piece = tuple[int, int, Iterable[Segment]]
"""Segments and where they begin: x, y."""


class Terminal:
    """The cells of a screen as they were last sent."""

    def __init__(
        self, width: int, height: int, colors: ColorSystem = ColorSystem.TRUECOLOR
    ) -> None:
        self.width = width
        self.height = height
        self.colors = colors
        self._shown: list[list[Cell]] = [[UNKNOWN] * width for _ in range(height)]

    def paint(self, pieces: Iterable[Piece]) -> str:
        """Give what must be sent so that these pieces are shown; what they leave out stays."""
        wanted: dict[int, list[Cell]] = {}
        bands: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for x, y, segments in pieces:
            if not (0 <= y < self.height and 0 <= x < self.width):
                continue
            cells = cells_of(segments, self.colors)[: self.width - x]
            if (line := wanted.get(y)) is None:
                line = wanted[y] = self._shown[y].copy()
            line[x : x + len(cells)] = cells
            bands[x, x + len(cells)].append(y)
        wanted = {y: line for y, line in wanted.items() if line != self._shown[y]}
        sent = self._sent(wanted, self._find_move(wanted, bands))
        for y, line in wanted.items():
            self._shown[y] = line
        return sent

    def _sent(self, wanted: dict[int, list[Cell]], move: Move | None) -> str:
        if move is None:
            return self._sent_in_place(wanted)
        moved = self._sent_moved(wanted, move)
        if len(moved) <= sum(sum(map(ne, self._shown[y], line)) for y, line in wanted.items()):
            return moved  # in place, every cell that differs takes a byte at least
        return min(moved, self._sent_in_place(wanted), key=len)

    def _sent_in_place(self, wanted: dict[int, list[Cell]]) -> str:
        out = _Writer()
        for y in sorted(wanted):
            _send(y, self._shown[y], wanted[y], out)
        return out.finished()

    def _sent_moved(self, wanted: dict[int, list[Cell]], move: Move) -> str:
        """Let the terminal move rows first, then send what still differs."""
        out = _Writer()
        out.scroll(move)
        rows = self._shown[move.top : move.bottom + 1]
        fresh = [[UNKNOWN] * self.width] * abs(move.by)
        rows = rows[move.by :] + fresh if move.by > 0 else fresh + rows[: move.by]
        for y, row in enumerate(rows, move.top):
            _send(y, row, wanted.get(y, self._shown[y]), out)
        for y in sorted(wanted):
            if not move.top <= y <= move.bottom:
                _send(y, self._shown[y], wanted[y], out)
        return out.finished()

    def _find_move(
        self, wanted: dict[int, list[Cell]], bands: dict[tuple[int, int], list[int]]
    ) -> Move | None:
        """Find rows of the largest piece of the screen that are wanted elsewhere."""
        if len(wanted) < LEAST_ROWS:
            return None
        left, right = max(bands, key=lambda band: len(bands[band]) * (band[1] - band[0]))
        rows = [y for y in bands[left, right] if y in wanted]
        places: dict[str, int] = {}
        for y in rows:
            places.setdefault(_text(self._shown[y][left:right]), y)
        steps = {y: at - y for y in rows if (at := places.get(_text(wanted[y][left:right])))}
        by, count = max(Counter(steps.values()).items(), key=itemgetter(1), default=(0, 0))
        if by == 0 or count * 2 < len(rows):
            return None
        ends = [end for y, step in steps.items() if step == by for end in (y, y + by)]
        return Move(min(ends), max(ends), by)


@dataclass(frozen=True, slots=True)
class Move:
    """Rows `top` to `bottom` go up by `by`, or down where that is negative."""

    top: int
    bottom: int
    by: int


class _Writer:
    """Bytes to a terminal, with where its cursor and what its pen is."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._at: tuple[int, int] | None = None
        self._pen = PLAIN

    def scroll(self, move: Move) -> None:
        """Move rows within a region of scrolling, which is the whole screen again afterwards."""
        row, step = (move.bottom, "\n") if move.by > 0 else (move.top, "\x1bM")
        region = f"{CSI}{move.top + 1};{move.bottom + 1}r{CSI}{row + 1};1H"
        self._out.append(f"{region}{step * abs(move.by)}{CSI}r")
        self._at = None

    def write(self, y: int, x: int, cells: Sequence[Cell]) -> None:
        """Write cells of one row."""
        if self._at is not None and self._at[0] == y and self._at[1] < x:
            self._out.append(f"{CSI}{x - self._at[1]}C")
        else:
            self._out.append(f"{CSI}{y + 1};{x + 1}H")
        for cell in cells:
            text, ink = (" ", PLAIN) if cell is UNKNOWN else cell
            if ink is not self._pen and ink != self._pen:
                if text == " ":
                    ink = ink.blank_after(self._pen)
                if codes := ink.after(self._pen):
                    self._out.append(f"{CSI}{codes}m")
                self._pen = ink
            self._out.append(text)
        self._at = (y, x + len(cells))

    def finished(self) -> str:
        if self._pen != PLAIN:
            self._out.append(RESET)
        return "".join(self._out)


def cells_of(
    segments: Iterable[Segment], colors: ColorSystem = ColorSystem.TRUECOLOR
) -> list[Cell]:
    """Take segments apart into cells, without any control character."""
    cells: list[Cell] = []
    for text, style, control in segments:
        if control:
            continue
        ink = PLAIN if style is None else ink_of(style, colors)
        if text.isascii() and text.isprintable():
            cells.extend(zip(text, repeat(ink)))
        else:
            _take_apart(clean(text), ink, cells)
    return cells


def _take_apart(text: str, ink: Ink, cells: list[Cell]) -> None:
    for character in text:
        width = get_character_cell_size(character)
        if width:
            cells.append((character, ink))
            cells.extend([("", ink)] * (width - 1))
        elif cells and cells[-1][0]:
            cells[-1] = (cells[-1][0] + character, ink)


@lru_cache(maxsize=4096)
def ink_of(style: Style, colors: ColorSystem) -> Ink:
    """Give the ink of a style in what the terminal knows of colours. Links are not drawn."""
    return Ink(
        frozenset(on for name, (on, _) in _ATTRIBUTES.items() if getattr(style, name)),
        _color_codes(style.color, colors, foreground=True),
        _color_codes(style.bgcolor, colors, foreground=False),
    )


def _color_codes(color: Color | None, colors: ColorSystem, *, foreground: bool) -> str:
    if color is None or color.is_default:
        return ""
    return ";".join(color.downgrade(colors).get_ansi_codes(foreground=foreground))


def _text(cells: Iterable[Cell]) -> str:
    return "".join([text for text, _ in cells])


def _send(y: int, shown: list[Cell], wanted: list[Cell], out: _Writer) -> None:
    """Send the cells of a row that differ, those between them where that is shorter."""
    at = [x for x, differs in enumerate(map(ne, shown, wanted)) if differs]
    if not at:
        return
    if not (_is_even(shown) and _is_even(wanted)):
        # Terminals do not agree on the width of every character: what follows one is sent too.
        first = next(x for x in range(at[0], -1, -1) if wanted[x][0])
        out.write(y, first, wanted[first:])
        return
    start = end = at[0]
    for x in at[1:]:
        if x - end > BRIDGE:
            out.write(y, start, wanted[start : end + 1])
            start = x
        end = x
    out.write(y, start, wanted[start : end + 1])


def _is_even(line: list[Cell]) -> bool:
    """Whether every character takes one cell on every terminal."""
    return all(map(itemgetter(0), line)) and len(_text(line)) == len(line)
