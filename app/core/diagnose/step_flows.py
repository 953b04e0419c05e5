"""The steps that read flows: other reasons for drops, refused requests, contradictions."""

from __future__ import annotations

from app.core.diagnose import commands, observed
from app.core.diagnose.case import Case
from app.core.diagnose.finding import Finding, skipped
from app.core.model.answer import Cause, NextStep, StepStatus
from app.core.model.verdict import Verdict

NO_FLOWS = "whether it was tried, and what happened: no flows were at hand"


def look_at_drops(case: Case) -> Finding:
    """Does Hubble report a drop that is not policy, or a request that a proxy refused?"""
    story, evidence, main = case.story, case.evidence, case.main
    if story is None or evidence is None or main is None:
        return Finding(StepStatus.UNKNOWN, "no flows were at hand", unknown=(NO_FLOWS,))
    question = main.question
    show = (
        NextStep(
            "see the flows",
            commands.observe(
                question.source, question.destination, question.port, question.protocol
            ),
        ),
    )
    seen = observed.seen(story, evidence)
    cause: Cause | None = None
    if case.policy_verdict is not Verdict.DENIED:
        cause = observed.other_drop(main, story)
        cause = cause or observed.refused_request(main, story, case.asked.request)
    if cause is not None:
        return Finding(StepStatus.PROBLEM, seen[0].text, seen, show, cause)
    status = StepStatus.UNKNOWN if story.is_empty else StepStatus.FINE
    return Finding(status, seen[0].text, seen, show)


def look_at_agreement(case: Case) -> Finding:
    """Do flows and policies agree?"""
    story, evidence, main = case.story, case.evidence, case.main
    if story is None or evidence is None or main is None or story.is_empty:
        return skipped("no flow of this connection was seen")
    cause = observed.disagreement(main, case.policy_verdict, story, evidence)
    if cause is None:
        return Finding(StepStatus.FINE, "flows show what the policies imply")
    show = (NextStep("see what agents enforce", commands.list_endpoints()),)
    unknown = ("whether every agent has realised the policies as they were read",)
    return Finding(StepStatus.PROBLEM, cause.summary, (), show, cause, unknown=unknown)
