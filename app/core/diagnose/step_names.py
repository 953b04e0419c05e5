"""The step that follows a name: is it asked, answered, and seen by Cilium?"""

from __future__ import annotations

from dataclasses import replace

from app.core.cluster import commands
from app.core.diagnose.case import Case
from app.core.diagnose.denied import Denial, explain_denial, manifest_of
from app.core.diagnose.dns import NameReport
from app.core.diagnose.external import named_by_target
from app.core.diagnose.finding import Finding, skipped
from app.core.diagnose.redirect import in_words
from app.core.diagnose.sentences import place, rule_name, sentence
from app.core.model.answer import (
    Cause,
    CauseCode,
    Confidence,
    Evidence,
    NextStep,
    StepStatus,
)
from app.core.model.cluster import IdentityKind
from app.core.model.verdict import Direction, Effect, Outcome

_DIRECTIONS = (Direction.EGRESS, Direction.INGRESS)


def look_at_name(case: Case) -> Finding:
    """Is the name resolved: is the question allowed, answered, and its answer learned?"""
    report = case.name
    if report is None:
        return skipped("no name was asked for")
    source = report.leg.question.source
    show = [NextStep("see its DNS questions", commands.observe_dns(source))]
    unknown = []
    if report.assumed:
        unknown.append(report.assumed)
    finding = (
        _blocked(report, case)
        or _refused(report, case)
        or _silent(report)
        or _unlearned(report, case)
        or _answered_otherwise(report, case)
        or named_by_target(report, case)
    )
    if finding is None:
        text = f"{source.text} may ask for {report.name}"
        unknown += _other_servers(report)
        finding = Finding(StepStatus.FINE, text, (Evidence("dns", _visibility(report)),))
        unknown += _address_unknown(case)
    else:
        show.append(NextStep("see what is learned", commands.cached_names(report.name)))
    return replace(finding, commands=tuple(show), unknown=tuple(unknown))


def _visibility(report: NameReport) -> str:
    if report.is_visible:
        return f"its DNS answers pass Cilium's proxy, so addresses of {report.name} are learned"
    seen = "; an answer for it was seen all the same" if report.learned else ""
    return f"its DNS answers do not pass Cilium's proxy{seen}"


def _address_unknown(case: Case) -> list[str]:
    end = case.destinations[0]
    if end.peer.kind is IdentityKind.WORLD and end.peer.address is None:
        return [f"which address {end.name} resolves to: CIDR rules could not be judged"]
    return []


def _other_servers(report: NameReport) -> list[str]:
    """A DNS server that pods may ask instead, and that is not allowed."""
    return [
        f"which DNS server pods ask: {leg.destination.text} is not allowed to {leg.source.text}"
        for leg in report.others
        if leg.is_denied
    ]


def _denial(report: NameReport, case: Case) -> Denial:
    leg = report.leg
    direction = next(one for one in _DIRECTIONS if leg.direction(one).outcome is Outcome.DENIED)
    return explain_denial(leg, direction, case.engine)


def _silent(report: NameReport) -> Finding | None:
    """Nobody answers while no DNS server is ready; else a ready one is the one asked about."""
    server = report.leg.destination
    if report.assumed or report.learned or server.ready:
        return None
    text = (
        f"no DNS server of the cluster is ready ({server.text} is not), so nobody answers for "
        f"{report.name}"
    )
    cause = Cause(CauseCode.DNS_BLOCKED, sentence(text), confidence=Confidence.LIKELY)
    return Finding(StepStatus.PROBLEM, text, (Evidence("dns", text, server.text),), cause=cause)


def _blocked(report: NameReport, case: Case) -> Finding | None:
    if not report.is_blocked:
        return None
    denial = _denial(report, case)
    server = report.leg.destination
    text = (
        f"{report.leg.source.text} cannot ask for {report.name}: the DNS server "
        f"{server.text} is not allowed to it on 53/UDP"
    )
    by_host = "it is the node itself, entity host" if server.peer.kind is IdentityKind.HOST else ""
    sent = in_words(server.redirect, server.text) if server.redirect else by_host
    cause = replace(
        denial.cause,
        code=CauseCode.DNS_BLOCKED,
        summary=sentence(text),
        detail=" ".join(filter(None, (sentence(sent) if sent else "", denial.cause.summary))),
    )
    return _problem("the DNS server cannot be reached", replace(denial, cause=cause))


