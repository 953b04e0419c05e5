"""The way of a pod through the cluster's own gateway: pod, `ingress` identity, backend.

The gateway's address never reaches the pod's own egress policy: the local Envoy takes the
connection before, and asks instead (a) the client's egress policy about the chosen backend, (b) the
ingress policy of the `reserved:ingress` endpoint about the client, (c) its egress policy about the
backend; (d) the backend's ingress policy then sees the peer `reserved:ingress`, not the client.
Source: Cilium `pkg/envoy`, `cilium/proxy: cilium/network_filter.cc`; reference
`Documentation/network/servicemesh/ingress-and-network-policy.rst`.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.question import HTTPS_PORT, Leg, ask
from app.core.model.answer import Hop
from app.core.model.verdict import (
    ConnectionTrace,
    Direction,
    Outcome,
    Protocol,
    Request,
    Verdict,
)
from app.core.policy.engine import Engine


@dataclass(frozen=True, slots=True)
class Check:
    """One of the four checks: a direction of a leg, with the hop it belongs to."""

    hop: int
    leg: Leg
    direction: Direction

    @property
    def outcome(self) -> Outcome:
        """The answer of this check."""
        return self.leg.direction(self.direction).outcome

    @property
    def is_denied(self) -> bool:
        """Whether the way ends here."""
        return self.outcome is Outcome.DENIED


@dataclass(frozen=True, slots=True)
class GatewayPath:
    """The checks in the order in which they are made, and the end that stands for the gateway."""

    checks: tuple[Check, ...]
    gateway: ResolvedEnd
    backend: ResolvedEnd
    listener: int

    @property
    def denied(self) -> Check | None:
        """The first check that fails."""
        return next((check for check in self.checks if check.is_denied), None)

    @property
    def allows_the_gateway_itself(self) -> bool:
        """Whether a rule of the client allows the entity ingress, which nobody asks it about."""
        return self.checks[1].leg.trace.egress.outcome in (Outcome.ALLOWED, Outcome.REDIRECTED)

    @property
    def trace(self) -> ConnectionTrace:
        """Client and backend as one connection: its egress, and the ingress at the end of the way.

        A check of the gateway's own policy that fails takes the place of the direction it is in.
        """
        client, entry, onward, arrival = self.checks
        egress = onward if onward.is_denied and not client.is_denied else client
        ingress = entry if entry.is_denied else arrival
        return ConnectionTrace(
            client.leg.question,
            self.verdict,
            egress.leg.trace.egress,
            ingress.leg.trace.ingress,
        )

    @property
    def verdict(self) -> Verdict:
        """The verdict of the whole way."""
        return _verdict(self.checks)

    def hops(self) -> tuple[Hop, ...]:
        """One verdict per hop."""
        first, second = self.checks[:2], self.checks[2:]
        reached = not any(check.is_denied for check in first)
        client, backend = first[0].leg.source, self.backend
        port = second[1].leg.question.port
        return (
            Hop(1, f"{client.text} → {self.gateway.text}", _verdict(first), first[0].leg.trace),
            Hop(
                2,
                f"ingress → {backend.text}:{port}",
                _verdict(second) if reached else Verdict.UNKNOWN,
                second[1].leg.trace,
            ),
            Hop(3, f"{backend.text} answers", _answer(self.verdict)),
        )


def _answer(verdict: Verdict) -> Verdict:
    return Verdict.UNKNOWN if verdict is Verdict.DENIED else Verdict.ALLOWED


def _verdict(checks: tuple[Check, ...]) -> Verdict:
    outcomes = {check.outcome for check in checks}
    if Outcome.DENIED in outcomes:
        return Verdict.DENIED
    return Verdict.REDIRECTED if Outcome.REDIRECTED in outcomes else Verdict.ALLOWED


def through_gateway(
    source: ResolvedEnd,
    backend: ResolvedEnd,
    port: tuple[int, Protocol],
    engine: Engine,
    *,
    listener: int | None = None,
    request: Request | None = None,
) -> GatewayPath:
    """Ask every check of the way from `source` to a backend of a route; `port` is the pod's."""
    ports = backend.route.listener_ports if backend.route else ()
    front = listener or next(iter(ports), HTTPS_PORT)
    gateway = _gateway_end(backend, front, engine)
    direct = ask(source, backend, port, engine, request)
    entry = ask(source, gateway, (front, Protocol.TCP), engine, request)
    onward = ask(gateway, backend, port, engine, request)
    checks = (
        Check(1, direct, Direction.EGRESS),
        Check(1, entry, Direction.INGRESS),
        Check(2, onward, Direction.EGRESS),
        Check(2, onward, Direction.INGRESS),
    )
    return GatewayPath(checks, gateway, backend, front)


def _gateway_end(backend: ResolvedEnd, port: int, engine: Engine) -> ResolvedEnd:
    address = f" {backend.frontend}" if backend.frontend else ""
    return ResolvedEnd(engine.peer_of_entity("ingress"), f"gateway{address}:{port}")
