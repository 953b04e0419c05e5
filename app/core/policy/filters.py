"""What the agent makes of all entries that select one subject: filters of port and protocol.

Entries of all policies meet in a filter per (port, protocol); in it every peer selector has one
policy, into which equal selectors are merged. Source: Cilium `pkg/policy/l4.go` `createL4Filter`,
`pkg/policy/rule.go` `mergePortProto`, `pkg/policy/repository.go`
`computePolicyEnforcementAndRules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.core.model.cluster import ClusterConfig, Endpoint, EnforcementMode, IdentityKind
from app.core.model.kinds import CCNP, CNP, KNP
from app.core.model.labels import LabelSet
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Effect
from app.core.policy.rules import (
    NO_LAYER7,
    WILDCARD,
    WILDCARD_KEY,
    DnsRule,
    Entry,
    HttpRule,
    Identity,
    LabelSelector,
    Layer7,
    Operator,
    PeerSelector,
    PortRule,
    PortSpec,
    Requirement,
)

PLAIN_RANK = 1
DENY_RANK = 255
LISTENER_PRIORITIES = {"http": 101, "kafka": 106, "tls": 116, "dns": 121, "crd": 126}
PROXYLIB_PRIORITY = 111
"""Source: Cilium `pkg/policy/l4.go` `ListenerPriority…`; a lower number is preferred."""

FIRST_WITH_DEFAULT_TIER = (1, 20, 0)
"""From here on the automatic allows stand below every policy instead of beside them."""
FIRST_WITHOUT_HOST_KEY = (1, 20, 2)
"""Before, a pod label `host` of any source made a pod the host (issue 48027)."""

_RESOURCE_KINDS = {
    CCNP: "ccnp",
    CNP: "cnp",
    KNP: "netpol",
}
"""The agent sorts policies by resource. Source: Cilium `pkg/ipcache/types/types.go`."""

_NONE_KEYS = frozenset({"{reserved.none=}|[]", "{reserved:none=}|[]"})


@dataclass(frozen=True, slots=True)
class Contribution:
    """One port of one entry that went into a selector's policy. `spec` None: all ports."""

    entry: Entry
    port_rule: PortRule | None
    spec: PortSpec | None


@dataclass(slots=True)
class SelectorPolicy:
    """What one peer selector of a filter may do. `map_only`: the proxies are not told of it."""

    selector: PeerSelector
    effect: Effect
    parser: str = ""
    priority: int = 0
    listener: str = ""
    auth: str = ""
    has_rules: bool = False
    http: list[HttpRule] = field(default_factory=list)
    dns: list[DnsRule] = field(default_factory=list)
    server_names: list[str] = field(default_factory=list)
    terminating_tls: str = ""
    originating_tls: str = ""
    origins: frozenset[ObjectRef] = frozenset()
    logs: frozenset[str] = frozenset()
    contributions: list[Contribution] = field(default_factory=list)
    default_tier: bool = False
    map_only: bool = False

    @property
    def rank(self) -> int:
        """The precedence of a look-up: deny, then proxy, then plain allow, then automatic allow.

        Source: Cilium `pkg/policy/types/entry.go` `Precedence`.
        """
        if self.default_tier:
            return 0
        if self.effect is Effect.DENY:
            return DENY_RANK
        if not self.parser:
            return PLAIN_RANK
        return DENY_RANK - self.priority


@dataclass(slots=True)
class Filter:
    """All peers of one port (or range, or name) and protocol. An empty protocol is all of them.

    `filed` is the number it is filed under, which is not always the one it means. For `spills` see
    `PortSpec`.
    """

    protocol: str
    number: int
    end: int
    name: str
    filed: int = 0
    spills: bool = False
    policies: dict[str, SelectorPolicy] = field(default_factory=dict)

    @property
    def is_every_port_to_envoy(self) -> bool:
        """Whether Envoy is told that this is about every port.

        The agent looks that filter up as port 0 without an end, and finds there any text that is no
        decimal number too, as `0x50`.
        Source: Cilium `pkg/envoy/xds_server.go` `getDirectionNetworkPolicy`.
        """
        return not (self.name or self.filed or self.end)


