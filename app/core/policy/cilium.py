"""CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy to entries.

Source: Cilium `pkg/k8s/apis/cilium.io/v2/cnp_types.go` `Parse`,
`pkg/policy/api/rule_validation.go` `Rule.Sanitize`, `pkg/policy/utils/parserules.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.core.model.labels import K8S_SOURCE, RESERVED_SOURCE
from app.core.model.verdict import Direction, Effect
from app.core.policy.context import ParseContext
from app.core.policy.decode import Reader, Refused, Undecodable, flag, items, text
from app.core.policy.layer4 import PortScope, read_ports
from app.core.policy.peers import PeerScope, read_peers
from app.core.policy.rules import WILDCARD, Entry, LabelSelector
from app.core.policy.selectors import NAMESPACE_KEY, SelectorDraft, cilium_draft, read_selector

RULE_FIELDS = (
    "endpointSelector",
    "nodeSelector",
    "ingress",
    "ingressDeny",
    "egress",
    "egressDeny",
    "enableDefaultDeny",
    "labels",
    "description",
    "log",
)
_LISTS = (
    ("ingress", Direction.INGRESS, Effect.ALLOW),
    ("ingressDeny", Direction.INGRESS, Effect.DENY),
    ("egress", Direction.EGRESS, Effect.ALLOW),
    ("egressDeny", Direction.EGRESS, Effect.DENY),
)
DERIVED = "the agent ignores an object with cloud groups, the operator derives others"
FIRST_WITH_GROUP_OBJECTS = (1, 20, 0)
"""Up to 1.19 an object with cloud groups is only the operator's recipe for derived policies."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the items of one rule share."""

    context: ParseContext
    namespace: str
    subject: LabelSelector
    host: bool
    matches_init: bool
    soft: Mapping[str, Any]
    log: str


def read_cilium_policy(
    reader: Reader, spec: Any, specs: Any, namespace: str, context: ParseContext
) -> tuple[Entry, ...]:
    """Give the entries of `spec` and `specs`; one invalid rule raises `Refused` for all."""
    if spec is None and specs is None:
        raise Refused("neither `spec` nor `specs` is set", "spec")
    rules = [] if spec is None else [(spec, "spec")]
    rules += list(items(specs, "specs"))
    if context.version < FIRST_WITH_GROUP_OBJECTS and any(_has_groups(rule) for rule, _ in rules):
        reader.warn(
            DERIVED,
            "spec" if spec is not None else "specs",
        )
        _check_types(reader, rules, namespace, context)
        return ()
    return tuple(
        entry
        for rule, path in rules
        for entry in _read_rule(reader, rule, path, namespace, context)
    )


def _check_types(
    reader: Reader, rules: Sequence[tuple[Any, str]], namespace: str, context: ParseContext
) -> None:
    """Refuse what no agent can decode, although of the rest nothing is looked at."""
    soft = dict.fromkeys(("ingress", "egress"))
    anyone = _Rule(context, namespace, WILDCARD, host=False, matches_init=False, soft=soft, log="")
    for value, path in rules:
        fields = reader.fields(value, path, RULE_FIELDS)
        with _types_only():
            _read_head(reader, fields, path, namespace, context)
        for name, direction, effect in _LISTS:
            for item, where in items(fields.get(name), f"{path}.{name}"):
                with _types_only():
                    _read_item(reader, item, where, anyone, direction, effect)


@contextmanager
def _types_only() -> Iterator[None]:
    try:
        yield
    except Undecodable:
        raise
    except Refused:
        return


def _has_groups(rule: Any) -> bool:
    """Look before anything is checked: the agent leaves such an object alone, valid or not.

    Source: Cilium `pkg/policy/k8s/cilium_network_policy.go` `onUpsert` (`RequiresDerivative`).
    """
    fields = rule if isinstance(rule, Mapping) else {}
    lists = [fields.get(name) for name, _, _ in _LISTS]
    found = [item for items in lists if isinstance(items, list) for item in items]
    return any(
        item.get(field)
        for item in found
        if isinstance(item, Mapping)
        for field in ("fromGroups", "toGroups")
    )


