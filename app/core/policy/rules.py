"""The normal form of policies: flat entries that keep where each part was written.

Every Kubernetes NetworkPolicy, CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy becomes a
list of `Entry`, one per rule item and (for NetworkPolicy) per peer element, as the agent's own
`PolicyEntry` list has it. Source: Cilium `pkg/policy/types/policyentry.go`,
`pkg/policy/utils/parserules.go`.

Three states of a peer are kept apart all the way:

* `Entry.peers is None`: an explicitly empty list was written, the item matches nobody;
* `Entry.peers == ()`: no peer was written, the item matches everybody, if it names ports;
* otherwise the item matches what any of the selectors selects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network

from app.core.model.cluster import Address, IdentityKind, Network
from app.core.model.labels import ANY_SOURCE, K8S_SOURCE, LabelSet
from app.core.model.provenance import Manifest, Notice, ObjectRef, RuleRef
from app.core.model.verdict import Direction, Effect

CIDR_SOURCE = "cidr"
GROUP_SOURCE = "cidrgroup"


class Operator(StrEnum):
    """Kubernetes' own words; `matchLabels` becomes `IN` with one value."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Identity:
    """One end of a connection as selectors see it.

    `address` and `names` are set only where CIDR and toFQDNs rules may look at them (world; nodes
    with `policy-cidr-match-mode: nodes`). `groups` are the label pairs of every CIDR group that
    holds the address. `aggregate` is the label of the aggregate identity under which the data path
    looks a second time (Cilium 1.20), empty where that is plain "any".
    """

    kind: IdentityKind
    labels: LabelSet
    address: Address | None = None
    names: frozenset[str] = frozenset()
    groups: frozenset[tuple[str, str]] = frozenset()
    aggregate: str = ""


NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels"
"""Under which keys an identity has the labels of its namespace."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label. Source `any` matches a label of every source.

    Source: Cilium `pkg/policy/types/requirements.go` `MatchesRequirement`.
    """

    source: str
    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def fits(self, labels: LabelSet) -> bool:
        """Say whether the labels fulfil the condition; `NOT_IN` also when the key is missing."""
        value = self._value(labels)
        if self.operator is Operator.IN:
            return value is not None and value in self.values
        if self.operator is Operator.NOT_IN:
            return value is None or value not in self.values
        return (value is not None) is (self.operator is Operator.EXISTS)

    def _value(self, labels: LabelSet) -> str | None:
        if self.source == CIDR_SOURCE:
            return _containing_cidr(self.key, labels)
        label = labels.get(self.key)
        if label is None or self.source not in (ANY_SOURCE, label.source):
            return None
        return label.value

    def __str__(self) -> str:
        name = self.key if self.source == ANY_SOURCE else f"{self.source}:{self.key}"
        return self._said_of(name)

    @property
    def words(self) -> str:
        """The condition as people say it: a namespace's label by its own key."""
        prefix = f"{NAMESPACE_LABELS}."
        if self.key.startswith(prefix):
            return self._said_of(f"namespace label {self.key.removeprefix(prefix)}")
        return str(self)

    def _said_of(self, name: str) -> str:
        if self.operator is Operator.IN and len(self.values) == 1:
            return f"{name}={next(iter(self.values))}"
        if not self.values:
            return f"{name} {self.operator}"
        return f"{name} {self.operator} ({', '.join(sorted(self.values))})"


def _containing_cidr(key: str, labels: LabelSet) -> str | None:
    """Give the value of a `cidr:` label inside `key`; such labels match by containment.

    Source: Cilium `pkg/labels/labels.go` `Label.HasKey`.
    """
    wanted = cidr_of_label(key)
    if wanted is None:
        return None
    for label in labels.values():
        held = cidr_of_label(label.key) if label.source == CIDR_SOURCE else None
        if held is not None and within(held, wanted):
            return label.value
    return None


