"""What was seen to connect, and by which rules it may."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.diagnose.boundaries import demanded
from app.core.lint.scope import Scope
from app.core.model.flow import Flow
from app.core.model.provenance import RuleRef
from app.core.model.verdict import Effect, Protocol, Question

_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
_MOST = 2000
"""Connections looked at; a window has few distinct ones."""

_MOST_DEMANDED = 200
"""Demanded connections looked at: a few of each boundary name the rule already."""

Connection = tuple[str, str, int, str]


def connections(scope: Scope) -> Iterator[Connection]:
    """Yield (source, destination, port, protocol) of each connection of two pods that passed."""
    seen: dict[Connection, None] = {}
    for flow in scope.flows.flows if scope.flows else ():
        if _opened(flow) and len(seen) < _MOST:
            ends = (f"{end.namespace}/{end.pod}" for end in (flow.source, flow.destination))
            source, destination = ends
            seen[source, destination, flow.destination_port, flow.protocol] = None
    yield from seen


def _opened(flow: Flow) -> bool:
    passed = flow.verdict in ("FORWARDED", "REDIRECTED") and flow.is_reply is False
    return bool(passed and flow.source.pod and flow.destination.pod and flow.protocol in _PROTOCOLS)


def carried_by(scope: Scope) -> tuple[tuple[str, tuple[RuleRef, ...]], ...]:
    """Give what was seen or is demanded, and by direction the rules that allow it."""
    pods = {endpoint.key: endpoint for endpoint in scope.cluster.endpoints}
    found: list[tuple[str, tuple[RuleRef, ...]]] = []
    asked: list[tuple[str, Question]] = []
    for source, destination, port, protocol in connections(scope):
        ends = pods.get(source), pods.get(destination)
        if ends[0] is not None and ends[1] is not None:
            peers = scope.engine.peer_of(ends[0]), scope.engine.peer_of(ends[1])
            words = f"{source} → {destination}:{port}/{protocol}"
            asked.append((words, Question(*peers, port, _PROTOCOLS[protocol])))
    for name, question in demanded(scope.boundaries, scope.engine, most=_MOST_DEMANDED):
        asked.append((f"boundary `{name}`", question))
    for words, question in asked:
        trace = scope.engine.trace(question)
        for side in (trace.egress, trace.ingress):
            rules = tuple(one.rule for one in side.matched if one.effect is Effect.ALLOW)
            if side.default_deny and rules:
                found.append((words, rules))
    return tuple(found)
