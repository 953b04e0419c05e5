from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from app.core.text import clean
from tests.widgets.hostile import hostile_text, offending
from widgets.spans import Span, Tone, fit, line, plain, strip_of, width_of, wrap

STYLES = dict.fromkeys(Tone, Style())


def test_line_when_given_strings_then_they_are_plain_spans() -> None:
    assert line("a", Span("b", Tone.BAD)) == (Span("a", Tone.PLAIN), Span("b", Tone.BAD))


def test_fit_when_short_then_padded_on_the_asked_side() -> None:
    assert fit("ab", 4) == "ab  "
    assert fit("ab", 4, right=True) == "  ab"


def test_fit_when_long_then_cut_with_an_ellipsis() -> None:
    assert fit("abcdef", 4) == "abc…"
    assert fit("abc", 1) == "a"


@given(hostile_text, st.integers(0, 40))
def test_fit_when_any_text_then_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert width_of(fit(clean(text), width)) == width


@given(st.lists(hostile_text, max_size=3), st.integers(1, 30))
def test_strip_when_hostile_then_nothing_a_terminal_acts_on(texts: list[str], width: int) -> None:
    strip = strip_of(tuple(Span(text) for text in texts), STYLES, width, Style())
    assert not offending(strip.text)
    assert strip.cell_length == width


@given(st.lists(hostile_text, max_size=3), st.integers(3, 40), st.integers(0, 20))
def test_wrap_when_any_text_then_no_piece_is_too_wide_and_nothing_is_lost(
    texts: list[str], width: int, indent: int
) -> None:
    spans = tuple(Span(text) for text in texts)
    pieces = wrap(spans, width, indent)
    assert all(cell_len(plain(piece).rstrip(" ")) <= width for piece in pieces)
    kept = "".join(plain(piece) for piece in pieces).replace(" ", "")
    assert kept == "".join(clean(text) for text in texts).replace(" ", "")


def test_wrap_when_long_then_breaks_at_blanks_and_indents_what_follows() -> None:
    pieces = wrap((Span("one two three"),), 8, 2)
    assert [plain(piece).rstrip() for piece in pieces] == ["one two", "  three"]
