"""A policy as its author wrote it, beside what the agent made of it.

Rules look at the raw tree for what was said and at the entries for what it means; both are tied
together by the path of the rule item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.core.model.kinds import CCNP, CNP, KNP, SHORT_KINDS
from app.core.model.provenance import Manifest, ObjectRef, RuleRef
from app.core.model.verdict import Direction, Effect
from app.core.policy.parse import policy_ref
from app.core.policy.rules import Entry, ParsedPolicy, RejectedPolicy

LISTS = (
    ("ingress", Direction.INGRESS, Effect.ALLOW),
    ("ingressDeny", Direction.INGRESS, Effect.DENY),
    ("egress", Direction.EGRESS, Effect.ALLOW),
    ("egressDeny", Direction.EGRESS, Effect.DENY),
)
PEER_KINDS = ("Endpoints", "Requires", "CIDR", "CIDRSet", "Entities", "Groups", "Nodes")
EGRESS_KINDS = (*PEER_KINDS, "Services", "FQDNs")

Node = tuple[Any, str]
"""A value of the raw tree with its path."""


_NOTHING: Mapping[str, Any] = {}


def mapping(value: Any) -> Mapping[str, Any]:
    """Give a mapping, an empty one for anything else."""
    return value if isinstance(value, dict) else _NOTHING


def nodes(parent: Any, name: str, path: str) -> Iterator[Node]:
    """Yield the items of the list under a name, with their paths; nothing for anything else."""
    value = parent.get(name) if isinstance(parent, dict) else None
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield item, f"{path}.{name}[{index}]"


@dataclass(frozen=True)
class Item:
    """One item of a rule list. `rule` is the rule around it, `entries` what it came to."""

    path: str
    direction: Direction
    effect: Effect
    body: Mapping[str, Any]
    rule: Mapping[str, Any] = field(repr=False)
    rule_path: str
    entries: tuple[Entry, ...] = field(repr=False)

    @property
    def word(self) -> str:
        """How the peer fields of the direction begin."""
        return "from" if self.direction is Direction.INGRESS else "to"

    def peers(self, kind: str) -> Iterator[Node]:
        """Yield the elements of one peer field, as `Endpoints`."""
        return nodes(self.body, self.word + kind, self.path)

    @cached_property
    def peer_fields(self) -> tuple[str, ...]:
        """The peer fields that are written, filled or not."""
        return tuple(
            self.word + kind for kind in EGRESS_KINDS if self.body.get(self.word + kind) is not None
        )

    def port_rules(self) -> Iterator[Node]:
        """Yield the elements of `toPorts`."""
        return nodes(self.body, "toPorts", self.path)

    def ports(self) -> Iterator[Node]:
        """Yield every port: of each `toPorts`, or a NetworkPolicy's own list."""
        for rule, path in self.port_rules():
            yield from nodes(rule, "ports", path)
        yield from nodes(self.body, "ports", self.path)

    def http(self) -> Iterator[Node]:
        """Yield every HTTP rule."""
        for rule, path in self.port_rules():
            yield from nodes(mapping(rule).get("rules"), "http", f"{path}.rules")

    @property
    def has_ports(self) -> bool:
        """Whether anything at layer 4 is written."""
        return bool(self.body.get("toPorts") or self.body.get("icmps") or self.body.get("ports"))


