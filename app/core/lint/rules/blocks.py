"""Blocks of addresses: pods, nodes, load balancers and the metadata address behind them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from app.core.lint.cover import holds_port
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import View, mapping, nodes
from app.core.model.cluster import Network, Service
from app.core.model.verdict import Direction, Effect
from app.core.policy.kubernetes import FIRST_WITHOUT_IP_BLOCK_HOLE
from app.core.policy.rules import CidrSelector, Entry, LabelSelector, within

BOOK = Book()

_METADATA = ip_address("169.254.169.254")
_USUAL_NETWORKS = {
    "10.42.0.0/16": "the pod network of K3s and RKE2",
    "10.43.0.0/16": "the Service network of K3s and RKE2",
    "10.96.0.0/12": "the Service network of kubeadm",
    "10.244.0.0/16": "the pod network of kubeadm's usual set-up",
}
_FROM_NODES = re.compile(r"\b(webhooks?|admission|metrics|prometheus|exporters?|scrape)\b")
_AGENT_PODS = re.compile(r"(kube2iam|kiam|gke-metadata-server|metadata-proxy|pod-identity)")


def blocks_of(
    view: View, direction: Direction | None = None
) -> Iterator[tuple[CidrSelector, Entry]]:
    """Yield every block that a policy writes, with its rule."""
    for entry in view.entries:
        if direction is None or entry.direction is direction:
            for peer in entry.peers or ():
                if isinstance(peer, CidrSelector) and ".toServices" not in peer.path:
                    yield peer, entry


@BOOK.check(
    "NP037",
    "cidr-for-pods",
    Severity.ERROR,
    why="""Addresses of pods and Services never match a CIDR rule: a pod is known by its labels, and a
    Service is translated to its pods before policy is asked (issue 9209). Without a cluster the
    usual networks of K3s and kubeadm are taken for what they are.""",
    bad="""
    egress:
    - toCIDR: [10.43.0.10/32]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: kube-dns}}]
      toPorts: [{ports: [{port: "53", protocol: ANY}]}]
    """,
)
def cidr_for_pods(view: View, scope: Scope) -> Iterator[Hit]:
    """A block inside the networks of pods or Services."""
    if scope.cluster.config.cidr_match_pods:
        return
    for peer, _ in blocks_of(view):
        for network, what in scope.pod_networks.items():
            if within(peer.block, network):
                yield Hit(
                    peer.path,
                    f"`{peer.text}` lies in {what}: a CIDR rule never matches there",
                    "select the pods by label",
                )
                break
        else:
            usual = () if scope.pod_networks else _USUAL_NETWORKS.items()
            for text, what in usual:
                if within(peer.block, ip_network(text)):
                    yield Hit(
                        peer.path,
                        f"`{peer.text}` lies in {what}: a CIDR rule never matches pods or Services",
                        "select the pods by label",
                        severity=Severity.WARNING,
                    )


@BOOK.check(
    "NP038",
    "cidr-for-nodes",
    Severity.ERROR,
    needs=Knowledge.CLUSTER,
    why="""Nodes, and the API server on them, are the identities host, remote-node and kube-apiserver.
    A CIDR rule matches them only with `policy-cidr-match-mode: nodes` (issues 12277, 20550).""",
    bad="""
    # with a node 192.168.1.10
    egress:
    - toCIDR: [192.168.1.10/32]
      toPorts: [{ports: [{port: "6443", protocol: TCP}]}]
    """,
    good="""
    # with a node 192.168.1.10
    egress:
    - toEntities: [kube-apiserver]
      toPorts: [{ports: [{port: "6443", protocol: TCP}]}]
    """,
)
def cidr_for_nodes(view: View, scope: Scope) -> Iterator[Hit]:
    """A block whose only known addresses are nodes."""
    if scope.cluster.config.cidr_match_nodes:
        return
    nodes_at = {address: node for node in scope.cluster.nodes for address in node.addresses}
    for peer, entry in blocks_of(view):
        single = peer.block.num_addresses <= 256  # noqa: PLR2004  # a network of hosts
        held = [one for one in nodes_at if one in peer.block]
        if not held or not single or entry.effect is Effect.DENY or _names_nodes(entry, scope):
            continue
        servers = scope.cluster.apiserver_addresses
        what = "the API server" if held[0] in servers else nodes_at[held[0]].name
        yield Hit(
            peer.path,
            f"`{peer.text}` holds the node address {held[0]} ({what}), which a CIDR rule does not"
            " match",
            "use the entities kube-apiserver, host and remote-node",
        )


def _names_nodes(entry: Entry, scope: Scope) -> bool:
    """Whether another rule of the subject lets nodes through on the same ports."""
    return any(
        isinstance(peer, LabelSelector)
        and any(one.key in ("remote-node", "host", "kube-apiserver") for one in peer.requirements)
        for other in scope.sharing(entry, entry.direction)
        for peer in other.peers or ()
    )


@BOOK.check(
    "NP039",
    "everything-is-not-the-cluster",
    Severity.WARNING,
    why="""`0.0.0.0/0` is the world outside: it holds no pod, no node and no Service of the cluster,
    other than with other network plug-ins.""",
    bad="""
    kind: NetworkPolicy
    metadata: {name: allow-all-egress, namespace: a}
    spec:
      podSelector: {}
      policyTypes: [Egress]
      egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]
    """,
    good="""
    kind: NetworkPolicy
    metadata: {name: allow-all-egress, namespace: a}
    spec:
      podSelector: {}
      policyTypes: [Egress]
      egress: [{}]
    """,
)
def everything_is_world(view: View, scope: Scope) -> Iterator[Hit]:
    """A block of everything as the only way out."""
    entries = [one for one in view.entries if one.direction is Direction.EGRESS]
    worlds = [
        (peer, entry)
        for peer, entry in blocks_of(view, Direction.EGRESS)
        if not peer.block.prefixlen and not peer.excepted and not entry.ports
    ]
    if not worlds or len({one.rule.path for one in entries}) > len(worlds):
        return
    peer, entry = worlds[0]
    if re.search(r"\b(internet|world|external|outside)\b", view.words):
        return
    others = [one for one in scope.sharing(entry, Direction.EGRESS) if one not in entries]
    if not any(one.peers for one in others):
        yield Hit(
            peer.path,
            f"`{peer.text}` is the world outside only: pods, Services and nodes stay closed",
            "add the cluster's peers"
            if view.is_kubernetes
            else "add `toEntities: [cluster]` if it is meant",
        )


@BOOK.check(
    "NP045",
    "except-without-effect",
    Severity.ERROR,
    refusal=True,
    why="""An exception must lie in its block, or the whole object is refused. Beside a CIDR group it is
    not documented (the engine honours it).""",
    bad="""
    egress:
    - toCIDRSet: [{cidr: 10.0.0.0/8, except: [192.168.0.0/16]}]
    """,
    good="""
    egress:
    - toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]
    """,
)
def except_without_effect(view: View, _scope: Scope) -> Iterator[Hit]:
    """An exception outside of its block, or beside a group."""
    for item in view.items:
        blocks = list(item.peers("CIDRSet"))
        for element, path in nodes(item.body, item.word, item.path):
            if mapping(element).get("ipBlock") is not None:
                blocks.append((element["ipBlock"], f"{path}.ipBlock"))
        for block, path in blocks:
            fields = mapping(block)
            holes = fields.get("except")
            if not isinstance(holes, list) or not holes:
                continue
            if fields.get("cidrGroupRef") or fields.get("cidrGroupSelector") is not None:
                yield Hit(
                    f"{path}.except",
                    "`except` beside a CIDR group is not documented",
                    severity=Severity.INFO,
                )
                continue
            outer = _network(fields.get("cidr"))
            for index, hole in enumerate(holes):
                inner = _network(hole)
                if outer is not None and inner is not None and not within(inner, outer):
                    said = f"`{hole}` does not lie in `{fields.get('cidr')}`: the object is refused"
                    yield Hit(f"{path}.except[{index}]", said)


def _network(value: object) -> Network | None:
    try:
        return ip_network(str(value), strict=False)
    except ValueError:
        return None


@BOOK.check(
    "NP046",
    "cidr-group-missing",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""A group that does not exist, or is empty, selects nothing (since Cilium 1.15).""",
    bad="""
    # with a CiliumCIDRGroup mirrors, but none called mirror
    egress:
    - toCIDRSet: [{cidrGroupRef: mirror}]
    """,
    good="""
    # with a CiliumCIDRGroup mirrors
    egress:
    - toCIDRSet: [{cidrGroupRef: mirrors}]
    """,
)
def cidr_group_missing(view: View, scope: Scope) -> Iterator[Hit]:
    """A reference to a group that was not read, or has no block."""
    groups = {group.name: group for group in scope.cluster.cidr_groups}
    if not groups and not scope.whole and not scope.has_pods:
        return
    for item in view.items:
        for block, path in item.peers("CIDRSet"):
            name = mapping(block).get("cidrGroupRef")
            if not isinstance(name, str) or "${" in name:
                continue
            group = groups.get(name)
            if group is None:
                sure = bool(groups) or scope.has_pods
                yield Hit(
                    f"{path}.cidrGroupRef",
                    f"there is no CiliumCIDRGroup `{name}`: the rule selects nothing",
                    severity=None if sure else Severity.WARNING,
                )
            elif not group.blocks:
                yield Hit(
                    f"{path}.cidrGroupRef", f"the group `{name}` is empty: it selects nothing"
                )


