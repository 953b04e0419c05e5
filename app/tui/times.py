"""Times as people read them on screen."""

from __future__ import annotations

from datetime import datetime, tzinfo

from app.core.flows.times import NS_PER_S

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def clock_time(time_ns: int, zone: tzinfo, *, millis: bool = False) -> str:
    """`HH:MM:SS`, with `.mmm` if asked for, in the zone of the screen."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, zone).strftime("%H:%M:%S")
    return f"{text}.{rest // 1_000_000:03d}" if millis else text


def span_of(seconds: float) -> str:
    """`12 s`, `3 min`, `5 h`, `2 d`: one unit, rounded down."""
    whole = max(0, int(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h"
    return f"{whole // _DAY} d"
