"""What a reading thread has put down and the event loop has not taken yet."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable
from typing import TypeVar

import msgspec

from app.core.model.flow import Flow, FlowBatch, LostEvents, NodeStatus
from app.ports import SourceState

KNOWN_UUIDS = 20_000
QUEUED = 100_000
"""Flows waiting for the loop; beyond that the oldest are dropped and counted."""


class Flaws(msgspec.Struct, frozen=True):
    """What of the last answers could not be understood."""

    unreadable: int
    unknown: dict[str, int]


News = LostEvents | NodeStatus | SourceState | Flaws
T = TypeVar("T")


class Box:
    """What a thread put down and the loop has not taken yet.

    A bounded deque drops the oldest by itself, and neither adding nor taking costs a lock or a
    wake-up: the loop looks in several times a second. What is not a flow waits apart, so
    that a flood of flows cannot push out the news that some were lost.
    """

    def __init__(self) -> None:
        self._flows: deque[Flow] = deque(maxlen=QUEUED)
        self._news: deque[News] = deque(maxlen=QUEUED)
        self._arrived = 0
        self._taken = 0
        self._dropped = 0
        self.ended = False
        self.error: Exception | None = None

    def put(self, flows: Collection[Flow]) -> None:
        """Put flows down. Not for two threads at once."""
        self._flows.extend(flows)
        self._arrived += len(flows)  # after they are there: the other way they would look dropped

    def tell(self, news: News) -> None:
        """Put down what is not a flow. Called by any thread."""
        self._news.append(news)

    def end(self, error: Exception | None = None) -> None:
        """Say that no more comes, or why."""
        self.error = error
        self.ended = True

    def take(self) -> tuple[list[Flow], list[News], int]:
        """Take every flow and all news that wait, and how many flows were dropped since."""
        flows, news = _drained(self._flows), _drained(self._news)
        self._taken += len(flows)
        dropped = max(self._dropped, self._arrived - self._taken - len(self._flows))
        fresh, self._dropped = dropped - self._dropped, dropped
        return flows, news, fresh


def _drained(waiting: deque[T]) -> list[T]:
    return [waiting.popleft() for _ in range(len(waiting))]


def batch_of(flows: list[Flow], news: Iterable[News], dropped: int) -> FlowBatch:
    """What was taken at once, as the batch that crosses the port."""
    lost: list[LostEvents] = []
    statuses: list[NodeStatus] = []
    unknown: Counter[str] = Counter()
    unreadable = 0
    for one in news:
        if isinstance(one, LostEvents):
            lost.append(one)
        elif isinstance(one, NodeStatus):
            statuses.append(one)
        elif isinstance(one, Flaws):
            unreadable += one.unreadable
            unknown.update(one.unknown)
    return FlowBatch(
        flows=tuple(flows),
        lost=tuple(lost),
        statuses=tuple(statuses),
        unreadable=unreadable,
        unknown=dict(unknown),
        dropped=dropped,
    )


class KnownUuids:
    """The newest uuids, so that a resumed stream's overlap is not shown twice."""

    def __init__(self) -> None:
        self._uuids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, uuid: str) -> bool:
        """Remember a uuid; an empty one (an old agent's) is always new."""
        if not uuid:
            return True
        if uuid in self._uuids:
            return False
        self._uuids[uuid] = None
        if len(self._uuids) > KNOWN_UUIDS:
            self._uuids.popitem(last=False)
        return True