@dataclass(frozen=True)
class View:
    """One policy object: `parsed` or `rejected`, never both; neither when its kind is off."""

    manifest: Manifest
    parsed: ParsedPolicy | None = None
    rejected: RejectedPolicy | None = None

    @cached_property
    def ref(self) -> ObjectRef:
        """The policy, in the namespace where it lands."""
        return policy_ref(self.manifest)

    @property
    def is_kubernetes(self) -> bool:
        """Whether it is a Kubernetes NetworkPolicy."""
        return self.ref.kind == KNP

    @property
    def is_namespaced(self) -> bool:
        """Whether it is a CiliumNetworkPolicy."""
        return self.ref.kind == CNP

    @property
    def is_clusterwide(self) -> bool:
        """Whether it is a CiliumClusterwideNetworkPolicy."""
        return self.ref.kind == CCNP

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the agent enforces; nothing of a refused object."""
        return self.parsed.entries if self.parsed else ()

    @cached_property
    def words(self) -> str:
        """Name and descriptions in lower case: what the author says it is for."""
        said = [self.ref.name.replace("-", " ")]
        said += [str(rule.get("description") or "") for rule, _ in self.rules]
        return " ".join(said).lower()

    @cached_property
    def rules(self) -> tuple[tuple[Mapping[str, Any], str], ...]:
        """`spec` and each of `specs`, with their paths."""
        body = self.manifest.body
        found = [(mapping(body["spec"]), "spec")] if body.get("spec") is not None else []
        if not self.is_kubernetes:
            specs = body.get("specs")
            for index, rule in enumerate(specs if isinstance(specs, list) else ()):
                found.append((mapping(rule), f"specs[{index}]"))
        return tuple(found)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Every rule item, in the order of the lists of LISTS."""
        return tuple(item for rule, path in self.rules for item in self._items(rule, path))

    def _items(self, rule: Mapping[str, Any], rule_path: str) -> Iterator[Item]:
        for name, direction, effect in LISTS:
            for body, path in nodes(rule, name, rule_path):
                entries = self._entries_by_item.get(path, ())
                yield Item(path, direction, effect, mapping(body), rule, rule_path, tuple(entries))

    @cached_property
    def _entries_by_item(self) -> dict[str, list[Entry]]:
        """Entries by the item they came from: of a NetworkPolicy each peer element has its own."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            path = entry.rule.path
            cut = path.find("]")
            cut = path.find("]", cut + 1) if path.startswith("specs[") else cut
            found.setdefault(path[: cut + 1] if cut > 0 else path, []).append(entry)
        return found

    @property
    def subject_field(self) -> str:
        """What the subject's selector is called."""
        return "podSelector" if self.is_kubernetes else "endpointSelector"

    def subjects(self) -> Iterator[Node]:
        """Yield the subject selector of every rule that has one."""
        for rule, path in self.rules:
            if rule.get(self.subject_field) is not None:
                yield rule[self.subject_field], f"{path}.{self.subject_field}"

    def peer_selectors(self) -> Iterator[Node]:
        """Yield every pod selector of a peer, as written."""
        for item in self.items:
            if not self.is_kubernetes:
                yield from item.peers("Endpoints")
                continue
            for element, path in nodes(item.body, item.word, item.path):
                if mapping(element).get("podSelector") is not None:
                    yield element["podSelector"], f"{path}.podSelector"


def keys_of(selector: Any, path: str) -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield (key, operator, values, path) of every condition of a selector as written."""
    labels = mapping(selector).get("matchLabels")
    for key, value in mapping(labels).items():
        yield str(key), "In", (str(value),), f"{path}.matchLabels.{key}"
    for item, where in nodes(selector, "matchExpressions", path):
        values = mapping(item).get("values")
        listed = tuple(map(str, values)) if isinstance(values, list) else ()
        fields = mapping(item)
        yield str(fields.get("key", "")), str(fields.get("operator", "")), listed, where


def told(rule: RuleRef) -> str:
    """Name a rule for a person: `CNP a/web spec.egress[1] (file:12)`."""
    ref = rule.policy
    name = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    at = f" ({rule.file}:{rule.line})" if rule.file and rule.line else ""
    return f"{SHORT_KINDS.get(ref.kind, ref.kind)} {name} {rule.path}{at}"


def bare_key(key: str) -> str:
    """Give a label key without the source in front of it."""
    source, colon, name = key.partition(":")
    return name if colon and source in ("k8s", "any") else key