def cidr_of_label(key: str) -> Network | None:
    """Read the block a `cidr:` label stands for; `-` is written for `:`.

    Source: Cilium `pkg/labels/cidr.go` `keyToPrefix`.
    """
    text = key.replace("-", ":")
    if "/" not in text:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def within(inner: Network, outer: Network) -> bool:
    """Say whether `inner` lies in `outer`; blocks of different families never do."""
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Labels an identity must carry. Two selectors are the same when their `key` is.

    `requirements` is empty for the wildcard, and also for a NetworkPolicy selector that the agent
    cannot construct (`broken`), which then matches everybody.
    """

    key: str
    requirements: tuple[Requirement, ...]
    text: str = field(compare=False, default="")
    broken: bool = field(compare=False, default=False)
    path: str = field(compare=False, default="")

    @property
    def is_wildcard(self) -> bool:
        """Whether this is the one selector of everything, looked up as identity 0."""
        return self.key == WILDCARD_KEY

    def selects_labels(self, labels: LabelSet) -> bool:
        """Say whether the labels fulfil every requirement."""
        return all(requirement.fits(labels) for requirement in self.requirements)

    def selects(self, identity: Identity) -> bool:
        """Say whether the identity is selected."""
        return self.selects_labels(identity.labels)


WILDCARD_KEY = "{}|[]"
WILDCARD = LabelSelector(WILDCARD_KEY, (), "everyone")


@dataclass(frozen=True, slots=True)
class CidrSelector:
    """Addresses of a block without the excepted ones.

    A block of length 0 is the world label of its family, `world_key`; so it holds no address
    without that label. Source: Cilium `pkg/policy/types/selector.go` `NewCIDRSelector`,
    `pkg/labels/cidr.go` `IPStringToLabel`.
    """

    key: str
    block: Network
    excepted: tuple[Network, ...] = ()
    world_key: str = "world"
    text: str = field(compare=False, default="")
    path: str = field(compare=False, default="")

    is_wildcard = False

    def selects(self, identity: Identity) -> bool:
        """Say whether the identity's address lies in the block and in no excepted one."""
        if self.block.prefixlen:
            inside = identity.address is not None and identity.address in self.block
        else:
            inside = identity.labels.has_reserved(self.world_key)
        return inside and not is_excepted(identity, self.excepted, self.world_key)


def is_excepted(identity: Identity, excepted: tuple[Network, ...], world_key: str) -> bool:
    """Say whether an excepted block holds the identity."""
    for block in excepted:
        if not block.prefixlen and identity.labels.has_reserved(world_key):
            return True
        if block.prefixlen and identity.address is not None and identity.address in block:
            return True
    return False


@dataclass(frozen=True, slots=True)
class GroupSelector:
    """Addresses of CIDR groups, by the groups' labels (a name is a label too).

    `world_only`: from 1.20 only what CIDR rules may look at is selected, before that a negative
    selector also matches pods and nodes. `by_pairs`: since 1.19.4 key and value are looked for
    together, so nested groups with different values of one key all count.
    Source: Cilium `pkg/policy/types/selector.go` `CIDRSelector.Matches`,
    `pkg/policy/types/requirements.go` `matchesEncodedRequirements`.
    """

    key: str
    requirements: tuple[Requirement, ...]
    excepted: tuple[Network, ...] = ()
    world_key: str = "world"
    by_pairs: bool = False
    world_only: bool = False
    text: str = field(compare=False, default="")
    path: str = field(compare=False, default="")

    @property
    def is_wildcard(self) -> bool:
        """Whether the selector shares the wildcard's key: `cidrGroupSelector: {}` does."""
        return self.key == WILDCARD_KEY

    def selects(self, identity: Identity) -> bool:
        """Say whether the identity carries the groups' labels and is not excepted."""
        return self.is_wildcard or self.lists(identity)

    def lists(self, identity: Identity) -> bool:
        """Say whether the identity is selected where each is asked and no wildcard stands for all.

        From 1.20 on that is so for the port names of egress rules. Source: Cilium
        `pkg/policy/l4.go` `toMapState`: only entries of a number take the wildcard.
        """
        if self.world_only and identity.address is None and not _is_world(identity.labels):
            return False
        fits = self._fits_pairs if self.by_pairs else self._fits_labels
        if not all(fits(requirement, identity) for requirement in self.requirements):
            return False
        return not is_excepted(identity, self.excepted, self.world_key)

    @staticmethod
    def _fits_labels(requirement: Requirement, identity: Identity) -> bool:
        return requirement.fits(identity.labels)

    @staticmethod
    def _fits_pairs(requirement: Requirement, identity: Identity) -> bool:
        if requirement.operator not in (Operator.IN, Operator.NOT_IN):
            return requirement.fits(identity.labels)
        held = any((requirement.key, value) in identity.groups for value in requirement.values)
        return held is (requirement.operator is Operator.IN)


