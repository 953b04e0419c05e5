"""Where the real servers' binaries are, and what happens without them.

`tests/testbed/build.sh` makes them from pinned Go modules. Without them their tests are skipped and
say how to build them; with `TESTBED=required`, which CI sets, that is a failure.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("TESTBED_BIN") or Path(__file__).parents[2] / ".build/testbed")


def require(*names: str) -> Path:
    """Give the folder that holds all `names`; skip, or fail where CI requires them."""
    missing = [name for name in names if not (FOLDER / name).exists()]
    if not missing:
        return FOLDER
    script = f"tests/testbed/build.sh {FOLDER} kube hubble kustomize gitea helm"
    reason = f"needs {', '.join(missing)} ({script}; takes Go)"
    if os.environ.get("TESTBED") == "required":
        pytest.fail(f"TESTBED=required, but it {reason}", pytrace=False)
    pytest.skip(reason)
