"""Lists, items and fields: what is refused, dropped, empty, or turns default deny on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from app.core.drafts.edits import SetScalar
from app.core.lint.cover import holds_port, peers_cover, ports_cover
from app.core.lint.finding import Hit, Severity
from app.core.lint.rule import Book
from app.core.lint.rules.names import split_rules
from app.core.lint.scope import Scope
from app.core.lint.view import EGRESS_KINDS, Item, View, mapping, nodes, told
from app.core.model.kinds import CCNP, CNP, KNP
from app.core.model.verdict import Direction, Effect
from app.core.policy.context import ParseContext
from app.core.policy.parse import parse_policy
from app.core.policy.rules import (
    Entry,
    FqdnSelector,
    LabelSelector,
    Operator,
    ParsedPolicy,
    PeerSelector,
)
from app.core.policy.selectors import NAMESPACE_KEY

BOOK = Book()

_ROOT_FIELDS = frozenset({"apiVersion", "kind", "metadata", "spec", "specs", "status"})
_DENIES = re.compile(r"\b(deny|block|isolate|forbid|drop|no access)\b")
_ALLOWS = re.compile(r"\b(allow|permit|open)\b")
_WRONG_WAY = {
    "from": frozenset({f"to{kind}" for kind in EGRESS_KINDS} | {"fromServices", "fromFQDNs"}),
    "to": frozenset(f"from{kind}" for kind in EGRESS_KINDS),
}
"""Peer fields that the other direction has, by how the own ones begin."""

_DNS_PORTS = (53, 5353, 8053, 1053)


@BOOK.check(
    "NP058",
    "port-open-to-everyone",
    Severity.WARNING,
    why="""An item with ports and no peer holds everybody on those ports, the world, the hosts and
    every other namespace included.""",
    bad="""
    egress:
    - toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEntities: [cluster]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    """,
)
def port_open_to_everyone(view: View, _scope: Scope) -> Iterator[Hit]:
    """Ports without a peer."""
    apart = {path for path, _, _ in split_rules(view)}
    for item in view.items:
        if item.effect is Effect.DENY or item.path in apart or not item.has_ports:
            continue
        if item.peer_fields or item.body.get(item.word) or not _has_ports(item):
            continue
        if _pruned(item) or (view.is_kubernetes and item.direction is Direction.INGRESS):
            continue
        who = "to anybody" if item.direction is Direction.EGRESS else "from anybody"
        yield Hit(
            item.path,
            f"its ports are open {who}: no peer is written",
            f"name the peers, or write `{item.word}Entities: [all]` if it is meant"
            if not view.is_kubernetes
            else "name the peers with `to`",
        )


def _has_ports(item: Item) -> bool:
    return any(True for _ in item.ports()) or bool(item.body.get("icmps"))


def _pruned(item: Item) -> tuple[str, ...]:
    """The peer fields of an item that the API server does not know there."""
    names = _WRONG_WAY[item.word]
    if item.effect is Effect.DENY:
        names = names | {"toFQDNs"}
    return tuple(name for name in item.body if name in names and item.body[name] is not None)


@BOOK.check(
    "NP059",
    "no-ports-in-port-list",
    Severity.ERROR,
    why="""`toPorts` with an element that lists no port is a restriction nothing fits: the item matches
    no traffic, and still turns default deny on (Cilium pkg/policy/rule.go).""",
    bad="""
    ingress:
    - fromEntities: [cluster]
      toPorts: [{}]
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
      toPorts: []
    """,
)
def no_ports(view: View, _scope: Scope) -> Iterator[Hit]:
    """An element of toPorts or icmps without content."""
    for item in view.items:
        for name, content in (("toPorts", "ports"), ("icmps", "fields")):
            found = list(nodes(item.body, name, item.path))
            if found and not any(mapping(one).get(content) for one, _ in found):
                yield Hit(found[0][1], f"`{name}` lists nothing: the item matches no traffic")


@BOOK.check(
    "NP060",
    "empty-list-matches-nobody",
    Severity.ERROR,
    why="""An explicitly empty list of peers matches nobody. And `[{}]` differs by kind: in a
    CiliumNetworkPolicy an empty item allows nothing, in a NetworkPolicy it allows everything.""",
    bad="""
    ingress:
    - fromEndpoints: []
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
)
def empty_list(view: View, _scope: Scope) -> Iterator[Hit]:
    """A peer list with nothing in it, or an empty item that does the opposite of its name."""
    for item in view.items:
        filled = [name for name in item.peer_fields if item.body[name]]
        for name in item.peer_fields:
            if item.body[name] == [] and not filled and name not in ("toFQDNs", "toServices"):
                yield Hit(f"{item.path}.{name}", f"`{name}: []` is nobody: the item has no effect")
    yield from _opposite(view)


