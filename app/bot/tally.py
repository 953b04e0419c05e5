"""What the bot counts of its own work, for those who run it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from app.bot.desk import Known
from app.core.flows.times import NS_PER_S
from app.ports import Clock

BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the times that answers took; what took longer is in none of them."""
LOST_AFTER_S = 60.0
"""Without a connection for so long the bot is not well: the SDK's own retries take less."""


@dataclass(slots=True)
class Tally:
    """Decisions and how long they took; `known` and `is_connected` tell how things are now.

    Every number is about the bot. None is of a project, a user or a channel.
    """

    clock: Clock
    known: Callable[[], Known]
    pending: Callable[[], int]
    is_connected: Callable[[], bool]
    decisions: Counter[str] = field(default_factory=Counter)
    buckets: Counter[float] = field(default_factory=Counter)
    total_s: float = 0.0
    answered: int = 0
    _connected_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._connected_s = self.clock.monotonic()

    def count(self, decision: str, took_s: float) -> None:
        """Count one decision."""
        self.decisions[decision] += 1
        self.answered += 1
        self.total_s += took_s
        for bound in BOUNDS_S:
            if took_s <= bound:
                self.buckets[bound] += 1

    @property
    def trouble(self) -> str:
        """Why the bot should be started again; empty when it should not."""
        now_s = self.clock.monotonic()
        if self.is_connected():
            self._connected_s = now_s
        lost_s = now_s - self._connected_s
        return f"not connected for {lost_s:.0f} s" if lost_s > LOST_AFTER_S else ""

    @property
    def unready(self) -> str:
        """Why no question can be answered now; empty when it can."""
        if not self.is_connected():
            return "not connected"
        return "" if self.known().picture.revision else "nothing has been read yet"

    def ages_s(self) -> dict[str, float]:
        """Seconds since the objects were read last; nothing before they were."""
        as_of_ns = self.known().picture.as_of_ns
        return {"objects": (self.clock.now_ns() - as_of_ns) / NS_PER_S} if as_of_ns else {}

    def sources(self) -> dict[str, str]:
        """How every source is."""
        return {one.source: one.phase for one in self.known().picture.sources.values()}