@dataclass(frozen=True, slots=True)
class DirectionPolicy:
    """One direction of one subject, ready to be asked.

    `implicit` names why default deny holds or nothing does without a policy saying so; `conflict`
    why the agent cannot compute the policy at all, and keeps the old one.
    """

    direction: Direction
    enforced: bool
    default_deny: bool
    entries: tuple[Entry, ...] = ()
    filters: tuple[Filter, ...] = ()
    implicit: str = ""
    conflict: str = ""


def compile_direction(
    entries: Iterable[Entry], direction: Direction, subject: Endpoint, config: ClusterConfig
) -> DirectionPolicy:
    """Give the policy of one direction from the entries that select the subject."""
    if config.enforcement is EnforcementMode.NEVER:
        return DirectionPolicy(
            direction, enforced=False, default_deny=False, implicit="enforcement-never"
        )
    if _counts_as_host(subject.labels, config):
        return DirectionPolicy(direction, enforced=False, default_deny=False, implicit="host-label")
    chosen = tuple(sorted((e for e in entries if e.direction is direction), key=_order))
    implicit = _implicit_deny(subject.labels, config)
    default_deny = bool(implicit) or any(entry.default_deny for entry in chosen)
    if not chosen and not default_deny:
        return DirectionPolicy(direction, enforced=False, default_deny=False)
    filters, conflict = _build_filters(chosen, default_deny=default_deny)
    filters += _automatic(
        direction, config, filters, has_entries=bool(chosen), default_deny=default_deny
    )
    return DirectionPolicy(
        direction,
        enforced=True,
        default_deny=default_deny,
        entries=chosen,
        filters=tuple(filters),
        implicit=implicit,
        conflict=conflict,
    )


def _counts_as_host(labels: LabelSet, config: ClusterConfig) -> bool:
    """Say whether the agent takes the subject for the host, which has no policy of its own.

    Source: Cilium `pkg/policy/repository.go`: `lbls.Has(labels.IDNameHost)` matches any source.
    """
    if config.host_firewall:
        return False
    if config.cilium_version >= FIRST_WITHOUT_HOST_KEY:
        return labels.has_reserved("host")
    return "host" in labels


def _implicit_deny(labels: LabelSet, config: ClusterConfig) -> str:
    if config.enforcement is EnforcementMode.ALWAYS:
        return "enforcement-always"
    return "reserved-init" if "init" in labels else ""


def _order(entry: Entry) -> str:
    ref = entry.rule.policy
    return f"{_RESOURCE_KINDS.get(ref.kind, ref.kind)}/{ref.namespace}/{ref.name}"


class _Conflict(Exception):
    """Two rules that cannot be computed together."""


def _build_filters(entries: tuple[Entry, ...], *, default_deny: bool) -> tuple[list[Filter], str]:
    table: dict[tuple[str, str, int, int], Filter] = {}
    conflict = ""
    for entry in entries:
        for contribution in contributions_of(entry):
            for protocol in contribution.spec.protocols if contribution.spec else ("",):
                filed = _file(table, contribution.spec, protocol)
                for peer in effective_peers(entry):
                    new = _selector_policy(peer, contribution, protocol, default_deny=default_deny)
                    try:
                        _merge(filed, new)
                    except _Conflict as reason:
                        conflict = conflict or f"{entry.rule}: {reason}"
    return list(table.values()), conflict


def contributions_of(entry: Entry) -> list[Contribution]:
    """Give the parts of an entry that can match anything at all.

    An explicitly empty peer list matches nobody. Without ports an entry is one filter of every
    protocol, but only if it names a peer. Source: Cilium `pkg/policy/rule.go` `mergeL4Filter`.
    """
    if entry.peers is None:
        return []
    if not entry.ports:
        return [Contribution(entry, None, None)] if entry.peers else []
    return [Contribution(entry, rule, spec) for rule in entry.ports for spec in rule.ports]


