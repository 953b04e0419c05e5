import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import UsageError
from app.core.flows.times import NS_PER_S, format_time
from app.services.moments import parse_moment

NOON = 1_772_452_800 * NS_PER_S
"""2026-03-02T12:00:00Z."""


@pytest.mark.parametrize(
    ("text", "back_s"),
    [("90s", 90), ("5m", 300), ("1h43m", 6_180), ("1.5h", 5_400), ("2d", 172_800), ("100ms", 0.1)],
)
def test_duration_counts_back_from_now(text: str, back_s: float) -> None:
    assert parse_moment(text, NOON) == NOON - round(back_s * NS_PER_S)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-03-02", "2026-03-02T00:00:00Z"),
        ("2026-03-02T10", "2026-03-02T10:00:00Z"),
        ("2026-03-02T10:15", "2026-03-02T10:15:00Z"),
        ("2026-03-02T10:15Z", "2026-03-02T10:15:00Z"),
        ("2026-03-02T10:15:01.5Z", "2026-03-02T10:15:01.500Z"),
        ("2026-03-02T10:15:01+01:00", "2026-03-02T09:15:01Z"),
        ("Mon, 02 Mar 2026 10:15:01 +0100", "2026-03-02T09:15:01Z"),
    ],
)
def test_dates_are_read_as_hubble_reads_them(text: str, shown: str) -> None:
    assert format_time(parse_moment(text, NOON)) == shown


@pytest.mark.parametrize("text", ["", "yesterday", "5", "m5", "5x", "1h-5m", "2026-13-02"])
def test_what_is_no_time_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_moment(text, NOON)
    assert "1h30m" in caught.value.hint


@given(st.integers(0, 4_000_000_000_000_000_000 // 1_000))
def test_written_times_are_read_back(micros: int) -> None:
    moment = micros * 1_000
    assert parse_moment(format_time(moment), NOON) == moment
