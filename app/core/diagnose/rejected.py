"""Would a policy that is refused allow the connection, if it were enforced?

A refused object has no normal form, so its parts are read one by one: the subject, each kind of
peer, each port. A part that cannot be read even alone is what broke the object; it may have meant
this connection, and then the answer is less certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.core.diagnose.look import Look
from app.core.model.kinds import KNP
from app.core.model.provenance import Manifest
from app.core.model.verdict import Effect
from app.core.policy.context import ParseContext
from app.core.policy.parse import parse_policy, policy_ref
from app.core.policy.rules import Entry, ParsedPolicy, RejectedPolicy

_LISTS = {"egress": "to", "ingress": "from"}
_SUBJECTS = ("endpointSelector", "podSelector", "nodeSelector")


@dataclass(frozen=True, slots=True)
class RejectedRule:
    """An item of a refused policy that means the connection."""

    policy: RejectedPolicy
    path: str
    certain: bool


def rejected_rules(look: Look) -> tuple[RejectedRule, ...]:
    """The items of refused policies that would allow the connection, certain ones first."""
    context = ParseContext.of(look.cluster)
    found = [
        rule
        for policy in look.engine.rejected
        if policy.manifest is not None and _in_scope(policy.manifest, look)
        for rule in _rules_of(policy, policy.manifest, look, context)
    ]
    return tuple(sorted(found, key=lambda rule: not rule.certain))


def refused_selecting(look: Look, *, surely: bool = False) -> tuple[RejectedPolicy, ...]:
    """The refused policies that would restrict the subject in a direction.

    A subject that cannot be read may be meant, unless they must be meant `surely`.
    """
    context = ParseContext.of(look.cluster)
    wanted = (True,) if surely else (True, None)
    return tuple(
        policy
        for policy in look.engine.rejected
        if policy.manifest is not None
        and _in_scope(policy.manifest, look)
        and any(
            _restricts(policy.manifest, rule, look)
            and _selects(policy.manifest, rule, look, context) in wanted
            for rule, _ in _rules(policy.manifest.body)
        )
    )


def _restricts(manifest: Manifest, rule: Mapping[str, Any], look: Look) -> bool:
    """Whether a rule turns default deny on for the direction, or denies in it."""
    name = look.direction.value
    if manifest.ref.kind == KNP:
        types = _list(rule.get("policyTypes"))
        return name.capitalize() in types or (not types and (name == "ingress" or name in rule))
    return bool(rule.get(name) or rule.get(f"{name}Deny"))


def _in_scope(manifest: Manifest, look: Look) -> bool:
    namespace = policy_ref(manifest).namespace
    return look.subject is not None and namespace in ("", look.subject.namespace)


def _rules_of(
    policy: RejectedPolicy, manifest: Manifest, look: Look, context: ParseContext
) -> Iterator[RejectedRule]:
    for rule, where in _rules(manifest.body):
        subject = _selects(manifest, rule, look, context)
        if subject is False:
            continue
        for index, item in enumerate(_list(rule.get(look.direction.value))):
            if not isinstance(item, Mapping):
                continue
            parts = (subject, *_item_fits(manifest, rule, item, look, context))
            if False not in parts:
                path = f"{where}.{look.direction.value}[{index}]"
                yield RejectedRule(policy, path, certain=None not in parts)


def _rules(body: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    spec, specs = body.get("spec"), body.get("specs")
    if isinstance(spec, Mapping):
        yield spec, "spec"
    for index, rule in enumerate(_list(specs)):
        if isinstance(rule, Mapping):
            yield rule, f"specs[{index}]"


def _selects(
    manifest: Manifest, rule: Mapping[str, Any], look: Look, context: ParseContext
) -> bool | None:
    entries = _read(manifest, rule, look, {}, context)
    return None if entries is None else any(look.selects_subject(entry) for entry in entries)


def _item_fits(
    manifest: Manifest,
    rule: Mapping[str, Any],
    item: Mapping[str, Any],
    look: Look,
    context: ParseContext,
) -> tuple[bool | None, bool | None]:
    def ask(part: Mapping[str, Any], fits: Callable[[Entry], bool]) -> bool | None:
        entries = _read(manifest, rule, look, part, context)
        return None if entries is None else any(fits(entry) for entry in entries)

    peers = [ask(part, look.peer_fits) for part in _single_peers(item, look)]
    ports = [ask(part, look.port_fits) for part in _single_ports(item)]
    return (_any(peers) if peers else True, _any(ports) if ports else True)


def _any(answers: list[bool | None]) -> bool | None:
    """True when one part fits; None when none does but one could not be read."""
    if True in answers:
        return True
    return None if None in answers else False


def _single_peers(item: Mapping[str, Any], look: Look) -> Iterator[dict[str, Any]]:
    """Each kind of peer of an item alone."""
    word = _LISTS[look.direction.value]
    for name, value in item.items():
        if name.startswith(word) and name != "toPorts" and value:
            yield {name: value}


def _single_ports(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each port of an item alone and without layer 7 rules, in the form of its kind."""
    for rule in _list(item.get("toPorts")):
        for port in _list(rule.get("ports")) if isinstance(rule, Mapping) else ():
            yield {"toPorts": [{"ports": [port]}]}
    for port in _list(item.get("ports")):
        yield {"ports": [port]}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read(
    manifest: Manifest,
    rule: Mapping[str, Any],
    look: Look,
    item: Mapping[str, Any],
    context: ParseContext,
) -> tuple[Entry, ...] | None:
    """Read one item under the rule's subject; None when the agent would refuse even that."""
    spec = {name: rule[name] for name in _SUBJECTS if name in rule}
    spec[look.direction.value] = [item]
    if manifest.ref.kind == KNP:
        spec["policyTypes"] = [look.direction.value.capitalize()]
    parsed = parse_policy(replace(manifest, body={"spec": spec}), context)
    if not isinstance(parsed, ParsedPolicy):
        return None
    return tuple(entry for entry in parsed.entries if entry.effect is Effect.ALLOW)
