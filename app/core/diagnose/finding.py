"""What one step of the guided path saw."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.diagnose.denied import Denial
from app.core.model.answer import Cause, Evidence, NextStep, StepStatus


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to a step's question; `denial` is set where the cause lies in a policy.

    `unknown` are the sentences about what could not be seen.
    """

    status: StepStatus
    text: str
    evidence: tuple[Evidence, ...] = ()
    commands: tuple[NextStep, ...] = ()
    cause: Cause | None = None
    denial: Denial | None = None
    unknown: tuple[str, ...] = ()


def skipped(why: str) -> Finding:
    """The question does not arise."""
    return Finding(StepStatus.SKIPPED, why)
