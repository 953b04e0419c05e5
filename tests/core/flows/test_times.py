from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.flows.times import NS_PER_S, format_time, parse_time

LAST_NS = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * NS_PER_S


@given(st.integers(0, LAST_NS))
def test_time_when_written_and_read_then_it_is_the_same(time_ns: int) -> None:
    assert parse_time(format_time(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.500Z"),
        (1_000_001_000, "1970-01-01T00:00:01.000001Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
    ],
)
def test_time_when_written_then_it_has_as_few_digits_as_go_writes(time_ns: int, text: str) -> None:
    assert format_time(time_ns) == text


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T00:00:02Z", 2_000_000_000),
        ("1970-01-01T00:00:02.5Z", 2_500_000_000),
        ("1970-01-01t00:00:02,25z", 2_250_000_000),
        ("1970-01-01 01:00:02.000000001234+01:00", 2_000_000_001),
        ("1969-12-31T23:00:02-0100", 2_000_000_000),
    ],
)
def test_time_when_others_write_it_then_it_is_read(text: str, time_ns: int) -> None:
    assert parse_time(text) == time_ns


@pytest.mark.parametrize("text", ["", "now", "1970-01-01", "Z", "1970-01-01T00:00:00"])
def test_time_when_it_is_none_then_it_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text[:19]) or "^$"):
        parse_time(text)


def test_time_when_there_is_no_such_month_then_it_says_so() -> None:
    with pytest.raises(ValueError, match="month"):
        parse_time("1970-13-01T00:00:00Z")
