from __future__ import annotations

from app.core.flows.ring import Ring
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow
from app.tui.meter import BARS, DropMeter

MINUTE = 60 * NS_PER_S


def flow(minute: int, verdict: str = "DROPPED") -> Flow:
    return Flow(minute * MINUTE, verdict)


def test_meter_when_no_flow_ever_came_then_the_rate_is_not_known() -> None:
    meter = DropMeter()
    meter.update(Ring())
    assert meter.read(0).per_minute is None


def test_meter_when_nothing_was_dropped_then_zero() -> None:
    ring = Ring()
    ring.append(flow(100, "FORWARDED"))
    meter = DropMeter()
    meter.update(ring)
    assert meter.read(100 * MINUTE).per_minute == 0


def test_meter_when_drops_come_then_counted_in_their_own_minute() -> None:
    ring, meter = Ring(), DropMeter()
    ring.keep((flow(100), flow(101), flow(101), flow(99)))
    meter.update(ring)
    meter.update(ring)
    drops = meter.read(101 * MINUTE)
    assert drops.history[-3:] == (1, 1, 2)
    assert drops.per_minute == 3


def test_meter_when_time_goes_on_then_bars_move_and_old_drops_are_left_out() -> None:
    ring, meter = Ring(), DropMeter()
    ring.append(flow(100))
    meter.update(ring)
    assert meter.read((100 + BARS) * MINUTE).history == (0,) * BARS
    ring.append(flow(10))
    meter.update(ring)
    assert sum(meter.read((100 + BARS) * MINUTE).history) == 0
