"""The peer part of a Cilium rule item: selectors, entities, blocks, groups, names, Services.

Source: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go`, `pkg/policy/utils/parserules.go`
`mergeEndpointSelectors`, `pkg/policy/api/rule_validation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

from app.core.model.labels import ANY_SOURCE, K8S_SOURCE, RESERVED_SOURCE
from app.core.model.verdict import Direction, Effect
from app.core.policy import names
from app.core.policy.blocks import (
    Excepted,
    cidr_selector,
    except_text,
    parse_block,
    single_address,
)
from app.core.policy.cloud import read_cloud_group
from app.core.policy.context import ParseContext
from app.core.policy.decode import Reader, Refused, Undecodable, items, text
from app.core.policy.rules import (
    GROUP_SOURCE,
    CidrSelector,
    FqdnSelector,
    GroupSelector,
    LabelSelector,
    PeerSelector,
    within,
)
from app.core.policy.selectors import (
    CLUSTER_KEY,
    NAMESPACE_KEY,
    NAMESPACE_LABELS_KEY,
    Expression,
    SelectorDraft,
    cilium_draft,
    group_draft,
    is_subdomain,
    read_selector,
)
from app.core.policy.services import read_services, service_peers

GROUP_NAME_KEY = "io.cilium.policy.cidrgroupname"
"""Source: Cilium `pkg/policy/api/cidr.go` `LabelPrefixGroupName`."""

FIRST_WITH_GROUP_PAIRS = (1, 19, 4)
FIRST_WITH_WORLD_GROUPS = (1, 20, 0)
FIRST_WITH_EXCEPT_LENGTH = (1, 20, 0)
FIRST_WITH_AGGREGATES = (1, 20, 0)
FIRST_WITH_CLUSTER_MESH = (1, 20, 0)
FIRST_WITHOUT_REQUIRES = (1, 19, 0)

_CLUSTER_RESERVED = (
    "host",
    "remote-node",
    "init",
    "ingress",
    "health",
    "unmanaged",
    "kube-apiserver",
)
_ENTITIES: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "world": ("world", "world-ipv4", "world-ipv6"),
    "world-ipv4": ("world-ipv4",),
    "world-ipv6": ("world-ipv6",),
    "cluster": _CLUSTER_RESERVED,
    "cluster-mesh": _CLUSTER_RESERVED,
    "host": ("host",),
    "init": ("init",),
    "ingress": ("ingress",),
    "remote-node": ("remote-node",),
    "health": ("health",),
    "unmanaged": ("unmanaged",),
    "none": ("none",),
    "kube-apiserver": ("kube-apiserver",),
}
_AGGREGATES: Mapping[str, tuple[str, ...]] = {
    "world": ("aggregate-world",),
    "remote-node": ("aggregate-remote-node",),
    "cluster": ("aggregate-cluster",),
    "cluster-mesh": ("aggregate-cluster", "aggregate-cluster-mesh"),
}
_ENTITIES_NOT_IN_CRD = frozenset({"world-ipv4", "world-ipv6"})


@dataclass(frozen=True, slots=True)
class PeerScope:
    """Where the peers of an item are looked for.

    `namespace` is the policy's own (empty: clusterwide); `matches_init` says that the subject
    names `reserved:init`, whose peers get no namespace.
    """

    context: ParseContext
    direction: Direction
    effect: Effect
    namespace: str
    matches_init: bool = False

    @property
    def word(self) -> str:
        """How the peer fields of the direction begin."""
        return "from" if self.direction is Direction.INGRESS else "to"

    def fields(self) -> tuple[str, ...]:
        """The peer fields the API server knows in such an item."""
        kinds = ["Endpoints", "Requires", "CIDR", "CIDRSet", "Entities", "Groups", "Nodes"]
        if self.direction is Direction.EGRESS:
            kinds += ["Services"]
            if self.effect is Effect.ALLOW:
                kinds += ["FQDNs"]
        return tuple(self.word + kind for kind in kinds)


def read_peers(
    reader: Reader, fields: Mapping[str, Any], path: str, scope: PeerScope
) -> tuple[PeerSelector, ...] | None:
    """Read the peer part of one item.

    None for an explicitly empty list, which matches nobody; `()` when no peer is written.
    """
    lists = _lists(fields, path, scope)
    _refuse_two_kinds(lists, path, scope)
    _check_nodes(lists, path, scope)
    _check_requires(lists, path, scope)
    readers = {
        "Endpoints": _read_endpoint,
        "Nodes": _read_node,
        "Entities": _read_entity,
        "CIDR": _read_cidr,
        "CIDRSet": _read_cidr_rule,
        "FQDNs": _read_fqdn,
        "Groups": _read_cloud_group,
    }
    selectors: dict[str, list[PeerSelector]] = {kind: [] for kind in readers}
    for kind, read in readers.items():
        if kind not in lists:
            continue
        for value, where in items(lists[kind], f"{path}.{scope.word}{kind}"):
            selectors[kind] += read(reader, value, where, scope)
    emptied = {kind for kind in readers if lists.get(kind) == []} - {"FQDNs", "Groups"}
    emptied -= _add_services(reader, lists, path, scope, selectors)
    if emptied:
        return None
    return tuple(selector for kind in readers for selector in selectors[kind])


def _lists(fields: Mapping[str, Any], path: str, scope: PeerScope) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = {}
    for name in scope.fields():
        value = fields.get(name)
        if value is not None:
            lists[name[len(scope.word) :]] = [item for item, _ in items(value, f"{path}.{name}")]
    return lists


def _refuse_two_kinds(lists: Mapping[str, list[Any]], path: str, scope: PeerScope) -> None:
    filled = [kind for kind, content in lists.items() if content and kind != "Requires"]
    if len(filled) > 1:
        first, second = (scope.word + kind for kind in filled[:2])
        raise Refused(f"`{first}` and `{second}` cannot stand in one item", path)


def _check_requires(lists: Mapping[str, list[Any]], path: str, scope: PeerScope) -> None:
    """Refuse what 1.19 removed: its type became a list of strings, and selectors are none.

    Source: Cilium `pkg/policy/api/ingress.go` `FromRequires`.
    """
    field = f"{scope.word}Requires"
    selectors = [item for item in lists.get("Requires", ()) if not isinstance(item, str)]
    if selectors and scope.context.version >= FIRST_WITHOUT_REQUIRES:
        raise Undecodable(f"`{field}` was removed in Cilium 1.19", f"{path}.{field}")


def _check_nodes(lists: Mapping[str, list[Any]], path: str, scope: PeerScope) -> None:
    if lists.get("Nodes") and not scope.context.config.node_selector_labels:
        raise Refused(
            f"`{scope.word}Nodes` needs the agent option enable-node-selector-labels",
            f"{path}.{scope.word}Nodes",
        )


def _add_services(
    reader: Reader,
    lists: Mapping[str, list[Any]],
    path: str,
    scope: PeerScope,
    selectors: dict[str, list[PeerSelector]],
) -> set[str]:
    """Add what toServices resolves to; give the peer kinds that are thereby no longer empty.

    Only allow items are resolved. Source: Cilium `pkg/policy/k8s/service.go` `processRule`.
    """
    references = read_services(reader, lists.get("Services"), f"{path}.toServices", scope.context)
    if scope.effect is Effect.DENY:
        return set()
    by_selector, by_address = service_peers(references, scope.context)
    selectors["Endpoints"] += by_selector
    selectors["CIDRSet"] += by_address
    filled = set()
    if by_selector:
        filled.add("Endpoints")
    if by_address:
        filled.add("CIDRSet")
    return filled


def _read_endpoint(reader: Reader, value: Any, path: str, scope: PeerScope) -> list[PeerSelector]:
    draft = cilium_draft(read_selector(reader, value, path), scope.context.version)
    if not draft.has_prefix(RESERVED_SOURCE):
        _confine(draft, scope)
    return [draft.finish()]


def _confine(draft: SelectorDraft, scope: PeerScope) -> None:
    """Add the namespace and the cluster that a peer selector means without saying so.

    A CiliumNetworkPolicy's peers are in its own namespace, unless the selector names a namespace
    or namespace labels; a clusterwide policy's peers are pods of any namespace::

        fromEndpoints: [{matchLabels: {app: web}}]   # app=web in the policy's namespace

    Source: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go` `getEndpointSelector`.
    """
    if not (draft.has_key(K8S_SOURCE, NAMESPACE_KEY) or draft.has_key(ANY_SOURCE, NAMESPACE_KEY)):
        names_labels = any(
            draft.has_prefix(source, f"{NAMESPACE_LABELS_KEY}.")
            for source in (K8S_SOURCE, ANY_SOURCE)
        )
        if not scope.namespace:
            if not scope.matches_init:
                draft.imply(NAMESPACE_KEY, None)
        elif not names_labels:
            draft.imply(NAMESPACE_KEY, scope.namespace)
    scope.context.confine_to_cluster(draft)


def _read_node(reader: Reader, value: Any, path: str, scope: PeerScope) -> list[PeerSelector]:
    draft = cilium_draft(read_selector(reader, value, path), scope.context.version)
    draft.add_exists(RESERVED_SOURCE, "remote-node")
    scope.context.confine_to_cluster(draft)
    return [draft.finish()]


def _read_entity(reader: Reader, value: Any, path: str, scope: PeerScope) -> list[PeerSelector]:
    name = text(value, path)
    version = scope.context.version
    known = name in _ENTITIES
    if name == "cluster-mesh" and version < FIRST_WITH_CLUSTER_MESH:
        known = False
    if not known:
        raise Refused(f"there is no entity `{name}`", path)
    if name in _ENTITIES_NOT_IN_CRD:
        reader.warn(f"the API server refuses the entity `{name}`, which only the agent knows", path)
    return list(entity_selectors(name, scope.context, path))


def entity_selectors(name: str, context: ParseContext, path: str = "") -> tuple[LabelSelector, ...]:
    """Give the selectors an entity stands for.

    From 1.20 on `world`, `cluster`, `cluster-mesh` and `remote-node` also select the aggregate
    identity of their kind. Source: Cilium `pkg/policy/api/entity.go` `EntitySelectorMapping`.
    """
    if name == "all":
        return (replace(SelectorDraft(context.delimiter, path).finish(), text="entity all"),)
    reserved = list(_ENTITIES[name])
    if context.version >= FIRST_WITH_AGGREGATES:
        reserved += _AGGREGATES.get(name, ())
    drafts = [_reserved_draft(label, context, path) for label in reserved]
    if name == "cluster":
        drafts.append(SelectorDraft(context.delimiter, path))
        drafts[-1].add(K8S_SOURCE, CLUSTER_KEY, context.config.cluster_name)
    if name == "cluster-mesh":
        drafts.append(SelectorDraft(context.delimiter, path))
        drafts[-1].expressions.append(Expression(CLUSTER_KEY, "Exists", ()))
    return tuple(replace(draft.finish(), text=f"entity {name}") for draft in drafts)


def _reserved_draft(label: str, context: ParseContext, path: str) -> SelectorDraft:
    draft = SelectorDraft(context.delimiter, path)
    draft.add(RESERVED_SOURCE, label, "")
    return draft


def _read_cidr(reader: Reader, value: Any, path: str, scope: PeerScope) -> list[PeerSelector]:
    written = text(value, path)
    block = parse_block(written)
    if block is None:
        block = single_address(written)
        if block is None:
            raise Refused(f"`{written}` is no address block", path)
        reader.warn(f"`{written}` is an address without a length; later agents refuse it", path)
    return [cidr_selector(written, block, (), scope.context, path)]


def _read_cidr_rule(reader: Reader, value: Any, path: str, scope: PeerScope) -> list[PeerSelector]:
    known = ("cidr", "cidrGroupRef", "cidrGroupSelector", "except")
    fields = reader.fields(value, path, known)
    cidr = text(fields.get("cidr"), f"{path}.cidr")
    group = text(fields.get("cidrGroupRef"), f"{path}.cidrGroupRef")
    labels = fields.get("cidrGroupSelector")
    chosen = [bool(cidr), bool(group), labels is not None].count(True)
    if chosen != 1:
        said = "more than one of" if chosen else "none of"
        raise Refused(f"{said} cidr, cidrGroupRef and cidrGroupSelector is set", path)
    excepted = _read_excepted(fields.get("except"), f"{path}.except")
    if cidr:
        return [_block_selector(cidr, excepted, path, scope)]
    if excepted:
        reader.warn("except beside a group is not documented, but takes effect", path)
    if group:
        return [_named_group(reader, group, excepted, path, scope)]
    return [_labelled_group(reader, labels, excepted, path, scope)]


def _read_excepted(value: Any, path: str) -> Excepted:
    excepted = []
    for item, where in items(value, path):
        written = text(item, where)
        block = parse_block(written)
        if block is None:
            raise Refused(f"`{written}` is no address block", where)
        excepted.append((written, block))
    return tuple(excepted)


def _block_selector(cidr: str, excepted: Excepted, path: str, scope: PeerScope) -> CidrSelector:
    block = parse_block(cidr)
    if block is None:
        raise Refused(f"`{cidr}` is no address block", f"{path}.cidr")
    for index, (written, hole) in enumerate(excepted):
        # Up to 1.19 only the exception's address must lie in the block, not all of it.
        probe = ip_network(ip_address(written.partition("/")[0]))
        if scope.context.version >= FIRST_WITH_EXCEPT_LENGTH and hole.prefixlen < block.prefixlen:
            probe = hole
        if not within(probe, block):
            raise Refused(f"`{written}` does not lie in `{cidr}`", f"{path}.except[{index}]")
    return cidr_selector(cidr, block, excepted, scope.context, path)


def _named_group(
    reader: Reader,
    name: str,
    excepted: Excepted,
    path: str,
    scope: PeerScope,
) -> GroupSelector:
    if not is_subdomain(name):
        reader.warn(f"the API server refuses `{name}`, which is no name of a group", path)
    draft = SelectorDraft(scope.context.delimiter, path)
    draft.add_exists(GROUP_SOURCE, f"{GROUP_NAME_KEY}/{name}")
    key = f"{GROUP_SOURCE}:{GROUP_NAME_KEY}/{name}{except_text(excepted)}"
    return _group_selector(draft, key, excepted, f"group {name}", scope, by_label=False)


def _labelled_group(
    reader: Reader,
    value: Any,
    excepted: Excepted,
    path: str,
    scope: PeerScope,
) -> GroupSelector:
    where = f"{path}.cidrGroupSelector"
    draft = group_draft(read_selector(reader, value, where), scope.context.version)
    selector = draft.finish()
    key = selector.key + except_text(excepted)
    return _group_selector(draft, key, excepted, f"groups {selector.text}", scope, by_label=True)


def _group_selector(
    draft: SelectorDraft,
    key: str,
    excepted: Excepted,
    shown: str,
    scope: PeerScope,
    *,
    by_label: bool,
) -> GroupSelector:
    version = scope.context.version
    return GroupSelector(
        key,
        draft.finish().requirements,
        tuple(block for _, block in excepted),
        "world-ipv4" if scope.context.config.dual_stack else "world",
        by_pairs=by_label and version >= FIRST_WITH_GROUP_PAIRS,
        world_only=version >= FIRST_WITH_WORLD_GROUPS,
        text=shown + except_text(excepted),
        path=draft.path,
    )


def _read_cloud_group(
    reader: Reader, value: Any, path: str, _scope: PeerScope
) -> list[PeerSelector]:
    return [read_cloud_group(reader, value, path)]


def _read_fqdn(reader: Reader, value: Any, path: str, scope: PeerScope) -> list[PeerSelector]:
    fields = reader.fields(value, path, ("matchName", "matchPattern"))
    name = text(fields.get("matchName"), f"{path}.matchName")
    pattern = text(fields.get("matchPattern"), f"{path}.matchPattern")
    if name and pattern:
        raise Refused("only one of matchName and matchPattern may be set", path)
    check_name(reader, name, pattern, path)
    if not name and not pattern:
        reader.warn("the API server refuses an element without matchName and matchPattern", path)
    whole_labels = scope.context.version >= names.FIRST_WITH_WHOLE_LABELS
    expression = names.fqdn_expression(name, pattern, whole_labels=whole_labels)
    key = f"MatchName: {name}, MatchPattern: {pattern}"
    return [
        FqdnSelector(
            key=key,
            name=name,
            pattern=pattern,
            expression=expression,
            text=name or pattern,
            path=path,
        )
    ]


def check_name(reader: Reader, name: str, pattern: str, path: str) -> None:
    """Refuse characters that no name has. Source: Cilium `pkg/policy/api/fqdn.go` `sanitize`."""
    if name and not names.is_match_name(name):
        raise Refused(f"`{name}` is no domain name", f"{path}.matchName")
    if not names.is_match_pattern(pattern):
        raise Refused(f"`{pattern}` is no pattern of a domain name", f"{path}.matchPattern")
    if not names.is_crd_name(name or pattern):
        reader.warn(f"the API server refuses the dots of `{name or pattern}`", path)
