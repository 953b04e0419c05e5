"""Every case of tests/cases/lint: what must be found, and the near miss that must not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core.lint.registry import RULES
from tests.core.lint.judged import VERSION, example, judge

FOLDER = Path(__file__).parents[2] / "cases" / "lint"


def _cases() -> Iterator[Any]:
    for file in sorted(FOLDER.glob("*.yaml")):
        for code, cases in yaml.safe_load(file.read_text()).items():
            for kind in ("found", "near"):
                for at, case in enumerate(cases.get(kind, ())):
                    yield pytest.param(code, kind, case, id=f"{code}-{kind}-{at}")


@pytest.mark.parametrize(("code", "kind", "case"), _cases())
def test_case(code: str, kind: str, case: dict[str, Any]) -> None:
    found = judge(
        case["objects"],
        version=str(case.get("version", VERSION)),
        flows=case.get("flows", ()),
        whole=case.get("whole", True),
        boundaries=case.get("boundaries", ""),
    )
    mine = [one for one in found if one.code == code]
    assert bool(mine) is (kind == "found"), [(one.code, one.path, one.summary) for one in found]
    if "at" in case:
        assert [one.path for one in mine] == [case["at"]]
    if "severity" in case:
        assert {one.severity.value for one in mine} == {case["severity"]}


def test_every_rule_has_a_case_that_is_found_and_one_that_is_not() -> None:
    written = {
        kind: {
            code
            for file in FOLDER.glob("*.yaml")
            for code, cases in yaml.safe_load(file.read_text()).items()
            if cases.get(kind)
        }
        for kind in ("found", "near")
    }
    for rule in RULES:
        if example(rule.bad)[2]:
            assert rule.code in written["found"], rule.code
        if example(rule.good)[2]:
            assert rule.code in written["near"], rule.code
