from __future__ import annotations

from ipaddress import ip_network

import msgspec

from app.core.cluster.nodes import read_node
from integrations.kubernetes.decode import ObjectDecoder
from integrations.kubernetes.resources import RESOURCES

NODE = {
    "metadata": {"name": "worker-1", "resourceVersion": "7"},
    "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "10.9.0.11"}]},
}


def test_node_of_a_live_cluster_when_decoded_then_keeps_the_blocks_of_its_pods() -> None:
    resource = next(one for one in RESOURCES if one.kind == "Node")
    decoded = ObjectDecoder(resource, "v1").decode(msgspec.json.encode(NODE))
    node = read_node(decoded.manifest.body)
    assert set(node.pod_blocks) == {ip_network("10.1.0.0/24"), ip_network("fd00:1::/64")}


def test_node_without_blocks_when_decoded_then_has_none() -> None:
    resource = next(one for one in RESOURCES if one.kind == "Node")
    decoded = ObjectDecoder(resource, "v1").decode(msgspec.json.encode({**NODE, "spec": {}}))
    assert not read_node(decoded.manifest.body).pod_blocks
