"""The flows that are kept: a bounded ring, addressed by sequence number.

A sequence number is given once and never reused, so a view that holds one still means the same
flow after any number of arrivals. What the ring lets go is counted, as is everything that never
reached it. A `View` follows the ring and keeps the sequence numbers that a predicate lets through.
Not for use from two threads at once; appending is the only thing that changes a ring.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator

from app.core.model.flow import GAP, Flow, FlowBatch, NodeStatus

Predicate = Callable[[Flow], bool]

DEFAULT_CAPACITY = 50_000
KEEP_GAPS = 20

_NOT_AWAY = frozenset({"NODE_CONNECTED", "NODE_GONE"})
"""A node that is gone was taken out of the cluster: nobody misses its flows."""


class Ring:
    """The newest `capacity` flows.

    `verdicts` counts every flow ever appended by verdict, `lost` the events that nodes and Relay
    could not deliver by source, `dropped` what this program discarded before the ring, `unreadable`
    and `unknown` what could not be understood. `gaps` are the newest times in which flows may be
    missing, `away` what was last said of each node of Relay that is not connected.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(capacity)
        self.capacity = capacity
        self.verdicts: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.gaps: deque[NodeStatus] = deque(maxlen=KEEP_GAPS)
        self.away: dict[str, NodeStatus] = {}
        self.unreadable = 0
        self.dropped = 0
        self._slots: list[Flow] = []
        self._next = 0
        self._base = 0

    @property
    def next_seq(self) -> int:
        """The number the next flow will get; also how many were ever appended."""
        return self._next

    @property
    def first_seq(self) -> int:
        """The number of the oldest flow kept; `next_seq` when there is none."""
        return self._next - len(self._slots)

    @property
    def seen(self) -> int:
        """How many flows were ever appended."""
        return self._next

    @property
    def evicted(self) -> int:
        """How many flows the ring had to let go, or was told to."""
        return self.first_seq

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[Flow]:
        return iter(self.range(self.first_seq, self._next))

    def append(self, flow: Flow) -> None:
        """Keep one flow, letting go of the oldest when full."""
        self.keep((flow,))

    def keep(self, flows: Iterable[Flow]) -> None:
        """Keep flows in the order given."""
        slots, capacity, verdicts = self._slots, self.capacity, self.verdicts
        slot = self._slot(self._next)
        for flow in flows:
            if len(slots) < capacity:
                slots.append(flow)
            else:
                slots[slot % capacity] = flow
            verdicts[flow.verdict] += 1
            slot += 1
            self._next += 1

    def extend(self, batch: FlowBatch) -> None:
        """Keep what a source delivered, its losses and counts included."""
        self.keep(batch.flows)
        for lost in batch.lost:
            self.lost[lost.source] += lost.count
        for status in batch.statuses:
            self.note(status)
        self.unknown.update(batch.unknown)
        self.unreadable += batch.unreadable
        self.dropped += batch.dropped

    def note(self, status: NodeStatus) -> None:
        """Take over what was said of nodes, or that flows may be missing."""
        if status.state == GAP:
            self.gaps.append(status)
            return
        for node in status.nodes:
            self.away.pop(node, None)
            if status.state not in _NOT_AWAY:
                self.away[node] = status

    def get(self, seq: int) -> Flow | None:
        """The flow of that number; None when it was evicted or has not come yet."""
        if not self.first_seq <= seq < self._next:
            return None
        return self._slots[self._slot(seq)]

    def range(self, first: int, last: int) -> list[Flow]:
        """The flows with numbers in `[first, last)`, as far as they are kept, oldest first."""
        first, last = max(first, self.first_seq), min(last, self._next)
        if first >= last:
            return []
        start, count = self._slot(first), last - first
        head = self._slots[start : start + count]
        return head + self._slots[: count - len(head)]

    def clear(self) -> None:
        """Let go of every flow kept; numbers go on and counts stay."""
        self._base = self._next
        self._slots = []

    def _slot(self, seq: int) -> int:
        return (seq - self._base) % self.capacity


class View:
    """The sequence numbers of a ring's flows that `matches` lets through, kept up to date.

    `update` looks only at flows that came since the last one. Indices run from the oldest match.
    """

    def __init__(self, ring: Ring, matches: Predicate | None = None) -> None:
        self.ring = ring
        self.matches = matches
        self._scanned = ring.first_seq
        self._seqs: list[int] = []
        self._gone = 0

    def update(self) -> int:
        """Look at new flows and forget evicted ones; gives how many matches were added."""
        ring = self.ring
        self._forget(ring.first_seq)
        start = max(self._scanned, ring.first_seq)
        self._scanned = ring.next_seq
        if self.matches is None:
            return ring.next_seq - start
        matches = self.matches
        fresh = [
            seq for seq, flow in enumerate(ring.range(start, ring.next_seq), start) if matches(flow)
        ]
        self._seqs.extend(fresh)
        return len(fresh)

    def _forget(self, first_seq: int) -> None:
        """Skip evicted numbers; the list is cut only when half of it is gone."""
        self._gone = bisect_left(self._seqs, first_seq, self._gone)
        if self._gone * 2 > len(self._seqs):
            del self._seqs[: self._gone]
            self._gone = 0

    def __len__(self) -> int:
        if self.matches is None:
            return self._scanned - min(self.ring.first_seq, self._scanned)
        return len(self._seqs) - self._gone

    def seq_at(self, index: int) -> int:
        """The sequence number at `index`, which must be below `len`."""
        if self.matches is None:
            return self.ring.first_seq + index
        return self._seqs[self._gone + index]

    def index_of(self, seq: int) -> int:
        """Where `seq` is, or would be: the number of matches before it."""
        if self.matches is None:
            return min(max(seq - self.ring.first_seq, 0), len(self))
        return bisect_left(self._seqs, seq, self._gone) - self._gone

    def seqs(self, start: int, count: int) -> list[int]:
        """Up to `count` sequence numbers from `start` on."""
        if self.matches is None:
            first = self.ring.first_seq + start
            return list(range(first, min(first + count, self._scanned)))
        begin = self._gone + start
        return self._seqs[begin : begin + count]