def effective_peers(entry: Entry) -> tuple[PeerSelector, ...]:
    """Give the selectors an entry is filed under: one that asks for nothing replaces all others.

    Source: Cilium `pkg/policy/selectorcache.go` `AddSelectorsTxn`, `selectsAll`.
    """
    peers = entry.peers or ()
    everyone = any(isinstance(peer, LabelSelector) and not peer.requirements for peer in peers)
    return (WILDCARD,) if everyone or not peers else peers


def _file(
    table: dict[tuple[str, str, int, int], Filter], spec: PortSpec | None, protocol: str
) -> Filter:
    """Find or make the filter; equal names share one, whose end port is the first entry's."""
    if spec is None:
        key = (protocol, "", 0, 0)
    elif spec.name:
        key = (protocol, spec.name, 0, 0)
    else:
        key = (protocol, "", spec.table_number, spec.end)
    found = table.get(key)
    if found is None:
        number, end, name = (spec.number, spec.end, spec.name) if spec else (0, 0, "")
        spills = spec is not None and spec.spills
        found = table[key] = Filter(protocol, number, end, name, key[2], spills)
    return found


def _selector_policy(
    peer: PeerSelector, contribution: Contribution, protocol: str, *, default_deny: bool
) -> SelectorPolicy:
    entry = contribution.entry
    layer7 = contribution.port_rule.layer7 if contribution.port_rule else NO_LAYER7
    parser = layer7.parser(protocol)
    new = SelectorPolicy(
        selector=peer,
        effect=entry.effect,
        parser=parser,
        priority=_priority(layer7, parser),
        listener=layer7.listener,
        auth=entry.auth,
        has_rules=layer7.has_rules,
        http=list(layer7.http),
        dns=list(layer7.dns),
        server_names=list(layer7.server_names),
        terminating_tls=layer7.terminating_tls,
        originating_tls=layer7.originating_tls,
        origins=frozenset((entry.rule.policy,)),
        logs=frozenset((entry.log,)),
        contributions=[contribution],
    )
    if not default_deny:
        _add_wildcard_rule(new)
    return new


def _priority(layer7: Layer7, parser: str) -> int:
    if not parser:
        return 0
    if layer7.listener and layer7.listener_priority:
        return layer7.listener_priority
    return LISTENER_PRIORITIES.get(parser, PROXYLIB_PRIORITY)


def _add_wildcard_rule(policy: SelectorPolicy) -> None:
    """Let every request through besides the rules there are.

    So does the agent while no rule turns default deny on, and when a plain allow meets layer 7
    rules of the same peer and port. Source: Cilium `pkg/policy/l4.go` `ensureWildcard`,
    `pkg/policy/rule.go` `appendL7WildcardRule`.
    """
    if policy.http and HttpRule() not in policy.http:
        policy.http.append(HttpRule())
    elif policy.dns and DnsRule(pattern="*") not in policy.dns:
        policy.dns.append(DnsRule(pattern="*"))


def _merge(target: Filter, new: SelectorPolicy) -> None:
    """Merge a peer's new policy into the one the filter has for the same selector.

    A deny replaces an allow and its origin. Source: Cilium `pkg/policy/rule.go` `mergePortProto`.
    """
    key = new.selector.key
    old = target.policies.get(key)
    if old is None:
        target.policies[key] = new
        return
    if key in _NONE_KEYS:
        return
    if old.effect is not new.effect:
        if new.effect is Effect.DENY:
            target.policies[key] = new
        return
    old.origins |= new.origins
    old.logs |= new.logs
    old.contributions += new.contributions
    if old.effect is Effect.ALLOW:
        _merge_allows(old, new)


def _merge_allows(old: SelectorPolicy, new: SelectorPolicy) -> None:
    _merge_parser(old, new)
    _merge_listener(old, new)
    if old.auth and new.auth and old.auth != new.auth:
        raise _Conflict(f"authentication modes {old.auth} and {new.auth} meet on one peer and port")
    old.auth = old.auth or new.auth
    _merge_tls(old, new)
    old.server_names += [name for name in new.server_names if name not in old.server_names]
    if old.server_names and old.has_rules and not old.terminating_tls:
        raise _Conflict("server names meet layer 7 rules without TLS termination")
    if old.has_rules is not new.has_rules:
        _add_wildcard_rule(old if old.has_rules else new)
    old.http += [rule for rule in new.http if rule not in old.http]
    old.dns += [rule for rule in new.dns if rule not in old.dns]
    old.has_rules |= new.has_rules


