"""The JSON forms as types, from which their schemas are made (`k8tre-tui config schema`).

`contract` fills them; every test of the command line holds what was printed to these types. A
field that a document may lack has a default here; one that may be null says so. Documents may gain
fields, so whoever reads them ignores what they do not know.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from app.core.diagnose.boundaries import Must
from app.core.errors import UsageError
from app.core.model.answer import CauseCode, Confidence, StepStatus
from app.core.model.verdict import Dimension, Effect, Outcome, Protocol, Verdict
from app.services.contract import SCHEMA
from app.services.doctor_forms import Doctor, Report, Rights, Settings
from app.services.draft_forms import KeptDrafts
from app.services.form_parts import (
    Document,
    Listing,
    Notice,
    Place,
    PlacedRef,
    Port,
    Ref,
    Schema,
    Severity,
    Workload,
)
from app.services.insight_forms import Alerts, CoverageFound, PerformanceList
from app.services.rule_tree import NodeKind

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Change = Literal["add-rule", "extend-rule", "new-policy", "none"]


class Policy(PlacedRef, kw_only=True):
    """One policy. `reason` says why it is not in force.

    `selects` counts endpoints, and is null where no pod was read.
    """

    directions: list[str]
    selects: int | None
    rules: int
    l7: bool
    fqdn: bool
    deny: bool
    valid: bool
    reason: str | None
    shadowed: bool
    deployed_by: list[str]
    created: str | None
    notices: list[Notice]


class Policies(Listing, kw_only=True):
    """`policies`."""

    items: list[Policy]


class RuleNode(msgspec.Struct, kw_only=True):
    """One line of a policy as a tree."""

    kind: NodeKind
    text: str
    path: str
    line: int | None
    children: list[RuleNode]


class PolicyDetail(Policy, kw_only=True):
    """`policies NAME`: its rules as a tree, the endpoints it selects, and its YAML."""

    schema: Schema
    description: str | None
    tree: list[RuleNode]
    endpoints: list[str]
    yaml: str


class Judged(msgspec.Struct, kw_only=True):
    """What judges one direction of an endpoint."""

    default_deny: bool
    policies: list[Ref]


class Endpoint(Place, kw_only=True):
    """One endpoint; `identity` is null where the agent has not given it one."""

    namespace: str
    name: str
    workload: Workload | None
    identity: int | None
    labels: list[str]
    addresses: list[str]
    node: str | None
    ports: list[Port]
    managed: bool
    host_network: bool
    ready: bool | None
    phase: str
    template: bool
    egress: Judged
    ingress: Judged


class Endpoints(Listing, kw_only=True):
    """`endpoints`."""

    items: list[Endpoint]


class EndpointDetail(Endpoint, kw_only=True):
    """`endpoints NS/NAME`: the policies in full, and the Services that select it."""

    schema: Schema
    policies: list[Policy]
    services: list[str]


class Rule(Place, kw_only=True):
    """A rule: the policy, and the path in it."""

    policy: Ref
    path: str


class Match(Rule, kw_only=True):
    """A rule that fits; `l7` says that it looks at requests too."""

    effect: Effect
    l7: bool


class Miss(Rule, kw_only=True):
    """A rule that does not fit, and the first thing about it that does not."""

    failed_on: Dimension
    wanted: str
    got: str


class RequestRule(Rule, kw_only=True):
    """A layer 7 rule, and whether it lets the request that was asked about pass."""

    text: str
    allowed: bool


class Direction(msgspec.Struct, kw_only=True):
    """One direction of an answer; `nearest` holds the rules that missed, nearest first."""

    verdict: Outcome
    l4: Outcome
    default_deny: bool
    selected_by: list[Ref]
    matched: list[Match]
    nearest: list[Miss]
    requests: list[RequestRule]
    implicit: str | None
    uncertain: list[str]


class Question(msgspec.Struct, kw_only=True):
    """What was asked, in the words it was asked in."""

    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    port: int | None
    protocol: str


class Resolved(msgspec.Struct, kw_only=True):
    """What the ends stand for."""

    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")


class AskedRequest(msgspec.Struct, kw_only=True):
    """What was asked above layer 4, one of these."""

    http: str | msgspec.UnsetType = msgspec.UNSET
    dns: str | msgspec.UnsetType = msgspec.UNSET
    sni: str | msgspec.UnsetType = msgspec.UNSET


class Cause(Place, kw_only=True):
    """Why: `summary` is one sentence to forward; `file` and `line` are where to look."""

    code: CauseCode
    summary: str
    detail: str
    confidence: Confidence
    look_at: str | None
    policy: Ref | None
    path: str | None


class Evidence(msgspec.Struct, kw_only=True):
    """What was seen, and where it can be checked."""

    kind: Literal["flow", "object", "status", "dns"]
    text: str
    ref: str


class Next(msgspec.Struct, kw_only=True):
    """A command that shows more."""

    title: str
    command: str


class Fix(msgspec.Struct, kw_only=True):
    """A change that would allow it; `opens` says what else it would."""

    title: str
    change: Change
    policy: Ref | None
    patch: str | None
    opens: str


class Backend(msgspec.Struct, kw_only=True):
    """One backend of a Service that was asked about."""

    address: str
    port: int
    verdict: Verdict
    egress: Direction
    ingress: Direction


class Hop(msgspec.Struct, kw_only=True):
    """One hop of a way through the cluster's own gateway."""

    number: int
    text: str
    verdict: Verdict


class Step(msgspec.Struct, kw_only=True):
    """One step of the guided path, in the order an expert asks."""

    key: str
    asks: str
    status: StepStatus
    text: str
    evidence: list[Evidence]
    commands: list[Next]


