"""The answer to `why` on a terminal: verdict, cause, line, proof, change, what is not known."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from app.cli.output import Output, Style
from app.core.model.answer import Fix, StepAnswer, StepStatus, WhyAnswer
from app.core.model.verdict import DirectionTrace, Verdict
from app.ports import Environment
from app.services.wording import (
    SIGNS,
    Bearing,
    counted,
    direction_sentence,
    direction_title,
    headline,
    place,
    request_flag,
    request_words,
    trace_lines,
)

LABEL_COLUMNS = 11
ABOUT_COLUMNS = 14
FEW_STEPS = 2
BEARING_SIGNS = {Bearing.FOR: "✓", Bearing.AGAINST: "✗", Bearing.NEITHER: "·"}
STEP_SIGNS = {
    StepStatus.FINE: "✓",
    StepStatus.PROBLEM: "✗",
    StepStatus.UNKNOWN: "?",
    StepStatus.SKIPPED: "·",
}

STYLES = {
    Verdict.ALLOWED: Style.GOOD,
    Verdict.DENIED: Style.BAD,
    Verdict.REDIRECTED: Style.WARN,
    Verdict.UNKNOWN: Style.WARN,
}


def print_answer(
    out: Output, answer: WhyAnswer, *, explain: bool, sources: Sequence[str] = ()
) -> None:
    """The answer on one screen; `explain` unfolds the trace below it.

    `sources` are the options that commands which ask again need, too.
    """
    mark, words = headline(answer)
    style = STYLES[mark]
    verdict = f"{SIGNS[mark]} {words}"
    source = answer.resolved_from or answer.asked_from
    destination = _destination(answer)
    out.line(f"{out.paint(verdict, style)}{' ' * max(3, LABEL_COLUMNS - len(verdict))}"
             f"{request_words(answer.request)}{source} → {destination}")  # fmt: skip
    for label, text in _lines(answer, tuple(sources), explain=explain):
        out.line(f"{out.paint(f'{label:<{LABEL_COLUMNS}}', Style.DIM)}"
                 f"{out.wrap(text, LABEL_COLUMNS)}")  # fmt: skip
    if explain:
        _print_trace(out, answer.egress)
        _print_trace(out, answer.ingress)
        _print_steps(out, answer.steps)


def _destination(answer: WhyAnswer) -> str:
    """The destination as policies see it, and how it was asked for where that differs."""
    port = f":{answer.port}/{answer.protocol}" if answer.port is not None else ""
    if answer.hops:
        return answer.asked_to
    if not answer.resolved_to:
        return f"{answer.asked_to}{port}"
    asked = "" if answer.asked_to.startswith(answer.resolved_to) else f" (as {answer.asked_to})"
    return f"{answer.resolved_to}{port}{asked}"


def _lines(
    answer: WhyAnswer, sources: tuple[str, ...], *, explain: bool
) -> Iterator[tuple[str, str]]:
    cause = answer.cause
    if cause.summary:
        yield "Cause", f"{cause.summary}   {cause.code.value} · {cause.confidence.value}"
    if cause.detail:
        yield "", cause.detail
    if at := place(cause.file, cause.line):
        yield "Look at", f"{at}   {cause.look_at}".rstrip()
    for hop in answer.hops:
        yield f"Hop {hop.number}", f"{SIGNS[hop.verdict]} {hop.text}"
    if not answer.hops:
        yield from _directions(answer)
    for backend in answer.backends if len(answer.backends) > 1 else ():
        words = f"{backend.address}:{backend.port} {backend.verdict.value}"
        yield "Backend", f"{SIGNS[backend.verdict]} {words}"
    for evidence in answer.evidence:
        if explain or evidence.kind != "object":
            ref = f"   {evidence.ref}" if evidence.ref else ""
            yield _EVIDENCE_TITLES.get(evidence.kind, "Seen"), f"{evidence.text}{ref}"
    yield from _tail(answer, sources, explain=explain)


def _directions(answer: WhyAnswer) -> Iterator[tuple[str, str]]:
    """Both directions; the nearest rule only where the cause has not named it already."""
    nearest = not answer.cause.detail
    for trace, who in (
        (answer.egress, answer.resolved_from or answer.asked_from),
        (answer.ingress, answer.resolved_to or answer.asked_to),
    ):
        yield direction_title(trace.direction), direction_sentence(trace, who, nearest=nearest)


def print_elsewhere(
    out: Output,
    here: tuple[Environment, Verdict],
    others: Sequence[tuple[Environment, Verdict]],
    left: int = 0,
) -> None:
    """Say where the environments of a checkout differ; `left` of them were not asked."""
    if not others:
        return
    different = [one for one in others if one[1] is not here[1]]
    if not different:
        text = f"the same in {', '.join(f'`{one}`' for one, _ in others)}"
    else:
        words = [f"{verdict.value.upper()} in `{one}`" for one, verdict in different]
        text = f"this is `{here[0]}`; {', '.join(words)} (--env and --cluster choose)"
    text += f"; {left} more were not asked (--env all)" if left else ""
    out.line(f"{out.paint(f'{_ELSEWHERE:<{LABEL_COLUMNS}}', Style.DIM)}"
             f"{out.wrap(text, LABEL_COLUMNS)}")  # fmt: skip


def _tail(
    answer: WhyAnswer, sources: tuple[str, ...], *, explain: bool
) -> Iterator[tuple[str, str]]:
    numbered = list(enumerate(answer.fixes, start=1))
    shown = [one for one in numbered if explain or one[0] == 1 or one[1].change == "none"]
    for number, fix in shown:
        yield ("Change" if number == 1 else "Or"), _fix_words(fix, number, answer, sources)
    if more := len(numbered) - len(shown):
        yield "Or", f"{counted(more, 'other way')}: --explain shows them, --fix N drafts one"
    for text in (*answer.not_known, *answer.egress.uncertain, *answer.ingress.uncertain):
        yield "Not known", text
    for step in answer.next if explain else answer.next[:FEW_STEPS]:
        again = f" {shlex.join(sources)}" if sources and step.command.startswith(_PROGRAM) else ""
        yield "Next", f"{step.title}   {step.command}{again}".rstrip()


_ELSEWHERE = "Elsewhere"
_PROGRAM = "k8tre-tui "

_EVIDENCE_TITLES = {"flow": "Seen", "object": "Object", "status": "Status", "dns": "DNS"}


def _fix_words(fix: Fix, number: int, answer: WhyAnswer, sources: tuple[str, ...]) -> str:
    opens = f". {fix.opens[:1].upper()}{fix.opens[1:]}" if fix.opens else ""
    if fix.change == "none":
        return f"{fix.title}{opens}"
    return f"{fix.title}{opens}   `{_draft_command(answer, sources)} --fix {number}`"


def _draft_command(answer: WhyAnswer, sources: tuple[str, ...]) -> str:
    """The command that asks the same; a port that the destination names is not said again."""
    service_port = answer.asked_to.startswith("svc:") and answer.asked_to.count(":") > 1
    unsaid = answer.port is not None and not service_port and not answer.hops
    port = [f"{answer.port}/{answer.protocol}"] if unsaid else []
    words = ["k8tre-tui", "draft", answer.asked_from, answer.asked_to, *port]
    return shlex.join([*words, *request_flag(answer.request), *sources])


def _print_trace(out: Output, trace: DirectionTrace) -> None:
    out.line()
    out.line(out.paint(f"{direction_title(trace.direction)}: {trace.outcome.value}", Style.BOLD))
    for one in trace_lines(trace):
        line = f"{BEARING_SIGNS[one.bearing]} {one.about:<{ABOUT_COLUMNS}}{one.text}"
        out.line(f"  {out.wrap(line, ABOUT_COLUMNS + 4, first=2)}")


def _print_steps(out: Output, steps: Sequence[StepAnswer]) -> None:
    if not steps:
        return
    out.line()
    out.line(out.paint("Steps", Style.BOLD))
    for step in steps:
        out.line(f"  {STEP_SIGNS[step.status]} {out.wrap(step.asks, 4, first=4)}")
        out.line(f"    {out.wrap(step.text, 4, first=4)}")
        for command in step.commands:
            out.line(f"    {out.paint(command.command, Style.DIM)}")
