"""Services that a pod may use instead of going outside: a mirror, a proxy.

Which those are is not told by their names but by policies: the pod may reach them, and a rule lets
them go where the pod may not. A Service that may go anywhere because nothing restricts it is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.core.diagnose.services import backends_of
from app.core.model.cluster import IdentityKind, Service, ServicePort
from app.core.model.verdict import Protocol, Question, Verdict
from app.core.policy.engine import Engine

_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class GoBetween:
    """A Service with the port on which the pod may reach it."""

    service: Service
    port: ServicePort


def go_betweens(question: Question, engine: Engine) -> Iterator[GoBetween]:
    """Yield Services that may be used instead of a destination outside the cluster, by name.

    Those of the source's own namespace come first.
    """
    own = question.source.endpoint
    if own is None or question.destination.kind is not IdentityKind.WORLD:
        return
    services = engine.cluster.services
    for service in sorted(services, key=lambda one: (one.namespace != own.namespace, one.key)):
        port = next(
            (one for one in service.ports if _leads_on(service, one, question, engine)), None
        )
        if port is not None:
            yield GoBetween(service, port)


def _leads_on(service: Service, port: ServicePort, question: Question, engine: Engine) -> bool:
    if port.protocol != Protocol.TCP.value or port.port == _DNS_PORT:
        return False
    ready = (one for one in backends_of(service, port, engine.cluster) if one.ready)
    backend = next((one for one in ready if one.endpoint and one.port), None)
    if backend is None or backend.endpoint is None or backend.port is None:
        return False
    between = engine.peer_of(backend.endpoint)
    if between.labels == question.source.labels:
        return False
    onward = engine.decide(replace(question, source=between, request=None))
    if onward.verdict is Verdict.DENIED or not onward.egress.by:
        return False
    toward = Question(question.source, between, backend.port)
    return engine.decide(toward).verdict is not Verdict.DENIED
