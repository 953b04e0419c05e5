"""The line of a commit message that marks a commit as one change's."""

from __future__ import annotations

from app.ports import ProposedChange


def change_trailer(change: ProposedChange) -> str:
    """Give the change's trailer; empty when its commit message has none."""
    for line in change.commit_message.splitlines():
        if line.startswith("K8tre-Tui-Change: "):
            return line
    return ""
