"""Replies made from the services' answers: verdict first, then cause, place, proof and change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from app.bot.disclosure import ANOTHER_PROJECT
from app.bot.grammar import COMMAND, GRAMMARS
from app.core.flows.times import NS_PER_S
from app.core.model.answer import CauseCode, WhyAnswer
from app.core.model.chat import Fact, Reply, ReplyKind, Table
from app.core.model.kinds import SHORT_KINDS
from app.core.model.provenance import RuleRef
from app.core.model.verdict import DirectionTrace, Miss, Outcome
from app.services.inventory import PolicyRow
from app.services.wording import (
    SIGNS,
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

Hides = Callable[[str], bool]
"""Says whether a namespace must not be named."""


def why_reply(answer: WhyAnswer, footer: tuple[str, ...], hides: Hides) -> Reply:
    """The answer to `why-blocked`; of policies that must not be named only the verdict is told."""
    guarded = _is_guarded(answer, hides)
    mark, words = headline(answer)
    asked = request_words(answer.request)
    if guarded:  # a request may be one that flows show
        mark, words, asked = answer.verdict, answer.verdict.value.upper(), ""
    return Reply(
        ReplyKind.ANSWER,
        f"{SIGNS[mark]} {words} {asked}{_ends(answer)}",
        facts=tuple(_guarded_facts(answer) if guarded else _why_facts(answer)),
        table=_directions(answer, hides),
        footer=footer,
    )


def _ends(answer: WhyAnswer) -> str:
    source = answer.resolved_from or answer.asked_from
    target = answer.resolved_to or answer.asked_to
    if answer.port is None:
        return f"{source} → {target}"
    return f"{source} → {target.removesuffix(f':{answer.port}')}:{answer.port}/{answer.protocol}"


def _why_facts(answer: WhyAnswer) -> Iterator[Fact]:
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
        yield Fact("Change", f"{fix.title}. {fix.opens}".strip())
    for unknown in answer.not_known:
        yield Fact("Not known", unknown)


def _is_guarded(answer: WhyAnswer, hides: Hides) -> bool:
    """Whether the verdict is another project's decision."""
    deciding = [one for one in (answer.egress, answer.ingress) if one.outcome is Outcome.DENIED]
    return any(hides(ref.namespace) for trace in deciding for ref in trace.selected_by)


def _guarded_facts(answer: WhyAnswer) -> Iterator[Fact]:
    yield Fact("Cause", f"{ANOTHER_PROJECT} does not admit it ({answer.cause.code.value})")
    yield Fact("Not known", "what its policies say: only its members may read them here")


def _directions(answer: WhyAnswer, hides: Hides) -> Table:
    rows = [
        row for trace in (answer.egress, answer.ingress) for row in _direction_rows(trace, hides)
    ]
    return Table(("Direction", "Verdict", "Policy", "Rule", "File"), tuple(rows[:MAX_ROWS]))


def _direction_rows(trace: DirectionTrace, hides: Hides) -> Iterator[tuple[str, ...]]:
    start = (direction_title(trace.direction), trace.outcome.value)
    if any(hides(ref.namespace) for ref in trace.selected_by):
        yield (*start, ANOTHER_PROJECT, NOTHING, NOTHING)
        return
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
        facts = [
            Fact("Usage", f"{COMMAND} {grammar.usage}", code=True),
            Fact("Example", f"{COMMAND} {grammar.example}", code=True),
        ]
        if grammar.flags:
            flags = ", ".join(f"--{flag}" for flag in (*grammar.required, *grammar.flags))
            facts.append(Fact("Flags", flags, code=True))
        if "from" in grammar.required:
            facts.append(Fact("Ends", _ENDS))
        return Reply(ReplyKind.HELP, grammar.about, facts=tuple(facts))
    rows = tuple((f"{COMMAND} {one.usage}", one.about) for one in GRAMMARS.values())
    return Reply(ReplyKind.HELP, "What I can tell", table=Table(("Command", "Answer"), rows))


_ENDS = (
    "NS/POD (a prefix will do), deploy:NS/NAME, svc:NS/NAME:PORT, label:NS/k=v, an address, "
    "a name with a dot, entity:world"
)


def footer_of(cluster: str, as_of_ns: int, flows: int, window_s: int) -> tuple[str, ...]:
    """Where the answer comes from and how old it is."""
    if not as_of_ns:
        return (cluster, "nothing read yet")
    read = datetime.fromtimestamp(as_of_ns / NS_PER_S, UTC)
    seen = f"{flows} flows in {max(1, round(window_s / 60))} min" if flows else "no flows"
    return (cluster, f"policies as of {read:%H:%M:%S} UTC", seen)