def _merge_parser(old: SelectorPolicy, new: SelectorPolicy) -> None:
    if old.parser == new.parser or _promotes(new.parser, old.parser):
        return
    if not _promotes(old.parser, new.parser):
        raise _Conflict(f"{old.parser} and {new.parser} rules meet on one peer and port")
    old.parser, old.priority = new.parser, new.priority


def _promotes(parser: str, other: str) -> bool:
    """Say whether `parser` can become `other`. Source: `L7ParserType.canPromoteTo`."""
    return not parser or (parser == "tls" and other not in ("", "dns", "crd"))


def _merge_listener(old: SelectorPolicy, new: SelectorPolicy) -> None:
    if not new.listener or (old.listener, old.priority) == (new.listener, new.priority):
        return
    if old.listener and old.priority < new.priority:
        return
    if not old.listener or new.priority < old.priority:
        old.listener, old.priority = new.listener, new.priority
        return
    raise _Conflict(f"two listeners of priority {old.priority} meet on one peer and port")


def _merge_tls(old: SelectorPolicy, new: SelectorPolicy) -> None:
    for name in ("terminating_tls", "originating_tls"):
        ours, theirs = getattr(old, name), getattr(new, name)
        if ours and theirs and ours != theirs:
            raise _Conflict("two TLS contexts meet on one peer and port")
        setattr(old, name, ours or theirs)


def _automatic(
    direction: Direction,
    config: ClusterConfig,
    filters: list[Filter],
    *,
    has_entries: bool,
    default_deny: bool,
) -> list[Filter]:
    """Add the allows no policy writes: everything while default deny is off, and the own host.

    Up to 1.19 the host's allow is there for every enforced subject, from 1.20 on only where some
    ingress rule selects it. Source: Cilium `pkg/policy/mapstate.go`
    `determineAllowLocalhostIngress`, `pkg/policy/repository.go` `addDefaultRule` (1.20).
    """
    tiers = config.cilium_version >= FIRST_WITH_DEFAULT_TIER
    added: list[Filter] = []
    if has_entries and not default_deny:
        added.append(_automatic_filter(WILDCARD, tiers=tiers))
    if direction is Direction.INGRESS and config.allow_localhost:
        if not tiers:
            _open_redirects_to_host(filters)
        if not tiers or (has_entries and default_deny):
            added.append(_automatic_filter(HOST, tiers=tiers))
    return added


HOST = LabelSelector(
    "reserved:host",
    (Requirement("reserved", "host", Operator.IN, frozenset(("",))),),
    "the own node",
)
"""The automatic allowance; its key is no written selector's, so it is never merged with one."""


def _automatic_filter(selector: PeerSelector, *, tiers: bool) -> Filter:
    policy = SelectorPolicy(
        selector,
        Effect.ALLOW,
        default_tier=tiers,
        map_only=selector is HOST and not tiers,
    )
    key = WILDCARD_KEY if selector is WILDCARD else selector.key
    return Filter("", 0, 0, "", policies={key: policy})


def _open_redirects_to_host(filters: list[Filter]) -> None:
    """Give the own host a plain allow wherever it would be sent to the proxy, unless it is named.

    Source: Cilium `pkg/policy/l4.go` `L4Filter.attach`.
    """
    named = "{reserved.host=}|[]"
    host = Identity(IdentityKind.HOST, LabelSet.from_texts(("reserved:host",)))
    for item in filters:
        redirects = any(
            policy.parser and policy.selector.selects(host) for policy in item.policies.values()
        )
        if redirects and named not in item.policies:
            item.policies[named] = SelectorPolicy(HOST, Effect.ALLOW)
