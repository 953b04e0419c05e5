"""Every pattern of the bank is found at every level of noise, and none on a quiet day."""

from __future__ import annotations

import pytest

from app.core.insights.alert import VIOLATION, Alert
from app.core.insights.patterns.all import KINDS
from app.core.insights.violations import Judge
from app.core.insights.watch import Watch
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow
from app.core.policy.engine import Engine
from tests.core.insights.bank import LEVELS, PATTERNS, recording

JUDGE = Judge(Engine.build(Cluster()))


def patterns_in(flows: list[Flow]) -> list[Alert]:
    watch = Watch()
    watch.add(flows)
    return [one for one in watch.alerts(JUDGE).items if one.kind != VIOLATION]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", [1, 2])
def test_detectors_when_the_day_is_quiet_then_nothing_is_said(level: int, seed: int) -> None:
    found = patterns_in(recording(level, seed))
    assert [(one.kind, one.cause.summary) for one in found] == []


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", PATTERNS)
def test_detectors_when_a_pattern_is_there_then_it_is_found_with_its_evidence(
    name: str, level: int
) -> None:
    kind, add = PATTERNS[name]
    found = [one for one in patterns_in(recording(level, 1, add)) if one.kind == kind]
    assert found
    assert all(one.evidence and one.count and one.first_ns <= one.last_ns for one in found)
    assert any("threshold" in line for one in found for line in one.evidence)


def test_bank_when_compared_with_the_detectors_then_it_has_every_kind() -> None:
    assert {kind for kind, _ in PATTERNS.values()} == set(KINDS)