def _opposite(view: View) -> Iterator[Hit]:
    for direction in Direction:
        items = [one for one in view.items if one.direction is direction]
        allows = [one for one in items if one.effect is Effect.ALLOW]
        if len(items) != 1 or not allows or allows[0].body:
            continue
        path = allows[0].path
        name = view.ref.name.replace("-", " ").lower()
        if view.is_kubernetes and _DENIES.search(name) and not _ALLOWS.search(name):
            yield Hit(
                path,
                "in a NetworkPolicy an empty item allows everything; the name says the opposite",
                f"write `{direction.value}: []`",
            )
        if not view.is_kubernetes and _ALLOWS.search(name) and not _DENIES.search(name):
            yield Hit(
                path,
                "in a Cilium policy an empty item allows nothing; the name says the opposite",
                f"write `{allows[0].word}Entities: [all]`",
            )


@BOOK.check(
    "NP061",
    "egress-without-dns",
    Severity.WARNING,
    why="""The first egress rule of a pod makes it default-deny, DNS included. Nothing that was read
    lets this pod ask for a name.""",
    bad="""
    endpointSelector: {matchLabels: {app: web}}
    egress:
    - toEndpoints: [{matchLabels: {app: db}}]
      toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """,
    good="""
    endpointSelector: {matchLabels: {app: web}}
    egress:
    - toEndpoints: [{matchLabels: {app: db}}]
      toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    """,
)
def egress_without_dns(view: View, scope: Scope) -> Iterator[Hit]:
    """Egress is closed but for peers that are usually reached by name, and DNS is not among them."""
    allows = [one for one in view.entries if one.direction is Direction.EGRESS and not one.node
              and one.effect is Effect.ALLOW and one.default_deny]  # fmt: skip
    named = [one for one in allows if _is_reached_by_name(one)]
    if not named:
        return
    entry = named[0]
    if any(isinstance(peer, FqdnSelector) for one in named for peer in one.peers or ()):
        return  # NP001 says so, and more
    for other in scope.sharing(entry, Direction.EGRESS, kind="open-dns", wanted=_opens_dns):
        if other.peers is not None:
            return
    yield Hit(
        entry.rule.path,
        "the pod cannot resolve names: no egress rule allows DNS",
        "allow the cluster's DNS on 53/UDP and 53/TCP",
    )


def _is_reached_by_name(entry: Entry) -> bool:
    for peer in entry.peers or ():
        if not isinstance(peer, LabelSelector):
            continue
        reserved = {one.key for one in peer.requirements if one.source == "reserved"}
        if not reserved:
            return bool(peer.requirements)
    return any(isinstance(peer, FqdnSelector) for peer in entry.peers or ())  # fmt: skip


def _opens_dns(entry: Entry) -> bool:
    """Whether a rule lets some DNS server be asked: it says so by its port, or holds one."""
    if not entry.default_deny:
        return True
    ports = [spec for rule in entry.ports for spec in rule.ports]
    if any("dns" in spec.name or spec.number in _DNS_PORTS for spec in ports):
        return True
    if not any(holds_port(entry, port, "UDP") for port in _DNS_PORTS):
        return False
    return not entry.peers or any(map(_may_be_dns, entry.peers))


def _may_be_dns(peer: PeerSelector) -> bool:
    """Whether a peer can be a DNS server: by its labels, its namespace, or because it is wide."""
    if not isinstance(peer, LabelSelector):
        return not isinstance(peer, FqdnSelector)
    said = [one for one in peer.requirements if one.operator is Operator.IN]
    own = [one for one in said if not one.key.startswith("io.")]
    if not own:
        spaces = [one.values for one in said if one.key == NAMESPACE_KEY]
        return not spaces or any("dns" in name or name == "kube-system" for name in spaces[0])
    return any("dns" in value for one in own for value in one.values) or any(
        one.source == "reserved" for one in own
    )


@BOOK.check(
    "NP063",
    "deny-beats-allow",
    Severity.WARNING,
    why="""A matching deny wins over every allow, however specific (Cilium docs, security/policy/deny):
    this allow never takes effect.""",
    bad="""
    ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    ingressDeny:
    - fromEndpoints: [{}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    ingressDeny:
    - fromEntities: [world]
    """,
)
def deny_beats_allow(view: View, scope: Scope) -> Iterator[Hit]:
    """Everything an allow holds is denied."""
    for entry in view.entries:
        if entry.effect is Effect.DENY or not entry.peers:
            continue
        for deny in scope.sharing(entry, entry.direction, Effect.DENY):
            if deny.peers is None or (not deny.peers and not deny.ports):
                continue
            if (
                ports_cover(deny, entry)
                and scope.subject_covers(deny, entry)
                and peers_cover(deny, entry, scope.facts)
            ):
                yield Hit(
                    entry.rule.path,
                    f"it never takes effect: {told(deny.rule)} denies all of it",
                    "narrow the deny",
                )
                break


