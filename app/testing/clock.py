"""A clock that moves when told to."""

from __future__ import annotations

NS = 1_000_000_000
START_NS = 1_764_072_000 * NS
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
        return (self._now_ns - self._start_ns) / NS

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ns += round(seconds * NS)
