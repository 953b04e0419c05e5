"""Projects that let each other in, asked of the engine for every pair of their pods' identities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from app.core.model.cluster import Endpoint
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Effect, Protocol, Question, Verdict

if TYPE_CHECKING:
    from app.core.lint.scope import Scope

_PROJECT_LABELS = {"k8tre.io/resource-type": "project-namespace"}
_PREFIX = "project-"
_LARGEST = 40
"""Distinct identities of a project that are asked about; workspaces of one kind share one."""


def is_project(name: str, labels: Mapping[str, str]) -> bool:
    """Say whether a namespace is a project's: by K8TRE's label, or by its name."""
    told = any(labels.get(key) == value for key, value in _PROJECT_LABELS.items())
    return told or name.startswith(_PREFIX)


def find_leaks(scope: Scope) -> Mapping[ObjectRef, Mapping[str, str]]:
    """Give, by policy and path, the first pair of projects that a rule lets connect."""
    found: dict[ObjectRef, dict[str, str]] = {}
    for source, destination, port in _pairs(scope):
        question = Question(
            scope.engine.peer_of(source), scope.engine.peer_of(destination), port, Protocol.TCP
        )
        if scope.engine.decide(question).verdict is Verdict.DENIED:
            continue
        trace = scope.engine.trace(question)
        for side in (trace.egress, trace.ingress):
            for match in side.matched:
                if match.effect is Effect.ALLOW:
                    words = f"{source.key} → {destination.key}:{port}"
                    found.setdefault(match.rule.policy, {}).setdefault(match.rule.path, words)
    return found


def _pairs(scope: Scope) -> Iterator[tuple[Endpoint, Endpoint, int]]:
    projects = {
        name: _distinct(endpoints)
        for name, endpoints in scope.endpoints_in.items()
        if name in scope.cluster.namespaces
        and is_project(name, scope.cluster.namespaces[name].labels)
    }
    for space, sources in projects.items():
        for other, destinations in projects.items():
            if other == space:
                continue
            for source in sources:
                for destination in destinations:
                    for port in destination.ports[:1]:
                        yield source, destination, port.port
                    if not destination.ports:
                        yield source, destination, 8888


def _distinct(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    known: dict[object, Endpoint] = {}
    for endpoint in endpoints:
        if endpoint.managed and not endpoint.host_network:
            known.setdefault((endpoint.labels, endpoint.ports), endpoint)
    return tuple(known.values())[:_LARGEST]