@BOOK.check(
    "NP048",
    "cidr-of-own-load-balancer",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""What a pod sends to a load balancer of its own cluster is translated to the pods behind it
    before policy is asked: the address itself is never seen.""",
    bad="""
    # with a Service of type LoadBalancer at 203.0.113.7
    egress:
    - toCIDR: [203.0.113.7/32]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {app: web, k8s:io.kubernetes.pod.namespace: web}}]
    """,
)
def own_load_balancer(view: View, scope: Scope) -> Iterator[Hit]:
    """A block with nothing in it but addresses of own Services."""
    own = {
        address: service
        for service in scope.cluster.services
        for address in (*service.external_ips, *service.cluster_ips)
    }
    gates = {
        address: route.gateway for route in scope.cluster.routes for address in route.addresses
    }
    for peer, _ in blocks_of(view, Direction.EGRESS):
        if peer.block.num_addresses > 1:
            continue
        address = peer.block.network_address
        if address in own and not any(address in network for network in scope.pod_networks):
            yield Hit(
                peer.path,
                f"`{peer.text}` is Service {own[address].key} of this cluster: never seen by policy",
                "select the pods behind it",
            )
        elif address in gates:
            yield Hit(
                peer.path,
                f"`{peer.text}` is the cluster's own gateway: policy sees the pods behind it",
                "select the pods behind the route",
            )


@BOOK.check(
    "NP050",
    "metadata-address-is-a-node",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""169.254.169.254 is outside, so a CIDR rule matches it, unless an agent in the host network
    answers there: then the peer is the host.""",
    bad="""
    # with a DaemonSet kube2iam in the host network
    egress:
    - toCIDR: [169.254.169.254/32]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toEntities: [host]
      toPorts: [{ports: [{port: "8181", protocol: TCP}]}]
    """,
)
def metadata_is_node(view: View, scope: Scope) -> Iterator[Hit]:
    """The metadata address, where an agent of the node answers for it."""
    agents = [
        one.key
        for one in scope.cluster.endpoints
        if one.host_network and _AGENT_PODS.search(one.name)
    ]
    for peer, _ in blocks_of(view, Direction.EGRESS) if agents else ():
        if peer.block.num_addresses == 1 and _METADATA in peer.block:
            yield Hit(
                peer.path, f"{agents[0]} answers for it in the host network: the peer is host"
            )


