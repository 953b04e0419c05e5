"""The examples that the documentation shows are true: found, and not found."""

from __future__ import annotations

import pytest

from app.core.lint.finding import Rule
from app.core.lint.registry import RULES, UNSTATED
from tests.core.lint.judged import example, judge


def _codes(text: str, rule: Rule) -> set[str]:
    written, version, _ = example(text)
    return {one.code for one in judge(written, version=version) if one.code == rule.code}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_bad_example_is_found(rule: Rule) -> None:
    if example(rule.bad)[2]:
        pytest.skip("needs other objects: tests/cases/lint has them")
    assert _codes(rule.bad, rule)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_good_example_is_not_found(rule: Rule) -> None:
    if example(rule.good)[2]:
        pytest.skip("needs other objects: tests/cases/lint has them")
    assert not _codes(rule.good, rule)


def test_codes_and_names_are_unique_and_of_the_contract() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes)
    assert len({rule.name for rule in RULES}) == len(codes)
    catalogue = {f"NP{number:03}" for number in (*range(1, 81), *range(101, 131))}
    assert catalogue <= {*codes, *UNSTATED}
    assert not {*codes} & {*UNSTATED}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_rule_says_why_in_words(rule: Rule) -> None:
    assert rule.why.endswith((".", ")."))
    assert "  " not in rule.why
