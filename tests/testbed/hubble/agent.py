"""A scripted Cilium agent: it serves Observer and Peer as one does, from a ring the test fills.

It follows `pkg/hubble/observer/local_observer.go` where a client can tell: filters while rewinding,
`number` counts matches, `since` starts from a time, a bad filter is INVALID_ARGUMENT.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import json_format

from app.core.errors import K8treError
from app.core.flows.codec import Decoder
from app.core.flows.encode import encode
from app.core.flows.match import compile_filters
from app.core.model.flow import Flow
from integrations.hubble.protocol import message_class

Response = message_class("observer.GetFlowsResponse")
_HANDLER_THREADS = 32
LONG_UP_NS = 3_600_000_000_000


class ScriptedAgent:
    """One node. `emit` adds flows; `lose` reports lost events; `ring` bounds what is remembered."""

    def __init__(self, node: str = "node-1", *, ring: int = 4095, host: str = "127.0.0.1") -> None:
        self.node = node
        self.host = host
        self.requests: list[Any] = []
        self.status_fields: dict[str, Any] = {}
        """What its `ServerStatus` says besides, as a Relay would."""
        self.peers: list[tuple[str, str]] = []
        self._ring = ring
        self._events: list[Any] = []
        self._first = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._seen = 0
        self._up_since_ns = time.time_ns() - LONG_UP_NS
        self._server: grpc.Server | None = None
        self.port = 0

    def start(self, port: int = 0) -> ScriptedAgent:
        """Listen on `host`; the port is kept over a restart when given again."""
        self._stopped = False
        server = grpc.server(futures.ThreadPoolExecutor(_HANDLER_THREADS))
        server.add_generic_rpc_handlers((self._observer(), self._peer()))
        self.port = server.add_insecure_port(f"{self.host}:{port}")
        server.start()
        self._server = server
        if not self.peers:
            self.peers = [(self.node, self.address)]
        return self

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self.host}:{self.port}"

    def stop(self) -> None:
        """End every stream and stop listening; the ring stays."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._server is not None:
            self._server.stop(None).wait()

    def forget(self) -> None:
        """Empty the ring, as a restart of the agent does."""
        with self._changed:
            self._first += len(self._events)
            self._events.clear()
            self._up_since_ns = time.time_ns()

    def emit(self, *flows: Flow) -> None:
        """Add flows, in order."""
        self._add(*(response_of(flow, self.node) for flow in flows))

    def lose(self, count: int, source: int = 3) -> None:
        """Report lost events (3 is HUBBLE_RING_BUFFER)."""
        lost = message_class("flow.LostEvent")(source=source, num_events_lost=count)
        response = Response(lost_events=lost, node_name=self.node)
        response.time.GetCurrentTime()
        self._add(response)

    def emit_raw(self, body: Mapping[str, Any]) -> None:
        """Add one answer from Hubble's JSON form."""
        self._add(json_format.ParseDict(dict(body), Response()))

    def _add(self, *responses: Any) -> None:
        with self._changed:
            self._events.extend(responses)
            self._seen += len(responses)
            over = len(self._events) - self._ring
            if over > 0:
                del self._events[:over]
                self._first += over
            self._changed.notify_all()

    # Observer

    def _observer(self) -> grpc.GenericRpcHandler:
        flows = _stream("observer.GetFlows", self._get_flows)
        status = _unary("observer.ServerStatus", self._status)
        methods = {"GetFlows": flows, "ServerStatus": status}
        return grpc.method_handlers_generic_handler("observer.Observer", methods)

    def _peer(self) -> grpc.GenericRpcHandler:
        notify = grpc.unary_stream_rpc_method_handler(
            self._notify,
            request_deserializer=message_class("peer.NotifyRequest").FromString,
            response_serializer=message_class("peer.ChangeNotification").SerializeToString,
        )
        return grpc.method_handlers_generic_handler("peer.Peer", {"Notify": notify})

    def _status(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        return message_class("observer.ServerStatusResponse")(
            num_flows=len(self._events),
            max_flows=self._ring,
            seen_flows=self._seen,
            uptime_ns=time.time_ns() - self._up_since_ns,
            version="cilium v1.19.3",
            flows_rate=10.0,
            **self.status_fields,
        )

    def _notify(self, _request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        notification = message_class("peer.ChangeNotification")
        for name, address in self.peers:
            yield notification(name=name, address=address, type=1)
        while context.is_active() and not self._stopped:
            with self._changed:
                self._changed.wait(0.2)

    def _get_flows(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.requests.append(request)
        try:
            passes = _predicate(request)
        except K8treError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"failed to build filter: {error}")
        position, first = self._start(request, passes)
        yield from first
        if not request.follow:
            return
        while context.is_active() and not self._stopped:
            with self._changed:
                if self._first + len(self._events) <= position:
                    self._changed.wait(0.2)
                position = max(position, self._first)
                fresh = self._events[position - self._first :]
                position += len(fresh)
            yield from (one for one in fresh if passes(one))

    def _start(self, request: Any, passes: Callable[[Any], bool]) -> tuple[int, list[Any]]:
        with self._changed:
            events, end = list(self._events), self._first + len(self._events)
        matching = [one for one in events if passes(one)]
        if request.HasField("since"):
            matching = [one for one in matching if _ns(one.time) >= _ns(request.since)]
            if request.number and not request.follow:
                matching = matching[: request.number]
        elif request.number:
            count = request.number
            matching = matching[:count] if request.first else matching[-count:]
        elif request.follow:
            matching = []
        if request.HasField("until"):
            matching = [one for one in matching if _ns(one.time) <= _ns(request.until)]
        return end, matching


def response_of(flow: Flow, node: str) -> Any:
    """The wire form of a flow as that node's agent sends it."""
    response = json_format.ParseDict(encode(flow), Response())
    response.node_name = response.flow.node_name = node
    return response


def _predicate(request: Any) -> Callable[[Any], bool]:
    allow, deny = (
        [json_format.MessageToDict(one, preserving_proto_field_name=True) for one in filters]
        for filters in (request.whitelist, request.blacklist)
    )
    passes = compile_filters(allow, deny)
    decoder = Decoder()

    def matches(response: Any) -> bool:
        if response.WhichOneof("response_types") != "flow" or passes is None:
            return True
        item = decoder.decode_line(
            json_format.MessageToJson(response, preserving_proto_field_name=True, indent=None)
        )
        return isinstance(item, Flow) and passes(item)

    return matches


def _ns(time: Any) -> int:
    return int(time.seconds * 1_000_000_000 + time.nanos)


def _stream(name: str, serve: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_stream_rpc_method_handler(
        serve,
        request_deserializer=message_class(f"{name}Request").FromString,
        response_serializer=message_class(f"{name}Response").SerializeToString,
    )


def _unary(name: str, serve: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        serve,
        request_deserializer=message_class(f"{name}Request").FromString,
        response_serializer=message_class(f"{name}Response").SerializeToString,
    )
