"""The connection to Hubble Relay: channel, TLS, the unary calls, and errors in our words.

Blocking calls of the synchronous API, made from threads. Streams use grpcio's single-threaded
path, nine to twelve times as fast as the default (docs/decisions/threads.md); it is experimental,
so it is named in one place, a test fails if the name goes, and without it the default serves.

Source: Cilium `hubble/cmd/common/conn`, `pkg/hubble/relay/**` (v1.19).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.flows.times import NS_PER_S
from app.core.text import clean
from integrations.hubble.protocol import (
    GET_FLOWS,
    GET_NAMESPACES,
    GET_NODES,
    HEALTH,
    SERVER_STATUS,
    message_class,
)

SOURCE = "hubble"
UNARY_TIMEOUT_S = 5.0
KEEPALIVE_MS = 330_000
"""More often than every five minutes counts as abuse at Relay, which then closes."""
KEEPALIVE_TIMEOUT_MS = 20_000
RECEIVE_BYTES = 16 << 20
SERVER_NAME = "ui.hubble-relay.cilium.io"
"""What Relay's certificate covers by default: `*.hubble-relay.cilium.io`, one label."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of the TLS connection; a client certificate makes it mutual."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """`ServerStatus`: how much Relay sees and remembers. Times in seconds.

    Without `answered` Relay is there, but a node of its kept it from answering: nothing is known.
    """

    version: str = ""
    flows_per_s: float = 0.0
    kept_flows: int = 0
    most_flows: int = 0
    seen_flows: int = 0
    connected: int | None = None
    unavailable: tuple[str, ...] = ()
    uptime_s: float = 0.0
    answered: bool = True

    @property
    def ring_s(self) -> float:
        """Seconds of history: since the start while the rings are not full, else by the rate."""
        if self.kept_flows < self.most_flows or not self.flows_per_s:
            return self.uptime_s
        return self.kept_flows / self.flows_per_s


@dataclass(frozen=True, slots=True)
class RelayNode:
    """One node of `GetNodes`. `uptime_s` is its agent's; 0 when that did not answer."""

    name: str
    version: str
    state: str
    most_flows: int
    seen_flows: int
    uptime_s: float = 0.0


