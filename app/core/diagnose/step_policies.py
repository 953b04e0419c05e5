"""The steps that read policies: egress, the own gateway, ingress, layer 7."""

from __future__ import annotations

from dataclasses import replace

from app.core.cluster import commands
from app.core.diagnose.case import Case, asks_dns
from app.core.diagnose.denied import (
    PLAIN,
    Denial,
    client_cause,
    gateway_cause,
    meant_for_gateway,
)
from app.core.diagnose.finding import Finding, skipped
from app.core.diagnose.gateway import GatewayPath
from app.core.diagnose.look import look_at
from app.core.diagnose.question import Leg
from app.core.diagnose.rejected import refused_selecting, rejected_rules
from app.core.diagnose.sentences import names_of, near, place, rule_name, sentence
from app.core.model.answer import (
    Cause,
    CauseCode,
    Confidence,
    Evidence,
    NextStep,
    StepStatus,
)
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, DirectionTrace, Outcome, Verdict

_WORDS = {
    Outcome.ALLOWED: "allowed",
    Outcome.REDIRECTED: "allowed, subject to layer 7 rules",
    Outcome.NOT_ENFORCED: "not enforced: no policy selects that end, so all is allowed",
    Outcome.NOT_APPLICABLE: "not applicable: that end has no policy of its own",
}


_WHICH_REQUESTS = "which requests the layer 7 rules let through: ask with --http, --dns or --sni"


def look_at_egress(case: Case) -> Finding:
    """Does the source's egress policy allow it?"""
    return _look_at_direction(case, Direction.EGRESS)


def look_at_ingress(case: Case) -> Finding:
    """Does the destination's ingress policy allow it?"""
    return _look_at_direction(case, Direction.INGRESS)


def _look_at_direction(case: Case, direction: Direction) -> Finding:
    if case.main is None:
        return skipped("there is nothing to connect to")
    trace = case.main.direction(direction)
    shown = _commands(trace, case)
    denial = next((one for one in case.denials if one.direction is direction), None)
    if denial is None and (cause := _left_open(case.main, direction, case)) is not None:
        return Finding(StepStatus.PROBLEM, describe(trace), (), shown, cause)
    if denial is None or _is_layer7(denial):
        return Finding(StepStatus.FINE, describe(trace), _evidence(trace), shown,
                       unknown=trace.uncertain)  # fmt: skip
    problem, text, proof = StepStatus.PROBLEM, describe(denial.trace), _evidence(denial.trace)
    if case.path is not None:  # the gateway's step gives the cause, hop by hop
        return Finding(problem, text, proof, shown, unknown=trace.uncertain)
    if denial.cause.code in PLAIN and asks_dns(case):
        denial = replace(denial, cause=replace(denial.cause, code=CauseCode.DNS_BLOCKED))
    return Finding(
        status=problem,
        text=text,
        evidence=proof,
        commands=shown,
        cause=denial.cause,
        denial=denial,
        unknown=trace.uncertain,
    )


def _left_open(leg: Leg, direction: Direction, case: Case) -> Cause | None:
    """A policy that would close this direction to the connection, were it not refused."""
    trace = leg.direction(direction)
    if trace.default_deny or trace.outcome in (Outcome.DENIED, Outcome.NOT_APPLICABLE):
        return None
    look = look_at(leg, direction, case.engine)
    meant = {rule.policy.ref for rule in rejected_rules(look)}
    closing = [one for one in refused_selecting(look, surely=True) if one.ref not in meant]
    if not closing:
        return None
    policy = closing[0]
    by = "the API server" if policy.refused_by == "api-server" else "Cilium"
    end = leg.subject(direction).text
    text = (
        f"`{policy.ref.name}` would restrict {end} for {direction.value} and does not allow this, "
        f"but {by} refuses it, so nothing of it is enforced: {policy.reason}"
    )
    detail = "agents that hold an older, valid version of it enforce that until they restart"
    code, likely = CauseCode.POLICY_REJECTED, Confidence.LIKELY
    cause = Cause(code, sentence(text), sentence(detail), likely)
    return place(cause, policy.manifest, policy.path)


def _is_layer7(denial: Denial) -> bool:
    return (
        denial.trace.l4 is not Outcome.DENIED
        and denial.trace.outcome is Outcome.DENIED
        and (denial.cause.code in (CauseCode.L7_REQUEST_REFUSED, CauseCode.DNS_NAME_REFUSED))
    )


