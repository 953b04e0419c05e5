"""A draft before it leaves: where it goes, what it opens, what it keeps, what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.core.model.answer import Fix
from app.services.effect import EffectReport, flow_sentence
from app.services.risk import Level
from app.tui.views import diff, effect
from app.tui.views.words import field, ref_text, section
from widgets.confirm import Question
from widgets.document import Paragraph, paragraph
from widgets.marks import Marks
from widgets.spans import Span, Tone

if TYPE_CHECKING:
    from app.services.drafting import Draft

BROADEN = "broaden"
"""What must be typed for a draft that opens more than the question needs."""
ACCEPT = "accept"
"""What must be typed for a draft whose risk is high."""

_RISKS = {Level.LOW: Tone.PLAIN, Level.MEDIUM: Tone.WARN, Level.HIGH: Tone.BAD}


def of_fix(fix: Fix) -> Iterator[Paragraph]:
    """A fix where there is no repository: its patch is all there is."""
    yield field("Change", Span(fix.title, Tone.STRONG))
    if fix.policy is not None:
        yield field("Policy", ref_text(fix.policy))
    yield field("Opens", Span(fix.opens.removeprefix("opens ") or "not known", Tone.WARN))
    where = "nowhere: there is no repository; `s` saves the patch, `c` copies it"
    yield field("Goes to", Span(where, Tone.DIM))
    if not fix.patch:
        yield paragraph()
        yield paragraph("This change has no patch: it is not made in a policy file.")
    yield from section("Patch", *diff.unified(fix.patch or ""))


def describe(
    draft: Draft, marks: Marks, report: EffectReport | None, *, forge: str, split_at: int = 0
) -> Iterator[Paragraph]:
    """The whole draft; `report` when what it does to every pair is known.

    `split_at` is the width for a diff side by side; 0 is a unified one.
    """
    yield field("Change", Span(draft.title, Tone.STRONG))
    yield from _goes_to(draft, forge)
    why = Span(draft.request.reason) if draft.request.reason else Span("not said (`R`)", Tone.DIM)
    yield field("Reason", why)
    yield field("Risk", Span(str(draft.risk), _RISKS[draft.risk.level]))
    opens = draft.opens.removeprefix("opens ")
    yield field("Opens", Span(opens, Tone.WARN if draft.broadens else Tone.PLAIN))
    for at, text in enumerate(one for one in draft.effect if one != draft.opens):
        yield field("Effect" if not at else "", text)
    for at, (name, holds) in enumerate(draft.checks):
        mark = Span(f"{marks.good} ", Tone.GOOD) if holds else Span(f"{marks.bad} ", Tone.BAD)
        yield field("Checks" if not at else "", mark, name)
    if report is not None:
        yield field("Flows", flow_sentence(report.flows))
        yield from effect.boundaries(report, marks)
    if split_at:
        yield from section("Patch", *diff.side_by_side(draft.change.files, split_at))
    else:
        yield from section("Patch", *diff.unified(draft.diff))
    if report is not None:
        yield from effect.pairs(report)
    said = map(paragraph, draft.change.body.splitlines())
    yield from section("What the pull request says", *said)


def _goes_to(draft: Draft, forge: str) -> Iterator[Paragraph]:
    where = f"branch {draft.change.branch} of {draft.repository}"
    if not forge:
        where = f"nowhere: {draft.repository} is no git repository; `s` saves the patch"
    yield field("Goes to", where)
    if draft.change.base:
        yield field("Base", Span(f"commit {draft.change.base[:12]}", Tone.DIM))


def question(draft: Draft, forge: str) -> Question:
    """Ask before it leaves: forge, repository, branch and base by name."""
    body = [
        paragraph("Forge       ", Span(forge, Tone.STRONG)),
        paragraph("Repository  ", Span(draft.repository, Tone.STRONG)),
        paragraph("Branch      ", Span(draft.change.branch, Tone.STRONG)),
        paragraph("Base        ", Span(_base(draft), Tone.STRONG)),
        paragraph("Title       ", Span(draft.title)),
        paragraph("Files       ", Span(", ".join(draft.files))),
        paragraph("Risk        ", Span(str(draft.risk), _RISKS[draft.risk.level])),
    ]
    if draft.broadens:
        body.append(paragraph(Span("It opens more than the connection asked about.", Tone.WARN)))
    word = BROADEN if draft.broadens else ""
    if draft.risk.level is Level.HIGH:
        word = ACCEPT
    return Question("Put this change on a branch?", tuple(body), word)


def _base(draft: Draft) -> str:
    return f"commit {draft.change.base[:12]}" if draft.change.base else "no commit: a work tree"
