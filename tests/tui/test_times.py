from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from app.core.flows.times import NS_PER_S
from app.tui.times import clock_time, span_of


def test_clock_time_when_in_a_zone_then_its_hours() -> None:
    assert clock_time(3661 * NS_PER_S + 5_000_000, UTC, millis=True) == "01:01:01.005"
    assert clock_time(3661 * NS_PER_S, timezone(timedelta(hours=2))) == "03:01:01"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (12.9, "12 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_span_when_of_seconds_then_one_unit(seconds: float, text: str) -> None:
    assert span_of(seconds) == text
