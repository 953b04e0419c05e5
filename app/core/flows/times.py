"""Hubble's timestamps: RFC 3339 text to UTC nanoseconds and back.

Source: protobuf's JSON mapping of `google.protobuf.Timestamp`: 0, 3, 6 or 9 fraction digits, `Z`.
A reader also takes other numbers of digits and offsets, as log shippers write them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

NS_PER_S = 1_000_000_000

_SHAPE = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,12}))?(?:[Zz]|([+-])(\d\d):?(\d\d))"
)
_PREFIX = len("2026-03-02T10:15:01")


@lru_cache(maxsize=4096)
def _seconds(prefix: str) -> int:
    """Seconds of `YYYY-MM-DDTHH:MM:SS`; flows of one second share the work."""
    return int(datetime.fromisoformat(prefix).replace(tzinfo=UTC).timestamp())


@lru_cache(maxsize=4096)
def _prefix(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:_PREFIX]


def parse_time(text: str) -> int:
    """Give UTC nanoseconds. Raises `ValueError` when `text` is not a time."""
    fraction = text[_PREFIX + 1 : -1]
    if text[-1:] == "Z" and text[_PREFIX : _PREFIX + 1] == "." and fraction.isdecimal():
        return _seconds(text[:_PREFIX]) * NS_PER_S + int(fraction[:9].ljust(9, "0"))
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    day, clock, digits, sign, hours, minutes = match.groups()
    offset = (int(hours) * 3600 + int(minutes) * 60) if sign else 0
    seconds = _seconds(f"{day}T{clock}") - (offset if sign != "-" else -offset)
    return seconds * NS_PER_S + int((digits or "0")[:9].ljust(9, "0"))


def format_time(time_ns: int) -> str:
    """Give the text that Hubble writes: as few of 0, 3, 6 or 9 digits as keep every one."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    if not rest:
        return f"{_prefix(seconds)}Z"
    digits = f"{rest:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{_prefix(seconds)}.{digits}Z"
