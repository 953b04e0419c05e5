"""The command line: parse words, ask a service, print. stdout is data, stderr is talk."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code (docs/forms.md §4)."""
    from app.cli.run import run

    return run(sys.argv[1:] if argv is None else argv)
