"""What a change is called: key, branch, title, commit message.

The same change gets the same names whoever asks and whenever, so that asking twice finds the first
answer instead of making a second one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.core.drafts.keys import digest
from app.core.drafts.markdown import message_text, plain
from app.core.errors import DraftRejected
from app.core.model.provenance import ObjectRef

BRANCH_PREFIX = "k8tre-tui/netpol/"
TITLE_LIMIT = 72
BRANCH_LIMIT = 100
"""Gitea's limit (go-gitea `modules/structs/repo_file.go`, `MaxSize(100)`)."""

_BRANCH = re.compile(r"[a-z0-9]+(?:[-/.][a-z0-9]+)*")


def change_key(path: str, ref: ObjectRef, operation: object) -> str:
    """Give a digest of what is changed in a repository, without who, when and on which commit.

    `path` is the file's inside the repository. Neither the folder of a checkout nor the name on a
    forge is part of it: every clone and the forge give the same change the same branch.
    """
    return digest([path, str(ref), operation])


def branch_name(ref: ObjectRef, key: str) -> str:
    """Give the branch of a change: `k8tre-tui/netpol/NS-POLICY-KEY`."""
    tail = f"-{key[:10]}"
    head = BRANCH_PREFIX + slug(f"{ref.namespace}-{ref.name}")
    return head[: BRANCH_LIMIT - len(tail)].rstrip("-") + tail


def check_branch(branch: str) -> str:
    """Give a branch name back when it is one of ours by its form; DraftRejected otherwise.

    Source: git-check-ref-format(1); the adapters ask git itself too.
    """
    if not _BRANCH.fullmatch(branch) or len(branch) > BRANCH_LIMIT or ".lock" in branch:
        raise DraftRejected(f"not a branch name: `{branch}`")
    return branch


def slug(text: str) -> str:
    """Give text as lower-case letters, digits and single dashes; `policy` when none are left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "policy"


def title(ref: ObjectRef, what: str) -> str:
    """Give the title of the change: `netpol(NS): what`, the namespace said once."""
    scope = slug(ref.namespace) if ref.namespace else "cluster"
    what = what.replace(f"{ref.namespace}/", "")
    text = plain(f"netpol({scope}): {what}")
    if len(text) > TITLE_LIMIT:
        text = plain(f"netpol({scope}): {what.removeprefix('allow ')}")
    return text if len(text) <= TITLE_LIMIT else text[: TITLE_LIMIT - 1] + "…"


def commit_message(
    subject: str,
    key: str,
    reason: str = "",
    requested_by: str = "",
    *,
    details: str = "",
    trailers: Sequence[str] = (),
) -> str:
    """Give the commit's message: subject, the reason, and the trailers that mark it as ours.

    `details` are paragraphs that stand between (`body.message_details`), `trailers` more of them.
    """
    lines = [f"K8tre-Tui-Change: {key}", *trailers]
    if requester := re.sub(r"[^A-Za-z0-9_.-]", "", requested_by):
        lines.append(f"Requested-by: {requester}")
    why = message_text(reason)
    parts = [subject, f"Why:\n{_indented(why)}" if why else "", details, "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _indented(text: str) -> str:
    """Text that neither ends a message (`---`, `diff -`; git-am(1)), nor is a trailer."""
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))
