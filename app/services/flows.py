"""Flows asked for by the words of `hubble observe`: what to send to the source, what to keep."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from app.core.errors import SourceUnavailable, UsageError
from app.core.flows.match import Test, compile_filters
from app.core.flows.observe_flags import Given, build_filters, parse_raw_filters
from app.core.model.flow import Flow, FlowBatch
from app.ports import FlowRequest, FlowSource, SourceState
from app.services.connection import backoff_s, describe_failure, needs_operator
from app.services.moments import parse_moment

DEFAULT_LAST = 20
"""Flows shown when nothing says how many, as `hubble observe` does."""

Pause = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which flows, in the words of the flags. `everything` is `--all`, `text` a filter in words."""

    text: str = ""
    given: Sequence[Given] = ()
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    last: int | None = None
    first: int | None = None
    everything: bool = False
    since: str = ""
    until: str = ""
    follow: bool = False


def make_request(chosen: Selection, now_ns: int, *, recorded: bool) -> FlowRequest:
    """What to ask a source for. Raises `UsageError` for what contradicts itself.

    A recording is shown whole unless something limits it; a live ring gives its last flows, or
    when followed only new ones.
    Source: Cilium `hubble/cmd/observe/flows.go` (`getFlowsRequest`).
    """
    if chosen.first is not None and (chosen.follow or chosen.last is not None):
        raise UsageError("--first cannot be combined with --follow or --last")
    filters = build_filters(chosen.given)
    unlimited = chosen.everything or recorded or chosen.follow or chosen.since or chosen.until
    last = chosen.last
    if last is None and chosen.first is None and not unlimited:
        last = DEFAULT_LAST
    since_ns = parse_moment(chosen.since, now_ns) if chosen.since else None
    if chosen.follow and not recorded and last is None and since_ns is None:
        since_ns = now_ns
    return FlowRequest(
        follow=chosen.follow,
        last=last,
        since_ns=since_ns,
        until_ns=parse_moment(chosen.until, now_ns) if chosen.until else None,
        allow=(*filters.allow, *parse_raw_filters(chosen.allow)),
        deny=(*filters.deny, *parse_raw_filters(chosen.deny)),
    )


async def observe(
    sources: Iterable[FlowSource],
    request: FlowRequest,
    *,
    matches: Test | None = None,
    first: int | None = None,
    pause: Pause = asyncio.sleep,
) -> AsyncIterator[FlowBatch | SourceState]:
    """Every batch of every source, one source after the other.

    What `matches` does not let through is left out before anything is counted; with `first` only
    so many flows pass. `request.last` counts over all nodes: Relay gives the last of each node, so
    a history is cut here once more. A source that is followed and breaks is asked again.
    """
    budget = first
    asked = request if matches is None else replace(request, last=None)
    for source in sources:
        items = _through_breaks(source, asked, pause) if request.follow else source.flows(asked)
        if matches is not None:
            items = _matching(items, matches)
        if request.last is not None and not request.follow:
            items = _last_of(items, request.last)
        async for item in items:
            if not isinstance(item, FlowBatch) or budget is None:
                yield item
                continue
            yield structs.replace(item, flows=item.flows[:budget])
            budget -= min(budget, len(item.flows))
            if not budget:
                return


async def _through_breaks(
    source: FlowSource, request: FlowRequest, pause: Pause
) -> AsyncIterator[FlowBatch | SourceState]:
    """What a source gives, again after every break but the first: that one is an answer."""
    attempt: int | None = None
    while True:
        try:
            async for item in source.flows(request):
                attempt = 0
                yield item
        except SourceUnavailable as error:
            if attempt is None or needs_operator(error):
                raise
            attempt += 1
            wait_s = backoff_s(attempt, random.random())  # noqa: S311  # jitter, no secret
            yield describe_failure(source.name, error, now_ns=0, next_try_s=wait_s)
            await pause(wait_s)
        else:
            return


async def _matching(
    items: AsyncIterator[FlowBatch | SourceState], matches: Test
) -> AsyncIterator[FlowBatch | SourceState]:
    async for item in items:
        if isinstance(item, FlowBatch):
            yield structs.replace(item, flows=tuple(filter(matches, item.flows)))
        else:
            yield item


class Sifted:
    """A source that knows no filters, with those of the request applied here.

    `last` counts what passes the filters, so the source itself is asked for everything.
    """

    def __init__(self, source: FlowSource) -> None:
        self._source = source

    @property
    def name(self) -> str:
        """The source's own name."""
        return self._source.name

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """The source's batches without what the request leaves out."""
        passes = compile_filters(request.allow, request.deny)
        plain = replace(request, allow=(), deny=(), last=None if passes else request.last)
        first = passes is not None and request.last is not None
        async for item in self._source.flows(plain):
            if passes is None or not isinstance(item, FlowBatch):
                yield item
                continue
            kept = tuple(flow for flow in item.flows if passes(flow))
            if first and kept:
                kept, first = kept[-(request.last or 0) :], False
            yield structs.replace(item, flows=kept)


async def _last_of(
    items: AsyncIterator[FlowBatch | SourceState], count: int
) -> AsyncIterator[FlowBatch | SourceState]:
    kept: deque[Flow] = deque(maxlen=count)
    async for item in items:
        if isinstance(item, FlowBatch):
            kept.extend(item.flows)
            yield structs.replace(item, flows=())
        else:
            yield item
    yield FlowBatch(tuple(sorted(kept, key=lambda flow: flow.time_ns)))
