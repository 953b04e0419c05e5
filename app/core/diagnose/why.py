"""The answer to "why is this blocked?": verdict, cause, proof, change, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.core.diagnose.arrival import verdicts
from app.core.diagnose.case import Case, gather
from app.core.diagnose.certainty import doubts, lowered
from app.core.diagnose.denied import PLAIN, Denial
from app.core.diagnose.doubts import Doubtful
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.finding import Finding
from app.core.diagnose.meant import say_dropped
from app.core.diagnose.question import Leg
from app.core.diagnose.redirect import in_words
from app.core.diagnose.sentences import sentence
from app.core.diagnose.steps import STEPS, Step
from app.core.model.answer import (
    BackendAnswer,
    Cause,
    CauseCode,
    Confidence,
    Evidence,
    NextStep,
    StepAnswer,
    StepStatus,
    WhyAnswer,
)
from app.core.model.asked import Asked
from app.core.model.cluster import IdentityKind
from app.core.model.verdict import Direction, DirectionTrace, Outcome, Verdict
from app.core.policy.engine import Engine
from app.core.policy.rules import FqdnSelector

_MOST_EVIDENCE = 12
_DNS_CODES = frozenset(
    {CauseCode.DNS_BLOCKED, CauseCode.DNS_NAME_REFUSED, CauseCode.FQDN_NOT_LEARNED}
)


def diagnose(asked: Asked, engine: Engine, flows: FlowEvidence | None = None) -> WhyAnswer:
    """Answer one question from policies, objects and flows.

    Without flows it answers from policies and says so. Raises `UsageError`, `NotFound` or
    `Ambiguous` when an end or the port is not clear.
    """
    return answer_of(gather(asked, engine, flows))


def answer_of(case: Case) -> WhyAnswer:
    """Answer from what was gathered; no fix is looked for."""
    findings = [(step, step.look(case)) for step in STEPS]
    chosen = choose(findings)
    return _answer(case, findings, chosen)


def choose(findings: list[tuple[Step, Finding]]) -> Finding | None:
    """Pick the finding whose cause is given.

    A contradiction by flows wins; then the first that says more than "no rule matches".
    """
    found = [(step, finding) for step, finding in findings if finding.cause is not None]
    for step, finding in found:
        if step.overrules:
            return finding
    for _, finding in found:
        if finding.cause is not None and finding.cause.code not in PLAIN:
            return finding
    return found[0][1] if found else None


def _answer(case: Case, findings: list[tuple[Step, Finding]], chosen: Finding | None) -> WhyAnswer:
    doubtful = doubts(case)
    cause = _cause(case, chosen, doubtful)
    verdict = _verdict(case, cause)
    port, protocol = _port(case)
    egress, ingress = (_trace(case, chosen, one) for one in Direction)
    return WhyAnswer(
        asked=case.asked,
        port=port,
        protocol=protocol,
        verdict=verdict,
        egress=egress,
        ingress=ingress,
        cause=cause,
        resolved_from=case.main.source.text if case.main else case.sources[0].text,
        resolved_to=case.main.destination.text if case.main else _nothing_behind(case),
        evidence=_evidence(findings, chosen),
        next=_next(findings, chosen),
        not_known=_not_known(findings, doubtful),
        backends=_backends(case),
        hops=case.path.hops() if case.path else (),
        steps=tuple(_step(step, finding) for step, finding in findings),
        request=case.main.question.request if case.main else None,
    )


def _nothing_behind(case: Case) -> str:
    return f"Service {case.service.key}" if case.service else case.asked.destination.text


def _not_known(
    findings: list[tuple[Step, Finding]], doubtful: tuple[Doubtful, ...]
) -> tuple[str, ...]:
    steps = (text for _, finding in findings for text in finding.unknown)
    return tuple(dict.fromkeys((*steps, *(one.text for one in doubtful if one.text))))


def _cause(case: Case, chosen: Finding | None, doubtful: tuple[Doubtful, ...]) -> Cause:
    """The cause, as sure as what is known makes it, and with what holds beside it."""
    cause = lowered(_found_cause(case, chosen), doubtful)
    if cause.code is CauseCode.NONE and cause.confidence is Confidence.POSSIBLE:
        summary = f"As far as is known, {cause.summary[:1].lower()}{cause.summary[1:]}"
        cause = replace(cause, summary=summary)
    cause = _with_arrival(_with_redirect(cause, case), case)
    dropped = [sentence(text) for text in dict.fromkeys(_dropped(case, cause))]
    if dropped:
        cause = replace(cause, detail=" ".join((cause.detail, *dropped[:_MOST_DROPPED])).strip())
    if case.policy_verdict is Verdict.DENIED and case.engine.cluster.config.audit_mode:
        detail = f"{cause.detail} {_AUDIT_MODE}".strip()
        cause = replace(cause, detail=detail)
    return cause


_MOST_DROPPED = 2


def _dropped(case: Case, cause: Cause) -> Iterator[str]:
    """Fields that the API server drops from the rules that decide: their author meant them."""
    traces = [leg.direction(one) for leg in _asked_legs(case) for one in Direction]
    rules = {match.rule for trace in traces for match in trace.matched}
    denied = (trace for trace in traces if trace.outcome is Outcome.DENIED and trace.missed)
    rules |= {trace.nearest[0].rule for trace in denied}
    rules |= {cause.rule} if cause.rule is not None else set()
    by_ref = {policy.ref: policy for policy in case.engine.policies if policy.dropped}
    for rule in sorted(rules, key=lambda one: (one.policy, one.path)):
        if (policy := by_ref.get(rule.policy)) is not None:
            yield from say_dropped(policy.manifest, policy.dropped, rule.path)


def _asked_legs(case: Case) -> list[Leg]:
    """The connection that is explained, and the question for its name."""
    legs = [case.main] if case.main is not None else []
    return legs + ([case.name.leg] if case.name is not None else [])


def _with_redirect(cause: Cause, case: Case) -> Cause:
    """Say first that the connection goes elsewhere than it was sent."""
    end = case.main.destination if case.main is not None else None
    if end is None or end.redirect is None:
        return cause
    said = sentence(in_words(end.redirect, end.text))
    return replace(cause, detail=f"{said} {cause.detail}".strip())


_AUDIT_MODE = "Policy audit mode is on: what policies deny is let through, and only logged."


def _with_arrival(cause: Cause, case: Case) -> Cause:
    """Say what becomes of the address of a client outside."""
    if not case.arrivals:
        return cause
    one = next((one for one in case.arrivals if one.differs), case.arrivals[0])
    return replace(cause, detail=f"{cause.detail} {sentence(one.sentence())}".strip())


def _depends_on_arrival(case: Case) -> Cause | None:
    one = next((one for one in case.arrivals if one.differs), None)
    if one is None:
        return None
    told = "; ".join(f"as {seen}: {verdict.value}" for seen, verdict in verdicts(one))
    text = f"what is decided depends on the node that takes the connection in: seen {told}"
    return Cause(CauseCode.UNKNOWN, sentence(text), confidence=Confidence.POSSIBLE)


def _found_cause(case: Case, chosen: Finding | None) -> Cause:
    if depends := _depends_on_arrival(case):
        return depends
    if chosen is not None and chosen.cause is not None:
        rule = chosen.denial.rule if chosen.denial else None
        return replace(chosen.cause, rule=rule)
    verdict = case.policy_verdict
    if verdict is Verdict.UNKNOWN:
        text = "Cilium's behaviour here is not established."
        return Cause(CauseCode.UNKNOWN, text, confidence=Confidence.POSSIBLE)
    text = "Policies allow this."
    if verdict is Verdict.REDIRECTED:
        text = "Policies allow this at layer 3/4; layer 7 rules decide each request."
    if case.evidence is not None and case.story is not None and case.story.last_arrived:
        text += " If it still fails, it is not network policy: see the server's own log."
    return Cause(CauseCode.NONE, text, _by_another_name(case))


def _by_another_name(case: Case) -> str:
    """Say that a name is allowed only because another one has the same address.

    Source: Cilium `pkg/ipcache/metadata.go`: an address has the labels of all its names.
    """
    main = case.main
    name = main.destination.name if main is not None else ""
    if main is None or not name or main.destination.peer.kind is not IdentityKind.WORLD:
        return ""
    rules = {match.rule for match in main.trace.egress.matched}
    selectors = [
        selector
        for policy in case.engine.policies
        for entry in policy.entries
        if entry.rule in rules
        for selector in entry.peers or ()
    ]
    by_name = [one for one in selectors if isinstance(one, FqdnSelector)]
    if len(by_name) < len(selectors) or any(one.selects_name(name) for one in by_name):
        return ""
    others = {one for one in main.destination.peer.names if one != name}
    named = sorted(one for one in others if any(rule.selects_name(one) for rule in by_name))
    if not named:
        return ""
    return sentence(
        f"no rule names {name}: it is allowed only as long as {named[0]}, which a rule names, has "
        f"the same address"
    )


def _verdict(case: Case, cause: Cause) -> Verdict:
    """Policies' verdict; a name that cannot be asked for denies what needs it."""
    if cause.code in _DNS_CODES or cause.code is CauseCode.L7_REQUEST_REFUSED:
        return Verdict.DENIED
    return case.policy_verdict


