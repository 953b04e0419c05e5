"""Refusals with the engine's cause: what was tried, whether the block is meant, how severe it is.

A refusal is *isolation* where nothing was meant to allow it (plain default deny, a deny rule, a
request that the rules leave out, or whatever a boundary demands), and a *fault* where a rule was
meant to allow it and does not match (the near miss is the cause), or a boundary demands it.

Severity is by what was tried, one step less where a boundary demands the block, since then it is
proved to hold:

=================  =========  =============
tried              severity   with boundary
=================  =========  =============
cloud metadata     high       medium
another project    high       medium
API server, node   medium     low
Internet           low        expected
anything else      expected   low
=================  =========  =============

Something else of the cluster that a boundary names is worth a line all the same: somebody tried
what is forbidden by name. A fault is medium, low where its cause is only possible, and high where a
boundary demands the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256

from app.core.diagnose.boundaries import Boundary, Must
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.flow_question import asked_of
from app.core.diagnose.why import diagnose
from app.core.errors import K8treError
from app.core.insights.alert import (
    VIOLATION,
    Alert,
    AlertCause,
    AlertSeverity,
    Block,
    Tried,
    state_at,
)
from app.core.insights.guarded import Guards
from app.core.insights.party import FlowParty
from app.core.insights.refusals import MANY_PORTS, Key, Refusals
from app.core.insights.sight import KEEP_SAMPLES, is_answer
from app.core.model.answer import CauseCode, Confidence, WhyAnswer
from app.core.model.cluster import IdentityKind
from app.core.model.flow import Flow
from app.core.model.metadata import METADATA
from app.core.model.verdict import DirectionTrace, Outcome
from app.core.policy.engine import Engine

_PLAIN_BLOCKS = frozenset(
    {
        CauseCode.EGRESS_DEFAULT_DENY,
        CauseCode.INGRESS_DEFAULT_DENY,
        CauseCode.EGRESS_EXPLICIT_DENY,
        CauseCode.INGRESS_EXPLICIT_DENY,
        CauseCode.DNS_NAME_REFUSED,
        CauseCode.L7_REQUEST_REFUSED,
    }
)
_NO_BLOCK = frozenset(
    {
        CauseCode.NOT_A_POLICY_DROP,
        CauseCode.SERVICE_WITHOUT_BACKENDS,
        CauseCode.BACKEND_NOT_READY,
    }
)
_UNSETTLED = frozenset({CauseCode.NONE, CauseCode.UNKNOWN, CauseCode.FLOWS_DISAGREE})

_BY_TARGET = {
    Tried.METADATA: (AlertSeverity.HIGH, AlertSeverity.MEDIUM),
    Tried.PROJECT: (AlertSeverity.HIGH, AlertSeverity.MEDIUM),
    Tried.API_SERVER: (AlertSeverity.MEDIUM, AlertSeverity.LOW),
    Tried.NODE: (AlertSeverity.MEDIUM, AlertSeverity.LOW),
    Tried.INTERNET: (AlertSeverity.LOW, AlertSeverity.EXPECTED),
    Tried.CLUSTER: (AlertSeverity.EXPECTED, AlertSeverity.LOW),
}
_KINDS = {
    IdentityKind.KUBE_APISERVER: Tried.API_SERVER,
    IdentityKind.HOST: Tried.NODE,
    IdentityKind.REMOTE_NODE: Tried.NODE,
    IdentityKind.WORLD: Tried.INTERNET,
}
_HUBBLE_CODES = {
    ("POLICY_DENIED", "EGRESS"): CauseCode.EGRESS_DEFAULT_DENY,
    ("POLICY_DENIED", "INGRESS"): CauseCode.INGRESS_DEFAULT_DENY,
    ("POLICY_DENY", "EGRESS"): CauseCode.EGRESS_EXPLICIT_DENY,
    ("POLICY_DENY", "INGRESS"): CauseCode.INGRESS_EXPLICIT_DENY,
}
_POLICY_REASONS = frozenset({"POLICY_DENIED", "POLICY_DENY"})
NO_POLICIES = "which policy it was: no policies were read"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the engine says of one group of refusals."""

    cause: AlertCause
    block: Block
    tried: Tried
    severity: AlertSeverity
    boundary: str = ""
    evidence: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()


