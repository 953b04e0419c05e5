"""ExternalName Services: the pod asks for the Service's name, and only that is learned."""

from __future__ import annotations

from dataclasses import replace

from app.core.diagnose.case import Case
from app.core.diagnose.denied import manifest_of
from app.core.diagnose.dns import NameReport, rules_naming
from app.core.diagnose.finding import Finding
from app.core.diagnose.sentences import place, rule_name, sentence
from app.core.model.answer import Cause, CauseCode, Evidence, StepStatus
from app.core.model.cluster import IdentityKind
from app.core.model.verdict import Direction


def named_by_target(report: NameReport, case: Case) -> Finding | None:
    """A toFQDNs rule names what an ExternalName Service stands for, not what the pod asks for.

    The answer is a CNAME, and Cilium learns its addresses for the name in the question.
    Source: Kubernetes DNS specification 1.1.0 section 2.5; Cilium
    `pkg/fqdn/messagehandler/message_handler.go` `UpdateOnDNSMsg` (`qname`).
    """
    service, denial = case.service, case.denials[0] if case.denials else None
    if service is None or not service.external_name or denial is None or case.naming:
        return None
    outside = case.destinations and case.destinations[0].peer.kind is IdentityKind.WORLD
    if denial.direction is not Direction.EGRESS or not outside:
        return None
    target = service.external_name.rstrip(".").lower()
    rules = rules_naming(case.sources[0], target, case.engine)
    if not rules:
        return None
    named = rules[0]
    text = (
        f"{rule_name(named.entry.rule)} allows {target}, but {case.sources[0].text} asks for "
        f"{report.name}, the ExternalName Service {service.key}; Cilium learns the name that is "
        f"asked, so no address counts as {target}"
    )
    ways = f"name {report.name} in the rule, or let the pod ask for {target} itself"
    cause = Cause(CauseCode.FQDN_NOT_LEARNED, sentence(text), sentence(ways))
    rule, path = named.entry.rule, named.selector.path
    placed = place(cause, manifest_of(rule.policy, case.engine), path)
    shown = replace(denial, cause=placed, rule=rule, path=path, hint=None)
    seen = Evidence("dns", f"{report.name} is a CNAME for {target}", service.key)
    return Finding(StepStatus.PROBLEM, seen.text, (seen,), cause=placed, denial=shown)
