"""The connections of policy that a question comes down to.

"May FROM reach TO?" is one connection per identity of FROM and backend of TO; each is a `Leg` with
the engine's trace. Everything later reads legs, never the engine's verdict anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.diagnose.ends import ResolvedEnd
from app.core.errors import NotFound, UsageError
from app.core.model.asked import AskedPort
from app.core.model.verdict import (
    ConnectionTrace,
    Direction,
    DirectionTrace,
    DnsRequest,
    HttpRequest,
    Protocol,
    Question,
    Request,
    SniRequest,
    Verdict,
)
from app.core.policy.engine import Engine
from app.core.text import clean

DNS_PORT = 53
HTTP_PORT = 80
HTTPS_PORT = 443

WELL_KNOWN_PORTS = {
    "ssh": 22,
    "dns": DNS_PORT,
    "domain": DNS_PORT,
    "http": HTTP_PORT,
    "ldap": 389,
    "https": HTTPS_PORT,
    "ldaps": 636,
    "nfs": 2049,
    "mysql": 3306,
    "rdp": 3389,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
}
"""Names that no end of the connection declares. Source: IANA service names, and usage."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One connection that policies decide, with the engine's trace of it."""

    source: ResolvedEnd
    destination: ResolvedEnd
    trace: ConnectionTrace

    @property
    def question(self) -> Question:
        """What the engine was asked."""
        return self.trace.question

    @property
    def is_denied(self) -> bool:
        """Whether policies deny it."""
        return self.trace.verdict is Verdict.DENIED

    def direction(self, direction: Direction) -> DirectionTrace:
        """One side of the trace."""
        return self.trace.egress if direction is Direction.EGRESS else self.trace.ingress

    def subject(self, direction: Direction) -> ResolvedEnd:
        """The end whose policy is asked in a direction."""
        return self.source if direction is Direction.EGRESS else self.destination

    def other(self, direction: Direction) -> ResolvedEnd:
        """The end that the rules of a direction name."""
        return self.destination if direction is Direction.EGRESS else self.source


def representatives(
    ends: Iterable[ResolvedEnd], *, by_node: bool = False
) -> tuple[ResolvedEnd, ...]:
    """One end per identity and port (and node): pods with the same labels have the same policy."""
    unique: dict[object, ResolvedEnd] = {}
    for end in ends:
        node = end.endpoint.node if by_node and end.endpoint is not None else ""
        unique.setdefault((_policy_key(end), node), end)
    return tuple(unique.values())


def alike(ends: Iterable[ResolvedEnd], one: ResolvedEnd) -> tuple[ResolvedEnd, ...]:
    """The ends that a representative stands for, itself included."""
    key = _policy_key(one)
    return tuple(end for end in ends if _policy_key(end) == key) or (one,)


def two_apart(
    source: ResolvedEnd,
    destination: ResolvedEnd,
    sources: Iterable[ResolvedEnd],
    destinations: Iterable[ResolvedEnd],
) -> tuple[ResolvedEnd, ResolvedEnd]:
    """Give two representatives as different pods, where both stand for more than one.

    A pod reaches itself whatever policies say, which tells nothing of its like.
    """
    pod = source.endpoint
    if pod is None or pod is not destination.endpoint:
        return source, destination
    for other in alike(destinations, destination):
        if other.endpoint is not pod:
            return source, other
    for other in alike(sources, source):
        if other.endpoint is not pod:
            return other, destination
    return source, destination


def _policy_key(end: ResolvedEnd) -> object:
    endpoint, peer = end.endpoint, end.peer
    ports = endpoint.ports if endpoint else ()
    managed = endpoint is None or endpoint.managed
    place = (peer.address, peer.names) if endpoint is None or endpoint.host_network else ()
    return (peer.kind, peer.labels, place, ports, managed, end.port, end.protocol, end.ready)


def choose_port(
    port: AskedPort | None, destination: ResolvedEnd, request: Request | None
) -> tuple[int, Protocol]:
    """Give the number and protocol that policies see at the destination.

    Raises `UsageError` when nothing says which port is meant, `NotFound` for an unknown name.
    """
    if destination.service_port is not None and destination.route is None:
        return _service_target(destination)
    if destination.port is not None:
        return destination.port, destination.protocol or Protocol.TCP
    if port is None:
        return _port_unasked(destination, request)
    if port.number is None:
        return _port_by_name(port, destination)
    return port.number, port.protocol or _declared_protocol(port.number, destination, request)


def _service_target(destination: ResolvedEnd) -> tuple[int, Protocol]:
    if destination.port is None:
        raise AssertionError("callers handle a Service whose target port has no number")
    return destination.port, destination.protocol or Protocol.TCP


def _declared_protocol(number: int, destination: ResolvedEnd, request: Request | None) -> Protocol:
    for declared in destination.endpoint.ports if destination.endpoint else ():
        if declared.port == number:
            return Protocol(declared.protocol)
    return Protocol.UDP if isinstance(request, DnsRequest) else Protocol.TCP


def _port_by_name(port: AskedPort, destination: ResolvedEnd) -> tuple[int, Protocol]:
    for declared in destination.endpoint.ports if destination.endpoint else ():
        if declared.name.lower() == port.name:
            return declared.port, port.protocol or Protocol(declared.protocol)
    if (number := WELL_KNOWN_PORTS.get(port.name)) is not None:
        usual = Protocol.UDP if number == DNS_PORT else Protocol.TCP
        return number, port.protocol or usual
    raise NotFound(
        f"`{clean(destination.text)}` has no port named `{clean(port.name)}`",
        hint="give the number",
    )


def _port_unasked(destination: ResolvedEnd, request: Request | None) -> tuple[int, Protocol]:
    if isinstance(request, DnsRequest):
        return DNS_PORT, Protocol.UDP
    if isinstance(request, SniRequest) or destination.name:
        return HTTPS_PORT, Protocol.TCP
    declared = destination.endpoint.ports if destination.endpoint else ()
    if len(declared) == 1:
        return declared[0].port, Protocol(declared[0].protocol)
    if isinstance(request, HttpRequest) and not declared:
        return HTTP_PORT, Protocol.TCP
    listed = ", ".join(f"{one.port}/{one.protocol}" for one in declared)
    hint = f"it declares {listed}" if listed else "as in 443 or 53/UDP"
    raise UsageError(f"which port of `{clean(destination.text)}`?", hint=hint)


def ask(
    source: ResolvedEnd,
    destination: ResolvedEnd,
    port: tuple[int, Protocol],
    engine: Engine,
    request: Request | None = None,
) -> Leg:
    """Let the engine decide one connection."""
    number, protocol = port
    question = Question(source.peer, destination.peer, number, protocol, request)
    return Leg(source, destination, engine.trace(question))
