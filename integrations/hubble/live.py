"""Flows from Relay: history first, then what comes, through breaks, without showing one twice.

How it is done (Cilium 1.19 `pkg/hubble/relay/observer/observer.go`, `pkg/hubble/observer/`):

- History is a request of its own, `number` per node, sorted and trimmed here, because Relay sorts
  only roughly. The live part asks `since` the newest known flow with `number=1`, which agents
  ignore beside `since` but from which Relay sizes its sort buffer: rare flows then show at once
  instead of when a hundred have gathered.
- After a break the next request starts two seconds before the newest known flow, and what is known
  by `uuid` is not given again. When nothing proves that no flow fell into the break, a gap is
  reported (`NodeStatus` GAP).
- Errors of one node come inside a healthy stream. The same error from every node, with nothing
  else, is a refused request: `BadInput`, which is not tried again.
- A thread reads, so a slow screen never slows Relay; what it must drop is the oldest, and counted.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from app.core.errors import BadInput, ConfigError, SourceCause, SourceUnavailable
from app.core.flows.times import NS_PER_S
from app.core.model.flow import GAP, Flow, FlowBatch, NodeStatus
from app.core.text import clean
from app.ports import Clock, FlowRequest, SourceState
from integrations.hubble.batches import joined
from integrations.hubble.decode import ResponseDecoder
from integrations.hubble.protocol import message_class
from integrations.hubble.relay import SOURCE, Relay, RelayStatus, load_grpc, translate
from integrations.hubble.waiting import KNOWN_UUIDS, Box, Flaws, KnownUuids, batch_of
from integrations.threads import in_daemon_thread

HISTORY = 500
"""Flows per node shown at once when nothing was asked for."""
FIRST_FLOWS = 20
"""Asked of each node when none is known yet: what came between history and stream is among them."""
OVERLAP_NS = 2_000_000_000
"""How far before the newest known flow a stream resumes."""
BATCH_S = 0.05
"""What arrives within this time makes one batch, so that a flood wakes the loop rarely."""
TOGETHER = 256
"""Answers that wait to be decoded in one go; the loop does not wait for so many."""
PULSE_S = 10.0
"""How often Relay is asked for its status while a stream is open."""
QUIET_S, QUIET_NODE_S = 10.0, 2.0
"""Silence that ends a history; the second once a node is known to keep Relay waiting."""
SILENT = "a node that does not answer"
NAMED = 3
"""Nodes that are named where some are not heard."""
_REFUSAL = re.compile("filter|regex|fieldmask|invalid", re.IGNORECASE)
"""Words of agents that cannot parse a request; those about a lost connection have none of them."""


@dataclass(slots=True)
class _Resume:
    """What is remembered across breaks."""

    newest_ns: int = 0
    broke_at: float | None = None


class RelayFlows:
    """Relay as a `FlowSource`. One iteration at a time."""

    def __init__(self, relay: Relay, *, clock: Clock, name: str = SOURCE) -> None:
        self._relay = relay
        self._clock = clock
        self._name = name
        self._resume = _Resume()
        self._known = KnownUuids()

    @property
    def name(self) -> str:
        """What it is called on screen."""
        return self._name

    async def flows(self, request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        """Yield history and, when asked to follow, what comes until the stream breaks.

        Raises `SourceUnavailable` at a break; iterate again to resume where it was. Raises
        `BadInput` for a filter that Relay's nodes refuse.
        """
        try:
            status = await in_daemon_thread("hubble status", self._connect)
            yield self._state(status)
            if not request.follow or not self._resume.newest_ns:
                yield await self._history(request, status)
            elif (gap := self._gap(status)) is not None:
                yield FlowBatch(statuses=(gap,))
            if not request.follow:
                return
            async with aclosing(self._live(request, status)) as items:  # type: ignore[type-var]  # an async generator
                async for item in items:
                    yield item
        finally:
            self._resume.broke_at = self._clock.monotonic()
            await in_daemon_thread("hubble close", self._relay.close)

    def _connect(self) -> RelayStatus:
        """The status over a new connection: what the last one left behind may be broken."""
        self._relay.close()
        return self._relay.status()

    # History

    async def _history(self, request: FlowRequest, status: RelayStatus) -> FlowBatch:
        wire = make_request(request, number=self._history_number(request))
        pieces: list[FlowBatch] = []
        async with aclosing(self._stream(wire)) as items:  # type: ignore[type-var]  # an async generator
            try:
                while True:
                    async with asyncio.timeout(QUIET_S if status.answered else QUIET_NODE_S):
                        piece = await anext(items)
                    if isinstance(piece, FlowBatch):
                        pieces.append(piece)
            except StopAsyncIteration:
                pass
            except TimeoutError:
                pieces.append(FlowBatch(statuses=(self._incomplete(),)))
        batch = joined(pieces)
        _refuse_if_rejected(batch)
        flows = sorted(batch.flows, key=lambda flow: flow.time_ns)
        if request.last is not None:
            flows = flows[-request.last :]
        self._learn(flows)
        return msgspec.structs.replace(batch, flows=tuple(flows))

    def _incomplete(self) -> NodeStatus:
        message = "older flows may be missing: a node of Relay does not answer"
        return NodeStatus(GAP, (), message, self._clock.now_ns())

    @staticmethod
    def _history_number(request: FlowRequest) -> int:
        """`number` must stay away beside `since`, where it would cut the newest instead."""
        if request.since_ns is not None:
            return 0
        if request.last is not None:
            return request.last
        return HISTORY if request.follow else 0

    # Live

    async def _live(
        self, request: FlowRequest, status: RelayStatus
    ) -> AsyncIterator[FlowBatch | SourceState]:
        newest_ns = self._resume.newest_ns
        since = newest_ns - OVERLAP_NS if newest_ns else None
        number = 1 if newest_ns else FIRST_FLOWS
        wire = make_request(request, follow=True, since_ns=since, number=number)
        quiet = True
        uptimes = await in_daemon_thread("hubble nodes", lambda: _uptimes(self._relay, status))
        async for item in self._stream(wire, uptimes):
            if isinstance(item, SourceState):
                yield item
                continue
            if quiet:
                _refuse_if_rejected(item)
            quiet = quiet and not item.flows
            fresh = [flow for flow in item.flows if self._known.is_new(flow.uuid)]
            fresh.sort(key=lambda flow: flow.time_ns)
            if fresh:
                self._resume.newest_ns = max(self._resume.newest_ns, fresh[-1].time_ns)
            yield msgspec.structs.replace(item, flows=tuple(fresh))
        raise SourceUnavailable(
            "the stream ended",
            source=self._name,
            cause=SourceCause.REFUSED,
            hint="Relay restarted, or has no node at the moment",
        )

    def _learn(self, flows: Sequence[Flow]) -> None:
        """Remember flows that are sorted by time."""
        for flow in flows[-KNOWN_UUIDS:]:
            self._known.is_new(flow.uuid)
        if flows:
            self._resume.newest_ns = max(self._resume.newest_ns, flows[-1].time_ns)

    def _gap(self, status: RelayStatus) -> NodeStatus | None:
        """A gap after a break, unless the nodes' rings surely still held everything."""
        if self._resume.broke_at is None:
            return None
        away_s = self._clock.monotonic() - self._resume.broke_at
        if status.ring_s > away_s + OVERLAP_NS / NS_PER_S:
            return None
        message = f"flows of up to {away_s:.0f} s may be missing: the connection was away"
        return NodeStatus(GAP, (), message, self._clock.now_ns())

    # The thread

    async def _stream(
        self, wire: Any, uptimes: dict[str, float] | None = None
    ) -> AsyncIterator[FlowBatch | SourceState]:
        box = Box()
        reader = _Reader(self._relay, wire, box)
        heart = _Pulse(self._relay, box, reader, self._state, uptimes or {})
        reader.start()
        if uptimes is not None:
            heart.start()
        try:
            while True:
                ended = box.ended
                reader.decode_waiting()
                flows, news, dropped = box.take()
                for state in news:
                    if isinstance(state, SourceState):
                        yield state
                if flows or news:
                    yield batch_of(flows, news, dropped)
                elif ended:
                    if box.error is not None:
                        raise box.error
                    return
                await asyncio.sleep(BATCH_S)
        finally:
            heart.stop()
            reader.cancel()

    def _state(self, status: RelayStatus) -> SourceState:
        """Live, or `stale` where Relay is there and none of its nodes."""
        silent = ", ".join(status.unavailable[:NAMED])
        if (more := len(status.unavailable) - NAMED) > 0:
            silent += f" and {more} more"
        silent = silent or ("" if status.answered else SILENT)
        reason = f"not heard: {silent}" if silent else ""
        phase = "live"
        if status.connected == 0:
            phase, reason = "stale", f"Relay has no node it can ask{'; ' * bool(silent)}{reason}"
        detail = {
            "version": status.version,
            "flows/s": round(status.flows_per_s, 1),
            "nodes": status.connected,
            "unavailable": silent,
            "history_s": round(status.ring_s),
        }
        return SourceState(self._name, phase, reason, self._clock.now_ns(), detail=detail)


