"""Drops a minute: what the header's figure and bars are made of."""

from __future__ import annotations

from collections import deque

from app.core.flows.ring import Ring
from app.core.flows.times import NS_PER_S
from widgets.frame import Drops

BARS = 8
_MINUTE_NS = 60 * NS_PER_S


class DropMeter:
    """Counts drops by the minute of their own clock; flows older than the bars are ignored."""

    def __init__(self) -> None:
        self._counts: deque[int] = deque([0] * BARS, maxlen=BARS)
        self._newest = 0
        self._seen = False
        self._next_seq = 0
        self._drops = 0

    def update(self, ring: Ring) -> None:
        """Count the drops among the flows that came since the last call."""
        self._seen = self._seen or ring.seen > 0
        drops = ring.verdicts["DROPPED"]
        if drops != self._drops:
            for flow in ring.range(self._next_seq, ring.next_seq):
                if flow.verdict == "DROPPED":
                    self._count(flow.time_ns // _MINUTE_NS)
        self._drops = drops
        self._next_seq = ring.next_seq

    def read(self, now_ns: int) -> Drops:
        """Give the drops of the last whole minute and this one; nothing if no flow ever came."""
        if not self._seen:
            return Drops()
        self._advance(now_ns // _MINUTE_NS)
        return Drops(self._counts[-1] + self._counts[-2], tuple(self._counts))

    def _count(self, minute: int) -> None:
        self._advance(minute)
        behind = self._newest - minute
        if 0 <= behind < BARS:
            self._counts[-1 - behind] += 1

    def _advance(self, minute: int) -> None:
        if minute <= self._newest:
            return
        for _ in range(min(BARS, minute - self._newest)):
            self._counts.append(0)
        self._newest = minute
