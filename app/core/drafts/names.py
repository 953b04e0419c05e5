"""The other half of a rule by name: Cilium must see the pod's DNS answers, or learns no address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.core.diagnose.dns import NameReport, report_name
from app.core.diagnose.ends import of_endpoint
from app.core.drafts.candidates import (
    Side,
    add_rules,
    change_of,
    entries_of,
    is_editable,
    new_policies,
    restricting,
)
from app.core.drafts.change import Change, ChangeKind
from app.core.drafts.edits import AddKey, Append, Path, parse_path, value_at
from app.core.drafts.rules import dns_rule
from app.core.model.kinds import CILIUM_KINDS
from app.core.model.provenance import Manifest
from app.core.model.verdict import Protocol
from app.core.policy.engine import Engine
from app.core.policy.rules import NO_LAYER7, Entry

_DNS_PORT = 53


def report(side: Side, engine: Engine) -> NameReport | None:
    """Follow the subject's DNS question for the side's name; None when it needs no name."""
    if not side.name:
        return None
    return report_name(of_endpoint(side.subject, engine), side.name, engine)


def with_dns(change: Change, side: Side, engine: Engine) -> tuple[Change, ...]:
    """Add to a change what makes the name's DNS answers visible, when nothing does yet."""
    rule = missing_rule(side, engine)
    if rule is None or change.policy.kind not in CILIUM_KINDS:
        return (change,)
    if shown := next(_shown_by(side, engine), None):
        return _joined(change, shown)
    how = f"{change.how}, and one that shows its DNS answers to Cilium"
    if change.body is not None:
        spec = change.body["spec"]
        body = {**change.body, "spec": {**spec, "egress": [*spec["egress"], rule]}}
        return (replace(change, how=how, body=body),)
    edits = (*change.edits, Append(_rules_of(change), rule))
    return (replace(change, how=how, edits=edits),)


def _joined(change: Change, shown: Change) -> tuple[Change, ...]:
    """One change of a policy where both are about the same one."""
    if change.policy != shown.policy:
        return change, shown
    how = f"{change.how}, and {shown.how}"
    return (replace(change, how=how, edits=(*change.edits, *shown.edits)),)


def _shown_by(side: Side, engine: Engine) -> Iterator[Change]:
    """Yield the rules that allow DNS and would show it, had they `rules.dns`.

    Every name may be asked through them already, so admitting every name opens nothing.
    """
    found = report(side, engine)
    if found is None or found.is_blocked or found.is_refused:
        return
    server = engine.identity_of(found.leg.destination.peer, seen_from=side.subject)
    manifests = {policy.ref: policy.manifest for policy in engine.policies}
    for entry in entries_of(side, engine):
        manifest = manifests[entry.rule.policy]
        fits = engine.fits_port(entry, side.subject, _DNS_PORT, Protocol.UDP)
        if not fits or not is_editable(manifest) or manifest.ref.kind not in CILIUM_KINDS:
            continue
        if any(selector.selects(server) for selector in entry.peers or ()):
            yield from _with_dns_rules(side, entry, manifest)


def _with_dns_rules(side: Side, entry: Entry, manifest: Manifest) -> Iterator[Change]:
    for index, ports in enumerate(entry.ports):
        only_dns = all((spec.number, spec.end) == (_DNS_PORT, 0) for spec in ports.ports)
        path = (*parse_path(entry.rule.path), "toPorts", index)
        if only_dns and ports.layer7 == NO_LAYER7 and "rules" not in value_at(manifest.body, path):
            edits = (AddKey(path, "rules", {"dns": [{"matchPattern": "*"}]}),)
            yield change_of(
                manifest,
                ChangeKind.EXTEND_RULE,
                _title(side),
                "`rules.dns` in the rule that allows DNS",
                edits,
            )
            return


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
    yield from _shown_by(side, engine)
    manifests = {policy.ref: policy.manifest for policy in engine.policies}
    for manifest, path in restricting(entries_of(side, engine), manifests):
        if manifest.ref.kind in CILIUM_KINDS:
            yield add_rules(_title(side), "one more rule", manifest, path, [rule])
    yield from new_policies(side, engine, rule, _title(side))


def _title(side: Side) -> str:
    return f"show the DNS answers for {side.name} to Cilium"
