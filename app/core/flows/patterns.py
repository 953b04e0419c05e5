"""The patterns that flow filters use, all matched by RE2, which no pattern can make slow.

Source: Cilium `pkg/hubble/filters/patterns.go`. Errors are `UsageError`: a filter is what somebody
typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import re2

from app.core.errors import UsageError

LONGEST_PATTERN = 1_000

_STARS = re.compile(r"\*+")
_NAME = r"(?:[-0-9_a-z]+(?:\.[-0-9_a-z]+)*)"
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@lru_cache(maxsize=512)
def _compile(expression: str) -> Any:
    return re2.compile(expression, _OPTIONS)


def compile_expression(expression: str) -> Callable[[str], bool]:
    """Give a test for texts that `expression` matches anywhere; RE2, as Go and Envoy read it."""
    if len(expression) > LONGEST_PATTERN:
        raise UsageError(f"regular expression is longer than {LONGEST_PATTERN} characters")
    try:
        search = _compile(expression).search
    except re2.error as error:
        raise UsageError(
            f"`{expression}` is not a regular expression of RE2",
            hint="look-around and back-references are not supported",
        ) from error
    return lambda text: search(text) is not None


def compile_names(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Give a test for DNS names; `*` is any run of letters, digits, dots and hyphens."""
    joined = "|".join(_name_expression(pattern) for pattern in patterns)
    return compile_expression(rf"\A(?:{joined})\z")


def compile_nodes(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Give a test for `cluster/node`; either half of a pattern may be left out."""
    joined = "|".join(_node_expression(pattern) for pattern in patterns)
    return compile_expression(rf"\A(?:{joined})\z")


def compile_globs(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Give a case-blind test for texts that any pattern matches whole; `*` is anything."""
    joined = "|".join(".*".join(map(re2.escape, _STARS.split(each))) for each in patterns)
    return compile_expression(rf"(?is)\A(?:{joined})\z")


def _name_expression(pattern: str) -> str:
    name = pattern.strip().removesuffix(".").lower()
    if not name or name.endswith("."):
        raise UsageError(f"`{pattern}` is not a name pattern")
    if odd := re.search(r"[^-_.*0-9a-z]", name):
        raise UsageError(f"`{odd.group()}` cannot be in a name pattern: `{pattern}`")
    return name.replace(".", r"\.").replace("*", "[-.0-9a-z]*")


def _node_expression(pattern: str) -> str:
    cluster, slash, node = pattern.rpartition("/")
    if not pattern or "/" in cluster:
        raise UsageError(f"`{pattern}` is not a node pattern", hint="write NODE or CLUSTER/NODE")
    of_cluster = _name_expression(cluster) if slash and cluster else _NAME
    return f"{of_cluster}/{_name_expression(node) if node else _NAME}"
