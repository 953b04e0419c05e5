"""The line of a commit message that marks a commit as one change's, and the commit it is from."""

from __future__ import annotations

from app.core.errors import SourceCause, SourceUnavailable
from app.ports import ProposedChange


def change_trailer(change: ProposedChange) -> str:
    """Give the change's trailer; empty when its commit message has none."""
    for line in change.commit_message.splitlines():
        if line.startswith("K8tre-Tui-Change: "):
            return line
    return ""


def check_base(change: ProposedChange, head: str, base: str, source: str) -> None:
    """Refuse a change that was proved for another commit than the base is at now.

    Raises SourceUnavailable (CONFLICT); whoever made the change makes and proves it again.
    """
    if change.base and change.base != head:
        raise SourceUnavailable(
            f"`{base}` is at {head[:10]} now, and the draft was proved for {change.base[:10]}",
            source=source,
            cause=SourceCause.CONFLICT,
            hint="draft again",
        )
