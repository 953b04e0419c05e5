"""A clock that moves when told to."""

from __future__ import annotations

from app.core.flows.times import NS_PER_S

START_NS = 1_764_072_000 * NS_PER_S
"""2025-11-25T12:00:00Z."""


class FakeClock:
    """Implements `Clock`; both readings move together."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self._now_ns = now_ns
        self._start_ns = now_ns

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""
        return self._now_ns

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return (self._now_ns - self._start_ns) / NS_PER_S

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ns += round(seconds * NS_PER_S)
