"""How dangerous a draft is, by what it opens: asked of the engine before and after.

What is `high` needs a person who accepts it and says why: addresses of
the machine a pod runs on and of the cloud under it, the API server, another project, the outside
on all ports, and names under which anybody may register.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Any

from app.core.drafts.choice import Plan
from app.core.lint.projects import is_project
from app.core.model.cluster import IdentityKind, Namespace
from app.core.model.metadata import METADATA
from app.core.model.verdict import Peer, Question, Verdict
from app.core.policy.engine import Engine
from app.core.policy.parse import policy_ref
from app.services.lint import public_suffixes
from app.services.proof import Proof

OUTSIDE = ("100.0.0.1", "203.0.113.77", "2001:db8::77")
"""Addresses for the outside at large: one of each half of IPv4, and one of IPv6."""

PORTS = (1, 22, 80, 443, 6443, 31337, 65535)
"""Ports for all ports: what is open on each of these is not open for one service."""

_SERVER_PORTS = (443, 6443)
_NAME_KEYS = ("matchName", "matchPattern")


class Level(StrEnum):
    """How much care a draft needs."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Risk:
    """A level, and each reason for it as a clause."""

    level: Level
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`high: it opens …; it opens …`."""
        return (
            f"{self.level.value}: {'; '.join(self.reasons)}" if self.reasons else self.level.value
        )


def rate(plan: Plan, proof: Proof) -> Risk:
    """Rate what a proved change opens."""
    opened = _Opened(proof.before.engine, proof.after.engine)
    questions = plan.asked or ((plan.trace.question,) if plan.trace else ())
    reasons = [reason for one in questions for reason in opened.beyond_pods(one)]
    reasons += _suffixes(proof)
    reasons += _projects(plan, questions, proof.after.engine)
    if reasons:
        return Risk(Level.HIGH, tuple(dict.fromkeys(reasons)))
    if plan.broadens:
        more = " than the connection asked for" if plan.trace else " than is open now"
        return Risk(Level.MEDIUM, (f"it opens more{more}",))
    if plan.trace is None:
        return Risk(Level.MEDIUM, (plan.opens,)) if plan.unknown else Risk(Level.LOW)
    if any(one.destination.endpoint is None or one.source.endpoint is None for one in questions):
        return Risk(Level.MEDIUM, ("it leads outside the pods of the cluster",))
    return Risk(Level.LOW)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What was denied before and is not any more."""

    before: Engine
    after: Engine

    def is_open(self, asked: Question) -> bool:
        was, now = self.before.decide(asked).verdict, self.after.decide(asked).verdict
        return was is Verdict.DENIED and now is not Verdict.DENIED

    def any_port(self, asked: Question, ports: Iterable[int] = PORTS) -> bool:
        numbers = dict.fromkeys((asked.port, *ports))
        return any(self.is_open(replace(asked, port=port, request=None)) for port in numbers)

    def every_port(self, asked: Question) -> bool:
        return all(self.is_open(replace(asked, port=port, request=None)) for port in PORTS)

    def beyond_pods(self, asked: Question) -> Iterator[str]:
        """What is not a pod and becomes reachable from the ends that were asked about."""
        end = asked.destination
        if end.address is not None and end.address.is_link_local and self.is_open(asked):
            yield f"it opens {end.address}, an address of the machine itself (link-local)"
        if asked.source.endpoint is not None:
            yield from self._from_pod(asked)
        elif asked.source.kind is IdentityKind.WORLD and any(
            self.every_port(replace(asked, source=peer))
            for peer in (asked.source, *self._outside())
        ):
            yield "it lets the outside in on all ports"

    def _from_pod(self, asked: Question) -> Iterator[str]:
        for text in METADATA:
            peer = self.before.peer_of_address(ip_address(text))
            if self.any_port(replace(asked, destination=peer)):
                yield f"it opens {text}, where clouds answer for credentials"
        server = self.before.peer_of_entity(IdentityKind.KUBE_APISERVER.value)
        if self.any_port(replace(asked, destination=server), _SERVER_PORTS):
            yield "it opens the API server of Kubernetes"
        ends = (asked.destination,) if asked.destination.kind is IdentityKind.WORLD else ()
        if any(
            self.every_port(replace(asked, destination=one)) for one in (*ends, *self._outside())
        ):
            yield "it opens the outside on all ports"

    def _outside(self) -> tuple[Peer, ...]:
        return tuple(self.before.peer_of_address(ip_address(text)) for text in OUTSIDE)


def _suffixes(proof: Proof) -> Iterator[str]:
    """Names of new rules under which anybody may register one (publicsuffix.org)."""
    old = {policy_ref(one): one.body for one in proof.before.cluster.policies}
    for policy in proof.after.cluster.policies:
        before = old.get(policy_ref(policy))
        if before == policy.body:
            continue
        known = set(_names(before))
        for name in _names(policy.body):
            base = re.sub(r"^[*.]+", "", name.lower().rstrip("."))
            if name not in known and (not base or base in public_suffixes()):
                yield f"it opens `{name}`, under which anybody may register a name"


def _names(value: Any) -> Iterator[str]:
    """The names of `toFQDNs` anywhere in an object."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key == "toFQDNs" and isinstance(part, list):
                for one in filter(lambda one: isinstance(one, Mapping), part):
                    yield from (str(one[kind]) for kind in _NAME_KEYS if one.get(kind))
            else:
                yield from _names(part)
    elif isinstance(value, list):
        for part in value:
            yield from _names(part)


def _projects(plan: Plan, questions: Iterable[Question], engine: Engine) -> Iterator[str]:
    """Pods of one project that reach another's; a project is what lint takes for one."""
    pairs = [(one.source, one.destination) for one in questions]
    pairs += [(pair.source.peer, pair.destination.peer) for pair in (*plan.opened, *plan.requests)]
    namespaces = engine.cluster.namespaces
    for source, destination in pairs:
        ends = [one.endpoint.namespace for one in (source, destination) if one.endpoint]
        if len(set(ends)) < len(("source", "destination")):
            continue
        if all(is_project(one, _labels_of(namespaces.get(one))) for one in ends):
            yield f"it lets project `{ends[0]}` reach project `{ends[1]}`"


def _labels_of(namespace: Namespace | None) -> Mapping[str, str]:
    return namespace.labels if namespace is not None else {}
