"""Batches of flows put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from app.core.model.flow import FlowBatch


def joined(batches: Iterable[FlowBatch]) -> FlowBatch:
    """Several batches as one, in order."""
    arrived = tuple(batches)
    unknown: Counter[str] = Counter()
    for batch in arrived:
        unknown.update(batch.unknown)
    return FlowBatch(
        flows=tuple(flow for batch in arrived for flow in batch.flows),
        lost=tuple(lost for batch in arrived for lost in batch.lost),
        statuses=tuple(status for batch in arrived for status in batch.statuses),
        unreadable=sum(batch.unreadable for batch in arrived),
        unknown=dict(unknown),
        dropped=sum(batch.dropped for batch in arrived),
    )
