"""RE2, the expressions of HTTP rules: what the agent's Go and the proxy's Envoy both use."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

MAX_PROGRAM_SIZE = 100
"""Envoy refuses larger programs (`re2.max_program_size.error_level`), with the whole update."""

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@lru_cache(maxsize=4096)
def _compile(expression: str) -> Any:
    try:
        return re2.compile(expression, _OPTIONS)
    except re2.error:
        return None


def compiles(expression: str) -> bool:
    """Say whether the expression is valid."""
    return _compile(expression) is not None


def program_size(expression: str) -> int:
    """Give the size of the compiled program; 0 when it does not compile."""
    compiled = _compile(expression)
    return 0 if compiled is None else int(compiled.programsize)


def matches_whole(expression: str, value: str) -> bool:
    """Say whether the expression matches the entire value, as Envoy does (`RE2::FullMatch`)."""
    compiled = _compile(expression)
    return compiled is not None and compiled.fullmatch(value) is not None
