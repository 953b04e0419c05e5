"""How a rule is written down: a function with its code, name and words in front of it."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

from app.core.lint.finding import Check, Knowledge, Rule, Severity, Survey

_MENDED = " "


class Book:
    """The rules of one module, in the order of their codes."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def check(
        self,
        code: str,
        name: str,
        severity: Severity,
        *,
        why: str,
        bad: str,
        good: str,
        needs: Knowledge = Knowledge.FILE,
        refusal: bool = False,
    ) -> Callable[[Check], Check]:
        """Register a function that looks at one policy."""

        def register(function: Check) -> Check:
            words = _flat(why), _text(bad), _text(good)
            self.rules.append(
                Rule(code, name, severity, needs, *words, check=function, refusal=refusal)
            )
            return function

        return register

    def survey(
        self,
        code: str,
        name: str,
        severity: Severity,
        *,
        why: str,
        bad: str,
        good: str,
        needs: Knowledge = Knowledge.REPOSITORY,
    ) -> Callable[[Survey], Survey]:
        """Register a function that looks at everything at once."""

        def register(function: Survey) -> Survey:
            words = _flat(why), _text(bad), _text(good)
            self.rules.append(Rule(code, name, severity, needs, *words, survey=function))
            return function

        return register


def _flat(text: str) -> str:
    return _MENDED.join(text.split())


def _text(text: str) -> str:
    return dedent(text).strip("\n") + "\n"
