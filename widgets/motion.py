"""Moving a cursor or a view: one vocabulary for every list and document."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable


class Motion(StrEnum):
    """A step of the cursor, or of the view where there is no cursor."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "page-up"
    PAGE_DOWN = "page-down"
    HALF_UP = "half-up"
    HALF_DOWN = "half-down"
    TOP = "top"
    BOTTOM = "bottom"
    LEFT = "left"
    RIGHT = "right"


@runtime_checkable
class Movable(Protocol):
    """A widget that motions act on."""

    def move(self, motion: Motion) -> None:
        """Make one step."""
        ...


def stepped(motion: Motion, at: int, *, count: int, page: int) -> int:
    """Give the index after a vertical step over `count` items, clamped; 0 for none."""
    page = max(1, page)
    targets = {
        Motion.UP: at - 1,
        Motion.DOWN: at + 1,
        Motion.PAGE_UP: at - page,
        Motion.PAGE_DOWN: at + page,
        Motion.HALF_UP: at - max(1, page // 2),
        Motion.HALF_DOWN: at + max(1, page // 2),
        Motion.TOP: 0,
        Motion.BOTTOM: count - 1,
    }
    return max(0, min(count - 1, targets.get(motion, at)))
