from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from app.core.model.cluster import Cluster, ClusterConfig, Endpoint, IdentityKind
from app.core.model.verdict import Verdict
from app.core.policy.engine import Engine
from tests.core.policy.build import (
    V120,
    Tree,
    ask,
    cnp,
    egress,
    make_cluster,
    make_engine,
    pod,
)

NODE_1: Tree = {
    "kind": "CiliumNode",
    "metadata": {"name": "node-1"},
    "spec": {
        "addresses": [{"type": "InternalIP", "ip": "192.168.1.1"}],
        "health": {"ipv4": "10.244.1.200"},
        "ingress": {"ipv4": "10.244.1.201"},
    },
}
NODE_2: Tree = {
    "kind": "CiliumNode",
    "metadata": {"name": "node-2"},
    "spec": {"addresses": [{"type": "InternalIP", "ip": "192.168.1.2"}]},
}


def _api(*addresses: str) -> Tree:
    listed = [{"ip": address} for address in addresses]
    metadata = {"name": "kubernetes", "namespace": "default"}
    subsets = [{"addresses": listed, "ports": [{"port": 6443}]}]
    return {"kind": "Endpoints", "metadata": metadata, "subsets": subsets}


API = _api("192.168.1.2", "203.0.113.6")


def _group(name: str, labels: dict[str, str], *blocks: str) -> Tree:
    metadata = {"name": name, "labels": labels}
    return {
        "kind": "CiliumCIDRGroup",
        "metadata": metadata,
        "spec": {"externalCIDRs": list(blocks)},
    }


def _kind(engine: Engine, address: str) -> IdentityKind:
    return engine.peer_of_address(ip_address(address)).kind


def test_address_when_the_cluster_knows_it_then_is_what_it_stands_for() -> None:
    engine = make_engine(NODE_1, NODE_2, API)

    assert engine.peer_of_address(ip_address("10.244.1.10")).text == "pod a/a"
    assert _kind(engine, "192.168.1.1") is IdentityKind.REMOTE_NODE
    assert _kind(engine, "192.168.1.2") is IdentityKind.KUBE_APISERVER
    assert _kind(engine, "10.244.1.200") is IdentityKind.HEALTH
    assert _kind(engine, "10.244.1.201") is IdentityKind.INGRESS
    assert _kind(engine, "203.0.113.6") is IdentityKind.KUBE_APISERVER
    assert _kind(engine, "203.0.113.7") is IdentityKind.WORLD


def test_node_when_the_subject_runs_on_it_then_is_the_host() -> None:
    engine = make_engine(NODE_1, NODE_2)
    own = engine.cluster.endpoints[0]

    peer = engine.peer_of_address(ip_address("192.168.1.1"))

    assert engine.identity_of(peer).kind is IdentityKind.REMOTE_NODE
    assert engine.identity_of(peer, seen_from=own).kind is IdentityKind.HOST
    assert engine.identity_of(peer, seen_from=own).labels.has_reserved("host")


@pytest.mark.parametrize(("served", "denied"), [("192.168.1.1", True), ("192.168.1.2", False)])
def test_host_when_it_serves_the_api_server_then_is_both_to_its_pods(
    served: str, *, denied: bool
) -> None:
    rule = {"ingress": [{}], "ingressDeny": [{"fromEntities": ["kube-apiserver"]}]}
    engine = make_engine(NODE_1, NODE_2, _api(served), cnp({"endpointSelector": {}, **rule}))
    host = engine.peer_of_entity("host")

    verdict = engine.decide(ask(engine, host, "a/a")).verdict

    assert verdict is (Verdict.DENIED if denied else Verdict.ALLOWED)


def test_outside_api_server_when_ruled_by_entity_then_is_world_as_well() -> None:
    for entity in ("kube-apiserver", "world", "cluster"):
        engine = make_engine(API, cnp(egress({"toEntities": [entity]})))
        peer = engine.peer_of_address(ip_address("203.0.113.6"))

        assert engine.decide(ask(engine, "a/a", peer)).verdict is Verdict.ALLOWED


def _host_network(**extra: Any) -> Tree:
    return {
        "pod": "a/hn",
        "labels": {},
        "address": "192.168.1.2",
        "spec": {"hostNetwork": True},
        **extra,
    }


def test_host_network_pod_when_its_node_is_known_then_is_that_node() -> None:
    engine = make_engine(NODE_1, NODE_2, _host_network(node="node-2"))

    peer = pod(engine, "a/hn")

    assert peer.kind is IdentityKind.REMOTE_NODE
    assert str(peer.address) == "192.168.1.2"
    assert peer.endpoint is None


def test_host_network_pod_when_only_its_address_is_known_then_is_that_node() -> None:
    engine = make_engine(NODE_2, _host_network(node="other"))

    assert pod(engine, "a/hn").text == "pod a/hn (host network)"
    assert str(pod(engine, "a/hn").address) == "192.168.1.2"


def test_host_network_pod_when_no_node_is_known_then_is_some_other_node() -> None:
    engine = make_engine(_host_network())

    assert pod(engine, "a/hn").kind is IdentityKind.REMOTE_NODE