class _Reader(threading.Thread):
    """Reads one stream to its end and decodes many answers together.

    That takes less time than one by one, as neither gRPC nor the decoder then finds the
    processor's caches full of the other's (measured: a twentieth of everything).
    """

    def __init__(self, relay: Relay, wire: Any, box: Box) -> None:
        super().__init__(name="hubble flows", daemon=True)
        self._relay = relay
        self._wire = wire
        self._box = box
        self._call: Any = None
        self._failure: SourceUnavailable | None = None
        self._decoder = ResponseDecoder()
        self._waiting: deque[bytes] = deque()
        self._decoding = threading.Lock()

    def run(self) -> None:
        grpc = load_grpc()
        error: SourceUnavailable | ConfigError | None = None
        try:
            self._call = self._relay.open_flows(self._wire)
            for raw in self._call:
                self._waiting.append(raw)
                if len(self._waiting) >= TOGETHER:
                    self.decode_waiting()
        except grpc.RpcError as broken:
            error = translate(broken)
        except (SourceUnavailable, ConfigError) as refused:
            error = refused
        finally:
            self.decode_waiting()
            self._box.end(self._failure or error)

    def decode_waiting(self) -> None:
        """Decode what has arrived: this thread does when it is enough, the loop when it looks."""
        with self._decoding:
            raws = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._box.put([flow for raw in raws if (flow := self._flow(raw)) is not None])
            if unknown := self._decoder.unknown:
                self._box.tell(Flaws(0, dict(unknown)))
                unknown.clear()

    def _flow(self, raw: bytes) -> Flow | None:
        """The flow of an answer; tells what is none."""
        try:
            item = self._decoder.decode(raw)
        except DecodeError:
            self._box.tell(Flaws(1, {}))
            return None
        if isinstance(item, Flow):
            return item
        if item is not None:
            self._box.tell(item)
        return None

    def cancel(self) -> None:
        """End the stream; may be called from any thread and more than once."""
        if self._call is not None:
            self._call.cancel()

    def fail(self, error: SourceUnavailable) -> None:
        """End the stream with `error` as the reason."""
        self._failure = error
        self.cancel()


