"""The answer to "why is this blocked", as data, in the form of docs/forms.md §4.1.

Built by `app.core.diagnose`, rendered by the screen, the command line and the chat alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.core.model.asked import Asked
from app.core.model.provenance import ObjectRef, RuleRef
from app.core.model.verdict import ConnectionTrace, DirectionTrace, Request, Verdict


class CauseCode(StrEnum):
    """Why a connection is blocked; the most specific code wins."""

    NONE = "none"
    EGRESS_DEFAULT_DENY = "egress-default-deny"
    INGRESS_DEFAULT_DENY = "ingress-default-deny"
    EGRESS_EXPLICIT_DENY = "egress-explicit-deny"
    INGRESS_EXPLICIT_DENY = "ingress-explicit-deny"
    DNS_BLOCKED = "dns-blocked"
    DNS_NAME_REFUSED = "dns-name-refused"
    FQDN_NOT_LEARNED = "fqdn-not-learned"
    FQDN_IN_CLUSTER = "fqdn-in-cluster"
    CIDR_IN_CLUSTER = "cidr-in-cluster"
    L7_REQUEST_REFUSED = "l7-request-refused"
    SERVICE_PORT_NOT_TARGET_PORT = "service-port-not-target-port"
    SERVICE_WITHOUT_BACKENDS = "service-without-backends"
    BACKEND_NOT_READY = "backend-not-ready"
    NAMESPACE_LABEL_ON_POD_SELECTOR = "namespace-label-on-pod-selector"
    PEER_IN_OTHER_NAMESPACE = "peer-in-other-namespace"
    LABEL_NOT_IN_IDENTITY = "label-not-in-identity"
    NAMED_PORT_UNRESOLVED = "named-port-unresolved"
    POLICY_REJECTED = "policy-rejected"
    UNMANAGED_ENDPOINT = "unmanaged-endpoint"
    KUBE_APISERVER_ENTITY = "kube-apiserver-entity"
    INGRESS_ENTITY = "ingress-entity"
    NOT_A_POLICY_DROP = "not-a-policy-drop"
    FLOWS_DISAGREE = "flows-disagree"
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """How sure the cause is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Cause:
    """`summary` is one sentence an operator can forward; `file`/`line` the place to look at.

    `rule` is the rule to change, or that decides; None where no policy holds the cause.
    """

    code: CauseCode
    summary: str
    detail: str = ""
    confidence: Confidence = Confidence.CERTAIN
    file: str | None = None
    line: int | None = None
    look_at: str = ""
    rule: RuleRef | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """`kind` is flow, object, status or dns; `ref` says where it can be checked."""

    kind: str
    text: str
    ref: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """Something to do next, with the command that does it (may be empty)."""

    title: str
    command: str = ""


class StepStatus(StrEnum):
    """What a step of the guided path found."""

    FINE = "fine"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """One step of the guided path, in the order an expert asks.

    `asks` is the question, `text` its answer in one sentence, `commands` show the same evidence.
    """

    key: str
    asks: str
    status: StepStatus
    text: str
    evidence: tuple[Evidence, ...] = ()
    commands: tuple[NextStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Fix:
    """A candidate change. `change` is add-rule, extend-rule, new-policy or none.

    `key` is that of the plan behind it, by which it is drafted; empty where there is none.
    """

    title: str
    change: str
    policy: ObjectRef | None = None
    patch: str | None = None
    opens: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of a path through the own gateway, each with its own verdict."""

    number: int
    text: str
    verdict: Verdict
    trace: ConnectionTrace | None = None


@dataclass(frozen=True, slots=True)
class BackendAnswer:
    """One backend of a Service question."""

    address: str
    port: int
    verdict: Verdict
    trace: ConnectionTrace


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyAnswer:
    """Verdict, cause, the line to look at, the proof, the change, and what is not known.

    `asked` is the question that was answered: where it left out the port of a Service, or a request
    that flows show refused, both are filled in.
    """

    asked: Asked
    port: int | None
    protocol: str
    verdict: Verdict
    egress: DirectionTrace
    ingress: DirectionTrace
    cause: Cause
    resolved_from: str = ""
    resolved_to: str = ""
    evidence: tuple[Evidence, ...] = ()
    next: tuple[NextStep, ...] = ()
    fixes: tuple[Fix, ...] = ()
    not_known: tuple[str, ...] = ()
    backends: tuple[BackendAnswer, ...] = ()
    hops: tuple[Hop, ...] = ()
    steps: tuple[StepAnswer, ...] = ()
    request: Request | None = None

    @property
    def asked_from(self) -> str:
        """The source as it was named."""
        return self.asked.source.text

    @property
    def asked_to(self) -> str:
        """The destination as it was named."""
        return self.asked.destination.text
