"""What is sent makes a terminal show what is wanted, as an emulator (pyte) sees it."""

from __future__ import annotations

import random
import re

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from tests.widgets.hostile import hostile_text, offending
from widgets.cells import Ink, Terminal, cells_of, ink_of

WIDTH, HEIGHT = 30, 12
STYLES = (
    Style(),
    Style(color="#102030"),
    Style(bold=True, color="#102030", bgcolor="#405060"),
    Style(reverse=True, bgcolor="#405060"),
    Style(underline=True, italic=True),
    Style(dim=True, bold=True, strike=True, color="red"),
)
Cell = tuple[str, str, str, bool, bool, bool]
Frame = list[list[Segment]]


def seen(screen: pyte.Screen) -> list[list[Cell]]:
    """Every cell with what shows of it; the colour of a letter does not show on a blank."""
    rows = []
    for y in range(screen.lines):
        row = []
        for x in range(screen.columns):
            char = screen.buffer[y][x]
            is_bare = char.data == " " and not (char.reverse or char.underscore)
            fg, bold = ("", False) if is_bare else (char.fg, char.bold)
            row.append((char.data, fg, char.bg, bold, char.reverse, char.underscore))
        rows.append(row)
    return rows


def emulator(width: int = WIDTH, height: int = HEIGHT) -> tuple[pyte.Screen, pyte.Stream]:
    screen = pyte.Screen(width, height)
    return screen, pyte.Stream(screen)


def plainly(frame: Frame) -> list[list[Cell]]:
    """What a terminal shows when every line is written whole, each piece with all its colours."""
    screen, stream = emulator()
    for y, line in enumerate(frame):
        stream.feed(f"\x1b[{y + 1};1H")
        for text, style, _ in line:
            stream.feed((style or Style()).render(text, color_system=ColorSystem.TRUECOLOR))
    return seen(screen)


def filled(segments: list[Segment]) -> list[Segment]:
    """Cut or fill segments to the width of the screen."""
    return Segment.adjust_line_length(segments, WIDTH, STYLES[0])


pieces = st.builds(
    lambda text, style: Segment(text, style),  # noqa: PLW0108  # builds would make up a control
    st.text("ab cd✓…│", min_size=0, max_size=9) | st.just("日本 x") | st.just("   "),
    st.sampled_from(STYLES),
)
lines = st.lists(pieces, max_size=4).map(filled)
frames = st.lists(lines, min_size=HEIGHT, max_size=HEIGHT)


@st.composite
def changes(draw: st.DrawFn) -> list[Frame]:
    """Frames one after the other: anew, a part of one, or one whose rows moved."""
    frame = draw(frames)
    found = [frame]
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("anew", "some", "up", "down")))
        frame = list(frame)
        top, by = draw(st.integers(0, 3)), draw(st.integers(1, 3))
        if kind == "anew":
            frame = draw(frames)
        elif kind == "some":
            frame[draw(st.integers(0, HEIGHT - 1))] = draw(lines)
        elif kind == "up":
            frame[top:] = [*frame[top + by :], *(draw(lines) for _ in range(by))]
        else:
            frame[top:] = [*(draw(lines) for _ in range(by)), *frame[top:-by]]
        found.append(frame)
    return found


@given(changes())
@settings(max_examples=60, deadline=None)
def test_terminal_when_painted_again_and_again_then_it_shows_the_last_frame(
    found: list[Frame],
) -> None:
    screen, stream = emulator()
    terminal = Terminal(WIDTH, HEIGHT)
    for frame in found:
        stream.feed(terminal.paint((0, y, line) for y, line in enumerate(frame)))
        assert seen(screen) == plainly(frame)


