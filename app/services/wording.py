"""Sentences about verdicts and rules, the same on every face.

Each is made from the trace and nothing else, so screen, command line and chat cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.core.model.answer import CauseCode, Confidence, WhyAnswer
from app.core.model.kinds import SHORT_KINDS
from app.core.model.provenance import ObjectRef, RuleRef
from app.core.model.verdict import (
    Direction,
    DirectionTrace,
    DnsRequest,
    Effect,
    HttpRequest,
    Outcome,
    Request,
    SniRequest,
    Verdict,
)
from app.core.text import clean

if TYPE_CHECKING:
    from app.core.diagnose.boundaries import Breach

SIGNS = {
    Verdict.ALLOWED: "✓",
    Verdict.DENIED: "✗",
    Verdict.REDIRECTED: "↪",
    Verdict.UNKNOWN: "?",
}


_LONGEST_REQUEST = 80
_UNSPECIFIC = frozenset(
    {CauseCode.NONE, CauseCode.EGRESS_DEFAULT_DENY, CauseCode.INGRESS_DEFAULT_DENY}
)
"""Causes that say no more than what the policies that were read come to."""


def headline(answer: WhyAnswer) -> tuple[Verdict, str]:
    """The verdict that an answer is marked with, and its words: unknown where flows say otherwise.

    `DENIED`, `DENIED at hop 2 of 3`, `DENIED at layer 7`, `ALLOWED by policy, flows disagree`.
    """
    word, code = answer.verdict.value.upper(), answer.cause.code
    if code is CauseCode.FLOWS_DISAGREE:
        return Verdict.UNKNOWN, f"{word} by policy, flows disagree"
    if code is CauseCode.NOT_A_POLICY_DROP:
        return Verdict.UNKNOWN, f"{word} by policy, DROPPED in flows"
    if code in _UNSPECIFIC and answer.cause.confidence is Confidence.POSSIBLE:
        return Verdict.UNKNOWN, f"{word} as far as is known"
    denied = [hop.number for hop in answer.hops if hop.verdict is Verdict.DENIED]
    if denied:
        return answer.verdict, f"{word} at hop {denied[0]} of {len(answer.hops)}"
    if code is CauseCode.L7_REQUEST_REFUSED:
        return answer.verdict, f"{word} at layer 7"
    return answer.verdict, word


def request_flag(request: Request | None) -> tuple[str, ...]:
    """The words that ask for a request on the command line: `--http`, `POST /upload`."""
    match request:
        case HttpRequest(method, path, host):
            return "--http", f"{method} {f'http://{host}' if host else ''}{path}"
        case DnsRequest(name):
            return "--dns", name
        case SniRequest(name):
            return "--sni", name
    return ()


def request_words(request: Request | None) -> str:
    """What is asked above layer 4, to stand before both ends: `POST /upload`, `dns NAME`."""
    flag, text = request_flag(request) or ("", "")
    kind = "" if flag in ("", "--http") else f"{flag.removeprefix('--')} "
    return f"{kind}{clean(text, _LONGEST_REQUEST)}   " if text else ""


def policy_words(ref: ObjectRef) -> str:
    """`CNP workspace`: kind in short and name."""
    return f"{SHORT_KINDS.get(ref.kind, ref.kind)} {ref.name}"


def counted(number: int, one: str, more: str = "") -> str:
    """`1 notice`, `3 notices`."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def place(file: str | None, line: int | None) -> str:
    """`file:line`, or what is known of it."""
    if not file:
        return ""
    return f"{file}:{line}" if line else file


def rule_words(rule: RuleRef) -> str:
    """`CNP workspace, egress[1] (file:12)`."""
    at = place(rule.file, rule.line)
    return f"{policy_words(rule.policy)}, {rule.short_path}" + (f" ({at})" if at else "")


def breach_words(breach: Breach) -> str:
    """A connection that is not as a boundary demands, and what makes it so."""
    rules = "; ".join(map(rule_words, breach.rules)) or "nothing restricts it"
    return f"{breach_ends(breach)} is {breach.verdict.value}: {rules}"


def breach_ends(breach: Breach) -> str:
    """`a/b → c/d:443/TCP`, and who is meant where an end is outside."""
    who = f" ({breach.outside})" if breach.outside else ""
    port = f"{breach.port}/{breach.protocol.value}"
    return f"{breach.source} → {breach.destination}:{port}{who}"


