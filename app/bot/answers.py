"""Replies made from the services' answers: verdict first, then cause, place, proof and change."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.bot.command import CHOSEN, AboutConnection
from app.bot.grammar import COMMAND, GRAMMARS
from app.core.flows.times import NS_PER_S
from app.core.model.answer import CauseCode, WhyAnswer
from app.core.model.chat import Fact, Reply, ReplyKind, Table
from app.core.model.kinds import SHORT_KINDS
from app.core.model.provenance import RuleRef
from app.core.model.verdict import DirectionTrace, Miss, Outcome, Verdict
from app.services.inventory import PolicyRow
from app.services.wording import (
    SIGNS,
    counted,
    deciding_rules,
    direction_title,
    headline,
    place,
    policy_words,
    request_words,
)

MAX_ROWS = 10
NOTHING = "-"
_MAX_EVIDENCE = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What is said beside an answer: age of the data, sources that could not be read.

    `closed` says that there may be namespaces which the answer was made without.
    """

    footer: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    closed: bool = False


def why_reply(answer: WhyAnswer, told: Told) -> Reply:
    """The answer to `why-blocked`: never marked as certain where something was not read."""
    mark, words = headline(answer)
    doubts = tuple(_doubts(answer, told))
    if doubts and mark is not Verdict.UNKNOWN:
        mark, words = Verdict.UNKNOWN, f"{words}, as far as is known"
    asked = request_words(answer.request)
    return Reply(
        ReplyKind.ANSWER,
        f"{SIGNS[mark]} {words} {asked}{_ends(answer)}",
        facts=(*_why_facts(answer, told), *doubts),
        table=_directions(answer),
        footer=told.footer,
    )


def _doubts(answer: WhyAnswer, told: Told) -> Iterator[Fact]:
    """What takes the certainty away beyond what the answer itself does not know."""
    for source in told.unread:
        yield Fact("Not read", source)
    traces = (answer.egress, answer.ingress)
    if told.closed and any(one.outcome is Outcome.NOT_APPLICABLE for one in traces):
        yield Fact(
            "Not known",
            "whether the end that no policy of yours applies to belongs to a namespace that I may "
            "not tell you about: then its policies decide, too",
        )


def _has_path(named: str) -> bool:
    """Whether an end was named by an address with a path: `https://NAME/x`, `NAME.ORG/x`."""
    host, slash, path = named.rpartition("://")[2].partition("/")
    is_name = "://" in named or ("." in host and ":" not in host)
    return bool(slash and is_name and path.strip("/"))


def _ends(answer: WhyAnswer) -> str:
    source = answer.resolved_from or answer.asked_from
    target = answer.resolved_to or answer.asked_to
    if answer.port is None:
        return f"{source} → {target}"
    return f"{source} → {target.removesuffix(f':{answer.port}')}:{answer.port}/{answer.protocol}"


def _why_facts(answer: WhyAnswer, told: Told) -> Iterator[Fact]:
    cause = answer.cause
    tail = (
        "" if cause.code is CauseCode.NONE else f" ({cause.code.value}, {cause.confidence.value})"
    )
    yield Fact("Cause", f"{cause.summary}{tail}")
    if cause.file:
        yield Fact("Look at", f"{place(cause.file, cause.line)} {cause.look_at}".strip(), code=True)
    for hop in answer.hops:
        yield Fact(f"Hop {hop.number}", f"{SIGNS[hop.verdict]} {hop.text}")
    seen = sorted(answer.evidence, key=lambda one: one.kind != "flow")
    for evidence in seen[:_MAX_EVIDENCE]:
        yield Fact("Seen", evidence.text)
    for fix in answer.fixes[:1]:
        within = " (of what you may read)" if told.closed and fix.opens else ""
        yield Fact("Change", f"{fix.title}. {fix.opens}".strip() + within)
    for unknown in answer.not_known:
        yield Fact("Not known", unknown)
    if answer.verdict is Verdict.REDIRECTED and _has_path(answer.asked_to):
        yield Fact("Not known", "what becomes of the path: --http asks for a request")


def _directions(answer: WhyAnswer) -> Table:
    rows = [row for trace in (answer.egress, answer.ingress) for row in _direction_rows(trace)]
    return Table(("Direction", "Verdict", "Policy", "Rule", "File"), tuple(rows[:MAX_ROWS]))


def _direction_rows(trace: DirectionTrace) -> Iterator[tuple[str, ...]]:
    start = (direction_title(trace.direction), trace.outcome.value)
    cells = [_rule_cells(rule) for rule in deciding_rules(trace)]
    if not cells and trace.outcome is Outcome.DENIED:
        cells = [_miss_cells(miss) for miss in trace.nearest[:1]]
    by = ", ".join(map(policy_words, trace.selected_by[:3])) or NOTHING
    for policy, rule, at in cells or [(by, trace.implicit or NOTHING, NOTHING)]:
        yield (*start, policy, rule, at)


def _rule_cells(rule: RuleRef) -> tuple[str, str, str]:
    at = place(rule.file, rule.line) or NOTHING
    return policy_words(rule.policy), rule.short_path, at