@dataclass
class Judge:
    """Asks one engine about groups of refusals, about each once."""

    engine: Engine
    boundaries: tuple[Boundary, ...] = ()
    as_of_ns: int = 0
    _known: dict[Key, Judgement] = field(default_factory=dict)
    _guards: Guards = field(init=False)

    def __post_init__(self) -> None:
        self._guards = Guards(self.boundaries, self.engine)

    def judge(self, one: Refusals) -> Judgement:
        """Say why a group was refused, and how that is meant."""
        key = (one.client, one.server, one.port, one.protocol, one.reason)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._judge(one)
        return found

    def _judge(self, one: Refusals) -> Judgement:
        flow, turned = one.sample, is_answer(one.sample)
        host = flow.source_ip if turned else flow.destination_ip
        tried = tried_of(one.client, one.server, host)
        guard = self._guards.find(one.client, one.server, host, one.port, one.protocol)
        answer = self._ask(flow, is_answer=turned)
        cause = _cause_of(answer) if answer is not None else _cause_by_hubble(one)
        block = _block_of(CauseCode(cause.code), guard)
        if answer is None and block is Block.ISOLATION and guard is None:
            block = Block.UNKNOWN
        return Judgement(
            cause=cause,
            block=block,
            tried=tried,
            severity=_severity(cause, block, tried, guard),
            boundary=guard.name if guard is not None else "",
            evidence=tuple(_near_misses(answer)) if answer is not None else (),
            not_known=answer.not_known if answer is not None else (NO_POLICIES,),
        )

    def _ask(self, flow: Flow, *, is_answer: bool) -> WhyAnswer | None:
        """The engine's answer; None where it knows nothing of the ends."""
        cluster = self.engine.cluster
        if not cluster.endpoints and not cluster.policies:
            return None
        evidence = FlowEvidence((flow,), policies_as_of_ns=self.as_of_ns)
        try:
            return diagnose(asked_of(flow, cluster, is_answer=is_answer), self.engine, evidence)
        except K8treError:
            return None


def violations(groups: Iterable[Refusals], judge: Judge, now_ns: int) -> Iterator[Alert]:
    """Give an alert for each source, destination, port and cause."""
    found: dict[str, Alert] = {}
    for one in groups:
        alert = _alert(one, judge.judge(one), now_ns)
        known = found.get(alert.id)
        found[alert.id] = alert if known is None else _joined(known, alert, now_ns)
    yield from found.values()


def tried_of(client: FlowParty, server: FlowParty, host: str) -> Tried:
    """Say what a client tried to reach; `host` is the server's address."""
    if host in METADATA:
        return Tried.METADATA
    if client.project and server.project and client.project != server.project:
        return Tried.PROJECT
    return _KINDS.get(server.kind, Tried.CLUSTER)


def alert_id(*parts: object) -> str:
    """The same for the same parts, on every machine and in every run."""
    return sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def _alert(one: Refusals, said: Judgement, now_ns: int) -> Alert:
    port = None if one.port == MANY_PORTS else one.port
    source, destination = one.client.text, one.server.text
    code = said.cause.code
    return Alert(
        id=alert_id(VIOLATION, source, destination, one.port, one.protocol, code),
        kind=VIOLATION,
        state=state_at(one.first_ns, one.last_ns, now_ns),
        severity=said.severity,
        source=source,
        destination=destination,
        port=port,
        protocol=one.protocol,
        cause=said.cause,
        first_ns=one.first_ns,
        last_ns=one.last_ns,
        count=one.count,
        attempts=one.attempts,
        block=said.block,
        tried=said.tried,
        boundary=said.boundary,
        audited=one.audited > 0,
        source_namespace=one.client.namespace,
        destination_namespace=one.server.namespace,
        flows=tuple(one.samples.uuids),
        pods=tuple(one.samples.pods),
        evidence=said.evidence,
        not_known=said.not_known,
        sample=one.sample,
    )


