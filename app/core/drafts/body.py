"""What a pull request says to its reviewers, and what of it stays when it is said again.

On a public repository it says nothing that the repository does not hold: who asked and why, what
was seen, the pods that it is about and what else they may reach stay inside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.drafts.markdown import code_span, fence, message_text, plain
from app.core.drafts.meta import Meta, read_meta
from app.core.model.provenance import ObjectRef
from app.core.text import clean

BEGIN = "<!-- k8tre-tui:begin v1 -->"
END = "<!-- k8tre-tui:end -->"
BODY_LIMIT = 60_000
"""GitHub cuts at 65,536 characters; humans add text too."""

ROWS_MAX = 30
"""Pairs and lines of evidence that are listed; the rest is counted."""

_WHY = "\n### Why\n"
_AFTER_WHY = re.compile(r"\n\n### (?:Evidence|Effect|Checks|Undo)\b")


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two ends with their labels, the port, and what becomes of them."""

    source: str
    destination: str
    port: str
    becomes: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the body is written from; every field is plain text, escaped here.

    `effect`, `flows` and `evidence` are sentences, one a line. `pairs` is None where it is not
    known. `deployed_by` are the overlays that will change, `base` the commit for which all of it
    was worked out. `expires` is a date. `public` leaves out what must not leave the site.
    """

    what: str
    policy: ObjectRef
    diffs: Mapping[str, str]
    counts: Mapping[str, tuple[int, int]]
    meta: Meta
    deployed_by: Sequence[str] = ()
    risk: str = ""
    reason: str = ""
    evidence: Sequence[str] = ()
    effect: Sequence[str] = ()
    pairs: Sequence[PairRow] | None = ()
    flows: str = ""
    checks: Sequence[tuple[str, bool]] = ()
    requested_by: str = ""
    base: str = ""
    expires: str = ""
    public: bool = field(default=False)


def disclosed(summary: Summary) -> Summary:
    """Give what a repository that everybody reads may be told: what it holds after the change."""
    if not summary.public:
        return summary
    return replace(
        summary,
        risk=summary.risk.partition(":")[0],
        reason="",
        evidence=(),
        effect=(),
        pairs=(),
        flows="",
        requested_by="",
        meta=replace(summary.meta, question={}),
    )


def body(summary: Summary) -> str:
    """Give the request's body between its markers; rows go when it is long, then the patch."""
    summary = disclosed(summary)
    short = replace(summary, evidence=summary.evidence[:5], pairs=(summary.pairs or ())[:5])
    patch = "\n".join(summary.diffs.values())
    for told, shown in ((summary, patch), (short, patch), (short, "")):
        text = _body(told, shown)
        if len(text) <= BODY_LIMIT:
            return text
    return _body(replace(short, reason=clean(summary.reason, BODY_LIMIT // 2)), "")


def _body(summary: Summary, patch: str) -> str:
    sections = [
        BEGIN,
        f"### What changes\n{plain(summary.what)}",
        _table(summary),
        f"### Why\n{fence(summary.reason)}" if summary.reason else "",
        _list("### Evidence", summary.evidence),
        _effect(summary),
        _checks(summary.checks),
        f"### Undo\n{_undo(summary)}",
        _patch(patch),
        f"<sub>Drafted with k8tre-tui{_requester(summary)}; not merged automatically.</sub>",
        summary.meta.comment,
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
    if summary.requested_by:
        rows.append(f"| Asked by | {code_span(summary.requested_by)} |")
    if summary.expires:
        rows.append(f"| Expires | {plain(summary.expires)} |")
    return "\n".join(rows)


def _list(heading: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    shown = [f"- {code_span(line)}" for line in lines[:ROWS_MAX]]
    return "\n".join([heading, *shown, *_more(len(lines) - ROWS_MAX)])


def _more(count: int) -> list[str]:
    return [f"- and {count} more"] if count > 0 else []


def _effect(summary: Summary) -> str:
    lines = [f"- {code_span(line)}" for line in (*summary.effect, summary.flows) if line]
    if summary.pairs is None:
        lines.append("- which pairs change is not known")
    if summary.pairs:
        lines += ["", "| From | To | Port | Becomes |", "|---|---|---|---|"]
        for row in summary.pairs[:ROWS_MAX]:
            cells = map(code_span, (row.source, row.destination, row.port))
            lines.append(f"| {' | '.join(cells)} | {plain(row.becomes)} |")
        lines += ["", *_more(len(summary.pairs) - ROWS_MAX)]
    return "\n".join(["### Effect (simulated)", *lines]).rstrip() if lines else ""


def _checks(checks: Sequence[tuple[str, bool]]) -> str:
    if not checks:
        return ""
    lines = [f"- [{'x' if holds else ' '}] {plain(name)}" for name, holds in checks]
    return "\n".join(["### Checks", *lines])


def _undo(summary: Summary) -> str:
    if not summary.expires:
        return "Revert this commit."
    return f"Revert this commit; it is due on {summary.expires} (`k8tre-tui drafts --due`)."


def _patch(patch: str) -> str:
    if not patch:
        return ""
    return f"<details><summary>Patch</summary>\n\n{fence(patch, 'diff')}\n\n</details>"


def _requester(summary: Summary) -> str:
    return f" for {code_span(summary.requested_by)}" if summary.requested_by else ""


def message_details(summary: Summary) -> str:
    """Give all of it but reason and patch as paragraphs of a commit message.

    Data stands indented, so that no line of it is a trailer or the end of a message.
    """
    summary = disclosed(summary)
    about = [f"Policy: {summary.policy}"]
    if summary.deployed_by:
        about.append(f"Applies to: {', '.join(summary.deployed_by)}")
    about += [
        f"{name}: {value}"
        for name, value in (
            ("Holds for", f"commit {summary.base}" if summary.base else ""),
            ("Risk", summary.risk),
            ("Expires", summary.expires),
        )
        if value
    ]
    effect = [*summary.effect, summary.flows]
    effect += ["which pairs change is not known"] if summary.pairs is None else []
    effect += [
        f"{row.source} -> {row.destination} {row.port}: {row.becomes}"
        for row in (summary.pairs or ())[:ROWS_MAX]
    ]
    checks = [f"[{'x' if holds else ' '}] {name}" for name, holds in summary.checks]
    parts = (
        ("What changes", [summary.what, *about]),
        ("Evidence", summary.evidence[:ROWS_MAX]),
        ("Effect (simulated)", effect),
        ("Checks", checks),
        ("Undo", [_undo(summary)]),
    )
    return "\n\n".join(f"{heading}:\n{_indented(lines)}" for heading, lines in parts if any(lines))


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {message_text(clean(line, 2000))}" for line in lines if line)


def into_template(template: str, ours: str) -> str:
    """Put our part under the first heading of a repository's template, or before its text."""
    lines = template.splitlines()
    at = next((at for at, line in enumerate(lines) if re.match(r"#{1,6}\s", line)), -1)
    parts = ["\n".join(lines[: at + 1]), ours, "\n".join(lines[at + 1 :]).strip("\n")]
    return "\n\n".join(part for part in parts if part.strip())


def meta_of(text: str) -> Meta | None:
    """Give what our part of a body says to programs, or a commit message; None without any.

    What people wrote around our part is no part of it.
    """
    start, end = text.find(BEGIN), text.rfind(END)
    return read_meta(text[start:end] if 0 <= start < end else text)


def merge_body(present: str, ours: str) -> str:
    """Put our part into a body that people may have added to around it.

    A body without our markers is a person's, and stays. A reason that was given before stays when
    none is given now.
    """
    start, end = present.find(BEGIN), present.rfind(END)
    if start < 0 or end < start:
        return present if present.strip() else ours
    if _WHY not in ours and (reason := _reason_in(present[start:end])):
        at = found.start() if (found := _AFTER_WHY.search(ours)) else -1
        ours = f"{ours[:at]}\n\n{reason}{ours[at:]}" if at >= 0 else ours
    return present[:start] + ours + present[end + len(END) :]


def _reason_in(text: str) -> str:
    """The section with the reason: its heading and its fence, which no text inside can close."""
    _, heading, rest = text.partition(_WHY)
    mark, newline, inner = rest.partition("\n")
    if not heading or not newline or set(mark) != {"`"}:
        return ""
    quoted, closed, _ = inner.partition(f"\n{mark}\n")
    return f"{_WHY.lstrip()}{mark}\n{quoted}\n{mark}" if closed else ""
