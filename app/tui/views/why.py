"""The answer to "why?", in the order of economy: verdict, cause, line, proof, change, unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.core.errors import K8treError
from app.core.model.answer import Fix, StepAnswer, StepStatus, WhyAnswer
from app.core.model.asked import Asked
from app.core.model.flow import Flow
from app.core.model.verdict import DirectionTrace, Verdict
from app.services.picture import Picture
from app.services.wording import (
    Bearing,
    direction_sentence,
    headline,
    place,
    policy_words,
    request_words,
    trace_lines,
)
from app.tui.links import deciding_rule, rule_to_change, to_policy, to_rule
from app.tui.questions import Words, split_request, words_of
from app.tui.session import Session
from app.tui.views.diff import unified
from app.tui.views.words import field, section
from widgets.document import Paragraph, heading, paragraph
from widgets.marks import Marks, policy_verdict
from widgets.spans import Line, Span, Tone

if TYPE_CHECKING:
    from app.services.ask import Inquiry

OBSERVED = ("flow", "dns", "status")
MOST_SEEN = 3
_STEP_LOOKS = {
    StepStatus.FINE: ("good", Tone.GOOD),
    StepStatus.PROBLEM: ("bad", Tone.BAD),
    StepStatus.UNKNOWN: ("unknown", Tone.WARN),
    StepStatus.SKIPPED: ("off", Tone.DIM),
}

_BEARING_LOOKS = {
    Bearing.FOR: ("good", Tone.GOOD),
    Bearing.AGAINST: ("bad", Tone.BAD),
    Bearing.NEITHER: ("audit", Tone.DIM),
}
ABOUT_COLUMNS = 14
PATCH_INDENT = 13

FIX = "fix:"
"""Begins the target of a fix; its position follows."""


def question_of(words: Words) -> Asked:
    """Read a question. Raises `UsageError` for one that has no sense."""
    kind, request = split_request(words.request)
    from app.services.ask import make_question

    return make_question(
        words.source,
        words.destination,
        words.port,
        http=request if kind == "http" else "",
        dns=request if kind == "dns" else "",
        sni=request if kind == "sni" else "",
    )


def answer_to(picture: Picture, session: Session, words: Words) -> Inquiry:
    """Ask the one service that answers. Raises a `K8treError` where there is no answer."""
    from app.services.ask import inquire

    return inquire(picture, session.workspace.evidence(), question_of(words))


def short_answer(picture: Picture, session: Session, flow: Flow) -> tuple[Paragraph, ...]:
    """What the policies say of a flow's connection, in two lines."""
    if not session.has_read:
        return ()
    from app.services.ask import explain

    try:
        asked = question_of(words_of(flow))
        answer = explain(picture, session.workspace.evidence(), asked)
    except K8treError as error:
        return (field("Policies", Span(f"cannot say: {error}", Tone.DIM)),)
    return (
        field("Policies", policy_verdict(answer.verdict.value, session.marks)),
        field("Cause", Span(answer.cause.summary), Span(f"  {_sure(answer)}", Tone.DIM)),
        *_look_at(answer),
    )


def describe(
    answer: WhyAnswer, marks: Marks, *, unfolded: bool, chosen: int
) -> Iterator[Paragraph]:
    """The whole answer; `chosen` is the fix whose patch is shown."""
    yield Paragraph(_verdict_line(answer, marks), indent=2)
    if answer.cause.code.value != "none":
        yield field("Cause", Span(answer.cause.summary, Tone.STRONG))
        yield field("", Span(_sure(answer), Tone.ACCENT))
    elif answer.cause.summary:
        yield field("Cause", answer.cause.summary)
    if answer.cause.detail:
        yield field("", Span(answer.cause.detail, Tone.DIM))
    yield from _look_at(answer)
    yield from _paths(answer, marks)
    yield _direction("Egress", answer.egress, _from(answer), marks)
    yield _direction("Ingress", answer.ingress, _to(answer), marks)
    yield from _seen(answer)
    yield from _fixes(answer, chosen)
    for unknown in answer.not_known:
        yield field("Not known", Span(unknown, Tone.WARN))
    for at, step in enumerate(answer.next):
        yield field("Next" if not at else "", step.title)
        if step.command:
            yield field("", Span(step.command, Tone.KEY))
    if unfolded:
        yield from _steps(answer, marks)
        yield from _evidence(answer)
        yield from _trace(answer.egress, marks)
        yield from _trace(answer.ingress, marks)


def _verdict_line(answer: WhyAnswer, marks: Marks) -> Line:
    port = f":{answer.port}/{answer.protocol}" if answer.port else ""
    verdict, words = headline(answer)
    return (
        policy_verdict(verdict.value, marks, words),
        Span(
            f"  {request_words(answer.request)}{_from(answer)} {marks.arrow} {_to(answer)}{port}",
            Tone.STRONG,
        ),
    )


def _from(answer: WhyAnswer) -> str:
    return answer.resolved_from or answer.asked_from


def _to(answer: WhyAnswer) -> str:
    return answer.resolved_to or answer.asked_to


def _sure(answer: WhyAnswer) -> str:
    return f"{answer.cause.code.value} · {answer.cause.confidence.value}"


def _look_at(answer: WhyAnswer) -> Iterator[Paragraph]:
    at = place(answer.cause.file, answer.cause.line)
    if at or answer.cause.look_at:
        yield field(
            "Look at",
            Span(at, Tone.ACCENT),
            Span(f"  {answer.cause.look_at}"),
            target=rule_to_change(answer),
        )


