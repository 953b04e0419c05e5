"""A change as a mail that `git am` applies, with all that its pull request would say.

Source: git-am(1), "DISCUSSION": the subject and the lines before `---` become the commit message;
git-mailinfo(1): a body in quoted-printable keeps its carriage returns.
"""

from __future__ import annotations

from binascii import b2a_qp
from email.header import Header

from app.core.drafts.diff import unified_diff
from app.ports import ProposedChange

_EPOCH = "Mon Sep 17 00:00:00 2001"
"""The date of every mail of git's own format-patch, which marks it as one."""

_LINE_MAX = 990
"""Octets of a line of mail (RFC 5322 §2.1.1), with room to spare."""


def patch_mail(change: ProposedChange, *, commit: str = "", date: str = "") -> str:
    """Give the mail; `date` is as in a mail, empty for none. Lines end at line feeds."""
    message = (change.long_message or change.commit_message).rstrip("\n")
    _, _, text = message.partition("\n\n")
    diff = "".join(unified_diff(one.path, one.before, one.after) for one in change.files)
    content = f"{text}\n---\n\n{diff}-- \nk8tre-tui\n"
    delicate = _is_delicate(content)
    subject = Header(f"[PATCH] {change.title}", "utf-8").encode(linesep="\n")
    head = [
        f"From {commit or '0' * 40} {_EPOCH}",
        "From: k8tre-tui <k8tre-tui@localhost>",
        *([f"Date: {date}"] if date else []),
        f"Subject: {subject}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        f"Content-Transfer-Encoding: {'quoted-printable' if delicate else '8bit'}",
    ]
    return "\n".join([*head, "", _quoted(content) if delicate else content])


def _quoted(text: str) -> str:
    lines = (b2a_qp(line.encode(), istext=False).decode() for line in text.split("\n"))
    return "\n".join(lines)


def _is_delicate(text: str) -> bool:
    return "\r" in text or any(len(one.encode()) > _LINE_MAX for one in text.split("\n"))
