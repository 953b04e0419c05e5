from app.core.policy.expressions import (
    MAX_PROGRAM_SIZE,
    compiles,
    matches_whole,
    program_size,
)


def test_match_when_only_a_part_fits_then_is_none() -> None:
    assert matches_whole("/public", "/public")
    assert not matches_whole("/public", "/public?x=1")
    assert not matches_whole("public", "/public")


def test_match_when_expression_is_wrong_then_is_none() -> None:
    assert not compiles("(")
    assert not matches_whole("(", "(")
    assert program_size("(") == 0


def test_program_size_when_expression_is_long_then_is_over_what_envoy_takes() -> None:
    assert program_size("a") < MAX_PROGRAM_SIZE < program_size("a" * 200)
