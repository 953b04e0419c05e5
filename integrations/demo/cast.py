"""Who takes part in the demo's traffic: pods, nodes, the gateway and names outside.

An actor carries what the policy engine asks about it (a `Peer`) and how Hubble writes it down: an
endpoint's id and workload are known on its own node only. Source: reference of Hubble's flow API,
Cilium `pkg/hubble/parser/common/endpoint.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from app.core.model.cluster import Endpoint
from app.core.model.flow import FlowEndpoint
from app.core.model.verdict import Peer
from app.core.policy.engine import Engine
from integrations.demo.pods import place_pods
from integrations.demo.topology import Topology

_RESERVED = {
    "host": 1,
    "world": 2,
    "health": 4,
    "remote-node": 6,
    "kube-apiserver": 7,
    "ingress": 8,
}
"""Numbers of reserved identities. Source: Cilium `pkg/identity/numericidentity.go`."""
_LABELS = {"kube-apiserver": ("reserved:kube-apiserver", "reserved:remote-node")}
"""Labels of reserved identities that carry more than their own name."""
_LOCAL_SCOPE = 1 << 24
"""Identities of addresses and names outside are node-local and carry this bit."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One end of demo traffic. `here` is how its own node writes it, `there` how others do.

    `node` is empty outside the cluster; `names` are those its address was learned under.
    """

    key: str
    peer: Peer
    address: str
    here: FlowEndpoint
    there: FlowEndpoint
    node: str = ""
    names: tuple[str, ...] = ()
    managed: bool = False

    def seen_from(self, node: str) -> FlowEndpoint:
        """The endpoint as a node's agent fills it in."""
        return self.here if node == self.node else self.there


class Cast:
    """Finds actors by the names that stories use."""

    def __init__(self, engine: Engine, topology: Topology) -> None:
        self._engine = engine
        self._topology = topology
        self._ids = {
            f"{pod.workload.namespace}/{pod.name}": pod.endpoint_id for pod in place_pods(topology)
        }
        self._pods = {endpoint.key: self._pod(endpoint) for endpoint in engine.cluster.endpoints}

    def pod(self, start: str) -> Actor:
        """The first pod whose `NS/NAME` is or starts with `start`."""
        if actor := self._pods.get(start):
            return actor
        return next(actor for key, actor in sorted(self._pods.items()) if key.startswith(start))

    def node(self, name: str, *, seen_from: str) -> Actor:
        """A node: `host` for itself, otherwise what it is to another node."""
        address = self._topology.nodes[name]
        role = "remote-node"
        if name == seen_from:
            role = "host"
        elif name == self._topology.apiserver_node:
            role = "kube-apiserver"
        peer = self._engine.peer_of_entity(role)
        return self._reserved(role, peer, address, node=name)

    def gateway(self, node: str) -> Actor:
        """The gateway's proxy as a caller, from the ingress address of a node."""
        address = f"10.8.{node.removeprefix('node-')}.251"
        return self._reserved("ingress", self._engine.peer_of_entity("ingress"), address, node=node)

    def front_door(self) -> Actor:
        """The gateway as what workloads call: its outward address, the identity of its proxy."""
        address = self._topology.gateway_address
        return self._reserved("ingress", self._engine.peer_of_entity("ingress"), address)

    def health(self, node: str) -> Actor:
        """The health endpoint of a node's agent."""
        address = f"10.8.{node.removeprefix('node-')}.250"
        return self._reserved("health", self._engine.peer_of_entity("health"), address, node=node)

    def outside(self, name: str, *, learned: bool) -> Actor:
        """A name or address outside; `learned` when the asking pod's DNS went through the proxy."""
        address = self._topology.outside.get(name, name)
        names = (name,) if learned and name != address else ()
        peer = self._engine.peer_of_address(ip_address(address), frozenset(names))
        block = self._topology.blocks.get(address)
        known_as = f"fqdn:{name}." if names else f"cidr:{block}" if block else ""
        if not known_as:
            return self._reserved("world", peer, address)
        number = sorted(self._topology.outside.values()).index(address)
        wire = FlowEndpoint(
            identity=_LOCAL_SCOPE | (number + 1), labels=(known_as, "reserved:world")
        )
        return Actor(f"{known_as} {address}", peer, address, wire, wire, names=names)

    def resolve(self, name: str) -> str:
        """The address that the cluster's DNS answers for a name."""
        if name in self._topology.outside:
            return self._topology.outside[name]
        if name.endswith(f".{self._topology.domain}"):
            return self._topology.gateway_address
        service, namespace = name.split(".")[:2]
        return next(
            str(each.cluster_ips[0])
            for each in self._engine.cluster.services
            if (each.namespace, each.name) == (namespace, service)
        )

    def _reserved(self, role: str, peer: Peer, address: str, *, node: str = "") -> Actor:
        labels = _LABELS.get(role, (f"reserved:{role}",))
        wire = FlowEndpoint(identity=_RESERVED[role], labels=labels)
        return Actor(f"{role} {address}", peer, address, wire, wire, node=node)

    def _pod(self, endpoint: Endpoint) -> Actor:
        peer = self._engine.peer_of(endpoint)
        there = FlowEndpoint(
            identity=endpoint.identity or _RESERVED.get(peer.kind.value, 0),
            namespace=endpoint.namespace,
            pod=endpoint.name,
            labels=peer.labels.texts(),
            cluster=self._engine.cluster.config.cluster_name,
        )
        here = FlowEndpoint(
            identity=there.identity,
            namespace=there.namespace,
            pod=there.pod,
            labels=there.labels,
            cluster=there.cluster,
            workload_kind=endpoint.workload.kind if endpoint.workload else "",
            workload=endpoint.workload.name if endpoint.workload else "",
            id=self._ids[endpoint.key],
        )
        return Actor(
            endpoint.key,
            peer,
            str(endpoint.addresses[0]) if endpoint.addresses else "",
            here,
            there,
            node=endpoint.node,
            managed=endpoint.managed and not endpoint.host_network,
        )
