"""The fault bank: one thing is wrong in a healthy cluster, and the answer must say which."""

import pytest

from app.core.diagnose.why import diagnose
from app.core.model.answer import CauseCode, WhyAnswer
from tests.core.diagnose.bank import Fault, flows_of, load_faults

FAULTS = load_faults()
CONTROLS = [fault for fault in FAULTS if fault.expect["cause"] == "none"]
BROKEN = [fault for fault in FAULTS if fault.expect["cause"] != "none"]


def answer_of(fault: Fault) -> WhyAnswer:
    return diagnose(fault.asked, fault.engine(), flows_of(fault))


def words_of(answer: WhyAnswer) -> str:
    """Everything an answer says of its cause, its proof and what is not known."""
    evidence = (one.text for one in answer.evidence)
    ends = (answer.cause.summary, answer.cause.detail, answer.resolved_from, answer.resolved_to)
    return " ".join((*ends, *evidence, *answer.not_known))


@pytest.mark.parametrize(
    "fault", [one for one in FAULTS if "says" in one.expect or "never" in one.expect],
    ids=lambda fault: fault.name,
)  # fmt: skip
def test_answer_says_what_an_operator_needs_and_nothing_misleading(fault: Fault) -> None:
    said = words_of(answer_of(fault))

    assert [one for one in fault.expect.get("says", ()) if one not in said] == [], said
    assert [one for one in fault.expect.get("never", ()) if one in said] == [], said


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
def test_fault_when_asked_about_gives_its_cause_policy_and_rule(fault: Fault) -> None:
    answer = answer_of(fault)
    rule = answer.cause.rule
    policy = f"{rule.policy.namespace}/{rule.policy.name}" if rule else None
    path = (rule.path.partition(".from[")[0].partition(".to[")[0]) if rule else None

    assert answer.cause.code == fault.expect["cause"], answer.cause
    assert policy == fault.expect.get("policy", policy), answer.cause
    assert path == fault.expect.get("rule", path), answer.cause
    assert answer.verdict == fault.expect.get("verdict", answer.verdict)
    assert answer.cause.confidence == fault.expect.get("confidence", answer.cause.confidence)


@pytest.mark.parametrize("fault", CONTROLS, ids=lambda fault: fault.name)
def test_healthy_connection_when_asked_about_blames_nothing(fault: Fault) -> None:
    answer = answer_of(fault)

    assert answer.cause.code is CauseCode.NONE, answer.cause
    assert answer.verdict == fault.expect["verdict"]
    assert answer.cause.confidence == fault.expect.get("confidence", answer.cause.confidence)


def test_bank_holds_enough_cases_of_every_cause() -> None:
    causes = {fault.expect["cause"] for fault in FAULTS}

    assert len(BROKEN) >= 120
    assert len(CONTROLS) >= 30
    assert causes >= {code.value for code in CauseCode} - {"unknown"}