def describe(trace: DirectionTrace) -> str:
    """One line on a direction: who selects it, what matched, what came nearest."""
    if trace.outcome is not Outcome.DENIED:
        by = ", ".join(dict.fromkeys(rule_name(one.rule) for one in trace.matched))
        implicit = f" ({trace.implicit})" if trace.implicit else ""
        return (
            f"{trace.direction.value}: {_WORDS[trace.outcome]}{f' by {by}' if by else ''}{implicit}"
        )
    if trace.matched and trace.l4 is Outcome.DENIED:
        by = ", ".join(dict.fromkeys(rule_name(one.rule) for one in trace.matched))
        return f"{trace.direction.value}: denied by {by}"
    text = f"{trace.direction.value}: default deny (selected by {names_of(trace.selected_by)})"
    miss = near(trace.nearest)
    if miss is None:
        return f"{text}; no rule comes near"
    return (
        f"{text}; {rule_name(miss.rule)} is nearest and fails on {miss.failed_on.value}: "
        f"it {miss.words}"
    )


def _evidence(trace: DirectionTrace) -> tuple[Evidence, ...]:
    matched = [Evidence("object", f"{rule_name(one.rule)} {one.effect.value}s it", str(one.rule))
               for one in trace.matched]  # fmt: skip
    if matched or trace.outcome is not Outcome.DENIED:
        return tuple(matched)
    return tuple(
        Evidence(
            "object",
            f"{rule_name(miss.rule)} fails on {miss.failed_on.value}: it {miss.words}",
            str(miss.rule),
        )
        for miss in [one for one in trace.nearest if not one.rule.denies][:3]
    )


def _commands(trace: DirectionTrace, case: Case) -> tuple[NextStep, ...]:
    refs: tuple[ObjectRef, ...] = tuple(dict.fromkeys(one.rule.policy for one in trace.matched))
    refs = refs or tuple(dict.fromkeys(miss.rule.policy for miss in trace.nearest[:1]))
    shown = [NextStep(f"show `{ref.name}`", commands.get_policy(ref)) for ref in refs[:2]]
    end = case.sources[0] if trace.direction is Direction.EGRESS else case.destinations[0]
    if not shown and end.endpoint is not None:
        listing = commands.list_policies(end.endpoint.namespace)
        shown = [NextStep("list the policies there", listing)]
    return tuple(shown)


def look_at_gateway(case: Case) -> Finding:
    """Which hop of the way through the own gateway fails?"""
    path = case.path
    if path is None:
        return skipped("the own gateway is not on the way")
    evidence = tuple(
        Evidence("object", f"hop {hop.number}: {hop.text}: {hop.verdict.value}")
        for hop in path.hops()
    )
    failed = path.denied
    if failed is None:
        return Finding(StepStatus.FINE, "every hop through the gateway is allowed", evidence)
    denial = case.denial
    if denial is None:
        raise AssertionError("a denied check has a denial")
    found = _through_the_gateway(denial, path, case)
    text = f"hop {failed.hop} of 3 is denied"
    return Finding(StepStatus.PROBLEM, text, evidence, cause=found.cause, denial=found)


def _through_the_gateway(denial: Denial, path: GatewayPath, case: Case) -> Denial:
    """Say of a plain denial what it means on this way; one on arrival names the entity already."""
    client, _, onward, _ = path.checks
    cause = denial.cause
    arrival = denial.leg is onward.leg and denial.direction is Direction.INGRESS
    if arrival and cause.code is CauseCode.INGRESS_ENTITY:
        return meant_for_gateway(denial, client.leg.source, case.engine)
    if arrival or cause.code not in PLAIN:
        return denial
    if denial.leg is not client.leg:
        return replace(denial, cause=gateway_cause(cause, denial.leg, denial.direction))
    if path.allows_the_gateway_itself:
        return replace(denial, cause=client_cause(cause, denial.leg))
    return denial


def look_at_layer7(case: Case) -> Finding:
    """Do layer 7 rules let the request through?"""
    if case.main is None:
        return skipped("there is nothing to connect to")
    refused = next((one for one in case.denials if _is_layer7(one)), None)
    if refused is not None:
        rules = tuple(Evidence("object", one.text, str(one.rule)) for one in refused.trace.requests)
        text = "the request is refused at layer 7"
        return Finding(
            status=StepStatus.PROBLEM,
            text=text,
            evidence=rules,
            commands=(),
            cause=refused.cause,
            denial=refused,
        )
    traces = (case.main.trace.egress, case.main.trace.ingress)
    if not any(trace.l4 is Outcome.REDIRECTED for trace in traces):
        return skipped("no layer 7 rule applies")
    if case.asked.request is None:
        denied = case.policy_verdict is Verdict.DENIED
        unknown = () if denied else (_WHICH_REQUESTS,)
        return Finding(StepStatus.UNKNOWN, "the proxy decides each request", unknown=unknown)
    return Finding(StepStatus.FINE, "the request is let through")