class Relay:
    """One Relay. `target` gives its address, anew for each connection; it may block and raise."""

    def __init__(self, target: Callable[[], str], tls: Tls | None = None) -> None:
        self._target = target
        self._tls = tls
        self._lock = threading.Lock()
        self._channel: Any = None

    def channel(self) -> Any:
        """The open channel; made on first use. Raises `SourceUnavailable` or `ConfigError`."""
        with self._lock:
            if self._channel is None:
                self._channel = _open(self._target(), self._tls)
            return self._channel

    def close(self) -> None:
        """Close the channel; the next call opens another, to wherever Relay is by then."""
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def status(self) -> RelayStatus:
        """Ask for `ServerStatus`. Raises `SourceUnavailable`.

        Relay asks every node and waits for the slowest, for ever if it is cut off: it has no
        keepalive to its nodes. So silence is put to the health service, which Relay answers alone.
        Source: Cilium `pkg/hubble/relay/observer/server.go`, `relay/server/server.go` (v1.19.3).
        """
        try:
            answer = self._ask(SERVER_STATUS, "ServerStatus")
        except SourceUnavailable as error:
            if error.cause is SourceCause.TIMEOUT and self._is_there():
                return RelayStatus(answered=False)
            raise
        connected = answer.num_connected_nodes
        return RelayStatus(
            version=clean(answer.version),
            flows_per_s=answer.flows_rate,
            kept_flows=answer.num_flows,
            most_flows=answer.max_flows,
            seen_flows=answer.seen_flows,
            connected=connected.value if answer.HasField("num_connected_nodes") else None,
            unavailable=tuple(clean(name) for name in answer.unavailable_nodes),
            uptime_s=answer.uptime_ns / NS_PER_S,
        )

    def nodes(self) -> tuple[RelayNode, ...]:
        """Ask for `GetNodes`, sorted by name; empty from an agent, which has no such call."""
        try:
            answer = self._ask(GET_NODES, "GetNodes")
        except SourceUnavailable as error:
            if error.cause is SourceCause.UNIMPLEMENTED:
                return ()
            raise
        states = message_class("observer.Node").DESCRIPTOR.fields_by_name["state"].enum_type
        nodes = (
            RelayNode(
                name=clean(node.name),
                version=clean(node.version),
                state=states.values_by_number[node.state].name
                if node.state in states.values_by_number
                else str(node.state),
                most_flows=node.max_flows,
                seen_flows=node.seen_flows,
                uptime_s=node.uptime_ns / NS_PER_S,
            )
            for node in answer.nodes
        )
        return tuple(sorted(nodes, key=lambda node: node.name))

    def namespaces(self) -> tuple[str, ...]:
        """Namespaces seen in flows within the last hour; a quiet one is missing."""
        answer = self._ask(GET_NAMESPACES, "GetNamespaces")
        return tuple(sorted({clean(one.namespace) for one in answer.namespaces}))

    def _ask(self, path: str, name: str) -> Any:
        grpc = load_grpc()
        request = message_class(f"observer.{name}Request")
        response = message_class(f"observer.{name}Response")
        call = self.channel().unary_unary(
            path,
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            return call(request(), timeout=UNARY_TIMEOUT_S)
        except grpc.RpcError as error:
            refused = translate(error)
            if error.code() is grpc.StatusCode.CANCELLED:  # the deadline, as the server met it
                refused.cause = SourceCause.TIMEOUT
            raise refused from error

    def _is_there(self) -> bool:
        """Whether the health service answers, whatever it says."""
        grpc = load_grpc()
        try:
            self.channel().unary_unary(HEALTH)(b"", timeout=UNARY_TIMEOUT_S)
        except grpc.RpcError as error:
            return error.code() not in {
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.DEADLINE_EXCEEDED,
            }
        return True

    def open_flows(self, request: Any) -> Any:
        """Start `GetFlows`; iterate the call for the answers' bytes, `cancel()` it to end."""
        call = self.channel().unary_stream(
            GET_FLOWS,
            request_serializer=message_class("observer.GetFlowsRequest").SerializeToString,
            response_deserializer=None,
        )
        return call(request)


def load_grpc() -> Any:
    """Import grpc so that it does not write to the terminal, which belongs to the screen."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read once, when the library starts
    import grpc

    return grpc


def _open(target: str, tls: Tls | None) -> Any:
    grpc = load_grpc()
    options: list[tuple[str, Any]] = [
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.max_receive_message_length", RECEIVE_BYTES),
        ("grpc.enable_retries", 0),
        # Else a new channel would inherit the waiting time of the one that broke.
        ("grpc.use_local_subchannel_pool", 1),
        *single_threaded_option(),
    ]
    if target.startswith("unix:"):
        options.append(("grpc.default_authority", "hubble-relay"))
    if tls is None:
        return grpc.insecure_channel(target, options)
    options.append(("grpc.ssl_target_name_override", tls.server_name or SERVER_NAME))
    credentials = grpc.ssl_channel_credentials(
        _read(tls.ca_file), _read(tls.key_file), _read(tls.cert_file)
    )
    return grpc.secure_channel(target, credentials, options)


def single_threaded_option() -> tuple[tuple[str, int], ...]:
    """The channel option that lets the iterating thread drive the stream itself.

    Source: grpc `grpc.experimental.ChannelOptions` (grpc#20753). Empty when a future grpcio has it
    no more: streams are slower then, and right all the same.
    """
    import grpc.experimental

    options = getattr(grpc.experimental, "ChannelOptions", None)
    name = getattr(options, "SingleThreadedUnaryStream", None)
    return () if name is None else ((name, 1),)


def _read(file: str) -> bytes | None:
    if not file:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"a TLS file of Hubble cannot be read: {error.strerror}", file=file, key="hubble"
        ) from error


def translate(error: Any) -> SourceUnavailable:
    """Turn a gRPC error into ours; the one place that knows the status codes."""
    code = error.code().name if callable(getattr(error, "code", None)) else "UNKNOWN"
    words = clean(error.details() or code, 300) if hasattr(error, "details") else code
    causes = {
        "UNAVAILABLE": _unavailable(words),
        "DEADLINE_EXCEEDED": (SourceCause.TIMEOUT, "it did not answer in time"),
        "UNIMPLEMENTED": (SourceCause.UNIMPLEMENTED, words),
        "UNAUTHENTICATED": (SourceCause.UNAUTHENTICATED, words),
        "PERMISSION_DENIED": (SourceCause.FORBIDDEN, words),
        "RESOURCE_EXHAUSTED": (SourceCause.OVERLOADED, words),
    }
    cause, text = causes.get(code, (SourceCause.PROTOCOL, f"{code}: {words}"))
    return SourceUnavailable(text, source=SOURCE, cause=cause, hint=_HINTS.get(cause, ""))


_HINTS = {
    SourceCause.REFUSED: "is the address right? kubectl -n kube-system get svc hubble-relay",
    SourceCause.TLS: "set [hubble] tls, ca_file and server_name as Relay's certificate has them",
    SourceCause.DNS: "inside the cluster it is hubble-relay.kube-system.svc:80",
}


_TLS_SIGNS = {
    "hostname verification": "its certificate is for another name",
    "unwrap failed": "it lets in only clients with a certificate that it knows",
    "wrong_version_number": "it does not speak TLS",
    "certificate_verify_failed": "its certificate is not of an authority that is trusted here",
    "handshake": "the TLS handshake failed",
}
"""What grpcio's errors say about TLS, in lower case, and what it means; the first one counts."""


def _unavailable(words: str) -> tuple[SourceCause, str]:
    """GRPC says UNAVAILABLE for everything that keeps it from connecting; the text says more."""
    lower = words.lower()
    for sign, meaning in _TLS_SIGNS.items():
        if sign in lower:
            return SourceCause.TLS, f"{meaning} ({words})"
    if "dns" in lower or "resol" in lower or "domain name" in lower:
        return SourceCause.DNS, f"its name does not resolve ({words})"
    return SourceCause.REFUSED, f"it cannot be reached ({words})"
