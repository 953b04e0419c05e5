"""Times as operators write them for `--since` and `--until`: a duration back, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from app.core.errors import UsageError
from app.core.flows.times import NS_PER_S, parse_time

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|[dhms])")
_SHORT_DATES = ("%Y-%m-%d", "%Y-%m-%dT%H%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M")

HINT = "a duration as 90s, 5m or 1h30m, or a date as 2026-03-02 or 2026-03-02T10:15:00Z"


def parse_moment(text: str, now_ns: int) -> int:
    """UTC nanoseconds of `text`; a duration counts back from `now_ns`. Raises `UsageError`.

    Takes what `hubble observe --since` takes (Cilium `pkg/time`, `hubble/pkg/time`), and days.
    """
    if (seconds := parse_duration_s(text)) is not None:
        return now_ns - round(seconds * NS_PER_S)
    try:
        return parse_time(text)
    except ValueError:
        moment = _short_date(text) or _mail_date(text)
    if moment is None:
        raise UsageError(f"`{text}` is no time", hint=HINT)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp()) * NS_PER_S


def parse_duration_s(text: str) -> float | None:
    """Seconds of a duration as 90s, 5m, 1h30m or 7d; None when it is none."""
    parts = _PART.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _short_date(text: str) -> datetime | None:
    for form in _SHORT_DATES:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  # the caller adds UTC
        except ValueError:
            continue
    return None


def _mail_date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