def direction_sentence(trace: DirectionTrace, who: str, *, nearest: bool = True) -> str:
    """One direction in one sentence; `who` is the end whose policy was asked.

    `nearest` adds what the nearest rule would have to name, where nothing matched.
    """
    if trace.outcome is Outcome.NOT_APPLICABLE:
        if trace.implicit == "nothing-to-connect-to":
            return "not asked: there is nothing to connect to"
        return f"not applicable: no policy can apply at {who}"
    if trace.outcome is Outcome.NOT_ENFORCED:
        return f"not enforced: {_why_open(trace, who)}"
    if trace.outcome is Outcome.DENIED:
        return _denied(trace, nearest=nearest)
    by = _deciding(trace)
    tail = ", subject to its layer 7 rules" if trace.outcome is Outcome.REDIRECTED else ""
    return f"allowed by {by}{tail}"


def nearest_sentence(trace: DirectionTrace) -> str:
    """What the nearest rule that did not match asks for instead; empty without one."""
    allows = [miss for miss in trace.nearest if "Deny[" not in miss.rule.path]
    if not allows:
        return ""
    miss = allows[0]
    return f"nearest {rule_words(miss.rule)} fails on {miss.failed_on.value}: it {miss.words}"


class Bearing(StrEnum):
    """What a line of a trace does for the connection."""

    FOR = "for"
    AGAINST = "against"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One thing that the evaluation looked at: `about` says what it is, `text` what it did."""

    bearing: Bearing
    about: str
    text: str
    rule: RuleRef | None = None


def trace_lines(trace: DirectionTrace) -> Iterator[TraceLine]:
    """A direction rule by rule: what turned default deny on, what matched, what nearly did."""
    if trace.implicit:
        yield TraceLine(Bearing.NEITHER, "by itself", trace.implicit)
    for rule in trace.default_deny_by:
        yield TraceLine(Bearing.NEITHER, "default deny", rule_words(rule), rule)
    for match in trace.matched:
        tail = " (layer 7 decides)" if match.l7 else ""
        denies = match.effect is Effect.DENY
        yield TraceLine(
            Bearing.AGAINST if denies else Bearing.FOR,
            "denies" if denies else "allows",
            f"{rule_words(match.rule)}{tail}",
            match.rule,
        )
    for miss in trace.nearest:
        text = f"{rule_words(miss.rule)}: {miss.words}"
        yield TraceLine(Bearing.NEITHER, miss.failed_on.value, text, miss.rule)
    for request in trace.requests:
        bearing = Bearing.FOR if request.allowed else Bearing.AGAINST
        text = f"{rule_words(request.rule)}: {request.text}"
        yield TraceLine(bearing, "layer 7", text, request.rule)


def deciding_rules(trace: DirectionTrace) -> tuple[RuleRef, ...]:
    """The rules behind the outcome; a refused request is the doing of those that let it try."""
    refused = trace.outcome is Outcome.DENIED and trace.l4 is Outcome.DENIED
    effect = Effect.DENY if refused else Effect.ALLOW
    return tuple(match.rule for match in trace.matched if match.effect is effect)


def _why_open(trace: DirectionTrace, who: str) -> str:
    if trace.implicit:
        return trace.implicit
    if trace.selected_by:
        names = _list(trace.selected_by)
        return (
            f"{names} select{'s' if len(trace.selected_by) == 1 else ''} {who} without default deny"
        )
    return f"no policy selects {who} for {trace.direction.value}"


def _denied(trace: DirectionTrace, *, nearest: bool) -> str:
    if denies := [match.rule for match in trace.matched if match.effect is Effect.DENY]:
        return f"denied by {_rules(denies)}"
    if trace.l4 in (Outcome.ALLOWED, Outcome.REDIRECTED):
        return f"the connection is let through by {_deciding(trace)}, the request is refused"
    by = tuple(dict.fromkeys(rule.policy for rule in trace.default_deny_by)) or trace.selected_by
    selected = f"selected by {_list(by)}" if by else trace.implicit or "no rule"
    near = nearest_sentence(trace) if nearest else ""
    return f"default deny ({selected})" + (f" · {near}" if near else "")


def _deciding(trace: DirectionTrace) -> str:
    allows = [match.rule for match in trace.matched if match.effect is Effect.ALLOW]
    return _rules(allows) if allows else trace.implicit or "no rule that restricts it"


def _rules(rules: Sequence[RuleRef]) -> str:
    first = rule_words(rules[0])
    return first if len(rules) == 1 else f"{first} and {len(rules) - 1} more"


def _list(refs: tuple[ObjectRef, ...]) -> str:
    shown = ", ".join(policy_words(ref) for ref in refs[:3])
    return shown if len(refs) <= 3 else f"{shown} and {len(refs) - 3} more"  # noqa: PLR2004


def direction_title(direction: Direction) -> str:
    """`Egress` or `Ingress`."""
    return direction.value.capitalize()
