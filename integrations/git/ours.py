"""How a commit is known as ours, and as untouched since.

Two lines at the end of its message: which change it is, and a digest of the files that it writes.
A commit that somebody amended keeps the first and does not fit the second any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from app.core.errors import DraftRejected, SourceCause, SourceUnavailable
from app.ports import ProposedChange

_CHANGE = "K8tre-Tui-Change: "
_CONTENT = "K8tre-Tui-Content: "
_WHY = "\n\nWhy:\n"
_DIGEST_LENGTH = 20


def change_trailer(change: ProposedChange) -> str:
    """Give the change's trailer; empty when its commit message has none."""
    return _line(change.commit_message, _CHANGE)


def content_trailer(message: str) -> str:
    """Give the digest that a message names; empty when it names none."""
    return _line(message, _CONTENT).removeprefix(_CONTENT)


def _line(message: str, start: str) -> str:
    return next((one for one in message.splitlines() if one.startswith(start)), "")


def digest(files: Iterable[tuple[str, str, str | None]]) -> str:
    """Give the digest of files: (path, mode, text), no text for one that is taken away."""
    whole = hashlib.sha256()
    for path, mode, text in sorted(files, key=lambda file: file[0]):
        content = "gone" if text is None else hashlib.sha256(text.encode()).hexdigest()
        whole.update(f"{mode if text is not None else ''} {content} {path}\n".encode())
    return whole.hexdigest()[:_DIGEST_LENGTH]


def sealed(message: str, content: str) -> str:
    """Give a message of ours with the digest of what its commit writes."""
    return f"{message.rstrip()}\n{_CONTENT}{content}\n"


def keep_reason(message: str, before: str) -> str:
    """Give a message with the reason of the one before, where it has none of its own."""
    if _WHY in message:
        return message
    _, found, rest = before.partition(_WHY)
    if not found:
        return message
    lines = rest.split("\n")
    end = next((at for at, line in enumerate(lines) if line[:4].strip()), len(lines))
    reason = "\n".join(lines[:end]).rstrip()
    subject, blank, tail = message.partition("\n\n")
    return f"{subject}{_WHY}{reason}{blank}{tail}" if blank else message


def refuse_others(change: ProposedChange) -> DraftRejected:
    """The error for a branch that somebody else has committed to."""
    return DraftRejected(
        f"branch `{change.branch}` holds commits of others",
        hint="review the open pull request, or delete the branch",
    )


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
