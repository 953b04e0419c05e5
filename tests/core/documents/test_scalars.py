import pytest

from app.core.documents.scalars import Scalar, key_text, resolve_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("y", True),
        ("On", True),
        ("no", False),
        ("off", False),
        ("yES", "yES"),
        ("80", 80),
        ("+80", 80),
        ("-0", 0),
        ("010", 8),
        ("0o17", 15),
        ("0x1F", 31),
        ("-0b101", -5),
        ("1_000", 1000),
        ("080", 80),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000),
        ("1.", 1),
        ("1e999", "1e999"),
        ("12:30:45", "12:30:45"),
        ("2024-01-02", "2024-01-02"),
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("1.19.3", "1.19.3"),
        ("-", "-"),
        (".", "."),
        ("nan", "nan"),
        ("=", "="),
        ("18446744073709551616", 18446744073709551616),
    ],
)
def test_resolve_plain_when_go_yaml_reads_it_then_same_value(text: str, value: Scalar) -> None:
    assert resolve_plain(text) == value
    assert type(resolve_plain(text)) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".NaN", "+.INF"])
def test_resolve_plain_when_json_has_no_such_number_then_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"inf|nan|NaN|Inf|INF"):
        resolve_plain(text)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (1, "1"), (1.5, "1.5"), (None, None)]
)
def test_key_text_when_key_is_not_text_then_as_json_has_it(value: Scalar, text: str | None) -> None:
    assert key_text(value) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x" + "F" * 10_000, "0x" + "F" * 10_000),
        ("18446744073709551615", (1 << 64) - 1),
        ("18446744073709551616", 18446744073709551616),
        ("9" * 400, "9" * 400),
        ("0b" + "1" * 65, "0b" + "1" * 65),
    ],
)
def test_resolve_plain_when_no_64_bits_hold_it_then_as_go_reads_it(
    text: str, value: object
) -> None:
    assert resolve_plain(text) == value