class Finding(Place, kw_only=True):
    """One finding of `lint`; `code` is NP and a number, `name` says it in words."""

    code: str
    name: str
    severity: Severity
    policy: Ref
    path: str
    summary: str
    why: str
    fix: str
    patch: str | None


class EnvironmentVerdict(msgspec.Struct, kw_only=True):
    """The verdict in one environment of a checkout, named as `--env` and `--cluster` take it."""

    env: str | None
    clusters: list[str]
    verdict: Verdict


class Why(Document, kw_only=True):
    """`why`. `not_known` says what the answer does not rest on: while it is not empty, read it."""

    question: Question
    request: AskedRequest | None
    resolved: Resolved
    verdict: Verdict
    egress: Direction
    ingress: Direction
    cause: Cause
    evidence: list[Evidence]
    next: list[Next]
    fixes: list[Fix]
    backends: list[Backend]
    hops: list[Hop]
    not_known: list[str]
    steps: list[Step]
    lint: list[Finding]
    environments: list[EnvironmentVerdict] | msgspec.UnsetType = msgspec.UNSET


class By(msgspec.Struct, kw_only=True):
    """The policies that decided a direction."""

    by: list[Ref]


class MatrixRow(msgspec.Struct, kw_only=True):
    """One pair on some ports of a protocol, how sure its verdict is; `outside`: see `Pair`."""

    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    protocol: str
    ports: str
    verdict: Verdict
    confidence: Confidence
    not_known: list[str]
    outside: str | None
    egress: By
    ingress: By


class Matrix(Listing, kw_only=True):
    """`matrix`."""

    items: list[MatrixRow]


class Lint(Listing, kw_only=True):
    """`lint`."""

    items: list[Finding]


class LintRule(msgspec.Struct, kw_only=True):
    """A rule of `lint`; `needs` is file, repository, cluster or flows."""

    code: str
    name: str
    severity: Severity
    needs: str
    why: str
    bad: str
    good: str


class Rules(Listing, kw_only=True):
    """`lint --rules`."""

    items: list[LintRule]


class Pair(msgspec.Struct, kw_only=True):
    """A pair whose verdict changes; `port` null is every port that nothing names.

    The counts are of pods, 0 where they are not there yet and 1 for an end that is no pod.
    `outside` says which ends outside one of the two stands for.
    """

    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    port: int | None
    protocol: Protocol
    from_count: int
    to_count: int
    outside: str | None


class FlowEffect(msgspec.Struct, kw_only=True):
    """Recorded connections asked again."""

    window_s: int
    seen: int
    newly_allowed: int
    newly_denied: int
    lost_events: int


class NamedCheck(msgspec.Struct, kw_only=True):
    """A boundary or a check of a draft, by name."""

    name: str
    holds: bool


class Refused(PlacedRef, kw_only=True):
    """An object that Cilium would refuse."""

    reason: str


class WhatIf(Document, kw_only=True):
    """`what-if`: what a change does; `flows` is null where none were recorded.

    A list of pairs is null where nothing of it is known, and `unknown` says why.
    """

    newly_allowed: list[Pair] | None
    newly_denied: list[Pair] | None
    unknown: list[str]
    flows: FlowEffect | None
    checks: list[NamedCheck]
    refused: list[Refused]
    lint: list[Finding]


class Risk(msgspec.Struct, kw_only=True):
    """How dangerous a draft is (`low`, `medium`, `high`), and each reason for it."""

    level: str
    reasons: list[str]


class Draft(WhatIf, kw_only=True):
    """`draft`: the change and what it does; `branch` is null when the change was only shown."""

    title: str
    repository: str
    policies: list[Ref]
    files: list[str]
    patch: str
    opens: str
    broadens: bool
    risk: Risk
    base: str | None
    evidence: list[str]
    expires: str | None
    body: str
    branch: str | None
    url: str | None


class Breach(msgspec.Struct, kw_only=True):
    """A connection that is not as demanded, and the rules that make it so.

    `outside` says which ends outside one of the two stands for, null where neither stands for some.
    """

    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    port: int
    protocol: Protocol
    verdict: Verdict
    outside: str | None
    rules: list[Rule]


class Boundary(Place, kw_only=True):
    """One boundary; `problem` says why nothing could be decided.

    While `not_known` is not empty, what is said holds as far as is known.
    """

    name: str
    must: Must
    why: str | None
    holds: bool
    asked: int
    problem: str | None
    not_known: list[str]
    breaches: list[Breach]


class Check(Listing, kw_only=True):
    """`check`; `environment` is which of a checkout's, where all are checked."""

    items: list[Boundary]
    environment: str | msgspec.UnsetType = msgspec.UNSET


FORMS: dict[str, type[msgspec.Struct]] = {
    "policies": Policies,
    "policy": PolicyDetail,
    "endpoints": Endpoints,
    "endpoint": EndpointDetail,
    "why": Why,
    "matrix": Matrix,
    "lint": Lint,
    "rules": Rules,
    "what-if": WhatIf,
    "draft": Draft,
    "drafts": KeptDrafts,
    "check": Check,
    "alerts": Alerts,
    "performance": PerformanceList,
    "coverage": CoverageFound,
    "doctor": Doctor,
    "rights": Rights,
    "report": Report,
    "settings": Settings,
}
"""Every form by its name. `flows` is not among them: its lines are Hubble's own."""


def form_schema(name: str) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of a form. Raises `UsageError` for a name there is not."""
    if name not in FORMS:
        raise UsageError(f"no form `{name}`", hint=f"forms: {', '.join(FORMS)}")
    made = msgspec.json.schema(FORMS[name])
    return {
        "$schema": DIALECT,
        "$id": f"urn:{SCHEMA.replace('/', ':')}:{name}",
        "title": f"k8tre-tui {name}",
        **made,
    }