def _port(case: Case) -> tuple[int | None, str]:
    if case.main is not None:
        return case.main.question.port, case.main.question.protocol.value
    port = case.asked.port
    protocol = port.protocol if port and port.protocol else None
    return (port.number if port else None), protocol.value if protocol else "TCP"


def _trace(case: Case, chosen: Finding | None, direction: Direction) -> DirectionTrace:
    """The trace of a direction, with the miss of the given cause put first."""
    denial = chosen.denial if chosen else None
    if denial is not None and denial.direction is direction and _is_of_main(denial, case.main):
        return denial.trace
    for other in case.denials:
        if other.direction is direction:
            return other.trace
    if case.main is None:
        nobody = Outcome.NOT_APPLICABLE
        return DirectionTrace(direction, nobody, nobody, implicit="nothing-to-connect-to")
    return case.main.direction(direction)


def _is_of_main(denial: Denial, main: Leg | None) -> bool:
    return main is not None and denial.leg.destination.text == main.destination.text


def _evidence(findings: list[tuple[Step, Finding]], chosen: Finding | None) -> tuple[Evidence, ...]:
    """The proof of the cause first, then what else was seen."""
    first = chosen.evidence if chosen else ()
    rest = tuple(
        one
        for _, finding in findings
        if finding is not chosen and finding.status is not StepStatus.SKIPPED
        for one in finding.evidence
    )
    return tuple(dict.fromkeys((*first, *rest)))[:_MOST_EVIDENCE]


def _next(findings: list[tuple[Step, Finding]], chosen: Finding | None) -> tuple[NextStep, ...]:
    first = chosen.commands if chosen else ()
    flows = tuple(
        one for step, finding in findings if step.key == "drops" for one in finding.commands
    )
    return tuple(dict.fromkeys((*first, *flows)))


def _backends(case: Case) -> tuple[BackendAnswer, ...]:
    if case.service is None:
        return ()
    return tuple(
        BackendAnswer(leg.destination.text, leg.question.port, leg.trace.verdict, leg.trace)
        for leg in case.legs
    )


def _step(step: Step, finding: Finding) -> StepAnswer:
    return StepAnswer(
        key=step.key,
        asks=step.asks,
        status=finding.status,
        text=finding.text,
        evidence=finding.evidence,
        commands=finding.commands,
    )