def _paths(answer: WhyAnswer, marks: Marks) -> Iterator[Paragraph]:
    """Draw the way: hop by hop through a gateway, else out of one end and into the other."""
    if not answer.hops:
        yield field("Path", *_way(answer, marks))
    for at, hop in enumerate(answer.hops):
        verdict = policy_verdict(hop.verdict.value, marks)
        joint = marks.last if at == len(answer.hops) - 1 else marks.branch
        drawn = Span(joint, Tone.DIM)
        yield field("Path" if not at else "", drawn, f"{hop.number} ", verdict, f"  {hop.text}")
    for at, backend in enumerate(answer.backends):
        verdict = policy_verdict(backend.verdict.value, marks)
        text = f"  {backend.address}:{backend.port}"
        yield field("Backends" if not at else "", verdict, text)


def _way(answer: WhyAnswer, marks: Marks) -> Line:
    """Both gates of a connection in a row, each with its verdict."""
    line_glyph = Span(f" {marks.rule}{marks.rule} ", Tone.DIM)
    ahead = Span(f" {marks.rule}{marks.arrow} ", Tone.DIM)
    return (
        Span(_from(answer)),
        line_glyph,
        policy_verdict(answer.egress.outcome.value, marks, "egress"),
        ahead,
        policy_verdict(answer.ingress.outcome.value, marks, "ingress"),
        ahead,
        Span(_to(answer)),
    )


def _direction(label: str, trace: DirectionTrace, who: str, marks: Marks) -> Paragraph:
    verdict = policy_verdict(trace.outcome.value, marks)
    rule = deciding_rule(trace)
    target = to_rule(rule) if rule else ""
    return field(label, verdict, Span(f"  {direction_sentence(trace, who)}"), target=target)


def _seen(answer: WhyAnswer) -> Iterator[Paragraph]:
    """What was observed, not what was read: the rest is in the unfolded answer."""
    observed = [one for one in answer.evidence if one.kind in OBSERVED][:MOST_SEEN]
    for at, evidence in enumerate(observed):
        yield field("Seen" if not at else "", evidence.text)


def _steps(answer: WhyAnswer, marks: Marks) -> Iterator[Paragraph]:
    yield from section("Step by step", *(_step(step, marks) for step in answer.steps))


def _step(step: StepAnswer, marks: Marks) -> Paragraph:
    glyph, tone = _STEP_LOOKS[step.status]
    return Paragraph(
        (
            Span(f"{getattr(marks, glyph)} ", tone),
            Span(f"{step.asks}  ", Tone.DIM),
            Span(step.text),
        ),
        indent=4,
    )


def _evidence(answer: WhyAnswer) -> Iterator[Paragraph]:
    yield from section(
        "Evidence",
        *(
            Paragraph(
                (
                    Span(f"{one.kind:<8}", Tone.DIM),
                    Span(one.text),
                    Span(f"  {one.ref}" if one.ref else "", Tone.DIM),
                ),
                indent=8,
            )
            for one in answer.evidence
        ),
    )


def _fixes(answer: WhyAnswer, chosen: int) -> Iterator[Paragraph]:
    if not answer.fixes and answer.verdict is Verdict.DENIED:
        yield field("Change", Span("none offered", Tone.DIM))
    for at, fix in enumerate(answer.fixes):
        label = "Change" if not at else ""
        yield Paragraph(
            (
                Span(f"{label:<11}", Tone.DIM),
                Span(f"{at + 1} ", Tone.KEY),
                Span(fix.title, Tone.STRONG if at == chosen else Tone.PLAIN),
            ),
            indent=13,
            target=f"{FIX}{at}",
        )
        if at == chosen:
            yield from fix_paragraphs(fix)


def fix_paragraphs(fix: Fix) -> Iterator[Paragraph]:
    """What a fix opens, and its patch."""
    if fix.opens:
        opens = Span(fix.opens.removeprefix("opens "), Tone.WARN)
        yield field("", Span("Opens: ", Tone.DIM), opens, width=13)
    yield from unified(fix.patch or "", PATCH_INDENT)


def _trace(trace: DirectionTrace, marks: Marks) -> Iterator[Paragraph]:
    yield from section(f"{trace.direction.value.capitalize()}, rule by rule", *_rules(trace, marks))


def _rules(trace: DirectionTrace, marks: Marks) -> Iterator[Paragraph]:
    if not trace.selected_by:
        yield field("Selected by", "no policy", width=13)
    for at, ref in enumerate(trace.selected_by):
        label = "" if at else "Selected by"
        yield field(label, policy_words(ref), width=13, target=to_policy(ref))
    for one in trace_lines(trace):
        glyph, tone = _BEARING_LOOKS[one.bearing]
        sign = Span(f"{getattr(marks, glyph)} ", tone)
        about = Span(f"{one.about:<{ABOUT_COLUMNS}}", Tone.DIM)
        target = to_rule(one.rule) if one.rule else ""
        yield Paragraph((sign, about, Span(one.text)), indent=ABOUT_COLUMNS + 4, target=target)
    for doubt in trace.uncertain:
        yield field("Uncertain", Span(doubt, Tone.WARN), width=13)


def how_to_ask() -> tuple[Paragraph, ...]:
    """What is shown before anything was asked."""
    return (
        heading("Why is it blocked?"),
        paragraph("Name both ends and a port, then press enter."),
        paragraph(),
        field("A pod", "NS/NAME, or the beginning of its name: jupyterhub/jupyter-alice"),
        field("A workload", "deploy:NS/NAME, sts:, ds:, job:"),
        field("By labels", "label:NS/app=web,tier=db"),
        field("A Service", "svc:NS/NAME:PORT"),
        field("Outside", "pypi.org, fqdn:NAME=ADDRESS, or an address"),
        field("Others", "entity:host, remote-node, kube-apiserver, health, ingress, world"),
        field("Port", "443, 53/UDP, https, 8/ICMP"),
        field("Request", "GET /simple/, dns pypi.org, or sni host (may stay empty)"),
    )
