"""What is asked of, and answered by, the flows that are kept beyond Hubble's own ring."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.model.flow import FlowEndpoint

NEWEST_FIRST = 1_000
"""Flows given when a query does not say how many."""


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which kept flows. Within one field any value will do, all fields must hold.

    Times are UTC nanoseconds, `since_ns` included, `until_ns` not; None means without end.
    `namespaces` and `identities` are of either end of the flow.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    namespaces: tuple[str, ...] = ()
    identities: tuple[int, ...] = ()
    verdicts: tuple[str, ...] = ()
    limit: int = NEWEST_FIRST


@dataclass(frozen=True, slots=True)
class TopDrop:
    """Connections that were refused: who, to whom, on which port, why, how often.

    Ends are those of the connection, also when the packet dropped was a reply. One refused packet
    is two events in Hubble (a drop and its policy verdict); `count` counts it once.
    """

    source: FlowEndpoint
    destination: FlowEndpoint
    protocol: str
    port: int
    reason: str
    count: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class MinuteCount:
    """How many flows of one verdict a minute (UTC nanoseconds of its start) had."""

    minute_ns: int
    verdict: str
    count: int


@dataclass(frozen=True, slots=True)
class HistoryStatus:
    """How much is kept. `dropped` are flows this process could not write, `failure` why last."""

    flows: int = 0
    oldest_ns: int = 0
    newest_ns: int = 0
    size_bytes: int = 0
    waiting: int = 0
    dropped: int = 0
    failure: str = ""
