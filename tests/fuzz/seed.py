"""The seed of this run's fuzzing, printed at its head and in every failure."""

from __future__ import annotations

import os
import random

IN_CI = bool(os.environ.get("CI"))


def _choose() -> int:
    if given := os.environ.get("FUZZ_SEED"):
        return int(given)
    return random.SystemRandom().randrange(1 << 32) if IN_CI else 7


SEED = _choose()
os.environ["FUZZ_SEED"] = str(SEED)
"""For the processes of pytest-xdist, which are started after this was imported."""