def test_pod_when_not_managed_then_has_no_policy_and_no_labels() -> None:
    cluster = make_cluster(cnp(egress({})))
    endpoints = tuple(replace(item, managed=item.key != "a/a") for item in cluster.endpoints)
    engine = Engine.build(replace(cluster, endpoints=endpoints))

    peer = pod(engine, "a/a")

    assert peer.kind is IdentityKind.UNMANAGED
    assert peer.text == "pod a/a (unmanaged)"
    assert engine.decide(ask(engine, "a/a", "a/b")).verdict is Verdict.ALLOWED


def test_world_when_an_entity_then_has_no_address() -> None:
    engine = make_engine(cnp(egress({"toEntities": ["world"]})))

    identity = engine.identity_of(engine.peer_of_entity("world"))

    assert identity.address is None
    assert identity.labels.has_reserved("world")


def test_learned_names_when_an_address_has_them_then_are_the_peers() -> None:
    address = ip_address("192.0.2.1")
    cluster = replace(make_cluster(), learned_names={"pypi.org": (address,), "x.org": ()})

    peer = Engine.build(cluster).peer_of_address(address)

    assert peer.names == {"pypi.org"}
    assert peer.text == "pypi.org (192.0.2.1)"


def test_labels_when_blocks_nest_then_longest_named_block_is_the_label() -> None:
    policy = cnp(egress({"toCIDR": ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32"]}))
    engine = make_engine(policy, config=ClusterConfig(dual_stack=True))

    def labels(address: str) -> tuple[str, ...]:
        peer = engine.peer_of_outside(ip_address(address))
        return engine.identity_of(peer).labels.texts()

    assert labels("10.1.2.3") == ("cidr:10.1.0.0/16", "reserved:world-ipv4")
    assert labels("2001:db8::1") == ("cidr:2001-db8--0/32", "reserved:world-ipv6")
    assert labels("8.8.8.8") == ("reserved:world-ipv4",)


def test_block_label_when_address_begins_with_colons_then_gets_a_zero() -> None:
    engine = make_engine(
        cnp(egress({"toCIDR": ["::1/128"]})), config=ClusterConfig(dual_stack=True)
    )

    identity = engine.identity_of(engine.peer_of_outside(ip_address("::1")))

    assert "cidr:0--1/128" in identity.labels.texts()


def test_labels_when_single_stack_then_unknown_addresses_of_both_families_are_plain_world() -> None:
    engine = make_engine(cnp(egress({"toCIDR": ["2001:db8::/32"]})))

    def world(address: str) -> bool:
        peer = engine.peer_of_outside(ip_address(address))
        return engine.identity_of(peer).labels.has_reserved("world")

    assert world("192.0.2.1")
    assert world("2001:4860::1")
    assert not world("2001:db8::1")


def test_group_labels_when_blocks_are_shared_then_first_group_by_name_wins_a_key() -> None:
    groups = (
        _group("b", {"env": "late", "io.cilium.k8s.x": "no"}, "10.0.0.0/8"),
        _group("a", {"env": "early"}, "10.0.0.0/8", "10.1.0.0/16"),
    )
    engine = make_engine(*groups)

    identity = engine.identity_of(engine.peer_of_outside(ip_address("10.1.2.3")))

    label = identity.labels["env"]
    assert (label.source, label.value) == ("cidrgroup", "early")
    assert ("env", "late") in identity.groups
    assert "io.cilium.k8s.x" not in identity.labels


@pytest.mark.parametrize("engine_alone", [True, False])
def test_group_of_everything_when_agent_runs_then_labels_no_address(*, engine_alone: bool) -> None:
    config = ClusterConfig(engine_alone=engine_alone)
    engine = make_engine(_group("all", {"env": "x"}, "0.0.0.0/0"), config=config)

    identity = engine.identity_of(engine.peer_of_outside(ip_address("10.1.2.3")))

    assert ("env" in identity.labels) is engine_alone
    assert bool(identity.groups) is engine_alone


def test_nodes_when_matched_by_block_then_keep_their_identity() -> None:
    config = ClusterConfig(cidr_match_nodes=True, cilium_version=V120)
    engine = make_engine(NODE_1, NODE_2, cnp(egress({"toCIDR": ["192.168.1.0/24"]})), config=config)
    own = engine.cluster.endpoints[0]

    other = engine.identity_of(engine.peer_of_address(ip_address("192.168.1.2")), seen_from=own)
    host = engine.identity_of(engine.peer_of_address(ip_address("192.168.1.1")), seen_from=own)
    entity = engine.identity_of(engine.peer_of_entity("remote-node"))

    assert other.labels.has_reserved("remote-node")
    assert other.aggregate == "aggregate-remote-node"
    assert host.labels.has_reserved("host")
    assert host.aggregate == ""
    assert entity.address is None


def test_pods_when_matched_by_block_in_1_20_then_show_their_address() -> None:
    body = cnp(egress({"toCIDR": ["10.244.0.0/16"]}))
    for version, verdict in ((V120, Verdict.ALLOWED), ((1, 19, 3), Verdict.DENIED)):
        config = ClusterConfig(cidr_match_pods=True, cilium_version=version)
        engine = make_engine(body, config=config)

        assert engine.decide(ask(engine, "a/a", "a/b")).verdict is verdict


def test_host_when_firewall_is_on_then_has_a_policy() -> None:
    on = Engine.build(Cluster(config=ClusterConfig(host_firewall=True)))

    assert isinstance(on.peer_of_entity("host").endpoint, Endpoint)
    assert Engine.build(Cluster()).peer_of_entity("host").endpoint is None