def _refused(report: NameReport, case: Case) -> Finding | None:
    if not report.is_refused:
        return None
    denial = _denial(report, case)
    return _problem(f"the DNS rules refuse {report.name}", denial)


def _problem(text: str, denial: Denial) -> Finding:
    evidence = (Evidence("dns", text, str(denial.rule) if denial.rule else ""),)
    return Finding(StepStatus.PROBLEM, text, evidence, cause=denial.cause, denial=denial)


def _unlearned(report: NameReport, case: Case) -> Finding | None:
    """A toFQDNs rule names it, but the answers of this pod pass no proxy."""
    denial = case.denials[0] if case.denials else None
    if report.is_visible or not case.naming or denial is None:
        return None
    if denial.direction is not Direction.EGRESS or _is_inside(case):
        return None
    named = case.naming[0]
    plain = next(
        (one for one in report.leg.trace.egress.matched if one.effect is Effect.ALLOW), None
    )
    text = (
        f"{rule_name(named.entry.rule)} allows {report.name}, but nothing shows the DNS answers of "
        f"{report.leg.source.text} to Cilium, so no address ever counts as that name"
    )
    detail = "another pod on the same node whose answers are seen would make the name known there"
    cause = Cause(CauseCode.FQDN_NOT_LEARNED, sentence(text), sentence(detail), Confidence.CERTAIN)
    rule = plain.rule if plain else named.entry.rule
    placed = place(cause, manifest_of(rule.policy, case.engine), rule.path)
    if plain is not None and placed.look_at:
        look_at = f"{rule.short_path}: allows DNS without `rules.dns`"
        placed = replace(placed, look_at=look_at)
    summary = f"the answers for {report.name} are not seen by Cilium"
    shown = replace(denial, cause=placed, rule=rule, path=rule.path, hint=None)
    return _problem(summary, shown)


def _answered_otherwise(report: NameReport, case: Case) -> Finding | None:
    """A toFQDNs rule names it, but the pod's question was another name, which Cilium learned.

    Source: as `app.core.diagnose.answered`.
    """
    denial = case.denials[0] if case.denials else None
    if denial is None or denial.direction is not Direction.EGRESS:
        return None
    if not case.answered or not case.naming or _is_inside(case):
        return None
    answer, named = case.answered[0], case.naming[0]
    how = "by its search list (CoreDNS's autopath answers that at once)"
    if not answer.is_search_form:
        how = f"for which {report.name} is a CNAME"
    text = (
        f"{rule_name(named.entry.rule)} allows {report.name}, but {report.leg.source.text} was "
        f"answered for {answer.query}, {how}; Cilium learns the name that is asked, so no address "
        f"counts as {report.name}"
    )
    ways = f"name {answer.query} in the rule, or ask for `{report.name}.` with a final dot"
    if not answer.is_search_form:
        ways = f"name {answer.query} in the rule"
    cause = Cause(CauseCode.FQDN_NOT_LEARNED, sentence(text), sentence(ways), Confidence.LIKELY)
    rule = named.entry.rule
    placed = place(cause, manifest_of(rule.policy, case.engine), named.selector.path)
    shown = replace(denial, cause=placed, rule=rule, path=named.selector.path, hint=None)
    seen = f"the answer for {answer.query} gave {', '.join(map(str, answer.addresses))}"
    found = _problem(f"{report.name} was answered under another name", shown)
    return replace(found, evidence=(Evidence("dns", seen, answer.uuid), *found.evidence))


def _is_inside(case: Case) -> bool:
    return case.destinations[0].peer.kind is not IdentityKind.WORLD