@given(frames, st.lists(st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1), pieces)))
@settings(max_examples=60, deadline=None)
def test_terminal_when_pieces_change_then_what_is_beside_them_stays(
    frame: Frame, patches: list[tuple[int, int, Segment]]
) -> None:
    screen, stream = emulator()
    terminal = Terminal(WIDTH, HEIGHT)
    stream.feed(terminal.paint((0, y, line) for y, line in enumerate(frame)))
    for x, y, piece in patches:
        text = piece.text.replace("日本", "mm")  # half of a wide character cannot be kept
        plain = [Segment(one.text.replace("日本", "mm  "), one.style) for one in frame[y]]
        left, _, right = _around(filled(plain), x, len(text))
        frame[y] = filled([*left, Segment(text, piece.style), *right])
        stream.feed(terminal.paint([(0, y, filled(plain))]))
        stream.feed(terminal.paint([(x, y, [Segment(text, piece.style)])]))
        assert seen(screen) == plainly(frame)


def _around(line: list[Segment], at: int, length: int) -> list[list[Segment]]:
    return list(Segment.divide(line, [at, min(at + length, WIDTH), WIDTH]))


def test_terminal_when_nothing_changed_then_nothing_is_sent() -> None:
    terminal = Terminal(WIDTH, HEIGHT)
    frame = [(0, y, [Segment("x" * WIDTH)]) for y in range(HEIGHT)]
    assert terminal.paint(frame)
    assert terminal.paint(frame) == ""


def test_terminal_when_one_cell_differs_then_few_bytes_are_sent() -> None:
    terminal = Terminal(200, 50)
    terminal.paint([(0, y, [Segment("x" * 200)]) for y in range(50)])
    assert terminal.paint([(0, 7, [Segment("x" * 90 + "y" + "x" * 109)])]) == "\x1b[8;91Hy"


def test_terminal_when_rows_moved_then_only_new_ones_are_sent() -> None:
    rng = random.Random(5)  # noqa: S311  # rows that differ
    rows = ["".join(rng.choices("abcdefgh ", k=100)) for _ in range(60)]
    style = Style(color="#102030", bgcolor="#405060")
    terminal = Terminal(160, 50)
    pane = [Segment("│" + " " * 59, style)]

    def frame(first: int) -> list[tuple[int, int, list[Segment]]]:
        found: list[tuple[int, int, list[Segment]]] = []
        for y in range(50):
            text = "HEADER".ljust(100) if y < 3 else rows[first + y - 3]
            found += [(0, y, [Segment(text, style)]), (100, y, pane)]
        return found

    whole = terminal.paint(frame(0))
    assert len(whole) > 50 * 160
    sent = terminal.paint(frame(2))
    assert sent.startswith("\x1b[4;50r\x1b[50;1H\n\n\x1b[r")
    assert len(sent) < 600


@pytest.mark.parametrize(
    ("before", "after", "codes"),
    [
        (Ink(), Ink(frozenset("1"), "31"), "1;31"),
        (Ink(frozenset("1"), "31"), Ink(frozenset(), "31"), "22"),
        (Ink(frozenset("12")), Ink(frozenset("1")), "22;1"),
        (Ink(frozenset("7"), "31", "42"), Ink(), "27;39;49"),
        (Ink(background="42"), Ink(background="42"), ""),
    ],
)
def test_ink_when_another_follows_then_only_the_difference_is_said(
    before: Ink, after: Ink, codes: str
) -> None:
    assert after.after(before) == codes


def test_ink_when_the_terminal_has_fewer_colours_then_they_are_brought_down() -> None:
    style = Style(color="#ff0000", bgcolor="#000000")
    assert ink_of(style, ColorSystem.TRUECOLOR) == Ink(frozenset(), "38;2;255;0;0", "48;2;0;0;0")
    assert ink_of(style, ColorSystem.EIGHT_BIT).foreground.startswith("38;5;")
    assert re.fullmatch("9[0-7]|3[0-7]", ink_of(style, ColorSystem.STANDARD).foreground)


def test_ink_when_a_style_has_a_link_then_no_link_is_sent() -> None:
    sent = Terminal(10, 1).paint([(0, 0, [Segment("here", Style(link="https://example.org"))])])
    assert "]8;" not in sent


@given(hostile_text)
def test_cells_when_text_is_hostile_then_no_control_character_is_left(text: str) -> None:
    assert not offending("".join(cell for cell, _ in cells_of([Segment(text)])))
