"""The steps that read flows: other reasons for drops, refused requests, contradictions."""

from __future__ import annotations

import shlex

from app.core.cluster import commands
from app.core.diagnose import observed
from app.core.diagnose.case import Case
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.finding import Finding, skipped
from app.core.diagnose.others import Other, others_dropped, say_others
from app.core.diagnose.question import Leg
from app.core.model.answer import Cause, Evidence, NextStep, StepStatus
from app.core.model.verdict import DnsRequest, Verdict

NO_FLOWS = "whether it was tried, and what happened: no flows were at hand"


def look_at_drops(case: Case) -> Finding:
    """Does Hubble report a drop that is not policy, or a request that a proxy refused?"""
    story, evidence, main = case.story, case.evidence, case.main
    if evidence is None:
        return Finding(StepStatus.UNKNOWN, "no flows were at hand", unknown=(NO_FLOWS,))
    if story is None or main is None:
        return skipped("there is nothing to connect to")
    question = _where_it_ends(case, main).question
    show: tuple[NextStep, ...] = (
        NextStep(
            "see the flows",
            commands.observe(
                question.source, question.destination, question.port, question.protocol
            ),
        ),
    )
    seen = observed.seen(main, story, evidence)
    if story.is_empty and case.wanted is not None:
        others = others_dropped(evidence, case.wanted, case.engine)
        texts = say_others(others, main, case.engine)
        seen += tuple(Evidence("flow", text, uuid) for text, uuid in texts)
        show = (*_ask_instead(others, main), *show)
    cause: Cause | None = None
    if case.policy_verdict is not Verdict.DENIED:
        cause = observed.other_drop(main, story)
        cause = cause or observed.refused_request(main, story, case.asked.request)
        cause = cause or _of_its_name(case)
    if cause is not None:
        return Finding(StepStatus.PROBLEM, seen[0].text, seen, show, cause)
    status = StepStatus.UNKNOWN if story.is_empty else StepStatus.FINE
    return Finding(status, seen[0].text, seen, show)


def _ask_instead(others: tuple[Other, ...], main: Leg) -> tuple[NextStep, ...]:
    """Ask the same for the source that was dropped most."""
    if not others:
        return ()
    question, end = main.question, others[0].end
    words = ["k8tre-tui", "why", end, main.destination.text]
    port = f"{question.port}/{question.protocol.value}"
    return (NextStep(f"ask about {end}, if that is who connects", shlex.join([*words, port])),)


def _where_it_ends(case: Case, main: Leg) -> Leg:
    """The leg whose flows to look at: on the way through the gateway that of the failing hop."""
    failed = case.path.denied if case.path else None
    return failed.leg if failed else main


def _of_its_name(case: Case) -> Cause | None:
    """What befell the question for the name, without whose answer nothing is sent."""
    name, story = case.name, case.name_story
    if name is None or story is None or name.leg.is_denied:
        return None
    cause = observed.other_drop(name.leg, story)
    return cause or observed.refused_request(name.leg, story, DnsRequest(name.name))


def look_at_agreement(case: Case) -> Finding:
    """Do flows and policies agree?"""
    story, evidence, main = case.story, case.evidence, case.main
    if story is None or evidence is None or main is None:
        return skipped("no flows were at hand")
    cause = observed.disagreement(main, case.policy_verdict, story, evidence)
    if cause is None and case.policy_verdict is not Verdict.DENIED:
        cause = _name_disagreement(case, evidence)
    if cause is None and story.is_empty:
        return skipped("no flow of this connection was seen")
    if cause is None:
        return Finding(StepStatus.FINE, "flows show what the policies imply")
    show = (NextStep("see what agents enforce", commands.list_endpoints()),)
    unknown = ("whether every agent has realised the policies as they were read",)
    return Finding(StepStatus.PROBLEM, cause.summary, (), show, cause, unknown=unknown)


def _name_disagreement(case: Case, evidence: FlowEvidence) -> Cause | None:
    """Drops on the way to a DNS server that the policies allow."""
    name, story = case.name, case.name_story
    if name is None or story is None or name.leg.is_denied:
        return None
    return observed.disagreement(name.leg, name.leg.trace.verdict, story, evidence)
