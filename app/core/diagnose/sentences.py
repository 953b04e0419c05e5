"""The sentences of an answer. A cause names the thing to change, never the mechanism alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.core.diagnose.hints import Hint
from app.core.diagnose.look import Look
from app.core.diagnose.meant import WRONG_PREFIX
from app.core.diagnose.question import Leg
from app.core.diagnose.written import at_path
from app.core.model.answer import Cause, CauseCode, Confidence
from app.core.model.cluster import Endpoint
from app.core.model.kinds import KNP
from app.core.model.provenance import Manifest, ObjectRef, RuleRef
from app.core.model.verdict import Dimension, Direction, Effect, Match, Miss
from app.core.policy.selectors import NAMESPACE_LABELS_KEY

_RULE = re.compile(r"(?:specs\[(\d+)\]\.)?.*?(ingress|egress)(Deny)?\[(\d+)\]")
_LONGEST_VALUE = 80
NEAR = 16
"""From this nearness on the engine's misses fit in the port or in the peer."""


def rule_name(rule: RuleRef) -> str:
    """Name a rule as people count: ``rule 2 of `workspace` ``."""
    match = _RULE.match(rule.path)
    if match is None:
        return f"`{rule.policy.name}`"
    spec, _, deny, index = match.groups()
    word = "deny rule" if deny else "rule"
    part = f" of spec {int(spec) + 1}" if spec else ""
    return f"{word} {int(index) + 1}{part} of `{rule.policy.name}`"


def names_of(refs: Sequence[ObjectRef]) -> str:
    """List policies by name: `` `a`, `b` and 3 more``."""
    unique = list(dict.fromkeys(f"`{ref.name}`" for ref in refs))
    if not unique:
        return "the enforcement mode"
    return ", ".join(unique[:3]) + (f" and {len(unique) - 3} more" if len(unique) > 3 else "")  # noqa: PLR2004  # as many as a line holds


def destination_text(leg: Leg) -> str:
    """`mirror/mirror-1:8080/TCP`."""
    question = leg.question
    return f"{leg.destination.text}:{question.port}/{question.protocol.value}"


