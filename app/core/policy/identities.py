"""From the ends of a connection to identities: what selectors look at.

Source: Cilium `pkg/ipcache/metadata.go` (`mergeParentLabels`, `resolveLabels`),
`pkg/labels/cidr.go`, `pkg/identity/reserved.go`, `pkg/policy/aggregate.go` (1.20).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address

from app.core.cluster.identity import CLUSTER_KEY, is_identity_label, keeps_node_label
from app.core.cluster.nodes import NODE_LOCAL_DNS
from app.core.model.cluster import (
    Address,
    CidrGroup,
    Cluster,
    ClusterConfig,
    Endpoint,
    IdentityKind,
    Network,
    Node,
)
from app.core.model.labels import K8S_SOURCE, RESERVED_SOURCE, Label, LabelSet
from app.core.model.verdict import Peer
from app.core.policy.peers import GROUP_NAME_KEY
from app.core.policy.rules import (
    CIDR_SOURCE,
    GROUP_SOURCE,
    FqdnSelector,
    Identity,
    ParsedPolicy,
)

CILIUM_LABEL_PREFIX = "io.cilium.k8s"
"""Labels of objects that begin so are the agent's own and never taken over.

Source: Cilium `pkg/k8s/utils/utils.go` `RemoveCiliumLabels`.
"""

NODE_SOURCE = "node"
FIRST_WITH_LOCAL_ADDRESSES = (1, 17, 0)
FIRST_WITH_AGGREGATES = (1, 20, 0)
NODE_KINDS = frozenset({IdentityKind.HOST, IdentityKind.REMOTE_NODE, IdentityKind.KUBE_APISERVER})
_RESERVED = {
    IdentityKind.HOST: ("host",),
    IdentityKind.REMOTE_NODE: ("remote-node",),
    IdentityKind.KUBE_APISERVER: ("kube-apiserver", "remote-node"),
    IdentityKind.HEALTH: ("health",),
    IdentityKind.INGRESS: ("ingress",),
    IdentityKind.INIT: ("init",),
    IdentityKind.UNMANAGED: ("unmanaged",),
    IdentityKind.WORLD: ("world",),
}
_OWN_POLICY = frozenset({IdentityKind.HEALTH, IdentityKind.INGRESS, IdentityKind.INIT})


def reserved_labels(*names: str) -> LabelSet:
    """Give the labels of a reserved identity."""
    return LabelSet(Label(RESERVED_SOURCE, name) for name in names)


@dataclass(frozen=True)
class Identities:
    """Makes peers and identities for one cluster and the policies in it.

    Which blocks and names the policies mention decides the labels of an outside address.
    """

    cluster: Cluster
    policies: tuple[ParsedPolicy, ...]

    @property
    def config(self) -> ClusterConfig:
        """The agent's settings."""
        return self.cluster.config

    @cached_property
    def fqdn_selectors(self) -> tuple[FqdnSelector, ...]:
        """Every toFQDNs element of the cluster."""
        found = {
            selector.key: selector for policy in self.policies for selector in policy.fqdn_selectors
        }
        return tuple(found.values())

    @cached_property
    def named_blocks(self) -> frozenset[Network]:
        """Every block, excepted ones too, that some policy names."""
        return frozenset[Network]().union(*(policy.named_blocks for policy in self.policies))

    @cached_property
    def groups(self) -> tuple[CidrGroup, ...]:
        """The CIDR groups by name: of two with one block the first wins a label key."""
        return tuple(sorted(self.cluster.cidr_groups, key=lambda group: group.name))

    @cached_property
    def nodes_by_address(self) -> Mapping[Address, tuple[Node, IdentityKind]]:
        """What the cluster's own addresses stand for besides pods."""
        found: dict[Address, tuple[Node, IdentityKind]] = {}
        for node in self.cluster.nodes:
            found.update(dict.fromkeys(node.health_addresses, (node, IdentityKind.HEALTH)))
            found.update(dict.fromkeys(node.ingress_addresses, (node, IdentityKind.INGRESS)))
            found.update({one: (node, self._node_kind(one)) for one in node.addresses})
        return found

    def _node_kind(self, address: Address | None) -> IdentityKind:
        """Tell the API server's own address from the other ones of its node.

        Only the backends of `default/kubernetes` are `kube-apiserver`: the router's address of a
        control-plane node is a remote node's. Source: Cilium
        `pkg/ipcache/cell/apiserver_watcher.go`, `pkg/node/manager/manager.go` `NodeUpdated`.
        """
        if address in self.cluster.apiserver_addresses:
            return IdentityKind.KUBE_APISERVER
        return IdentityKind.REMOTE_NODE

    @cached_property
    def hosts(self) -> Mapping[str, Endpoint]:
        """The host endpoint of each node, by name, where the host firewall is on.

        Its labels are `reserved:host` and the node's own that the label filter keeps. Source:
        Cilium `pkg/endpoint/endpoint.go` `InitWithNodeLabels`, `pkg/policy/rule.go`
        `matchesSubject`.
        """
        if not self.config.host_firewall:
            return {}
        return {node.name: self._host_of(node) for node in self.cluster.nodes}

    def _host_of(self, node: Node) -> Endpoint:
        filters, version = self.config.label_filter, self.config.cilium_version
        own = (
            Label(K8S_SOURCE, key, value)
            for key, value in node.labels.items()
            if is_identity_label(key, filters, version)
        )
        labels = LabelSet([*own, Label(RESERVED_SOURCE, "host")])
        return Endpoint("", f"node {node.name}", labels, addresses=node.addresses, node=node.name)

    @cached_property
    def nodes_by_name(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.cluster.nodes}

    @cached_property
    def endpoints_by_address(self) -> Mapping[Address, Endpoint]:
        """The pods by their own addresses; host-network pods have none of their own."""
        return {
            address: endpoint
            for endpoint in self.cluster.endpoints
            if not endpoint.host_network
            for address in endpoint.addresses
        }

    def of_endpoint(self, endpoint: Endpoint) -> Peer:
        """Give a pod as an end of a connection.

        A host-network pod is its node, and one that Cilium does not manage is `unmanaged`.
        """
        if endpoint.host_network:
            return self._of_host_network(endpoint)
        if not endpoint.managed:
            peer = self.of_entity("unmanaged")
            address = endpoint.addresses[0] if endpoint.addresses else None
            return replace(peer, text=f"pod {endpoint.key} (unmanaged)", address=address)
        return Peer(
            IdentityKind.POD,
            endpoint.labels,
            f"pod {endpoint.key}",
            endpoint,
            endpoint.addresses[0] if endpoint.addresses else None,
        )

    def _of_host_network(self, endpoint: Endpoint) -> Peer:
        text = f"pod {endpoint.key} (host network)"
        node = self.nodes_by_name.get(endpoint.node)
        if node is not None:
            return self.of_node(node, text)
        for own in endpoint.addresses:
            if own in self.nodes_by_address:
                return self.of_node(self.nodes_by_address[own][0], text)
        address = endpoint.addresses[0] if endpoint.addresses else None
        peer = self.of_entity("remote-node")
        return replace(peer, text=text, address=address)

    def of_node(self, node: Node, text: str = "", address: Address | None = None) -> Peer:
        """Give a node as an end: by its API server's address where it has one, or by `address`.

        Where the host firewall is on it comes with its host endpoint.
        """
        served = (one for one in node.addresses if one in self.cluster.apiserver_addresses)
        own = address or next(served, None) or next(iter(node.addresses), None)
        kind = self._node_kind(own)
        labels = self._node_labels(kind, node)
        return Peer(kind, labels, text or f"node {node.name}", self.hosts.get(node.name), own)

    def _node_labels(self, kind: IdentityKind, node: Node) -> LabelSet:
        """Give the labels of another node, its own ones too where node labels are enabled.

        Source: Cilium `pkg/node/manager/manager.go` `nodeIdentityLabels`,
        `pkg/labelsfilter/filter.go` `FilterNodeLabels`.
        """
        reserved = reserved_labels(*_RESERVED[kind])
        if not self.config.node_selector_labels:
            return reserved
        known = {**node.labels, CLUSTER_KEY: self.config.cluster_name}
        own = (
            Label(K8S_SOURCE if key == CLUSTER_KEY else NODE_SOURCE, key, value)
            for key, value in known.items()
            if keeps_node_label(key, self.config.node_label_filter)
        )
        return LabelSet([*own, *reserved.values()])

    def of_address(self, address: Address, names: frozenset[str] = frozenset()) -> Peer:
        """Give an address as the cluster knows it: pod, node, health, gateway or outside."""
        endpoint = self.endpoints_by_address.get(address)
        if endpoint is not None:
            return self.of_endpoint(endpoint)
        known = self.nodes_by_address.get(address)
        if known is not None:
            node, kind = known
            if kind in NODE_KINDS:
                return self.of_node(node, address=address)
            return replace(self.of_entity(kind.value), address=address)
        if self.is_local(address):
            host = self.of_entity("host")
            return replace(host, text="the own node", address=address)
        learned = {
            name for name, addresses in self.cluster.learned_names.items() if address in addresses
        }
        return self.of_outside(address, names | learned)

    def is_local(self, address: Address) -> bool:
        """Say whether every node has an address for itself, so that it is `host` to its pods.

        Source: Cilium `daemon/cmd/hostips-sync.go` `sync`, which leaves out what
        `exclude-local-address` names.
        """
        if any(address in block for block in self.config.excluded_local):
            return False
        if address in self.cluster.local_addresses or address.is_loopback:
            return True
        modern = self.config.cilium_version >= FIRST_WITH_LOCAL_ADDRESSES
        return modern and address == NODE_LOCAL_DNS

    def of_outside(self, address: Address, names: frozenset[str] = frozenset()) -> Peer:
        """Give an address outside the cluster, with the names it was learned for."""
        labels = self._world_labels(address, names)
        kind = IdentityKind.WORLD
        if address in self.cluster.apiserver_addresses:
            kind = IdentityKind.KUBE_APISERVER
        text = f"{'/'.join(sorted(names))} ({address})" if names else str(address)
        return Peer(
            kind=kind,
            labels=labels,
            text=text,
            endpoint=None,
            address=address,
            names=frozenset(names),
        )

    def of_entity(self, name: str) -> Peer:
        """Give a reserved identity by its entity's name.

        The gateway, the health endpoint and a pod that is starting have a policy of their own, so
        they come with an endpoint; so does the host where the host firewall is on.
        """
        kind = IdentityKind(name)
        labels = reserved_labels(*_RESERVED[kind])
        own_policy = kind in _OWN_POLICY or (
            kind is IdentityKind.HOST and self.config.host_firewall
        )
        endpoint = Endpoint("", f"reserved:{name}", labels) if own_policy else None
        return Peer(kind, labels, f"entity {name}", endpoint)

    def own_hosts(self) -> tuple[Peer, ...]:
        """Give every node as its own pods see it, where the host firewall is on."""
        host = self.of_entity("host")
        return tuple(
            replace(
                host, text=f"host of {name}", endpoint=one, address=next(iter(one.addresses), None)
            )
            for name, one in self.hosts.items()
        )

    def reserved_ends(self, names: Iterable[str]) -> tuple[Peer, ...]:
        """Give the reserved identities, and node by node what policies tell apart of them."""
        own = self.own_hosts()
        told_apart = self.cluster.nodes if own or self.config.node_selector_labels else ()
        reserved = (self.of_entity(name) for name in names if name != "host" or not own)
        return (*reserved, *own, *(self.of_node(node) for node in told_apart))

    def identity(self, peer: Peer, *, local_to: Endpoint | None = None) -> Identity:
        """Give what selectors see of `peer` from the node of `local_to`.

        The node that the subject runs on is `host` to it, every other one `remote-node`.
        """
        if peer.kind is IdentityKind.WORLD or (peer.names and peer.address is not None):
            return self._outside_identity(peer)
        if peer.kind in NODE_KINDS:
            return self._node_identity(peer, local_to)
        aggregate = ""
        if peer.kind is IdentityKind.POD and self.config.cilium_version >= FIRST_WITH_AGGREGATES:
            aggregate = "aggregate-cluster"
        address = peer.address if self._pods_show_addresses(peer) else None
        return Identity(peer.kind, peer.labels, address, aggregate=aggregate)

    def _pods_show_addresses(self, peer: Peer) -> bool:
        modern = self.config.cilium_version >= FIRST_WITH_AGGREGATES
        return peer.kind is IdentityKind.POD and modern and self.config.cidr_match_pods

    def _outside_identity(self, peer: Peer) -> Identity:
        if peer.address is None:
            return Identity(peer.kind, peer.labels, names=peer.names)
        labels = self._world_labels(peer.address, peer.names)
        aggregate = ""
        if len(labels) > 1 and self.config.cilium_version >= FIRST_WITH_AGGREGATES:
            aggregate = "aggregate-world"
        groups = self._group_pairs(peer.address)
        return Identity(
            kind=peer.kind,
            labels=labels,
            address=peer.address,
            names=peer.names,
            groups=groups,
            aggregate=aggregate,
        )

    def _node_identity(self, peer: Peer, local_to: Endpoint | None) -> Identity:
        if (
            peer.labels.get("world")
            or peer.labels.get("world-ipv4")
            or peer.labels.get("world-ipv6")
        ):
            return self._outside_identity(peer)
        kind, labels = peer.kind, peer.labels
        if kind is IdentityKind.HOST:
            labels = self._host_labels(peer, local_to)
        elif self._is_own_node(peer, local_to):
            kind = IdentityKind.HOST
            labels = LabelSet(
                Label(RESERVED_SOURCE, "host") if label.key == "remote-node" else label
                for label in labels.values()
                if label.source == RESERVED_SOURCE
            )
        return self._node_by_cidr(kind, labels, peer)

    def _node_by_cidr(self, kind: IdentityKind, labels: LabelSet, peer: Peer) -> Identity:
        """With `policy-cidr-match-mode: nodes` CIDR rules see nodes, which keep no world label."""
        aggregate = ""
        local_scope = kind is not IdentityKind.HOST and (
            self.config.cidr_match_nodes or self.config.node_selector_labels
        )
        if local_scope and self.config.cilium_version >= FIRST_WITH_AGGREGATES:
            aggregate = "aggregate-remote-node"
        if peer.address is None or not self.config.cidr_match_nodes:
            return Identity(kind, labels, aggregate=aggregate if len(labels) > 1 else "")
        extra = self._external_labels(peer.address, peer.names)
        return Identity(
            kind=kind,
            labels=LabelSet([*extra.values(), *labels.values()]),
            address=peer.address,
            names=peer.names,
            groups=self._group_pairs(peer.address),
            aggregate=aggregate,
        )

    def _host_labels(self, peer: Peer, local_to: Endpoint | None) -> LabelSet:
        """Give the labels of the host: those of all addresses of its node, the API server's too.

        Source: Cilium `pkg/ipcache/metadata.go` `updateReservedHostLabels`; packets agree.
        """
        beside = peer.endpoint if peer.endpoint is not None and peer.endpoint.node else local_to
        node = self.nodes_by_name.get(beside.node) if beside is not None else None
        if node is None or not set(node.addresses) & set(self.cluster.apiserver_addresses):
            return peer.labels
        served = Label(RESERVED_SOURCE, IdentityKind.KUBE_APISERVER.value)
        return LabelSet([*peer.labels.values(), served])

    def _is_own_node(self, peer: Peer, local_to: Endpoint | None) -> bool:
        known = self.nodes_by_address.get(peer.address) if peer.address is not None else None
        return known is not None and local_to is not None and known[0].name == local_to.node

    def _world_labels(self, address: Address, names: Iterable[str]) -> LabelSet:
        """Give the labels of an outside address: world, and what policies and groups know of it.

        With nothing known the identity is the reserved one, whose label in a cluster of one
        family is `world`, whatever the address's family.
        """
        labels = self._external_labels(address, names)
        api_server = address in self.cluster.apiserver_addresses
        if api_server:
            labels["kube-apiserver"] = Label(RESERVED_SOURCE, "kube-apiserver")
        world = self._world_key(address) if labels or self.config.dual_stack else "world"
        labels[world] = Label(RESERVED_SOURCE, world)
        return LabelSet(labels.values())

    def _world_key(self, address: Address) -> str:
        if isinstance(address, IPv4Address):
            return "world-ipv4" if self.config.dual_stack else "world"
        return "world-ipv6"

    def _external_labels(self, address: Address, names: Iterable[str]) -> dict[str, Label]:
        labels: dict[str, Label] = {}
        for selector in self.fqdn_selectors:
            if any(selector.selects_name(name) for name in names):
                labels[selector.text] = Label("fqdn", selector.text)
        blocks = [block for block in self._known_blocks if address in block]
        for block in sorted(blocks, key=lambda block: -block.prefixlen):
            for label in self._known_blocks[block]:
                labels.setdefault(label.key, label)
        named = [block for block in blocks if block in self.named_blocks and block.prefixlen]
        if named:
            longest = max(named, key=lambda block: block.prefixlen)
            key = _cidr_key(longest)
            labels.setdefault(key, Label(CIDR_SOURCE, key))
        return labels

    @cached_property
    def _known_blocks(self) -> Mapping[Network, tuple[Label, ...]]:
        known: dict[Network, dict[str, Label]] = {block: {} for block in self.named_blocks}
        for group in self.groups:
            for block in self._labelled_blocks(group):
                labels = known.setdefault(block, {})
                for label in _group_labels(group):
                    labels.setdefault(label.key, label)
        return {block: tuple(labels.values()) for block, labels in known.items()}

    def _group_pairs(self, address: Address) -> frozenset[tuple[str, str]]:
        return frozenset(
            (label.key, label.value)
            for group in self.groups
            if any(address in block for block in self._labelled_blocks(group))
            for label in _group_labels(group)
        )

    def _labelled_blocks(self, group: CidrGroup) -> Iterator[Network]:
        """Yield the blocks whose addresses bear the group's labels: never 0.0.0.0/0 or ::/0.

        The agent overrides the identity of these with the reserved one. Source: Cilium
        `daemon/cmd/hostips-sync.go` `sync`, `pkg/ipcache/types.go` `flatten`; packets agree.
        """
        return (block for block in group.blocks if block.prefixlen or self.config.engine_alone)


def _group_labels(group: CidrGroup) -> list[Label]:
    own = [
        Label(GROUP_SOURCE, key, value)
        for key, value in group.labels.items()
        if not key.startswith(CILIUM_LABEL_PREFIX)
    ]
    return [*own, Label(GROUP_SOURCE, f"{GROUP_NAME_KEY}/{group.name}")]


def _cidr_key(block: Network) -> str:
    """Write a block as a label key: colons become dashes, which no key may begin or end with.

    Source: Cilium `pkg/labels/cidr.go` `getCIDRLabel`.
    """
    address = str(block.network_address).replace(":", "-")
    if address.startswith("-"):
        address = f"0{address}"
    if address.endswith("-"):
        address = f"{address}0"
    return f"{address}/{block.prefixlen}"