@BOOK.check(
    "NP125",
    "metadata-address-open",
    Severity.WARNING,
    why="""169.254.169.254 gives the cloud's credentials of the node to whoever may ask over HTTP. A
    block that holds it, or `world`, opens it.""",
    bad="""
    egress:
    - toCIDR: [0.0.0.0/0]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
    good="""
    egress:
    - toCIDRSet: [{cidr: 0.0.0.0/0, except: [169.254.169.254/32]}]
      toPorts: [{ports: [{port: "80", protocol: TCP}]}]
    """,
)
def metadata_open(view: View, scope: Scope) -> Iterator[Hit]:
    """A rule that holds the metadata address on port 80; named alone, on any."""
    for entry in view.entries:
        if entry.direction is Direction.INGRESS or entry.effect is Effect.DENY or entry.node:
            continue
        for peer in entry.peers or ():
            if not _holds_metadata(peer):
                continue
            alone = isinstance(peer, CidrSelector) and peer.block.num_addresses == 1
            web = holds_port(entry, 80, "TCP")
            if (not alone and not web) or _is_denied(entry, scope):
                continue
            what = "names" if alone else "holds"
            tail = "" if web else ", on other ports than 80: it gives no credentials there"
            yield Hit(
                peer.path,
                f"`{peer.text}` {what} the cloud's metadata address 169.254.169.254{tail}",
                "except 169.254.169.254/32" if not alone else "take it out unless pods need it",
                severity=None if web else Severity.INFO,
            )
            break


def _holds_metadata(peer: object) -> bool:
    if isinstance(peer, CidrSelector):
        inside = _METADATA in peer.block
        return inside and not any(_METADATA in hole for hole in peer.excepted)
    if isinstance(peer, LabelSelector):
        return any(one.source == "reserved" and one.key == "world" for one in peer.requirements)
    return False


def _is_denied(entry: Entry, scope: Scope) -> bool:
    return any(
        _holds_metadata(peer) and (not deny.ports or holds_port(deny, 80, "TCP"))
        for deny in scope.sharing(entry, Direction.EGRESS, Effect.DENY)
        if scope.subject_covers(deny, entry)
        for peer in deny.peers or ()
    )


@BOOK.check(
    "NP075",
    "ip-block-admits-own-namespace",
    Severity.ERROR,
    why="""Cilium 1.19.0 to 1.19.4 give an ingress peer that has only an ipBlock a pod selector made of
    nothing but the cluster: every pod of the policy's namespace is admitted as well (fixed in
    1.19.5, pull request 46456).""",
    bad="""
    # read by Cilium 1.19.3
    kind: NetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      podSelector: {}
      ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]
    """,
    good="""
    # read by Cilium 1.19.3
    kind: CiliumNetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      endpointSelector: {}
      ingress: [{fromCIDR: [192.0.2.0/24]}]
    """,
)
def ip_block_hole(view: View, scope: Scope) -> Iterator[Hit]:
    """An ipBlock on ingress, read by a release with the hole."""
    config = scope.cluster.config
    if not (1, 19, 0) <= scope.version < FIRST_WITHOUT_IP_BLOCK_HOLE:
        return
    for item in view.items if view.is_kubernetes and config.default_local_cluster else ():
        if item.direction is Direction.EGRESS:
            continue
        for element, path in nodes(item.body, "from", item.path):
            if mapping(element).get("ipBlock") is not None:
                version = ".".join(map(str, scope.version))
                yield Hit(
                    path,
                    f"Cilium {version} also admits every pod of {view.ref.namespace} here",
                    "upgrade to 1.19.5, or write a CiliumNetworkPolicy with fromCIDR",
                )


@BOOK.check(
    "NP127",
    "client-address-lost",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""Behind a NodePort or LoadBalancer Service with `externalTrafficPolicy: Cluster` the node that
    takes the connection may put its own address in place of the client's: a CIDR rule for clients
    then does not match (Cilium docs, caveats; issues 25650, 23603).""",
    bad="""
    # with a Service of type LoadBalancer for app=web, externalTrafficPolicy Cluster
    endpointSelector: {matchLabels: {app: web}}
    ingress: [{fromCIDR: [192.0.2.0/24]}]
    """,
    good="""
    # with a Service of type LoadBalancer for app=web, externalTrafficPolicy Local
    endpointSelector: {matchLabels: {app: web}}
    ingress: [{fromCIDR: [192.0.2.0/24]}]
    """,
)
def client_address_lost(view: View, scope: Scope) -> Iterator[Hit]:
    """A CIDR rule for who comes in through such a Service."""
    for peer, entry in blocks_of(view, Direction.INGRESS):
        if not peer.block.prefixlen or entry.effect is Effect.DENY:
            continue
        for service in scope.cluster.services:
            if _hides_clients(service, scope) and _leads_to(service, entry, scope):
                yield Hit(
                    peer.path,
                    f"Service {service.key} may hide the client's address: the rule need not match",
                    "set `externalTrafficPolicy: Local`, or filter before the Service",
                )
                break


def _hides_clients(service: Service, scope: Scope) -> bool:
    if service.type not in ("NodePort", "LoadBalancer") or not service.selector:
        return False
    for one in scope.of_kind.get("Service", ()):
        if (one.ref.namespace, one.ref.name) == (service.namespace, service.name):
            spec = mapping(one.body.get("spec"))
            return spec.get("externalTrafficPolicy") in (None, "Cluster")
    return False


def _leads_to(service: Service, entry: Entry, scope: Scope) -> bool:
    pods = scope.endpoints_of(entry)
    if pods:
        return any(
            pod.namespace == service.namespace
            and service.selector.items() <= pod.pod_labels.items()
            for pod in pods
        )
    asked = {one.key: one.values for one in entry.subject.requirements}
    return service.namespace == entry.namespace and all(
        value in asked.get(key, ()) for key, value in service.selector.items()
    )
