"""What a pull request says: branch, title, body with its markers, commit message.

The same change gets the same branch, title and body whoever asks and whenever, so that asking
twice finds the first answer instead of making a second one.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.drafts.keys import digest
from app.core.drafts.markdown import code_span, fence, message_text, plain
from app.core.errors import DraftRejected
from app.core.model.provenance import ObjectRef
from app.core.text import clean

BEGIN = "<!-- k8tre-tui:begin v1 -->"
END = "<!-- k8tre-tui:end -->"
BRANCH_PREFIX = "k8tre-tui/netpol/"
TITLE_LIMIT = 72
BODY_LIMIT = 60_000
"""GitHub cuts at 65,536 characters; humans add text too."""

BRANCH_LIMIT = 100
"""Gitea's limit (go-gitea `modules/structs/repo_file.go`, `MaxSize(100)`)."""

_WHY = "\n### Why\n"

_BRANCH = re.compile(r"[a-z0-9]+(?:[-/.][a-z0-9]+)*")
_META = re.compile(r"<!-- k8tre-tui:meta v1 ([A-Za-z0-9_-]{1,4096}) -->")


@dataclass(frozen=True, slots=True)
class Summary:
    """What the body is written from; every field is plain text, escaped here.

    `effect`, `lint` and `evidence` are sentences, one a line. `deployed_by` are the overlays that
    will change, `base` the commit for which all of it was worked out.
    """

    what: str
    policy: ObjectRef
    diffs: Mapping[str, str]
    counts: Mapping[str, tuple[int, int]]
    deployed_by: Sequence[str] = ()
    risk: str = ""
    reason: str = ""
    evidence: Sequence[str] = ()
    effect: Sequence[str] = ()
    checks: Sequence[tuple[str, bool]] = ()
    requested_by: str = ""
    base: str = ""


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
    subject: str, key: str, reason: str = "", requested_by: str = "", *, details: str = ""
) -> str:
    """Give the commit's message: subject, the reason, and the trailers that mark it as ours.

    `details` are paragraphs that stand between, as `message_details` gives them.
    """
    trailers = [f"K8tre-Tui-Change: {key}"]
    if requester := re.sub(r"[^A-Za-z0-9_.-]", "", requested_by):
        trailers.append(f"Requested-by: {requester}")
    why = message_text(reason)
    parts = [subject, f"Why:\n{_indented(why)}" if why else "", details, "\n".join(trailers)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _indented(text: str) -> str:
    """Text that neither ends a message (`---`, `diff -`; git-am(1)), nor is a trailer."""
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


def into_template(template: str, ours: str) -> str:
    """Put our part under the first heading of a repository's template, or before its text."""
    lines = template.splitlines()
    at = next((at for at, line in enumerate(lines) if re.match(r"#{1,6}\s", line)), -1)
    parts = ["\n".join(lines[: at + 1]), ours, "\n".join(lines[at + 1 :]).strip("\n")]
    return "\n\n".join(part for part in parts if part.strip())


def body(summary: Summary, key: str) -> str:
    """Give the pull request's body between its markers; the patch goes first when it is long."""
    patch = "\n".join(summary.diffs.values())
    for shown_patch in (patch, ""):
        text = _body(summary, key, shown_patch)
        if len(text) <= BODY_LIMIT:
            return text
    return _body(summary, key, "")[: BODY_LIMIT - len(END) - 1] + "\n" + END


def _body(summary: Summary, key: str, patch: str) -> str:
    sections = [
        BEGIN,
        f"### What changes\n{plain(summary.what)}",
        _table(summary),
        _fenced("### Why", summary.reason),
        _list("### Evidence", summary.evidence),
        _list("### Effect (simulated)", summary.effect),
        _checks(summary.checks),
        "### Undo\nRevert this commit.",
        _patch(patch),
        f"<sub>Drafted with k8tre-tui{_requester(summary)}; not merged automatically.</sub>",
        _meta(key, summary),
        END,
    ]
    return "\n\n".join(section for section in sections if section)


def _table(summary: Summary) -> str:
    rows = ["| | |", "|---|---|"]
    for path, (added, removed) in summary.counts.items():
        rows.append(f"| File | {code_span(path)} (+{added} -{removed}) |")
    rows.append(f"| Policy | {code_span(str(summary.policy))} |")
    if summary.deployed_by:
        names = ", ".join(code_span(name) for name in summary.deployed_by)
        rows.append(f"| Applies to | {names} |")
    if summary.base:
        rows.append(f"| Holds for | commit {code_span(summary.base)} |")
    if summary.risk:
        rows.append(f"| Risk | {plain(summary.risk)} |")
    return "\n".join(rows)


def _fenced(heading: str, text: str) -> str:
    return f"{heading}\n{fence(text)}" if text else ""


def _list(heading: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return "\n".join([heading, *(f"- {code_span(line)}" for line in lines)])


def _checks(checks: Sequence[tuple[str, bool]]) -> str:
    if not checks:
        return ""
    lines = [f"- [{'x' if holds else ' '}] {plain(name)}" for name, holds in checks]
    return "\n".join(["### Checks", *lines])


def _patch(patch: str) -> str:
    if not patch:
        return ""
    return f"<details><summary>Patch</summary>\n\n{fence(patch, 'diff')}\n\n</details>"


def _requester(summary: Summary) -> str:
    return f" for {code_span(summary.requested_by)}" if summary.requested_by else ""


def _meta(key: str, summary: Summary) -> str:
    content = {"key": key, "policy": clean(str(summary.policy)), "files": sorted(summary.counts)}
    if summary.base:
        content["base"] = clean(summary.base, 64)
    packed = base64.urlsafe_b64encode(json.dumps(content, sort_keys=True).encode()).decode()
    return f"<!-- k8tre-tui:meta v1 {packed.rstrip('=')} -->"


def read_meta(text: str) -> Mapping[str, object]:
    """Give the metadata of a body of ours; nothing when there is none or it is not readable."""
    match = _META.search(text)
    if not match:
        return {}
    packed = match[1] + "=" * (-len(match[1]) % 4)
    try:
        content = json.loads(base64.urlsafe_b64decode(packed))
    except (binascii.Error, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def merge_body(present: str, ours: str) -> str:
    """Put our part into a body that people may have added to around it.

    A body without our markers is a person's, and stays. A reason that was given before stays when
    none is given now.
    """
    start, end = present.find(BEGIN), present.find(END)
    if start < 0 or end < start:
        return present if present.strip() else ours
    if _WHY not in ours and (reason := _reason_in(present[start:end])):
        head, heading, tail = ours.partition("\n\n### Undo")
        ours = f"{head}\n\n{reason}{heading}{tail}" if heading else ours
    return present[:start] + ours + present[end + len(END) :]


def _reason_in(text: str) -> str:
    """The section with the reason: its heading and its fence, which no text inside can close."""
    _, heading, rest = text.partition(_WHY)
    mark, newline, inner = rest.partition("\n")
    if not heading or not newline or set(mark) != {"`"}:
        return ""
    quoted, closed, _ = inner.partition(f"\n{mark}\n")
    return f"{_WHY.lstrip()}{mark}\n{quoted}\n{mark}" if closed else ""
