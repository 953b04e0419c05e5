"""What an unquoted YAML scalar means to kubectl, kustomize and Argo CD.

Source: sigs.k8s.io/yaml `goyaml.v2/resolve.go` (`resolve`, `resolveMapList`, `yamlStyleFloat`) and
`yaml.go` (`convertToJSONableObject`). YAML 1.1 booleans and octals count; timestamps stay strings,
base-60 numbers do not exist, and what JSON cannot say (`.inf`, `.nan`) is an error there and here.
"""

from __future__ import annotations

import re
from datetime import date

Scalar = str | bool | int | float | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE"), True),
    **dict.fromkeys(("on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE"), False),
    **dict.fromkeys(("off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_ONLY_1_1 = frozenset(_WORDS) - {"true", "True", "TRUE", "false", "False", "FALSE"}
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_NOT_JSON = frozenset(
    sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
) | {".nan", ".NaN", ".NAN"}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)"
    r"|0[oO]?(?P<oct>[0-7]+)|(?P<dec>0|[1-9][0-9]*))",
    re.ASCII,
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_FIRST = frozenset("+-.0123456789")
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
"""Source: `resolve` tries `strconv.ParseInt` and `ParseUint`, both of 64 bits."""
_LONGEST = 64
"""Digits of the longest such number, in base 2."""
_EXACT = 1e21
"""Go prints whole floats below this as integers, so they come back as integers."""


def resolve_plain(text: str) -> Scalar:
    """Give the JSON value of an unquoted scalar; ValueError when JSON has none (`.inf`)."""
    if not text:
        return None
    first = text[0]
    if first in _FIRST:
        return _resolve_number(text)
    if text in _WORDS:
        return _WORDS[text]
    return text


def kustomize_text(text: str) -> str | None:
    """Give the text that kustomize makes of an unquoted scalar which others take for none.

    It prints `on` quoted, and a date as a moment; None where it reads what all others do.
    Source: `go.yaml.in/yaml/v3` `resolve.go` (`resolveTable` without the words of YAML 1.1,
    `parseTimestamp`), which kyaml reads with; kyaml `yaml/types.go` (`IsYaml1_1NonString`).
    """
    if _WORDS.get(text) is not None and text in _ONLY_1_1:
        return text
    if (match := _DATE.fullmatch(text)) is not None:
        try:
            return f"{date(*map(int, match.groups())).isoformat()}T00:00:00Z"
        except ValueError:
            return None
    return None


def _resolve_number(text: str) -> Scalar:
    if text in _NOT_JSON:
        raise ValueError(text)
    plain = text.replace("_", "") if text[0] != "." else text
    if (match := _INTEGER.fullmatch(plain)) and (integer := _integer(match)) is not None:
        return integer
    if not _FLOAT.fullmatch(plain):
        return text
    number = float(plain)
    if number in (float("inf"), float("-inf")):
        return text
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _integer(match: re.Match[str]) -> int | None:
    """The number; None where no 64 bits hold it: Go reads a float or text then."""
    for group, base in (("hex", 16), ("bin", 2), ("oct", 8), ("dec", 10)):
        if digits := match[group]:
            if len(digits.lstrip("0")) > _LONGEST:
                return None
            number = -int(digits, base) if match["sign"] == "-" else int(digits, base)
            return number if _LEAST <= number <= _MOST else None
    raise AssertionError(match)


def key_text(value: Scalar) -> str | None:
    """Give a mapping key as JSON has it; None for a null key, which is refused."""
    if isinstance(value, str):
        return value
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