def _read_rule(
    reader: Reader, value: Any, path: str, namespace: str, context: ParseContext
) -> list[Entry]:
    fields = reader.fields(value, path, RULE_FIELDS)
    lists = {name: list(items(fields.get(name), f"{path}.{name}")) for name, _, _ in _LISTS}
    if not any(lists.values()):
        raise Refused(
            "at least one of ingress, ingressDeny, egress, egressDeny needs an item", path
        )
    rule = _read_head(reader, fields, path, namespace, context)
    return [
        _read_item(reader, item, where, rule, direction, effect)
        for name, direction, effect in _LISTS
        for item, where in lists[name]
    ]


def _read_head(
    reader: Reader, fields: Mapping[str, Any], path: str, namespace: str, context: ParseContext
) -> _Rule:
    endpoint, node = fields.get("endpointSelector"), fields.get("nodeSelector")
    if endpoint is None and node is None:
        raise Refused("a rule needs endpointSelector or nodeSelector", path)
    if endpoint is not None and node is not None:
        raise Refused("a rule cannot have both endpointSelector and nodeSelector", path)
    host = node is not None
    if host and namespace:
        raise Refused("only a clusterwide policy may select nodes", f"{path}.nodeSelector")
    where = f"{path}.{'nodeSelector' if host else 'endpointSelector'}"
    draft = cilium_draft(read_selector(reader, node if host else endpoint, where), context.version)
    matches_init = draft.has_key(RESERVED_SOURCE, "init")
    _confine_subject(reader, draft, namespace)
    soft_path = f"{path}.enableDefaultDeny"
    soft = reader.fields(fields.get("enableDefaultDeny"), soft_path, ("ingress", "egress"))
    log = reader.fields(fields.get("log"), f"{path}.log", ("value",))
    text(fields.get("description"), f"{path}.description")
    return _Rule(
        context=context,
        namespace=namespace,
        subject=draft.finish(),
        host=host,
        matches_init=matches_init,
        soft={name: flag(soft.get(name), f"{soft_path}.{name}") for name in ("ingress", "egress")},
        log=text(log.get("value"), f"{path}.log.value"),
    )


def _confine_subject(reader: Reader, draft: SelectorDraft, namespace: str) -> None:
    """Force the policy's namespace on its subject; another `k8s:` one is replaced.

    Source: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go` `ParseToCiliumRule`.
    """
    if not namespace:
        return
    written = draft.labels.get(draft.key(K8S_SOURCE, NAMESPACE_KEY))
    if written not in (None, namespace):
        reader.warn(f"the namespace `{written}` is replaced by the policy's own", draft.path)
    draft.imply(NAMESPACE_KEY, namespace)


def _read_item(
    reader: Reader, value: Any, path: str, rule: _Rule, direction: Direction, effect: Effect
) -> Entry:
    scope = PeerScope(rule.context, direction, effect, rule.namespace, rule.matches_init)
    known = [*scope.fields(), "toPorts", "icmps"]
    if effect is Effect.ALLOW:
        known.append("authentication")
    fields = reader.fields(value, path, known)
    peers = read_peers(reader, fields, path, scope)
    port_rules = read_ports(
        reader, fields, path, PortScope(rule.context, direction, effect, rule.host)
    )
    auth = reader.fields(fields.get("authentication"), f"{path}.authentication", ("mode",))
    return Entry(
        direction=direction,
        effect=effect,
        namespace=rule.namespace,
        subject=rule.subject,
        peers=peers,
        ports=port_rules,
        rule=reader.rule_ref(path),
        default_deny=_is_default_deny(rule, direction),
        node=rule.host,
        auth=text(auth.get("mode"), f"{path}.authentication.mode"),
        log=rule.log,
    )


def _is_default_deny(rule: _Rule, direction: Direction) -> bool:
    """Say whether the rule turns default deny on; `enableDefaultDeny` may say it does not.

    Source: Cilium `pkg/policy/api/rule_validation.go` (`EnableNonDefaultDenyPolicies`).
    """
    if not rule.context.config.non_default_deny_policies:
        return True
    return rule.soft[direction.value] is not False