class _Pulse(threading.Thread):
    """Asks Relay for its status beside an open stream, which tells silence from a hang.

    It also ends the stream when a node's agent was restarted since `uptimes` were asked for:
    Relay asks a node again whose stream broke, but one that an agent ended in good order stays
    silent for as long as ours is open.
    Source: Cilium `pkg/hubble/relay/observer/observer.go` (`retrieveFlowsFromPeer`, v1.19.3).
    """

    def __init__(
        self,
        relay: Relay,
        box: Box,
        reader: _Reader,
        describe: Callable[[RelayStatus], SourceState],
        uptimes: dict[str, float],
    ) -> None:
        super().__init__(name="hubble pulse", daemon=True)
        self._uptimes = uptimes
        self._relay = relay
        self._box = box
        self._reader = reader
        self._describe = describe
        self._halt = threading.Event()

    def run(self) -> None:
        try:
            while not self._halt.wait(PULSE_S):
                status = self._relay.status()
                self._box.tell(self._describe(status))
                now = _uptimes(self._relay, status)
                if restarted := [node for node in now if now[node] < self._uptimes.get(node, 0.0)]:
                    self._reader.fail(_restarted(restarted))
                    return
                self._uptimes |= now
        except SourceUnavailable as error:
            self._reader.fail(error)

    def stop(self) -> None:
        """End after the current question."""
        self._halt.set()


def _uptimes(relay: Relay, status: RelayStatus) -> dict[str, float]:
    """Seconds that the agent of each node has been up, of those that answered."""
    if not status.answered:
        return {}  # the same node would keep Relay from answering this
    try:
        return {node.name: node.uptime_s for node in relay.nodes() if node.uptime_s}
    except SourceUnavailable as error:
        if error.cause is SourceCause.TIMEOUT:  # a node; whether Relay is there, the status says
            return {}
        raise


def _restarted(nodes: Sequence[str]) -> SourceUnavailable:
    return SourceUnavailable(
        f"the agent of {', '.join(nodes)} was restarted: flows are asked for anew",
        source=SOURCE,
        cause=SourceCause.CONFLICT,
    )


def _refuse_if_rejected(batch: FlowBatch) -> None:
    """Raise when every connected node answered with the same error and with nothing else.

    Source: Cilium `pkg/hubble/relay/observer/observer.go`: a filter that agents cannot parse does
    not fail the call, it comes back as NODE_ERROR of each node.
    """
    errors = [status for status in batch.statuses if status.state == "NODE_ERROR"]
    connected = {
        node
        for status in batch.statuses
        if status.state == "NODE_CONNECTED"
        for node in status.nodes
    }
    failed = {node for status in errors for node in status.nodes}
    messages = {status.message for status in errors}
    if batch.flows or not connected or failed < connected or len(messages) != 1:
        return
    [message] = messages
    if _REFUSAL.search(message):
        raise BadInput(f"Hubble refuses the filter: {message}", hint="change the filter")


def make_request(
    request: FlowRequest, *, follow: bool = False, since_ns: int | None = None, number: int = 0
) -> Any:
    """The wire form of a request; filters are Hubble FlowFilters with proto field names.

    Raises `BadInput` for a filter with a field or value that Hubble does not have.
    """
    wire = message_class("observer.GetFlowsRequest")(follow=follow, number=number)
    since_ns = request.since_ns if since_ns is None else since_ns
    if since_ns is not None:
        wire.since.FromNanoseconds(since_ns)
    if request.until_ns is not None and not follow:
        wire.until.FromNanoseconds(request.until_ns)
    for filters, field in ((request.allow, wire.whitelist), (request.deny, wire.blacklist)):
        for one in filters:
            try:
                json_format.ParseDict(dict(one), field.add())
            except json_format.ParseError as error:
                raise BadInput(f"not a flow filter: {clean(str(error), 300)}") from error
    return wire
