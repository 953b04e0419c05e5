"""Rules written from the two ends of a connection, as narrow as their labels allow.

What is written: one layer 3 field an item, the namespace always, the protocol always, never a
label that changes with a roll-out or names one person. Source for the fields: Cilium
`pkg/policy/api/{ingress,egress,l4}.go`, Kubernetes `networking/v1`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.core.errors import DraftRejected
from app.core.model.cluster import Address, Endpoint, IdentityKind
from app.core.model.kinds import CNP
from app.core.model.verdict import Direction, Peer, Protocol
from app.core.model.workloads import stable_labels
from app.core.text import clean

NAMESPACE_LABEL = "k8s:io.kubernetes.pod.namespace"
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_ENTITIES = {
    IdentityKind.HOST: "host",
    IdentityKind.REMOTE_NODE: "remote-node",
    IdentityKind.KUBE_APISERVER: "kube-apiserver",
    IdentityKind.HEALTH: "health",
    IdentityKind.INGRESS: "ingress",
}
_ICMP_FAMILIES = {Protocol.ICMP: "IPv4", Protocol.ICMPV6: "IPv6"}
_DNS_PORT = 53
_DNS_NAME_LIMIT = 253
_DNS_NAME = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
)


def cilium_rule(peer: Peer, direction: Direction, port: int, protocol: Protocol) -> dict[str, Any]:
    """Write one item of `egress` or `ingress`; DraftRejected for what no rule should admit."""
    field, element = cilium_element(peer, direction)
    return {field: [element], **cilium_ports(port, protocol)}


def cilium_ports(port: int, protocol: Protocol) -> dict[str, Any]:
    """Write the layer 4 part; ICMP goes by type."""
    if family := _ICMP_FAMILIES.get(protocol):
        return {"icmps": [{"fields": [{"family": family, "type": port}]}]}
    return {"toPorts": [{"ports": [{"port": str(port), "protocol": protocol.value}]}]}


def cilium_element(peer: Peer, direction: Direction) -> tuple[str, Any]:
    """Give the peer field of one item, and the element of it that means `peer`."""
    prefix = "to" if direction is Direction.EGRESS else "from"
    if peer.endpoint is not None and peer.kind is IdentityKind.POD:
        labels = {**stable_labels(peer.endpoint), NAMESPACE_LABEL: peer.endpoint.namespace}
        return f"{prefix}Endpoints", {"matchLabels": labels}
    if entity := _ENTITIES.get(peer.kind):
        return f"{prefix}Entities", entity
    if peer.names and direction is Direction.EGRESS:
        return "toFQDNs", {"matchName": check_name(min(peer.names))}
    if peer.address is not None:
        return f"{prefix}CIDR", _host_block(peer.address)
    raise DraftRejected(
        f"no rule is drafted for `{peer.text}`: it would open the whole outside",
        hint="name a host or an address",
    )


def check_name(name: str) -> str:
    """Give a DNS name back when a rule may name it; DraftRejected for anything but a full name."""
    if len(name) > _DNS_NAME_LIMIT or not _DNS_NAME.fullmatch(name):
        raise DraftRejected(f"`{clean(name)}` is not a full DNS name")
    return name


def _host_block(address: Address) -> str:
    return f"{address}/{address.max_prefixlen}"


def kubernetes_rule(
    peer: Peer, direction: Direction, port: int, protocol: Protocol
) -> dict[str, Any] | None:
    """Write one item of a NetworkPolicy; None when its language cannot say it."""
    if protocol in _ICMP_FAMILIES:
        return None
    element = kubernetes_element(peer)
    if element is None:
        return None
    field = "to" if direction is Direction.EGRESS else "from"
    return {field: [element], "ports": [{"port": port, "protocol": protocol.value}]}


def kubernetes_element(peer: Peer) -> dict[str, Any] | None:
    """Give the element of `from` or `to` that means `peer`; None for names and entities."""
    if peer.endpoint is not None and peer.kind is IdentityKind.POD:
        return {
            "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: peer.endpoint.namespace}},
            "podSelector": {"matchLabels": stable_labels(peer.endpoint)},
        }
    if peer.kind is IdentityKind.WORLD and peer.address is not None and not peer.names:
        return {"ipBlock": {"cidr": _host_block(peer.address)}}
    return None


def new_policy(
    name: str, subject: Endpoint, direction: Direction, rules: list[dict[str, Any]], why: str
) -> Mapping[str, Any]:
    """Write a CiliumNetworkPolicy for the pods of one workload."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": CNP,
        "metadata": {"name": name, "namespace": subject.namespace},
        "spec": {
            "description": why,
            "endpointSelector": {"matchLabels": stable_labels(subject)},
            direction.value: rules,
        },
    }


def dns_rule(server: Peer, pattern: Mapping[str, str]) -> dict[str, Any]:
    """Write the rule that shows a pod's DNS answers to Cilium, without which no name is learned.

    Source: Cilium documentation "Layer 7 examples", "DNS policy and IP discovery".
    """
    rule = cilium_rule(server, Direction.EGRESS, _DNS_PORT, Protocol.UDP)
    (over_tcp,) = cilium_ports(_DNS_PORT, Protocol.TCP)["toPorts"][0]["ports"]
    rule["toPorts"][0]["ports"].append(over_tcp)
    rule["toPorts"][0]["rules"] = {"dns": [dict(pattern)]}
    return rule
