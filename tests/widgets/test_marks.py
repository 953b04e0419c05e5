from __future__ import annotations

import pytest

from widgets.marks import ASCII, UNICODE, flow_verdict, policy_verdict, sparkline
from widgets.spans import Tone


@pytest.mark.parametrize("verdict", ["FORWARDED", "DROPPED", "AUDIT", "REDIRECTED", "ERROR"])
def test_flow_verdict_when_known_then_glyph_and_word(verdict: str) -> None:
    glyph, _, word = flow_verdict(verdict, UNICODE).text.partition(" ")
    assert (len(glyph), word) == (1, verdict)


def test_flow_verdict_when_unknown_then_question_mark_and_the_word_itself() -> None:
    assert flow_verdict("17", UNICODE).text == "? 17"


def test_glyphs_when_ascii_then_every_one_is_ascii() -> None:
    for name in ASCII.__slots__:
        assert str(getattr(ASCII, name)).isascii()


def test_policy_verdict_when_denied_then_bad() -> None:
    mark = policy_verdict("denied", ASCII)
    assert (mark.text, mark.tone) == ("x DENIED", Tone.BAD)


def test_sparkline_when_all_zero_then_lowest_bars() -> None:
    assert sparkline((0, 0, 0), UNICODE) == "▁▁▁"


def test_sparkline_when_one_peak_then_it_is_full_and_any_count_shows() -> None:
    assert sparkline((0, 1, 100), UNICODE) == "▁▂█"