def _miss_cells(miss: Miss) -> tuple[str, str, str]:
    rule = miss.rule
    nearly = f"{rule.short_path}, not {miss.failed_on.value}: {miss.words}"
    return policy_words(rule.policy), nearly, place(rule.file, rule.line) or NOTHING


def inventory_reply(
    namespace: str, rows: tuple[PolicyRow, ...], endpoints: int, footer: tuple[str, ...]
) -> Reply:
    """The answer to `inventory`."""
    facts = []
    if refused := [row for row in rows if not row.valid]:
        facts += [Fact("Not in force", f"{row.ref.name}: {row.reason}") for row in refused[:3]]
    facts += [Fact("Notice", str(one)) for one in _notices(rows)]
    if len(rows) > MAX_ROWS:
        facts.append(Fact("Shown", f"{MAX_ROWS} of {len(rows)} policies"))
    words = (
        f"{_count(len(rows), 'policy', 'policies')}, {_count(endpoints, 'endpoint', 'endpoints')}"
    )
    return Reply(
        ReplyKind.ANSWER,
        f"{namespace}: {words}",
        facts=tuple(facts),
        table=_policy_table(rows[:MAX_ROWS]),
        footer=footer,
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number or 'no'} {one if number == 1 else many}"


def _policy_table(rows: tuple[PolicyRow, ...]) -> Table | None:
    if not rows:
        return None
    return Table(
        ("Kind", "Policy", "Directions", "Selects", "Rules", "File"),
        tuple(
            (
                SHORT_KINDS.get(row.ref.kind, row.ref.kind),
                row.ref.name,
                ", ".join(row.directions) or NOTHING,
                str(row.selects) if row.valid else "refused",
                str(row.rules),
                place(row.file, row.line) or NOTHING,
            )
            for row in rows
        ),
    )


def _notices(rows: Iterable[PolicyRow]) -> list[str]:
    unique = dict.fromkeys(notice.text for row in rows for notice in row.notices)
    return list(unique)[:3]


def help_reply(topic: str) -> Reply:
    """What can be asked; with a topic, how."""
    if topic:
        grammar = GRAMMARS[topic]
        usages = [one.usage for one in grammar.actions.values()] or [grammar.usage]
        facts = [Fact("Usage", f"{COMMAND} {usage}", code=True) for usage in usages]
        facts.append(Fact("Example", f"{COMMAND} {grammar.example}", code=True))
        every = (grammar, *grammar.actions.values())
        if flags := dict.fromkeys(flag for one in every for flag in (*one.flags, *one.switches)):
            names = dict.fromkeys(name for one in every for name in (*one.required, *flags))
            names.pop(CHOSEN, None)
            facts.append(Fact("Flags", ", ".join(f"--{flag}" for flag in names), code=True))
        if any("from" in one.known for one in every):
            facts.append(Fact("Ends", _ENDS))
        return Reply(ReplyKind.HELP, grammar.about, facts=tuple(facts))
    rows = tuple((f"{COMMAND} {one.usage}", one.about) for one in GRAMMARS.values())
    return Reply(ReplyKind.HELP, "What I can tell", table=Table(("Command", "Answer"), rows))


def static_reply(answer: WhyAnswer, told: Told) -> Reply:
    """The answer to `can`: what the policies say, whatever flows show."""
    reply = why_reply(answer, told)
    note = Fact("Judged by", "the policies alone: flows were not looked at")
    return replace(reply, facts=(*reply.facts, note))


def cli_reply(command: AboutConnection) -> Reply:
    """The same question for the command line."""
    given = command.given
    words = [given["from"], given["to"], *filter(None, (given.get("port"),))]
    flags = [f"--{name}={given[name]}" for name in ("http", "dns", "sni") if given.get(name)]
    line = shlex.join(["k8tre-tui", "why", *words, *flags])
    return Reply(
        ReplyKind.ANSWER, "The same question on the command line", (Fact("Type", line, code=True),)
    )


_ENDS = (
    "NS/POD (a prefix will do), POD, POD.NS, deploy:NS/NAME, svc:NS/NAME:PORT, label:NS/k=v, "
    "an address, a name with a dot, entity:world"
)


def footer_of(
    cluster: str,
    as_of_ns: int,
    flows: int = 0,
    window_s: int = 0,
    *,
    until_ns: int = 0,
    lost: int | None = 0,
) -> tuple[str, ...]:
    """Where the answer comes from and how old it is. `lost` None means that it is not told."""
    if not as_of_ns:
        return (cluster, "nothing read yet")
    read = datetime.fromtimestamp(as_of_ns / NS_PER_S, UTC)
    policies = f"policies as of {read:%Y-%m-%d %H:%M:%S} UTC"
    if not flows:
        return (cluster, policies, "no flows")
    until = datetime.fromtimestamp(until_ns / NS_PER_S, UTC)
    seen = f"{flows} flows in {max(1, round(window_s / 60))} min to {until:%Y-%m-%d %H:%M} UTC"
    if lost is None:
        return (cluster, policies, seen, "events may have been lost")
    return (cluster, policies, seen, f"{counted(lost, 'event')} lost" if lost else "no event lost")
