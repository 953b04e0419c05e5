"""The other half of a rule by name: Cilium must see the pod's DNS answers, or learns no address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.core.diagnose.dns import NameReport, report_name
from app.core.diagnose.ends import of_endpoint
from app.core.drafts.candidates import Side, add_rules, entries_of, restricting
from app.core.drafts.change import Change
from app.core.drafts.edits import Append, Path
from app.core.drafts.rules import CILIUM_KINDS, dns_rule
from app.core.policy.engine import Engine


def report(side: Side, engine: Engine) -> NameReport | None:
    """Follow the subject's DNS question for the side's name; None when it needs no name."""
    if not side.name:
        return None
    return report_name(of_endpoint(side.subject, engine), side.name, engine)


def with_dns(change: Change, side: Side, engine: Engine) -> Change:
    """Add to a change what makes the name's DNS answers visible, when nothing does yet."""
    rule = missing_rule(side, engine)
    if rule is None or change.policy.kind not in CILIUM_KINDS:
        return change
    how = f"{change.how}, and one that shows its DNS answers to Cilium"
    if change.body is not None:
        spec = change.body["spec"]
        body = {**change.body, "spec": {**spec, "egress": [*spec["egress"], rule]}}
        return replace(change, how=how, body=body)
    edits = (*change.edits, Append(_rules_of(change), rule))
    return replace(change, how=how, edits=edits)


def _rules_of(change: Change) -> Path:
    """The list of rules that a change is in: the path up to its direction."""
    path = change.edits[0].path
    return path[: path.index("egress") + 1]


def missing_rule(side: Side, engine: Engine) -> dict[str, Any] | None:
    """Give the DNS rule that a connection by name lacks; None when it lacks none.

    Where DNS is allowed already the rule admits every name, which changes nothing but that Cilium
    sees the answers; where it is not, only the one name.
    """
    found = report(side, engine)
    if found is None or found.is_visible:
        return None
    blocked = found.is_blocked or found.is_refused
    pattern = {"matchName": side.name} if blocked else {"matchPattern": "*"}
    return dns_rule(found.leg.destination.peer, pattern)


def dns_changes(side: Side, engine: Engine) -> Iterator[Change]:
    """Yield the changes that only make a name's DNS answers visible."""
    rule = missing_rule(side, engine)
    if rule is None:
        return
    manifests = {policy.ref: policy.manifest for policy in engine.policies}
    title = f"show the DNS answers for {side.name} to Cilium"
    for manifest, path in restricting(entries_of(side, engine), manifests):
        if manifest.ref.kind in CILIUM_KINDS:
            yield add_rules(title, "one more rule", manifest, path, [rule])
