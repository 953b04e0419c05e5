"""A draft on a terminal: what changes, what it opens, and the diff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.cli.output import Output, Style
from app.core.drafts.diff import diff_lines
from app.services.drafting import Draft
from app.services.drafts import OwnDraft
from app.services.effect import EffectReport, flow_sentence
from app.services.wording import policy_words

LABEL_COLUMNS = 11


def print_draft(out: Output, draft: Draft, report: EffectReport, *, whole: bool = False) -> None:
    """Title, policies, effect, checks, diff; with `whole`, what its request would say."""
    out.line(out.paint(draft.title, Style.BOLD))
    out.line(f"{'Policy':<{LABEL_COLUMNS}}{', '.join(map(policy_words, draft.policies))}")
    for line in draft.plan.evidence:
        out.line(f"{'Seen':<{LABEL_COLUMNS}}{out.wrap(line, LABEL_COLUMNS)}")
    style = Style.WARN if draft.broadens else None
    for line in draft.effect:
        out.line(f"{'Effect':<{LABEL_COLUMNS}}{out.paint(out.wrap(line, LABEL_COLUMNS), style)}")
    out.line(f"{'Risk':<{LABEL_COLUMNS}}{out.wrap(str(draft.risk), LABEL_COLUMNS)}")
    out.line(f"{'Flows':<{LABEL_COLUMNS}}{out.wrap(flow_sentence(report.flows), LABEL_COLUMNS)}")
    for name, holds in draft.checks:
        out.line(f"{'Check':<{LABEL_COLUMNS}}{'✓' if holds else '✗'} {name}")
    out.line()
    for line in diff_lines(draft.diff):
        out.line(out.paint(line, _DIFF_STYLES.get(line[:1])))
    out.line()
    if whole:
        out.line(out.paint(f"What the request says ({draft.change.branch}):", Style.BOLD))
        for line in draft.change.body.splitlines():
            out.line(f"  {line}".rstrip())
        out.line()


_DIFF_STYLES = {"+": Style.GOOD, "-": Style.BAD, "@": Style.DIM}


def print_drafts(out: Output, drafts: Sequence[OwnDraft], done: Mapping[str, str]) -> None:
    """One line a draft, and below it what was done about it."""
    rows = [
        (one.state, one.meta.expires or "-", one.meta.policy, one.kept.url or one.kept.branch)
        for one in drafts
    ]
    out.table(("STATE", "DUE", "POLICY", "REQUEST"), rows)
    for branch, words in done.items():
        out.line(f"{branch}: {words}")
