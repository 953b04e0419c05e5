"""Every JSON form this program gives, in one place (docs/forms.md §4): plain dicts and lists.

A change here is a change of the contract. Forms only add to what docs/forms.md shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from app.services.wording import request_flag

if TYPE_CHECKING:
    from app.core.diagnose.boundaries import Ruling
    from app.core.lint.finding import Finding
    from app.core.model.answer import (
        BackendAnswer,
        Cause,
        Evidence,
        Fix,
        Hop,
        NextStep,
        StepAnswer,
        WhyAnswer,
    )
    from app.core.model.cluster import Endpoint
    from app.core.model.provenance import Notice, ObjectRef
    from app.core.model.verdict import DirectionTrace, Match, Miss, RequestMatch
    from app.ports import Proposal, Right
    from app.services.doctor import Check
    from app.services.drafting import Draft
    from app.services.effect import EffectReport
    from app.services.effect_pairs import PairEffect
    from app.services.inventory import EndpointDetail, EndpointRow, PolicyDetail, PolicyRow
    from app.services.matrix import MatrixRow
    from app.services.rule_tree import RuleNode

SCHEMA = "k8tre-tui/v1"

Form = dict[str, Any]


def listing(items: Iterable[Form], notices: Sequence[Notice] = ()) -> Form:
    """Every list: `{"schema", "items", "notices"}`."""
    return {
        "schema": SCHEMA,
        "items": list(items),
        "notices": [notice_form(one) for one in notices],
    }


def document(form: Form) -> Form:
    """Any other answer: the form with its schema in front."""
    return {"schema": SCHEMA, **form}


def ref_form(ref: ObjectRef) -> Form:
    """An object by kind, namespace and name."""
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def notice_form(notice: Notice) -> Form:
    """A notice, with the place and object it is about where there are such."""
    return {
        "severity": notice.severity,
        "text": notice.text,
        "file": notice.file,
        "line": notice.line,
        "object": ref_form(notice.ref) if notice.ref else None,
    }


def policy_form(row: PolicyRow) -> Form:
    """One item of `policies`."""
    return {
        **ref_form(row.ref),
        "directions": list(row.directions),
        "selects": row.selects if row.counted else None,
        "rules": row.rules,
        "l7": row.l7,
        "fqdn": row.fqdn,
        "deny": row.deny,
        "valid": row.valid,
        "reason": row.reason or None,
        "shadowed": row.shadowed,
        "file": row.file,
        "line": row.line,
        "deployed_by": list(row.deployed_by),
        "created": row.created or None,
        "notices": [notice_form(one) for one in row.notices],
    }


def policy_detail_form(detail: PolicyDetail) -> Form:
    """`policies NAME`: the row, its rules as a tree, the endpoints and the YAML."""
    return {
        **policy_form(detail.row),
        "description": detail.description or None,
        "tree": [node_form(node) for node in detail.tree],
        "endpoints": [endpoint.key for endpoint in detail.endpoints],
        "yaml": detail.yaml,
    }


def node_form(node: RuleNode) -> Form:
    """One line of a rule tree."""
    return {
        "kind": node.kind.value,
        "text": node.text,
        "path": node.path,
        "line": node.line,
        "children": [node_form(child) for child in node.children],
    }


def endpoint_form(row: EndpointRow) -> Form:
    """One item of `endpoints`."""
    return {
        **_endpoint(row.endpoint),
        "egress": {
            "default_deny": row.egress_default_deny,
            "policies": [ref_form(ref) for ref in row.egress],
        },
        "ingress": {
            "default_deny": row.ingress_default_deny,
            "policies": [ref_form(ref) for ref in row.ingress],
        },
    }


def endpoint_detail_form(detail: EndpointDetail) -> Form:
    """`endpoints NS/NAME`: the row, the policies in full rows, and its Services."""
    return {
        **endpoint_form(detail.row),
        "policies": [policy_form(row) for row in detail.policies],
        "services": list(detail.services),
    }


def _endpoint(endpoint: Endpoint) -> Form:
    workload, source = endpoint.workload, endpoint.source
    return {
        "namespace": endpoint.namespace,
        "name": endpoint.name,
        "workload": {"kind": workload.kind, "name": workload.name} if workload else None,
        "identity": endpoint.identity,
        "labels": list(endpoint.labels.texts()),
        "addresses": [str(address) for address in endpoint.addresses],
        "node": endpoint.node or None,
        "ports": [
            {"name": port.name or None, "port": port.port, "protocol": port.protocol}
            for port in endpoint.ports
        ],
        "managed": endpoint.managed,
        "host_network": endpoint.host_network,
        "ready": endpoint.ready,
        "phase": endpoint.phase,
        "template": endpoint.template,
        "file": source.file if source else None,
        "line": source.line if source else None,
    }


def why_form(answer: WhyAnswer, lint: Iterable[Finding] = ()) -> Form:
    """The answer of `why` (docs/forms.md §4.1).

    `request` is what was asked above layer 4, or seen in flows: `{"http": "POST /upload"}`; `lint`
    what was found in the policies that judge it.
    """
    flag, text = request_flag(answer.request) or ("", "")
    return document(
        {
            "question": {
                "from": answer.asked_from,
                "to": answer.asked_to,
                "port": answer.port,
                "protocol": answer.protocol,
            },
            "request": {flag.removeprefix("--"): text} if flag else None,
            "resolved": {"from": answer.resolved_from, "to": answer.resolved_to},
            "verdict": answer.verdict.value,
            "egress": direction_form(answer.egress),
            "ingress": direction_form(answer.ingress),
            "cause": cause_form(answer.cause),
            "evidence": [_evidence(one) for one in answer.evidence],
            "next": [_next(one) for one in answer.next],
            "fixes": [fix_form(one) for one in answer.fixes],
            "backends": [_backend(one) for one in answer.backends],
            "hops": [_hop(one) for one in answer.hops],
            "not_known": list(answer.not_known),
            "steps": [_step(one) for one in answer.steps],
            "lint": [finding_form(one) for one in lint],
        }
    )


def direction_form(trace: DirectionTrace) -> Form:
    """One direction of an answer. `nearest` holds the misses, nearest first."""
    return {
        "verdict": trace.outcome.value,
        "l4": trace.l4.value,
        "default_deny": trace.default_deny,
        "selected_by": [ref_form(ref) for ref in trace.selected_by],
        "matched": [_match(one) for one in trace.matched],
        "nearest": [_miss(one) for one in trace.nearest],
        "requests": [_request(one) for one in trace.requests],
        "implicit": trace.implicit or None,
        "uncertain": list(trace.uncertain),
    }


def cause_form(cause: Cause) -> Form:
    """The cause, with the place to look at where there is one."""
    return {
        "code": cause.code.value,
        "summary": cause.summary,
        "detail": cause.detail,
        "confidence": cause.confidence.value,
        "file": cause.file,
        "line": cause.line,
        "look_at": cause.look_at or None,
        "policy": ref_form(cause.rule.policy) if cause.rule else None,
        "path": cause.rule.path if cause.rule else None,
    }


def fix_form(fix: Fix) -> Form:
    """A candidate change."""
    return {
        "title": fix.title,
        "change": fix.change,
        "policy": ref_form(fix.policy) if fix.policy else None,
        "patch": fix.patch,
        "opens": fix.opens,
    }


def matrix_form(row: MatrixRow) -> Form:
    """One row of `matrix`; `by` are the policies that decided each direction."""
    return {
        "from": row.source,
        "to": row.destination,
        "protocol": row.protocol,
        "ports": row.ports,
        "verdict": row.verdict.value,
        "confidence": row.known.confidence.value,
        "not_known": list(row.known.not_known),
        "outside": row.outside or None,
        "egress": {"by": [ref_form(ref) for ref in row.egress_by]},
        "ingress": {"by": [ref_form(ref) for ref in row.ingress_by]},
    }


def check_form(check: Check) -> Form:
    """One finding of `doctor`."""
    return {
        "area": check.area,
        "health": check.health.value,
        "text": check.text,
        "fix": check.fix or None,
    }


def right_form(right: Right) -> Form:
    """One kind of `doctor --can-i`; `allowed` is null where the cluster has no such kind."""
    return {
        "kind": right.kind,
        "verb": right.verb,
        "allowed": right.allowed,
        "scope": right.scope,
        "cost": right.cost,
        "reason": right.reason or None,
    }


def effect_form(report: EffectReport) -> Form:
    """What a change does (docs/forms.md §4.4); `port` and a list may be null, see `PairEffect`."""
    flows = report.flows
    return {
        "newly_allowed": _pairs(report.newly_allowed),
        "newly_denied": _pairs(report.newly_denied),
        "unknown": list(report.unknown),
        "flows": {
            "window_s": flows.window_s,
            "seen": flows.seen,
            "newly_allowed": flows.newly_allowed,
            "newly_denied": flows.newly_denied,
            "lost_events": flows.lost_events,
        }
        if flows
        else None,
        "checks": [{"name": name, "holds": holds} for name, holds in report.checks],
        "refused": [
            {**ref_form(one.ref), "reason": one.reason, "file": one.file, "line": one.line}
            for one in report.refused
        ],
        "lint": [finding_form(one) for one in report.lint],
    }


def _pairs(pairs: tuple[PairEffect, ...] | None) -> list[Form] | None:
    return None if pairs is None else [_pair(one) for one in pairs]


def _pair(pair: PairEffect) -> Form:
    return {
        "from": pair.source,
        "to": pair.destination,
        "port": pair.port,
        "protocol": pair.protocol.value,
        "from_count": pair.source_count,
        "to_count": pair.destination_count,
        "outside": pair.outside or None,
    }


def finding_form(finding: Finding) -> Form:
    """One item of `lint`."""
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "policy": ref_form(finding.policy),
        "file": finding.file,
        "line": finding.line,
        "path": finding.path,
        "summary": finding.summary,
        "why": finding.why,
        "fix": finding.fix,
        "patch": finding.patch,
    }


def ruling_form(ruling: Ruling) -> Form:
    """One boundary of `check`, with what breaks it."""
    boundary = ruling.boundary
    return {
        "name": boundary.name,
        "must": boundary.must.value,
        "why": boundary.why or None,
        "holds": ruling.holds,
        "asked": ruling.asked,
        "problem": ruling.problem or None,
        "not_known": list(ruling.not_known),
        "file": boundary.file or None,
        "line": boundary.line or None,
        "breaches": [
            {
                "from": breach.source,
                "to": breach.destination,
                "port": breach.port,
                "protocol": breach.protocol.value,
                "verdict": breach.verdict.value,
                "outside": breach.outside or None,
                "rules": [
                    {
                        "policy": ref_form(rule.policy),
                        "path": rule.path,
                        "file": rule.file,
                        "line": rule.line,
                    }
                    for rule in breach.rules
                ],
            }
            for breach in ruling.breaches
        ],
    }


def draft_form(draft: Draft, report: EffectReport, proposal: Proposal | None) -> Form:
    """A draft, its effect, and where it was put: `branch` is null when it was only shown."""
    effect = effect_form(report)
    checks = [{"name": name, "holds": holds} for name, holds in draft.checks]
    return document(
        {
            "title": draft.title,
            "repository": draft.repository,
            "policies": [ref_form(ref) for ref in draft.policies],
            "files": list(draft.files),
            "patch": draft.diff,
            "opens": draft.opens,
            "broadens": draft.broadens,
            "risk": {"level": draft.risk.level.value, "reasons": list(draft.risk.reasons)},
            "base": draft.proof.commit or None,
            "evidence": list(draft.plan.evidence),
            **effect,
            "checks": [*checks, *effect["checks"]],
            "expires": draft.request.expires or None,
            "body": draft.change.body,
            "branch": proposal.branch if proposal else None,
            "url": (proposal.url if proposal else "") or None,
        }
    )


def _match(match: Match) -> Form:
    rule = match.rule
    return {
        "policy": ref_form(rule.policy),
        "path": rule.path,
        "effect": match.effect.value,
        "l7": match.l7,
        "file": rule.file,
        "line": rule.line,
    }


def _miss(miss: Miss) -> Form:
    rule = miss.rule
    return {
        "policy": ref_form(rule.policy),
        "path": miss.path or rule.path,
        "failed_on": miss.failed_on.value,
        "wanted": miss.wanted,
        "got": miss.got,
        "file": rule.file,
        "line": rule.line,
    }


def _request(request: RequestMatch) -> Form:
    return {
        "policy": ref_form(request.rule.policy),
        "path": request.rule.path,
        "text": request.text,
        "allowed": request.allowed,
        "file": request.rule.file,
        "line": request.rule.line,
    }


def _evidence(evidence: Evidence) -> Form:
    return {"kind": evidence.kind, "text": evidence.text, "ref": evidence.ref}


def _next(step: NextStep) -> Form:
    return {"title": step.title, "command": step.command}


def _backend(backend: BackendAnswer) -> Form:
    return {
        "address": backend.address,
        "port": backend.port,
        "verdict": backend.verdict.value,
        "egress": direction_form(backend.trace.egress),
        "ingress": direction_form(backend.trace.ingress),
    }


def _step(step: StepAnswer) -> Form:
    return {
        "key": step.key,
        "asks": step.asks,
        "status": step.status.value,
        "text": step.text,
        "evidence": [_evidence(one) for one in step.evidence],
        "commands": [_next(one) for one in step.commands],
    }


def _hop(hop: Hop) -> Form:
    return {"number": hop.number, "text": hop.text, "verdict": hop.verdict.value}
