"""A draft before it is put on a branch: where it goes, what it does, what it changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.core.model.answer import Fix
from app.services.effect import EffectReport, flow_sentence
from app.tui.views import effect
from app.tui.views.why import patch_paragraphs
from app.tui.views.words import field, ref_text, section
from widgets.confirm import Question
from widgets.document import Paragraph, paragraph
from widgets.marks import Marks
from widgets.spans import Span, Tone

if TYPE_CHECKING:
    from app.services.drafting import Draft

BROADEN = "broaden"
"""What must be typed for a draft that opens more than the question needs."""


def of_fix(fix: Fix) -> Iterator[Paragraph]:
    """A fix where there is no repository: its patch is all there is."""
    yield field("Change", Span(fix.title, Tone.STRONG))
    if fix.policy is not None:
        yield field("Policy", ref_text(fix.policy))
    yield field("Opens", Span(fix.opens.removeprefix("opens ") or "not known", Tone.WARN))
    yield field("Goes to", Span("nowhere: there is no repository; `c` copies the patch", Tone.DIM))
    if not fix.patch:
        yield paragraph()
        yield paragraph("This change has no patch: it is not made in a policy file.")
    yield from section("Patch", *patch_paragraphs(fix.patch or "", 0))


def describe(draft: Draft, marks: Marks, report: EffectReport | None) -> Iterator[Paragraph]:
    """The whole draft; `report` when what it does to every pair is known."""
    yield field("Change", Span(draft.title, Tone.STRONG))
    yield field("Goes to", f"branch {draft.change.branch} of {draft.repository}")
    opens = draft.opens.removeprefix("opens ")
    yield field("Opens", Span(opens, Tone.WARN if draft.broadens else Tone.PLAIN))
    for at, text in enumerate(one for one in draft.effect if one != draft.opens):
        yield field("Effect" if not at else "", text)
    for at, (name, holds) in enumerate(draft.checks):
        mark = Span(f"{marks.good} ", Tone.GOOD) if holds else Span(f"{marks.bad} ", Tone.BAD)
        yield field("Checks" if not at else "", mark, name)
    if report is not None:
        yield field("Flows", flow_sentence(report.flows))
    yield from section("Patch", *patch_paragraphs(draft.diff, 0))
    if report is not None:
        yield from effect.pairs(report)


def question(draft: Draft) -> Question:
    """Ask before it leaves: repository and branch by name."""
    body = [
        paragraph("Repository  ", Span(draft.repository, Tone.STRONG)),
        paragraph("Branch      ", Span(draft.change.branch, Tone.STRONG)),
        paragraph("Files       ", Span(", ".join(draft.files))),
    ]
    if draft.broadens:
        body.append(paragraph(Span("It opens more than the connection asked about.", Tone.WARN)))
    return Question("Put this change on a branch?", tuple(body), BROADEN if draft.broadens else "")
