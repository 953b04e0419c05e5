"""Nodes: their addresses, as the agent tells them apart, and the blocks of their pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

from app.core.cluster.tree import Tree, addresses, blocks_of, items, pairs, section, word, words
from app.core.model.cluster import Address, Network, Node
from app.core.model.provenance import Manifest

ROUTER = "CiliumInternalIP"
NODE_LOCAL_DNS = IPv4Address("169.254.20.10")
"""Where node-local DNS listens on every node unless it is told another address.

Source: Kubernetes `cluster/addons/dns/nodelocaldns/README.md`.
"""
NODE_LOCAL_DNS_NAMES = ("node-local-dns", "nodelocaldns")
LOCAL_IP_FLAG = "-localip"
"""What node-local DNS is told to listen on.

Source: Kubernetes `cluster/addons/dns/nodelocaldns/nodelocaldns.yaml`.
"""


@dataclass(frozen=True, slots=True)
class NodePart:
    """What one object says of a node; a Node and a CiliumNode of one name make one node."""

    addresses: tuple[Address, ...] = ()
    router: tuple[Address, ...] = ()
    health: tuple[Address, ...] = ()
    ingress: tuple[Address, ...] = ()
    labels: Mapping[str, str] | None = None
    pod_blocks: tuple[Network, ...] = ()


def read_node(body: Tree) -> NodePart:
    """Read a Kubernetes Node."""
    spec = section(body, "spec")
    listed = [word(item, "address") for item in items(section(body, "status"), "addresses")]
    return NodePart(
        addresses(listed),
        labels=pairs(section(body, "metadata"), "labels"),
        pod_blocks=blocks_of([word(spec, "podCIDR"), *words(spec, "podCIDRs")]),
    )


def read_cilium_node(body: Tree) -> NodePart:
    """Read a CiliumNode, which also knows the health and gateway addresses of its node."""
    spec = section(body, "spec")
    listed = [(word(item, "type"), word(item, "ip")) for item in items(spec, "addresses")]
    ipam = section(spec, "ipam")
    pools = section(ipam, "pools")
    given = [block for one in items(pools, "allocated") for block in words(one, "cidrs")]
    return NodePart(
        addresses([ip for _, ip in listed]),
        addresses([ip for kind, ip in listed if kind == ROUTER]),
        _families(section(spec, "health")),
        _families(section(spec, "ingress")),
        pod_blocks=blocks_of([*words(ipam, "podCIDRs"), *given]),
    )


def _families(tree: Tree) -> tuple[Address, ...]:
    return addresses([word(tree, "ipv4"), word(tree, "ipv6")])


def make_node(name: str, parts: Iterable[NodePart]) -> Node:
    """Join what is known of a node."""
    known = list(parts)
    labels: dict[str, str] = {}
    for part in known:
        labels.update(part.labels or {})
    return Node(
        name=name,
        addresses=tuple(dict.fromkeys(one for part in known for one in part.addresses)),
        router_addresses=tuple(one for part in known for one in part.router),
        pod_blocks=tuple(dict.fromkeys(one for part in known for one in part.pod_blocks)),
        health_addresses=tuple(one for part in known for one in part.health),
        ingress_addresses=tuple(one for part in known for one in part.ingress),
        labels=labels,
    )


def local_addresses(manifest: Manifest) -> Iterator[Address]:
    """Yield the addresses that a pod of the host network makes for itself on its node.

    Node-local DNS that says nothing of its own has the usual one.
    Source: Kubernetes `cluster/addons/dns/nodelocaldns/nodelocaldns.yaml` (`-localip A,B`).
    """
    spec = section(manifest.body, "spec")
    named = manifest.ref.name.startswith(NODE_LOCAL_DNS_NAMES)
    if "template" in spec:
        spec = section(spec, "template", "spec")
    if spec.get("hostNetwork") is not True:
        return
    given = list(_told(spec))
    yield from given or ([NODE_LOCAL_DNS] if named else [])


def _told(spec: Tree) -> Iterator[Address]:
    for container in items(spec, "containers"):
        told = [*words(container, "command"), *words(container, "args")]
        for flag, value in pairwise([*told, ""]):
            name, equals, given = flag.partition("=")
            if name.replace("--", "-", 1) == LOCAL_IP_FLAG:
                listed = given if equals else value
                yield from addresses([text.strip() for text in listed.split(",")])
