"""What the policies say of a demo connection, with the evidence Hubble 1.19 would attach.

Source: Cilium `pkg/policy/correlation/correlation.go` and `pkg/policy/mapstate.go`; the match
types are those of `pkg/monitor/api` (`PolicyMatchType`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from app.core.model.flow import PolicyEvidence
from app.core.model.provenance import ObjectRef, RuleRef
from app.core.model.verdict import (
    DirectionTrace,
    Effect,
    Outcome,
    Protocol,
    Question,
    Request,
)
from app.core.policy.engine import Engine
from integrations.demo.cast import Actor
from integrations.demo.objects import uid_of

_REVISION = 214
_LABEL = "k8s:io.cilium.k8s.policy."
_LOCALHOST = PolicyEvidence(
    labels=("reserved:io.cilium.policy.derived-from=allow-localhost-ingress",)
)
_NOT_PEERS = frozenset({"toPorts", "ports", "icmps", "authentication"})
_MATCH_NONE, _MATCH_L3, _MATCH_L3_L4, _MATCH_L4, _MATCH_ALL = range(5)
_MOST_SPECIFIC_FIRST = (_MATCH_L3_L4, _MATCH_L4, _MATCH_L3, _MATCH_ALL)
"""An entry with a port beats one without, then one with a peer (Cilium `bpf/lib/policy.h`)."""
_ITEM = re.compile(r"spec(?:s\[\d+\])?\.[A-Za-z]+\[\d+\]")
_PATH_PART = re.compile(r"([A-Za-z]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Ruling:
    """One direction: `enforced` says whether a policy-verdict event is written at all."""

    outcome: Outcome
    enforced: bool
    explicit: bool = False
    evidence: tuple[PolicyEvidence, ...] = ()
    match_type: int = _MATCH_NONE

    @property
    def denied(self) -> bool:
        """Whether the connection, or the request, ends here."""
        return self.outcome is Outcome.DENIED

    @property
    def redirected(self) -> bool:
        """Whether the proxy decides each request."""
        return self.outcome is Outcome.REDIRECTED


@dataclass(frozen=True, slots=True)
class Judgement:
    """Both directions of a connection."""

    egress: Ruling
    ingress: Ruling


class Judge:
    """Asks the engine once for every pair of actors, port and request."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._judgements: dict[tuple[object, ...], Judgement] = {}

    def judge(
        self,
        source: Actor,
        destination: Actor,
        *,
        port: int,
        protocol: Protocol = Protocol.TCP,
        request: Request | None = None,
    ) -> Judgement:
        """Decide a connection, or one request over it."""
        key = (source.key, destination.key, destination.names, port, protocol, repr(request))
        if (known := self._judgements.get(key)) is not None:
            return known
        question = Question(source.peer, destination.peer, port, protocol, request)
        trace = self._engine.trace(question)
        judgement = Judgement(self._rule(trace.egress), self._rule(trace.ingress))
        return self._judgements.setdefault(key, judgement)

    def _rule(self, trace: DirectionTrace) -> Ruling:
        enforced = trace.outcome not in {Outcome.NOT_ENFORCED, Outcome.NOT_APPLICABLE}
        if trace.implicit and not trace.matched:
            return Ruling(trace.outcome, enforced, evidence=(_LOCALHOST,), match_type=_MATCH_L3)
        denied = trace.outcome is Outcome.DENIED
        effect = Effect.DENY if denied else Effect.ALLOW
        rules = [match.rule for match in trace.matched if match.effect is effect]
        types = {rule: self._match_type(rule) for rule in rules}
        found = min(types.values(), key=_MOST_SPECIFIC_FIRST.index, default=_MATCH_NONE)
        policies = dict.fromkeys(rule.policy for rule in rules if types[rule] == found)
        return Ruling(
            trace.outcome,
            enforced,
            explicit=denied and bool(rules),
            evidence=tuple(_evidence(policy) for policy in policies),
            match_type=found,
        )

    @cached_property
    def _bodies(self) -> Mapping[ObjectRef, Mapping[str, Any]]:
        return {manifest.ref: manifest.body for manifest in self._engine.cluster.policies}

    def _match_type(self, rule: RuleRef) -> int:
        item: Any = self._bodies[rule.policy]
        path = _ITEM.match(rule.path)
        for name, index in _PATH_PART.findall(path.group() if path else ""):
            item = item[name] if name else item[int(index)]
        by_port = bool(item.get("toPorts") or item.get("ports") or item.get("icmps"))
        by_peer = bool(item.keys() - _NOT_PEERS)
        if by_peer:
            return _MATCH_L3_L4 if by_port else _MATCH_L3
        return _MATCH_L4 if by_port else _MATCH_ALL


def _evidence(policy: ObjectRef) -> PolicyEvidence:
    namespace = (f"{_LABEL}namespace={policy.namespace}",) if policy.namespace else ()
    return PolicyEvidence(
        kind=policy.kind,
        namespace=policy.namespace,
        name=policy.name,
        labels=(
            f"{_LABEL}derived-from={policy.kind}",
            f"{_LABEL}name={policy.name}",
            *namespace,
            f"{_LABEL}uid={uid_of(policy.kind, policy.namespace, policy.name)}",
        ),
        revision=_REVISION,
    )