@BOOK.check(
    "NP064",
    "deny-only-cuts-everything",
    Severity.ERROR,
    why="""A rule with only deny items turns default deny on too: everything else is dropped as well,
    unless some other rule allows it (Cilium docs, security/policy/deny; issue 14992).""",
    bad="""
    egressDeny:
    - toEntities: [world]
      toPorts: [{ports: [{port: "25", protocol: TCP}]}]
    """,
    good="""
    enableDefaultDeny: {egress: false}
    egressDeny:
    - toEntities: [world]
      toPorts: [{ports: [{port: "25", protocol: TCP}]}]
    """,
)
def deny_only(view: View, scope: Scope) -> Iterator[Hit]:
    """Denies with default deny, and no allow that shares a subject."""
    told: set[Direction] = set()
    for entry in view.entries:
        way = entry.direction
        if entry.effect is Effect.ALLOW or not entry.default_deny or way in told or entry.node:
            continue
        if any(_allows_something(one) for one in scope.sharing(entry, way)):
            continue
        told.add(way)
        yield Hit(
            entry.rule.path,
            f"the deny alone cuts all {way.value}: nothing that was read allows the rest",
            f"set `enableDefaultDeny: {{{way.value}: false}}`",
        )


def _allows_something(entry: Entry) -> bool:
    return entry.peers is not None and bool(entry.peers or entry.ports)


@BOOK.check(
    "NP065",
    "default-deny-without-items",
    Severity.WARNING,
    why="""`enableDefaultDeny` rides on the items of its direction. Without any it does nothing (Cilium
    pkg/policy/api/rule_validation.go).""",
    bad="""
    enableDefaultDeny: {ingress: true}
    egress: [{toEntities: [cluster]}]
    """,
    good="""
    enableDefaultDeny: {ingress: true}
    ingress: [{}]
    egress: [{toEntities: [cluster]}]
    """,
)
def default_deny_without_items(view: View, _scope: Scope) -> Iterator[Hit]:
    """The flag is on, and the direction has no item."""
    for rule, path in view.rules:
        flags = mapping(rule.get("enableDefaultDeny"))
        for way in ("ingress", "egress"):
            if flags.get(way) is True and not rule.get(way) and not rule.get(f"{way}Deny"):
                yield Hit(
                    f"{path}.enableDefaultDeny.{way}",
                    f"it does nothing: the rule has no {way} item",
                    f"add `{way}: [{{}}]`",
                )


_SERVED = {KNP: "networking.k8s.io/v1", CNP: "cilium.io/v2", CCNP: "cilium.io/v2"}
"""The only version of each kind that is served: of NetworkPolicy since Kubernetes 1.16, of Cilium's
since 1.0 (pkg/k8s/apis/cilium.io/v2/register.go)."""


@BOOK.check(
    "NP072",
    "object-not-enforced",
    Severity.ERROR,
    why="""One wrong part voids the whole object. The API server may show it as applied all the same,
    and after a change the agent keeps enforcing the last valid version until it restarts (Cilium
    pkg/policy/k8s/cilium_network_policy.go).""",
    bad="""
    ingress:
    - fromEntities: [clutser]
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
    """,
)
def object_not_enforced(view: View, scope: Scope) -> Iterator[Hit]:
    """The agent or the API server refuses the object."""
    version = view.manifest.api_version
    if version not in ("", _SERVED.get(view.ref.kind, version)):
        served = _SERVED[view.ref.kind]
        yield Hit(
            "apiVersion",
            f"no API server knows a {view.ref.kind} of `{version}`",
            f"write `{served}`",
            edits=(SetScalar(("apiVersion",), served),),
            certain=True,
        )
        return
    refused = view.rejected
    if refused is None:
        return
    who = "the API server" if refused.refused_by == "api-server" else "Cilium"
    option = not _is_configured(scope) and _passes_with_options(view, scope)
    yield Hit(
        refused.path or "spec",
        f"{who} refuses it: {refused.reason}" + (", which is off by default" if option else ""),
        severity=Severity.WARNING if option else None,
    )


def _is_configured(scope: Scope) -> bool:
    """Whether the agent's own settings were read."""
    return any(one.ref.name == "cilium-config" for one in scope.of_kind.get("ConfigMap", ()))


