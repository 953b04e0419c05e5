"""Answers about policies and changes to them: `lint`, `what-if`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.bot.command import LintOf
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import NotFound
from app.core.lint.finding import Finding, Knowledge, Severity
from app.core.lint.registry import RULES
from app.core.model.chat import Attachment, Fact, Reply, ReplyKind, Table
from app.core.model.kinds import SHORT_KINDS
from app.core.model.provenance import Manifest, ObjectRef
from app.core.policy.parse import policy_ref
from app.services.effect import EffectReport, effect_of_policies, flow_sentence
from app.services.effect_pairs import PairEffect, pair_lines
from app.services.lint import LintRequest, lint_documents, lint_policies
from app.services.picture import Picture
from app.services.wording import counted, place, policy_words

MAX_ROWS = 10
FEW_PAIRS = 5
_FILE_RULES = LintRequest(tuple(one for one in RULES if one.needs is Knowledge.FILE and one.check))


def find_lint(asked: LintOf, picture: Picture, *, closed: bool) -> tuple[Finding, ...]:
    """What the rules find in the policies that are meant, the worst first.

    For those to whom not everything is open only what one file tells: that a policy selects nobody,
    say, would be said of pods that they may not know of. Raises `NotFound`.
    """
    meant = [one for one in picture.cluster.policies if _is_meant(policy_ref(one), asked)]
    known = asked.namespace in picture.cluster.namespaces
    if not meant and asked.namespace and (asked.policy or not known):
        what = f"{asked.namespace}/{asked.policy}" if asked.policy else asked.namespace
        raise NotFound(f"there is no policy of `{what}` that I may tell you about")
    if closed:
        found = lint_documents(picture, meant, _FILE_RULES).findings
    else:
        found = lint_policies(picture, {policy_ref(one) for one in meant})
    least = Severity(asked.severity).rank
    return tuple(
        sorted((one for one in found if one.severity.rank >= least), key=lambda o: -o.severity.rank)
    )


def _is_meant(ref: ObjectRef, asked: LintOf) -> bool:
    in_namespace = not asked.namespace or ref.namespace == asked.namespace
    return in_namespace and asked.policy in ("", ref.name)


def lint_reply(
    asked: LintOf, findings: Sequence[Finding], footer: tuple[str, ...], *, closed: bool
) -> Reply:
    """The answer to `lint`."""
    what = "/".join(filter(None, (asked.namespace, asked.policy))) or "all policies"
    rows = tuple(
        (
            one.severity.value,
            one.code,
            f"{SHORT_KINDS.get(one.policy.kind, one.policy.kind)} {one.policy.name}",
            place(one.file, one.line) or one.path,
            one.summary,
        )
        for one in findings
    )
    facts = []
    if closed:
        facts.append(Fact("Note", "judged by the text of each policy alone"))
    if len(rows) > MAX_ROWS:
        facts.append(Fact("Shown", f"{MAX_ROWS} of {len(rows)}"))
    head = ("Severity", "Code", "Policy", "Where", "Finding")
    return Reply(
        ReplyKind.ANSWER,
        f"{what}: {counted(len(rows), 'finding')}",
        facts=tuple(facts),
        table=Table(head, rows[:MAX_ROWS]) if rows else None,
        footer=footer,
        attachment=_attached(findings) if len(rows) > MAX_ROWS else None,
    )


def _attached(findings: Sequence[Finding]) -> Attachment:
    def line(one: Finding) -> str:
        where = place(one.file, one.line) or one.path
        return f"{one.severity.value:8}{one.code}  {one.policy}  {where}\n        {one.summary}"

    return Attachment("Every finding", "\n".join(map(line, findings)))


def find_effect(
    picture: Picture, policies: tuple[Manifest, ...], flows: FlowEvidence | None
) -> EffectReport:
    """What other policies would do in the place of a picture's own."""
    return effect_of_policies(picture, policies, flows=flows)


def effect_reply(
    title: str, report: EffectReport, footer: tuple[str, ...], *, closed: bool
) -> Reply:
    """The answer to `what-if`. Boundaries are told to those alone to whom everything is open."""
    within = " (of what you may read)" if closed else ""
    return Reply(
        ReplyKind.ANSWER,
        f"{title}{within}",
        facts=tuple(effect_facts(report, closed=closed)),
        footer=footer,
        attachment=_pairs_attached(report),
    )


def effect_facts(report: EffectReport, *, closed: bool) -> Iterator[Fact]:
    """What a change does, in lines."""
    for one in report.refused:
        yield Fact("Refused", f"Cilium would not take {policy_words(one.ref)}: {one.reason}")
    yield Fact("Opens", _pairs(report.newly_allowed))
    yield Fact("Closes", _pairs(report.newly_denied))
    for text in report.unknown:
        yield Fact("Not known", text)
    yield Fact("Flows", flow_sentence(report.flows))
    if closed:
        yield Fact("Not told", "boundaries, and what becomes of namespaces that you may not read")
        return
    for name, holds in report.checks:
        if not holds:
            broken = "would break" if name in report.broken else "does not hold, as before"
            yield Fact("Boundary", f"✗ {name}: {broken}")
    if report.checks:
        held = sum(holds for _, holds in report.checks)
        yield Fact("Boundaries", f"{held} of {len(report.checks)} hold")


def _pairs(pairs: Sequence[PairEffect] | None) -> str:
    if pairs is None:
        return "not known"
    lines = pair_lines(pairs)
    more = len(lines) - FEW_PAIRS
    shown = "; ".join(lines[:FEW_PAIRS]) or "nothing"
    return f"{shown}; and {more} more" if more > 0 else shown


def _pairs_attached(report: EffectReport) -> Attachment | None:
    opened = pair_lines(report.newly_allowed or ())
    closed = pair_lines(report.newly_denied or ())
    if max(len(opened), len(closed)) <= FEW_PAIRS:
        return None
    lines = [*(f"+ {one}" for one in opened), *(f"- {one}" for one in closed)]
    return Attachment("Every pair that changes", "\n".join(lines))