def _is_world(labels: LabelSet) -> bool:
    """Say whether labels count as outside; a pod label named `world` is enough for the agent.

    Source: Cilium `pkg/labels/labels.go` `HasWorldLabel`, which looks at keys only.
    """
    return any(key in labels for key in ("world", "world-ipv4", "world-ipv6"))


@dataclass(frozen=True, slots=True)
class FqdnSelector:
    """Addresses learned for names. `expression` matches a lower-case name with its final dot."""

    key: str
    name: str
    pattern: str
    expression: re.Pattern[str] = field(compare=False, repr=False)
    text: str = field(compare=False, default="")
    path: str = field(compare=False, default="")

    is_wildcard = False

    def selects_name(self, name: str) -> bool:
        """Say whether a name (lower-case, no final dot) is meant."""
        return self.expression.match(name + ".") is not None

    def selects(self, identity: Identity) -> bool:
        """Say whether one of the identity's names is meant."""
        return any(self.selects_name(name) for name in identity.names)


def lists(selector: PeerSelector, identity: Identity) -> bool:
    """Say whether a selector holds an identity without the help of the wildcard's key."""
    if isinstance(selector, GroupSelector):
        return selector.lists(identity)
    return selector.selects(identity)


PeerSelector = LabelSelector | CidrSelector | GroupSelector | FqdnSelector


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One item of `ports` or `fields`. ICMP types take the place of the port.

    `number` 0 is every port; a named port has `name` and number 0. `table_number` is what Cilium
    1.19 files the entry under, which differs for octal texts. A range that `spills` begins at 0 and
    holds for every port of its protocol.
    """

    text: str
    number: int
    end: int
    name: str
    protocols: tuple[str, ...]
    table_number: int
    path: str = field(compare=False, default="")
    spills: bool = False


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """`mismatch` empty: the request is refused; otherwise the action, which never refuses."""

    name: str
    value: str = ""
    mismatch: str = ""
    has_secret: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.value}" if self.value else self.name


@dataclass(frozen=True, slots=True)
class HttpRule:
    """All fields that are set must match. Expressions are RE2, anchored at both ends."""

    method: str = ""
    path: str = ""
    host: str = ""
    headers: tuple[str, ...] = ()
    header_matches: tuple[HeaderMatch, ...] = ()
    where: str = field(compare=False, default="")

    def __str__(self) -> str:
        parts = [self.method, self.path, self.host and f"host {self.host}"]
        wanted = [*self.headers, *map(str, self.header_matches)]
        parts += [f"with header {' and '.join(wanted)}"] if wanted else []
        return " ".join(part for part in parts if part) or "any request"


@dataclass(frozen=True, slots=True)
class DnsRule:
    """A name or a pattern that may be asked for."""

    name: str = ""
    pattern: str = ""
    where: str = field(compare=False, default="")

    def __str__(self) -> str:
        return self.name or self.pattern or "(matches nothing)"


@dataclass(frozen=True, slots=True)
class Layer7:
    """What a port rule asks for above layer 4."""

    http: tuple[HttpRule, ...] = ()
    dns: tuple[DnsRule, ...] = ()
    kafka: int = 0
    protocol: str = ""
    protocol_rules: int = 0
    server_names: tuple[str, ...] = ()
    terminating_tls: str = ""
    originating_tls: str = ""
    listener: str = ""
    listener_priority: int = 0

    @property
    def has_rules(self) -> bool:
        """Whether there is any rule for single requests."""
        return bool(self.http or self.dns or self.kafka or self.protocol_rules)

    def parser(self, protocol: str) -> str:
        """Name the proxy's parser for one protocol; empty when the proxy is not used.

        Source: Cilium `pkg/policy/l4.go` `createL4Filter`.
        """
        if self.listener:
            return "crd"
        if self.dns:
            return "dns"
        if protocol == "TCP" and self.http:
            return "http"
        if protocol == "TCP" and self.kafka:
            return "kafka"
        if protocol == "TCP" and self.protocol:
            return self.protocol
        tls = self.terminating_tls or self.originating_tls or self.server_names
        return "tls" if tls else ""


NO_LAYER7 = Layer7()


@dataclass(frozen=True, slots=True)
class PortRule:
    """One item of `toPorts` (or `icmps`): its ports share its layer 7 rules."""

    ports: tuple[PortSpec, ...]
    layer7: Layer7 = NO_LAYER7
    path: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule item. `ports` empty means no restriction at layer 4.

    `namespace` confines the subject (empty: clusterwide). `node`: the subject is the host.
    """

    direction: Direction
    effect: Effect
    namespace: str
    subject: LabelSelector
    peers: tuple[PeerSelector, ...] | None
    ports: tuple[PortRule, ...]
    rule: RuleRef
    default_deny: bool = True
    node: bool = False
    auth: str = ""
    log: str = ""

    def selects_subject(self, labels: LabelSet, namespace: str) -> bool:
        """Say whether an endpoint is the subject; only `nodeSelector` rules reach the host."""
        if self.node is not labels.has_reserved("host"):
            return False
        if self.namespace and self.namespace != namespace:
            return False
        return self.subject.selects_labels(labels)