def sentence(text: str) -> str:
    """Begin a word with a capital and end with a stop; names keep their letters."""
    first = text.partition(" ")[0]
    if first.rstrip(",;").isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def value_at(manifest: Manifest | None, path: str) -> str:
    """What is written at a path, on one line, short."""
    value: Any = at_path(manifest.body, path) if manifest else None
    if value is None:
        return ""
    text = _flat(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flat(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flat(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def place(cause: Cause, manifest: Manifest | None, path: str) -> Cause:
    """Give a cause its file, line and the words that stand there."""
    if manifest is None:
        return cause
    value = value_at(manifest, path)
    look = path.removeprefix("spec.") + (f": {value}" if value else "")
    file, line = manifest.place_of(path)
    return replace(cause, file=file, line=line, look_at=look)


def of_hint(hint: Hint, look: Look, manifest: Manifest | None) -> Cause:
    """The cause that a hint stands for."""
    text = _HINTS[hint.code](hint, look, rule_name(hint.entry.rule))
    if hint.subject:
        text = _subject_text(hint, look)
    confidence = Confidence.CERTAIN if hint.complete else Confidence.LIKELY
    detail = "" if hint.complete else "its port would not fit either"
    cause = Cause(hint.code, sentence(text), sentence(detail) if detail else "", confidence)
    return place(cause, manifest, hint.path)


def _allows(look: Look) -> str:
    return "allows" if look.direction is Direction.EGRESS else "admits"


def _service_port(hint: Hint, look: Look, rule: str) -> str:
    return (
        f"{rule} {_allows(look)} port {hint.wanted}, but policies see the pod's port: "
        f"the Service sends {hint.wanted} to {look.port}"
    )


def _named_port(hint: Hint, look: Look, rule: str) -> str:
    if look.direction is Direction.INGRESS and look.subject is not None:
        why = f"{look.subject.key} declares no {look.protocol.value} port of that name"
    else:
        why = "no pod, or pods with different numbers, declare that name"
    return f"{rule} {_allows(look)} port `{hint.wanted}`, which stands for no number: {why}"


def _namespace_label(hint: Hint, look: Look, rule: str) -> str:
    return (
        f"{rule} asks for a pod with label {hint.wanted}, but that is a label of the namespace; "
        f"{look.peer.text} does not carry it{_under(hint)}"
    )


def _under(hint: Hint) -> str:
    """Under which key a rule of Cilium's finds the labels of namespaces."""
    key = hint.wanted.partition("=")[0].rpartition(":")[2]
    if " and " in hint.wanted or hint.entry.rule.policy.kind == KNP:
        return ""
    rest = key.removeprefix(WRONG_PREFIX)
    return f" (Cilium keeps it as {NAMESPACE_LABELS_KEY}.{rest})"


def _left_out(hint: Hint, look: Look, rule: str) -> str:
    if lag := _lag(hint, look.peer_end):
        return f"{rule} selects by {hint.wanted}, which {look.peer.text} has; {lag}"
    return (
        f"{rule} selects by {hint.wanted}, a label that Cilium leaves out of identities, so it "
        f"never matches {look.peer.text}"
    )


def _lag(hint: Hint, end: Endpoint | None) -> str:
    """Say that an identity is older than the pod's label, where it has another value of it."""
    key = hint.wanted.partition("=")[0]
    known = end.labels.get(key) if end is not None else None
    return f"its identity still has {known.key}={known.value}" if known is not None else ""


def _other_namespace(hint: Hint, look: Look, rule: str) -> str:
    return (
        f"{rule} names no namespace, so it means `{hint.wanted}` only; "
        f"{look.peer.text} is in `{hint.got}`"
    )


def _name_inside(hint: Hint, _look: Look, rule: str) -> str:
    return (
        f"{rule} allows the name {hint.wanted}, but that leads to {hint.got} inside the cluster, "
        f"which toFQDNs never matches"
    )


def _block_inside(hint: Hint, look: Look, rule: str) -> str:
    if look.identity.address is not None:
        return (
            f"{rule} {_allows(look)} the addresses {hint.wanted}, but {hint.got} is the address of "
            f"a Service; policies see the backend, {look.identity.address}"
        )
    of = "of " if hint.wanted.startswith("group") else ""
    end = look.peer_end
    owns = end is None or hint.got in {str(address) for address in end.addresses}
    belongs = "belongs to" if owns else "is the address of a Service, which leads to"
    return (
        f"{rule} {_allows(look)} the addresses {of}{hint.wanted}, but {hint.got} {belongs} "
        f"{look.peer.text} inside the cluster, which CIDR rules never match"
    )


def _unmanaged(hint: Hint, look: Look, rule: str) -> str:
    return (
        f"{rule} selects {look.leg.other(look.direction).text} by its labels, but that pod is "
        f"{'on the host network' if hint.got == 'host network' else hint.got} and has no identity "
        f"of its own"
    )


def _apiserver(hint: Hint, look: Look, rule: str) -> str:
    if look.identity.address is not None:
        return (
            f"{rule} means the API server by {hint.wanted}, but policies see it as "
            f"{look.identity.address} and as the entity kube-apiserver"
        )
    return (
        f"{rule} means the API server by {hint.wanted}, but only the entity kube-apiserver "
        f"matches it"
    )


_HINTS = {
    CauseCode.SERVICE_PORT_NOT_TARGET_PORT: _service_port,
    CauseCode.NAMED_PORT_UNRESOLVED: _named_port,
    CauseCode.NAMESPACE_LABEL_ON_POD_SELECTOR: _namespace_label,
    CauseCode.LABEL_NOT_IN_IDENTITY: _left_out,
    CauseCode.PEER_IN_OTHER_NAMESPACE: _other_namespace,
    CauseCode.FQDN_IN_CLUSTER: _name_inside,
    CauseCode.CIDR_IN_CLUSTER: _block_inside,
    CauseCode.UNMANAGED_ENDPOINT: _unmanaged,
    CauseCode.KUBE_APISERVER_ENTITY: _apiserver,
}


def _subject_text(hint: Hint, look: Look) -> str:
    policy, subject = f"`{hint.entry.rule.policy.name}`", look.subject
    who = subject.key if subject else ""
    if hint.code is CauseCode.PEER_IN_OTHER_NAMESPACE:
        return (
            f"{policy} selects pods of its own namespace `{hint.wanted}` only; {who} is not there"
        )
    if hint.code is CauseCode.NAMESPACE_LABEL_ON_POD_SELECTOR:
        return f"{policy} selects pods with {hint.wanted}, a label of the namespace, not of {who}"
    if lag := _lag(hint, subject):
        return f"{policy} selects pods by {hint.wanted}, which {who} has; {lag}"
    return (
        f"{policy} selects pods by {hint.wanted}, a label that Cilium leaves out of identities, "
        f"so it does not select {who}"
    )


def of_deny(match: Match, leg: Leg, direction: Direction) -> Cause:
    """An explicit deny, which no allow overrides."""
    egress = direction is Direction.EGRESS
    code = CauseCode.EGRESS_EXPLICIT_DENY if egress else CauseCode.INGRESS_EXPLICIT_DENY
    text = (
        f"{rule_name(match.rule)} denies {leg.source.text} → {destination_text(leg)}; "
        f"a deny wins over every allow"
    )
    return Cause(code, sentence(text))


_INIT = "reserved-init"
_CLOSED_BY = {
    "enforcement-always": "the agent enforces policy on every pod (`enable-policy` is `always`), "
    "and no rule",
    _INIT: "a pod that is being set up is closed (entity init), and no rule",
}


def of_default_deny(leg: Leg, direction: Direction) -> Cause:
    """No rule matches where policies demand one."""
    egress = direction is Direction.EGRESS
    trace = leg.direction(direction)
    code = CauseCode.EGRESS_DEFAULT_DENY if egress else CauseCode.INGRESS_DEFAULT_DENY
    who, verb = (leg.source.text, "reach") if egress else (leg.destination.text, "be reached by")
    whom = destination_text(leg) if egress else leg.source.text
    on = "" if egress else f" on {leg.question.port}/{leg.question.protocol.value}"
    closing = [rule.policy for rule in trace.default_deny_by]
    rule = (
        f"no rule of {names_of(closing)}" if closing else _CLOSED_BY.get(trace.implicit, "no rule")
    )
    if trace.implicit == _INIT:
        code = CauseCode.UNMANAGED_ENDPOINT
    text = f"{rule} lets {who} {verb} {whom}{on}"
    return Cause(code, sentence(text), nearest_sentence(trace.nearest))


def only_denies(refs: Sequence[ObjectRef], direction: Direction) -> str:
    """Say why policies that only deny close everything else, too.

    Source: Cilium `pkg/policy/api/rule_validation.go`, `EnableDefaultDeny`.
    """
    field = f"`enableDefaultDeny: {{{direction.value}: false}}`"
    one = len(refs) == 1
    return sentence(
        f"{names_of(refs)} only den{'ies' if one else 'y'}, and any rule turns default deny on: "
        f"what nothing allows is dropped; with {field} "
        f"{'it denies what it names and leaves' if one else 'they deny what they name and leave'} "
        f"the rest open"
    )


def near(nearest: Sequence[Miss]) -> Miss | None:
    """The nearest miss, when it has the peer or the port: anything less means something else.

    A deny rule allows nothing, however near it is.
    """
    allowing = [miss for miss in nearest if not miss.rule.denies]
    return allowing[0] if allowing and allowing[0].nearness >= NEAR else None


def nearest_sentence(nearest: Sequence[Miss]) -> str:
    """Say what the nearest rule would have to name."""
    miss = near(nearest)
    if miss is None:
        return ""
    at = f" ({miss.rule.file}:{miss.rule.line})" if miss.rule.file else ""
    what = _DIMENSIONS[miss.failed_on]
    return sentence(
        f"{rule_name(miss.rule)}{at} would allow this if its {what} fitted: it {miss.words}"
    )


def of_others(miss: Miss, direction: Direction) -> str:
    """Say whom the nearest rule admits, where it was never meant for this connection."""
    at = f" ({miss.rule.file}:{miss.rule.line})" if miss.rule.file else ""
    verb = "reaches" if direction is Direction.EGRESS else "admits"
    return sentence(f"{rule_name(miss.rule)}{at} {verb} others on this port: {miss.wanted}")


_DIMENSIONS = {
    Dimension.PEER: "peer",
    Dimension.PORT: "port",
    Dimension.PROTOCOL: "protocol",
    Dimension.L7: "layer 7 rules",
    Dimension.FQDN: "name",
    Dimension.CIDR: "addresses",
    Dimension.NAMESPACE: "namespace",
}


def denies(matches: Sequence[Match]) -> tuple[Match, ...]:
    """The matches that deny."""
    return tuple(match for match in matches if match.effect is Effect.DENY)
