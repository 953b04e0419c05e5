"""The flows a screen shows: the ring through a filter, running on or standing still.

While it runs, a row is looked up in the ring when it is drawn. When it stands still, the rows are
a copy of what was shown, so nothing moves however far the ring goes on; what the ring has let go
since then is counted, as is what came.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from app.core.flows.halves import Folding, Packet
from app.core.flows.ring import Predicate, Ring, View
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow
from widgets.spans import Line

Draw = Callable[[Packet], tuple[Line, ...]]
PacketOf = Callable[[Flow], Packet]
NOTHING: Line = ()


@dataclass(frozen=True, slots=True)
class LiveRows:
    """Rows of the moment: positions `start` and on of a view of the ring."""

    view: View
    start: int
    count: int
    draw: Draw
    packet_of: PacketOf
    blank: tuple[Line, ...]

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> Hashable:
        """Give the sequence number of a row."""
        return self.view.seq_at(self.start + index)

    def cells(self, index: int) -> tuple[Line, ...]:
        """Draw a row; one that was evicted since it was counted is blank."""
        flow = self.view.ring.get(self.view.seq_at(self.start + index))
        return self.blank if flow is None else self.draw(self.packet_of(flow))

    def find(self, key: Hashable) -> int | None:
        """Find a sequence number."""
        if not isinstance(key, int):
            return None
        index = self.view.index_of(key) - self.start
        if not 0 <= index < self.count or self.view.seq_at(self.start + index) != key:
            return None
        return index

    def packet(self, key: Hashable) -> Packet | None:
        """Give a row by its number."""
        flow = self.view.ring.get(key) if isinstance(key, int) else None
        return None if flow is None else self.packet_of(flow)

    def flows(self) -> Sequence[Flow]:
        """Give every flow, folded ones too, rows from the oldest on."""
        seqs = self.view.seqs(self.start, self.count)
        firsts = [flow for seq in seqs if (flow := self.view.ring.get(seq)) is not None]
        return [flow for first in firsts for flow in self.packet_of(first).flows]


@dataclass(frozen=True, slots=True)
class StillRows:
    """A copy of rows, by ascending sequence number."""

    seqs: Sequence[int]
    kept: Sequence[Packet]
    draw: Draw

    def __len__(self) -> int:
        return len(self.seqs)

    def key(self, index: int) -> Hashable:
        """Give the sequence number of a row."""
        return self.seqs[index]

    def cells(self, index: int) -> tuple[Line, ...]:
        """Draw a row."""
        return self.draw(self.kept[index])

    def find(self, key: Hashable) -> int | None:
        """Find a sequence number."""
        if not isinstance(key, int):
            return None
        index = bisect_left(self.seqs, key)
        return index if index < len(self.seqs) and self.seqs[index] == key else None

    def packet(self, key: Hashable) -> Packet | None:
        """Give a row by its number."""
        index = self.find(key)
        return None if index is None else self.kept[index]

    def flows(self) -> Sequence[Flow]:
        """Give every flow, folded ones too, rows from the oldest on."""
        return [flow for packet in self.kept for flow in packet.flows]


FlowRows = LiveRows | StillRows


class FlowFeed:
    """One reader of the ring with its filter, its window and its pause."""

    def __init__(self, ring: Ring, draw: Draw, columns: int) -> None:
        self.ring = ring
        self.draw = draw
        self._blank: tuple[Line, ...] = (NOTHING,) * columns
        self.unfolded = False
        """Whether every half of a packet is a row; heeded when it is filtered anew."""
        self._wanted: Predicate | None = None
        self._folding = Folding()
        self._view = View(ring, self._folding)
        self._window_ns: int | None = None
        self._cleared = 0
        self._still: StillRows | None = None
        self._since_still = 0
        self._still_from = 0
        self.missed_some = False
        """Whether flows were let go while rows stand still before the filter saw them."""
        self._looked_to = ring.next_seq
        self._view.update()

    @property
    def is_still(self) -> bool:
        """Whether the rows stand still."""
        return self._still is not None

    @property
    def waiting(self) -> int:
        """How many rows came since they stand still, also those evicted unseen."""
        if self._still is not None and self._wanted is None:
            return self.ring.next_seq - self._still_from
        return self._since_still

    @property
    def evicted(self) -> int:
        """How many rows that stand still the ring no longer has."""
        if self._still is None:
            return 0
        return bisect_left(self._still.seqs, self.ring.first_seq)

    def drawn_by(self, draw: Draw) -> None:
        """Let another screen draw the rows, also those that stand still."""
        self.draw = draw
        if self._still is not None:
            self._still = replace(self._still, draw=draw)

    def filter(self, predicate: Predicate | None, now_ns: int) -> None:
        """Show what a predicate lets through; standing rows are filtered where they stand."""
        until = self._still_from if self._still is not None else None
        self._wanted = predicate
        self._folding = Folding(predicate)
        self._view = View(self.ring, predicate if self.unfolded else self._folding)
        self._view.update()
        self._still = None
        if until is not None:
            self._stand(now_ns, until)

    def window(self, seconds: float | None, now_ns: int) -> None:
        """Show the last seconds only; None shows everything kept."""
        self._window_ns = None if seconds is None else round(seconds * NS_PER_S)
        if self._still is not None:
            self._stand(now_ns, self._still_from)

    def clear(self) -> None:
        """Show only what comes from now on."""
        self._cleared = self.ring.next_seq
        self._still = None

    def update(self) -> int:
        """Look at what came; gives how many rows were added."""
        unseen = self.ring.first_seq - self._looked_to
        self._looked_to = self.ring.next_seq
        added = self._view.update()
        if self._still is not None:
            self._since_still += added
            self.missed_some = self.missed_some or (unseen > 0 and self._wanted is not None)
        return added

    def rows(self, now_ns: int) -> FlowRows:
        """Give the rows as they are to be shown."""
        if self._still is not None:
            return self._still
        start = self._start(now_ns)
        count = max(0, len(self._view) - start)
        return LiveRows(self._view, start, count, self.draw, self._packet, self._blank)

    @property
    def folded(self) -> int:
        """How many flows were folded into others; rows drawn before it grew may have changed."""
        return self._folding.folded

    def _packet(self, flow: Flow) -> Packet:
        return self._folding.packet(flow)

    def stop(self, now_ns: int) -> FlowRows:
        """Make the rows stand still."""
        if self._still is None:
            self._stand(now_ns, self.ring.next_seq)
        return self.rows(now_ns)

    def _stand(self, now_ns: int, until: int) -> None:
        """Make what came before the number `until` stand still."""
        start = self._start(now_ns)
        seqs = self._view.seqs(start, max(0, len(self._view) - start))
        end = bisect_left(seqs, until)
        pairs = [(seq, flow) for seq in seqs[:end] if (flow := self.ring.get(seq)) is not None]
        self._still = StillRows(
            [seq for seq, _ in pairs],
            [self._packet(flow) for _, flow in pairs],
            self.draw,
        )
        self._since_still = len(seqs) - end
        self._still_from = until

    def go_on(self) -> None:
        """Let the rows run on."""
        self._still = None
        self.missed_some = False
        self._since_still = 0

    def _start(self, now_ns: int) -> int:
        """Where the window begins. Flows of several nodes come nearly, not quite, in order."""
        start = self._view.index_of(self._cleared) if self._cleared else 0
        if self._window_ns is None:
            return start
        since_ns = now_ns - self._window_ns
        return max(start, bisect_left(_Times(self._view), since_ns))


class _Times(Sequence[int]):
    """The times of a view's flows, for bisection."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, index: int) -> int:  # type: ignore[override]  # bisect asks single ones
        flow = self._view.ring.get(self._view.seq_at(index))
        return flow.time_ns if flow is not None else 0
