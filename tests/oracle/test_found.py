"""Disagreements with Cilium's engine that were found once, kept so that they stay settled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from app.services.conformance import ConformanceCase, judge_case
from tests.oracle.proof import FOUND

CASES = sorted(FOUND.glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return case


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_found_case_when_judged_then_agrees_with_cilium(path: Path) -> None:
    written = read(path)
    case = msgspec.convert({**written, "invalid": written.get("invalid", {})}, ConformanceCase)

    assert [str(found) for found in judge_case(case, path.name, 1)] == []


def test_found_cases_when_listed_then_there_are_some() -> None:
    assert CASES
