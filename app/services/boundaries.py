"""Boundaries of a picture, decided: what `check` prints and the boundary screen shows."""

from __future__ import annotations

from app.core.diagnose.boundaries import Breach, Ruling, doubted, judge_boundaries
from app.services.picture import Picture

__all__ = ["Breach", "Ruling", "judge"]


def judge(picture: Picture) -> tuple[Ruling, ...]:
    """Decide every boundary of the picture, in the order of its file, with what is not certain."""
    return doubted(judge_boundaries(picture.boundaries, picture.engine), picture.engine)