def _joined(one: Alert, other: Alert, now_ns: int) -> Alert:
    """Two groups of one cause, which Hubble gave different reasons for."""
    first, last = min(one.first_ns, other.first_ns), max(one.last_ns, other.last_ns)
    return replace(
        one,
        state=state_at(first, last, now_ns),
        first_ns=first,
        last_ns=last,
        count=one.count + other.count,
        attempts=one.attempts + other.attempts,
        audited=one.audited or other.audited,
        flows=(*one.flows, *other.flows)[:KEEP_SAMPLES],
        pods=tuple(dict.fromkeys((*one.pods, *other.pods)))[:KEEP_SAMPLES],
    )


def _cause_of(answer: WhyAnswer) -> AlertCause:
    cause = answer.cause
    summary = cause.summary
    if cause.code is CauseCode.NONE and cause.confidence is Confidence.CERTAIN:
        summary = "The policies as they are now allow it: they were others, or not yet in force."
    elif cause.code is CauseCode.NONE:
        summary = "Nothing that was read refuses it; what was not read may."
    return AlertCause(
        cause.code.value, summary, cause.confidence, cause.rule, cause.file, cause.line
    )


def _cause_by_hubble(one: Refusals) -> AlertCause:
    """What Hubble alone says: its reason and the direction, which is a guess of its own."""
    flow = one.sample
    code = _HUBBLE_CODES.get((one.reason, flow.direction))
    words = f"{one.client.text} → {one.server.text} was refused"
    if code is not None:
        text = f"{words} at {flow.direction.lower()} ({one.reason})"
    elif one.reason in ("dns", "http", "l7"):
        code = CauseCode.DNS_NAME_REFUSED if one.reason == "dns" else CauseCode.L7_REQUEST_REFUSED
        text = f"{words} by the proxy"
    elif one.reason and one.reason not in _POLICY_REASONS:
        code, text = CauseCode.NOT_A_POLICY_DROP, f"{words}: {one.reason}"
    else:
        code, text = CauseCode.UNKNOWN, words
    return AlertCause(code.value, text, Confidence.POSSIBLE)


def _block_of(code: CauseCode, guard: Boundary | None) -> Block:
    if code in _NO_BLOCK:
        return Block.OTHER
    if guard is not None:
        return Block.ISOLATION if guard.must is Must.DENY else Block.FAULT
    if code in _UNSETTLED:
        return Block.UNKNOWN
    return Block.ISOLATION if code in _PLAIN_BLOCKS else Block.FAULT


def _severity(
    cause: AlertCause, block: Block, tried: Tried, guard: Boundary | None
) -> AlertSeverity:
    if block is Block.OTHER:
        needed = guard is not None and guard.must is Must.ALLOW
        return AlertSeverity.MEDIUM if needed else AlertSeverity.LOW
    if block is Block.FAULT:
        if guard is not None:
            return AlertSeverity.HIGH
        unsure = cause.confidence is Confidence.POSSIBLE
        return AlertSeverity.LOW if unsure else AlertSeverity.MEDIUM
    severity = _BY_TARGET[tried][guard is not None]
    if block is Block.UNKNOWN and severity is AlertSeverity.EXPECTED:
        return AlertSeverity.LOW
    return severity


def _near_misses(answer: WhyAnswer) -> Iterator[str]:
    """What the nearest rule of each refusing side asks for instead."""
    for side in (answer.egress, answer.ingress):
        if side.outcome is Outcome.DENIED:
            yield from _nearest(side)


def _nearest(side: DirectionTrace) -> Iterator[str]:
    allows = [miss for miss in side.nearest if not miss.rule.denies]
    if allows:
        miss = allows[0]
        place = f" ({miss.rule.file}:{miss.rule.line})" if miss.rule.file else ""
        yield (
            f"{side.direction.value}: the nearest rule, {miss.rule.policy} {miss.rule.short_path}"
            f"{place}, {miss.words}"
        )
