import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.policy.ports import (
    MAX_PORT,
    PORT_BITS,
    is_service_name,
    parse_number,
    prefix_length,
    table_number,
)


@pytest.mark.parametrize("text", ["http", "HTTP", "a-1", "1a", "0x10", "x" * 15])
def test_service_name_when_grammar_fits_then_is_a_name(text: str) -> None:
    assert is_service_name(text)


@pytest.mark.parametrize("text", ["", "80", "-a", "a-", "a--b", "a_b", "x" * 16, "a b"])
def test_service_name_when_grammar_does_not_fit_then_is_none(text: str) -> None:
    assert not is_service_name(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("80", 80),
        ("0120", 80),
        ("00", 0),
        ("0x1F", 31),
        ("0b11", 3),
        ("0o17", 15),
        ("1_000", 1000),
        ("65535", 65535),
        ("65536", None),
        ("080", None),
        ("1__0", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("", None),
    ],
)
def test_number_when_written_as_go_reads_it_then_is_that(text: str, number: int | None) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("text", "number"), [("80", 80), ("0120", 120), ("0x10", 0), ("99999", MAX_PORT), ("٣", 0)]
)
def test_table_number_when_read_as_decimal_then_errors_are_ignored(text: str, number: int) -> None:
    assert table_number(text) == number


def test_prefix_when_range_is_everything_then_fixes_nothing() -> None:
    assert prefix_length(0, 0, 5) == 0
    assert prefix_length(0, MAX_PORT, 5) == 0


def test_prefix_when_end_is_below_the_start_then_only_the_start_fits() -> None:
    assert prefix_length(80, 79, 80) == PORT_BITS
    assert prefix_length(80, 79, 79) is None


@given(st.integers(0, MAX_PORT), st.integers(1, MAX_PORT), st.integers(0, MAX_PORT))
def test_prefix_when_port_is_in_a_range_then_is_its_largest_aligned_block(
    start: int, end: int, port: int
) -> None:
    bits = prefix_length(start, end, port)
    last = max(start, end)
    if (start, end) == (0, MAX_PORT):
        assert bits == 0
        return
    if not start <= port <= last:
        assert bits is None
        return
    assert bits is not None
    size = 1 << (PORT_BITS - bits)
    first = port // size * size
    assert start <= first
    assert first + size - 1 <= last
    wider = port // (size * 2) * (size * 2)
    assert wider < start or wider + size * 2 - 1 > last
