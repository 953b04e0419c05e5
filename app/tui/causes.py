"""The engine's own cause of drops, for the rows on screen.

A row that is drawn asks for its cause. What is not known yet is worked out afterwards, a little in
each frame, so that no frame waits for it: only rows that were drawn cost anything.
"""

from __future__ import annotations

from time import perf_counter

from textual.cache import LRUCache

from app.core.errors import K8treError
from app.core.model.answer import CauseCode, Confidence
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow
from app.core.model.verdict import Verdict
from app.services.flow_words import reason_words
from app.tui.questions import Words, words_of
from app.tui.session import Session, judges_alike
from app.tui.views.why import question_of
from widgets.spans import Line, Span, Tone, line

KEPT = 2_000
"""Questions whose causes are kept."""
BUDGET_S = 0.03
"""Seconds of a frame for causes; one question more is asked than fits."""
JUDGED = frozenset({"POLICY_DENIED", "POLICY_DENY"})
"""Drop reasons that are a policy's doing; of others Hubble knows more than policies say."""


class Causes:
    """Causes by question, of the newest picture."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: LRUCache[Words, Line | None] = LRUCache(KEPT)
        self._wanted: dict[Words, Flow] = {}
        self._judged_by: Cluster | None = None

    def cell(self, flow: Flow) -> Line:
        """The cause of a drop, or Hubble's reason for it until or unless that is known."""
        if flow.drop_reason in JUDGED:
            words = words_of(flow)
            known = self._known.get(words)
            if known is not None:
                return known
            if words not in self._known:
                self._wanted[words] = flow
        return line(Span(reason_words(flow), Tone.BAD))

    def work(self) -> bool:
        """Find out some of what was asked for; gives whether there is anything new to draw."""
        picture = self._session.picture
        if not judges_alike(picture.cluster, self._judged_by):
            self._judged_by = picture.cluster
            self._known.clear()
            self._wanted.clear()
            return True  # what is drawn anew asks again
        begun = perf_counter()
        found = False
        while self._wanted and self._session.has_read:
            words, flow = self._wanted.popitem()
            self._known[words] = self._find(words, flow)
            found = True
            if perf_counter() - begun > BUDGET_S:
                break
        return found

    def _find(self, words: Words, flow: Flow) -> Line | None:
        from app.services.ask import explain_flow

        try:
            answer = explain_flow(self._session.picture, flow, question_of(words))
        except K8treError:
            return None
        unsure = "" if answer.cause.confidence is Confidence.CERTAIN else "?"
        if answer.cause.code is not CauseCode.NONE:
            return line(Span(f"{answer.cause.code.value}{unsure}", Tone.BAD))
        if answer.verdict is Verdict.DENIED:
            return None
        return line(Span(f"allowed now{unsure}", Tone.WARN))