def _passes_with_options(view: View, scope: Scope) -> bool:
    """Whether the agent would take the object with the options that nobody has by default."""
    config = replace(
        scope.cluster.config, node_selector_labels=True, extended_ip_protocols=True, icmp_rules=True
    )
    read = parse_policy(view.manifest, ParseContext(config, scope.cluster.services))
    return isinstance(read, ParsedPolicy)


@BOOK.check(
    "NP117",
    "empty-list-cancels-peer",
    Severity.ERROR,
    why="""An explicitly empty peer list beside a filled one is valid, and the whole item then matches
    nobody (asked of the engine: 205, 206).""",
    bad="""
    ingress:
    - fromEndpoints: []
      fromEntities: [cluster]
    """,
    good="""
    ingress:
    - fromEntities: [cluster]
    """,
)
def empty_list_cancels(view: View, _scope: Scope) -> Iterator[Hit]:
    """One list is empty, another is not."""
    for item in view.items:
        filled = [name for name in item.peer_fields if item.body[name]]
        for name in item.peer_fields:
            if item.body[name] == [] and filled and name not in ("toFQDNs", "toServices"):
                yield Hit(
                    f"{item.path}.{name}",
                    f"`{name}: []` cancels `{filled[0]}`: the item matches nobody",
                    f"take `{name}` out",
                )


@BOOK.check(
    "NP118",
    "field-pruned-opens-port",
    Severity.ERROR,
    why="""The API server leaves out fields that it does not know: a deny has no toFQDNs, an ingress
    item no `to…`, an egress item no `from…`. What remains is an item without a peer, for everybody
    (asked of the engine: 397, 398).""",
    bad="""
    ingress:
    - toEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
)
def field_pruned(view: View, _scope: Scope) -> Iterator[Hit]:
    """A peer field of another kind of item, and ports that remain."""
    for item in view.items if not view.is_kubernetes else ():
        pruned = _pruned(item)
        if pruned and not item.peer_fields and _has_ports(item):
            does = "denies its ports to" if item.effect is Effect.DENY else "opens its ports to"
            yield Hit(
                f"{item.path}.{pruned[0]}",
                f"`{pruned[0]}` is no field here and is left out: the item {does} everybody",
                _right_field(item, pruned[0]),
            )


def _right_field(item: Item, name: str) -> str:
    if item.effect is Effect.DENY and name == "toFQDNs":
        return "deny by address: names cannot be denied"
    kind = name.removeprefix("from").removeprefix("to")
    return f"write `{item.word}{kind}`"


@BOOK.check(
    "NP130",
    "field-dropped-by-api-server",
    Severity.ERROR,
    why="""The API server leaves fields out that its schema does not know, without a word unless strict
    validation is asked for: the object then means something else than the file says.""",
    bad="""
    egress:
    - toEndpoints:
      - matchLabels: {app: db}
        toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEndpoints:
      - matchLabels: {app: db}
      toPorts: [{ports: [{port: "5432", protocol: TCP}]}]
    """,
)
def field_dropped(view: View, _scope: Scope) -> Iterator[Hit]:
    """A field that is none where it stands."""
    told = {hit.path for hit in field_pruned(view, _scope)}
    read = view.parsed or view.rejected
    paths = [f"{name}" for name in view.manifest.body if name not in _ROOT_FIELDS]
    paths += read.dropped if read else ()
    for path in paths:
        name = path.rpartition(".")[2]
        removed = name in ("kafka", "l7proto", "l7") and ".rules." in path
        if path not in told and not removed:
            where = path.rpartition(".")[0] or "the object"
            yield Hit(path, f"`{name}` is no field of `{where}`: the API server leaves it out")


@BOOK.check(
    "NP077",
    "clusterwide-peer-is-pods-only",
    Severity.WARNING,
    why="""In a clusterwide policy `{}` as a peer is every pod. Hosts, the gateway, health checks and
    the world are no pods.""",
    bad="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: allow-everything}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{fromEndpoints: [{}]}]
    """,
    good="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: allow-all-pods}
    spec:
      endpointSelector: {matchLabels: {app: web}}
      ingress: [{fromEndpoints: [{}]}]
    """,
)
def clusterwide_pods_only(view: View, _scope: Scope) -> Iterator[Hit]:
    """`{}` where the words say everything."""
    said = re.search(
        r"\b(everything|everyone|anything|anyone|all traffic|any traffic)\b", view.words
    )
    for item in view.items if view.is_clusterwide and said else ():
        for selector, path in item.peers("Endpoints"):
            if selector == {} and item.effect is Effect.ALLOW:
                yield Hit(
                    path,
                    "`{}` is every pod: not hosts, the gateway or the world",
                    f"write `{item.word}Entities: [all]` if it is meant",
                )
