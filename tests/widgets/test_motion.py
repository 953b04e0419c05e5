from __future__ import annotations

import pytest

from widgets.motion import Motion, stepped


@pytest.mark.parametrize(
    ("motion", "at", "then"),
    [
        (Motion.UP, 0, 0),
        (Motion.UP, 5, 4),
        (Motion.DOWN, 9, 9),
        (Motion.PAGE_DOWN, 0, 4),
        (Motion.PAGE_UP, 5, 1),
        (Motion.HALF_DOWN, 0, 2),
        (Motion.HALF_UP, 5, 3),
        (Motion.TOP, 7, 0),
        (Motion.BOTTOM, 2, 9),
    ],
)
def test_stepped_when_moved_then_clamped(motion: Motion, at: int, then: int) -> None:
    assert stepped(motion, at, count=10, page=4) == then


def test_stepped_when_there_is_nothing_then_zero() -> None:
    assert stepped(Motion.BOTTOM, 0, count=0, page=4) == 0
