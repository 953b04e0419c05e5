"""Which environment and which cluster a folder is for, by the names that repositories give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

_ENV_FOLDERS = frozenset({"env", "envs", "environment", "environments", "stage", "stages"})
_CLUSTER_FOLDERS = frozenset({"cluster", "clusters"})
_PRODUCTION = ("production", "prod", "prd", "live")
ENVIRONMENTS = frozenset(
    {
        *_PRODUCTION,
        "acceptance",
        "dev",
        "development",
        "integration",
        "nonprod",
        "pre-prod",
        "preprod",
        "qa",
        "sandbox",
        "staging",
        "stg",
        "test",
        "testing",
        "tst",
        "uat",
    }
)


def env_of(segments: Sequence[str]) -> str:
    """Give the environment that a folder's name tells, empty when it tells none."""
    for before, segment in pairwise(segments):
        if before.lower() in _ENV_FOLDERS:
            return segment
    return next((one for one in reversed(segments) if one.lower() in ENVIRONMENTS), "")


def cluster_of(segments: Sequence[str]) -> str:
    """Give the cluster that a folder's name tells, empty when it tells none."""
    for before, segment in pairwise(segments):
        if before.lower() in _CLUSTER_FOLDERS:
            return segment
    return ""


def preferred(names: Iterable[str]) -> str:
    """Give the one to look at first: production where there is one, else the first by name."""
    return min(names, key=lambda name: (_rank(name), name))


def _rank(name: str) -> int:
    return _PRODUCTION.index(name.lower()) if name.lower() in _PRODUCTION else len(_PRODUCTION)