@dataclass(frozen=True)
class ParsedPolicy:
    """A policy the agent accepts.

    `warnings` say what the API server drops or would refuse; `names_services` that the entries
    depend on the Services there are; `dropped` are the paths of fields that the API server leaves
    out.
    """

    ref: ObjectRef
    entries: tuple[Entry, ...]
    manifest: Manifest = field(compare=False, repr=False)
    warnings: tuple[Notice, ...] = ()
    names_services: bool = False
    dropped: tuple[str, ...] = ()
    unfilled: tuple[Entry, ...] = ()
    open_names: tuple[str, ...] = ()

    @cached_property
    def directions(self) -> frozenset[Direction]:
        """The directions in which the policy has entries."""
        return frozenset(entry.direction for entry in self.entries)

    @cached_property
    def fqdn_selectors(self) -> tuple[FqdnSelector, ...]:
        """Every toFQDNs element of the policy."""
        return tuple(
            peer
            for entry in self.entries
            for peer in entry.peers or ()
            if isinstance(peer, FqdnSelector)
        )

    @cached_property
    def named_blocks(self) -> frozenset[Network]:
        """Every block that the policy names as one, excepted ones too."""
        return frozenset(block for peer in self._peers() for block in _named_blocks(peer))

    @cached_property
    def blocks_in_play(self) -> frozenset[Network]:
        """Every block by which the policy could tell two addresses apart."""
        labelled = (
            cidr_of_label(requirement.key)
            for peer in self._peers()
            if isinstance(peer, LabelSelector)
            for requirement in peer.requirements
            if requirement.source == CIDR_SOURCE
        )
        return self.named_blocks.union(block for block in labelled if block is not None)

    @cached_property
    def loose_peers(self) -> tuple[tuple[Effect, PeerSelector], ...]:
        """The peers that an end without labels of a pod may be, each once, with their effect."""
        found = {
            (entry.effect, peer.key): peer
            for entry in self.entries
            for peer in entry.peers or ()
            if not _is_of_pods(peer)
        }
        return tuple((effect, peer) for (effect, _), peer in found.items())

    def _peers(self) -> Iterator[PeerSelector]:
        for entry in self.entries:
            yield from entry.peers or ()


def _named_blocks(peer: PeerSelector) -> Iterator[Network]:
    if isinstance(peer, CidrSelector):
        yield peer.block
    if isinstance(peer, CidrSelector | GroupSelector):
        yield from peer.excepted


def _is_of_pods(peer: PeerSelector) -> bool:
    """Whether a selector asks for a label that only pods have."""
    return isinstance(peer, LabelSelector) and any(
        one.source == K8S_SOURCE and one.operator in (Operator.IN, Operator.EXISTS)
        for one in peer.requirements
    )


@dataclass(frozen=True, slots=True)
class RejectedPolicy:
    """A policy that is not enforced, whole. `refused_by` is `agent` or `api-server`.

    `dropped` are the paths of fields that the API server leaves out, as far as was read.
    """

    ref: ObjectRef
    reason: str
    path: str = ""
    file: str | None = None
    line: int | None = None
    refused_by: str = "agent"
    manifest: Manifest | None = field(default=None, compare=False, repr=False)
    names_services: bool = False
    dropped: tuple[str, ...] = ()
