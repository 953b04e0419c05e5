"""The same cases, answered by this project's engine as the `conformance` command does."""

from __future__ import annotations

import msgspec

from app.core.policy.engine import Engine
from app.services import conformance
from tests.oracle.client import Answers, Case


def answer(case: Case, version: str) -> Answers:
    """Give verdicts, deciding policies and refused objects of a case."""
    answers: Answers = msgspec.json.decode(conformance.computed_line(_typed(case, version)))
    return answers


def build_engine(case: Case, version: str) -> Engine:
    """Build the engine of a case."""
    return conformance.engine_of(_typed(case, version))


def _typed(case: Case, version: str) -> conformance.ConformanceCase:
    config = {**case["config"], "ciliumVersion": version}
    return msgspec.convert({**case, "config": config}, conformance.ConformanceCase)
