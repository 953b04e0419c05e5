"""Classes of what is outside, held to the engine's answers for addresses and names one by one."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.cluster.build import build_cluster
from app.core.model.cluster import Network
from app.core.model.provenance import Manifest
from app.core.model.verdict import Peer, Protocol, Question, Verdict
from app.core.policy.engine import Engine
from app.core.policy.outside import NEVER_OUTSIDE, WORLD, outside_classes, partition
from app.testing.builders import manifest, pod

DESK = pod("lab/desk", "10.0.0.1", labels={"app": "desk"})
CONFIG = manifest("ConfigMap", "cilium-config", "kube-system", data={"enable-ipv6": "true"})


def policy(name: str, egress: Sequence[object] = (), deny: Sequence[object] = ()) -> Manifest:
    spec = {"endpointSelector": {}, "egress": list(egress) or [{}], "egressDeny": list(deny)}
    return manifest("CiliumNetworkPolicy", name, "lab", spec=spec)


def group(name: str, *blocks: str) -> Manifest:
    return manifest("CiliumCIDRGroup", name, "", spec={"externalCIDRs": list(blocks)})


def engine_of(*objects: Manifest) -> Engine:
    return Engine.build(build_cluster([DESK, *objects]))


def names(*objects: Manifest) -> list[str]:
    return [one.name for one in outside_classes(engine_of(*objects))]


def words(*objects: Manifest) -> list[str]:
    return [one.words for one in outside_classes(engine_of(*objects))]


def ask(engine: Engine, peer: Peer, port: int = 443) -> Verdict:
    (desk,) = (one for one in engine.cluster.endpoints if one.name == "desk")
    return engine.decide(Question(engine.peer_of(desk), peer, port, Protocol.TCP)).verdict


def test_without_rules_the_whole_outside_is_one_class() -> None:
    assert names() == [WORLD]


def test_each_block_is_the_class_of_its_longest_prefix() -> None:
    rule = {"toCIDRSet": [{"cidr": "203.0.113.0/24", "except": ["203.0.113.64/26"]}]}
    assert names(policy("p", [rule])) == [WORLD, "ip:203.0.113.0", "ip:203.0.113.64"]
    assert words(policy("p", [rule]))[1:] == [
        "203.0.113.0/24 except 203.0.113.64/26",
        "203.0.113.64/26",
    ]


def test_halves_of_all_addresses_leave_no_rest() -> None:
    assert names(policy("p", [{"toCIDR": ["0.0.0.0/1", "128.0.0.0/1"]}])) == [
        "ip:1.0.0.0",
        "ip:128.0.0.0",
    ]


def test_block_filled_by_blocks_inside_it_is_no_class() -> None:
    rule = {"toCIDR": ["203.0.113.0/24", "203.0.113.0/25", "203.0.113.128/25"]}
    assert names(policy("p", [rule])) == [WORLD, "ip:203.0.113.0", "ip:203.0.113.128"]


def test_blocks_of_groups_are_in_play() -> None:
    rule = {"toCIDRSet": [{"cidrGroupRef": "office"}]}
    assert names(policy("p", [rule]), group("office", "198.51.100.0/24")) == [
        WORLD,
        "ip:198.51.100.0",
    ]


def test_what_the_cluster_uses_is_not_outside() -> None:
    node = manifest(
        "Node",
        "n1",
        spec={"podCIDRs": ["10.0.0.0/16"]},
        status={"addresses": [{"type": "InternalIP", "address": "192.168.0.7"}]},
    )
    rule = {"toCIDR": ["10.0.0.0/16", "10.0.0.1/32", "192.168.0.7/32", "127.0.0.1/32"]}
    assert names(policy("p", [rule]), node) == [WORLD]
    wider = {"toCIDR": ["10.0.0.0/8", "192.168.0.6/31"]}
    assert names(policy("p", [wider]), node) == [WORLD, "ip:10.1.0.0", "ip:192.168.0.6"]


def test_two_families_have_a_rest_each() -> None:
    both = CONFIG.body["data"] | {"enable-ipv4": "true"}
    config = manifest("ConfigMap", "cilium-config", "kube-system", data=both)
    found = outside_classes(engine_of(config))
    assert [one.peer.labels.has_reserved("world-ipv4") for one in found] == [True, False]
    assert [one.words for one in found] == [
        "every other IPv4 address outside",
        "every other IPv6 address outside",
    ]


def test_pattern_is_asked_by_a_name_that_no_other_means() -> None:
    rule = {
        "toFQDNs": [
            {"matchPattern": "*"},
            {"matchPattern": "*.example.com"},
            {"matchPattern": "any*.example.com"},
            {"matchName": "any.example.com"},
        ]
    }
    found = outside_classes(engine_of(policy("p", [rule])))
    shown = {one.words: one.name for one in found}
    assert shown == {
        "every other address outside": WORLD,
        "names of the pattern `*`": "fqdn:any.example",
        "names of the pattern `*.example.com`": "fqdn:other-name.example.com",
        "names of the pattern `any*.example.com`": "fqdn:anyany.example.com",
        "any.example.com": "fqdn:any.example.com",
    }
    assert [one.by_name for one in found] == [False, True, True, True, True]


def test_pattern_of_whole_labels_is_asked_by_a_deeper_name() -> None:
    rule = {"toFQDNs": [{"matchPattern": "**.example.com"}, {"matchPattern": "*.example.com"}]}
    assert "fqdn:any.name.example.com" in names(policy("p", [rule]))


def test_a_name_of_the_cluster_that_is_asked_about_as_outside_has_a_class() -> None:
    name = "pkgs.lab.svc.cluster.local"
    engine = engine_of(policy("p", [{"toFQDNs": [{"matchName": name}]}]))
    assert f"fqdn:{name}" not in [one.name for one in outside_classes(engine)]
    assert f"fqdn:{name}" in [one.name for one in outside_classes(engine, names=[name])]


@pytest.mark.parametrize("name", ["web.shop.svc.cluster.local", "${DOMAIN}"])
def test_name_that_is_inside_or_not_known_is_no_class(name: str) -> None:
    assert names(policy("p", [{"toFQDNs": [{"matchName": name}]}])) == [WORLD]


def test_name_is_asked_at_an_address_that_no_deny_holds() -> None:
    allow = {"toFQDNs": [{"matchName": "a.example.com"}]}
    deny = {"toCIDRSet": [{"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}]}
    engine = engine_of(policy("p", [allow], [deny]))
    found = {one.name: one for one in outside_classes(engine)}
    assert list(found) == [
        WORLD,
        "ip:203.0.113.0",
        "fqdn:a.example.com",
        "fqdn:a.example.com=203.0.113.0",
    ]
    verdicts = [ask(engine, one.peer) for one in found.values()]
    assert verdicts == [Verdict.DENIED, Verdict.DENIED, Verdict.DENIED, Verdict.ALLOWED]


# Held to the engine, address by address and name by name

BLOCKS = st.builds(
    lambda number, length: str(ip_network((number, length), strict=False)),
    st.integers(0, 2**32 - 1) | st.sampled_from([int(ip_address("203.0.113.0")), 0, 2**31]),
    st.integers(0, 32),
)
PATTERNS = st.sampled_from(
    ["*", "*.example.com", "**.example.com", "a*.example.com", "*.a.example.com", "x.*"]
)
MATCH_NAMES = st.sampled_from(["a.example.com", "b.example.com", "x.y", "a.a.example.com"])
ASKED_NAMES = ["a.example.com", "b.example.com", "zz.example.com", "q.a.example.com", "x.y", "n.o"]


@st.composite
def rules(draw: st.DrawFn, *, deny: bool) -> dict[str, object]:
    kind = draw(st.integers(0, 3 if deny else 5))
    if kind <= 1:
        return {"toCIDR": draw(st.lists(BLOCKS, min_size=1, max_size=3))}
    if kind == 2:
        outer = ip_network(draw(BLOCKS))
        shift = draw(st.integers(0, 32 - outer.prefixlen))
        hole = ip_network((int(outer[0]), outer.prefixlen + shift))
        return {"toCIDRSet": [{"cidr": str(outer), "except": [str(hole)]}]}
    if kind == 3:
        return {"toCIDRSet": [{"cidrGroupRef": draw(st.sampled_from(["g1", "g2"]))}]}
    if kind == 4:
        return {"toFQDNs": [{"matchPattern": draw(PATTERNS)}]}
    return {"toFQDNs": [{"matchName": draw(MATCH_NAMES)}]}


@st.composite
def engines(draw: st.DrawFn) -> Engine:
    allow = draw(st.lists(rules(deny=False), min_size=1, max_size=4))
    deny = draw(st.lists(rules(deny=True), max_size=2))
    found = [group(name, *draw(st.lists(BLOCKS, max_size=2))) for name in ("g1", "g2")]
    return engine_of(policy("p", allow, deny), *found)


def is_outside(engine: Engine, address: IPv4Address) -> bool:
    return address != ip_address("10.0.0.1") and not any(address in one for one in NEVER_OUTSIDE)


@settings(max_examples=150, deadline=None)
@given(engines(), st.lists(st.integers(0, 2**32 - 1), max_size=12), st.data())
def test_address_is_answered_like_the_class_of_its_longest_prefix(
    engine: Engine, numbers: list[int], data: st.DataObject
) -> None:
    classes = [one for one in outside_classes(engine) if not one.by_name]
    by_labels = {engine.identity_of(one.peer).labels: ask(engine, one.peer) for one in classes}
    near = [int(one.peer.address) for one in classes if one.peer.address is not None]
    near += [number + data.draw(st.integers(-1, 300)) for number in near]
    for number in (*numbers, *near):
        address = IPv4Address(number % 2**32)
        if is_outside(engine, address):
            peer = engine.peer_of_address(address)
            assert ask(engine, peer) is by_labels[engine.identity_of(peer).labels]


@settings(max_examples=150, deadline=None)
@given(engines(), st.lists(st.integers(0, 2**32 - 1), max_size=12))
def test_something_outside_is_allowed_only_if_some_class_is(
    engine: Engine, numbers: list[int]
) -> None:
    classes = outside_classes(engine)
    opened = any(ask(engine, one.peer) is not Verdict.DENIED for one in classes)
    spots = [one.peer.address for one in classes if one.peer.address is not None]
    found = [IPv4Address(number) for number in numbers]
    for address in (*spots, *found):
        if not isinstance(address, IPv4Address) or not is_outside(engine, address):
            continue
        for name in ASKED_NAMES:
            peer = engine.peer_of_address(address, frozenset({name}))
            if ask(engine, peer) is not Verdict.DENIED:
                assert opened


@given(st.lists(BLOCKS.map(ip_network), min_size=1, max_size=8, unique=True))
def test_partition_gives_each_block_those_directly_inside_it(blocks: list[Network]) -> None:
    found = dict(partition(blocks))
    assert set(found) == set(blocks)
    for block, inner in found.items():
        assert isinstance(block, IPv4Network)
        inside = [one for one in blocks if one != block and one.subnet_of(block)]  # type: ignore[arg-type]
        direct = [
            one
            for one in inside
            if not any(one != other and one.subnet_of(other) for other in inside)  # type: ignore[arg-type]
        ]
        assert set(inner) == set(direct)


def test_blocks_and_names_of_two_engines_are_told_apart_together() -> None:
    before = engine_of(policy("p", [{"toCIDR": ["198.51.100.0/24"]}]))
    after = engine_of(policy("p", [{"toFQDNs": [{"matchName": "a.example.com"}]}]))
    assert [one.name for one in outside_classes(before, after)] == [
        WORLD,
        "ip:198.51.100.0",
        "fqdn:a.example.com",
    ]


def external(name: str, target: str) -> Manifest:
    spec = {"type": "ExternalName", "externalName": target}
    return manifest("Service", name, "lab", spec=spec)


def test_names_of_services_that_lead_outside_are_classes() -> None:
    rule = {"toFQDNs": [{"matchPattern": "*.lab.svc.cluster.local"}]}
    objects = external("files", "files.example.org"), external("own", "web.lab.svc.cluster.local")
    assert names(policy("p", [rule]), *objects) == [WORLD, "fqdn:files.lab.svc.cluster.local"]
    assert names(policy("p", [rule])) == [WORLD]


def test_headless_service_with_addresses_outside_is_a_class_and_one_of_pods_is_none() -> None:
    rule = {"toFQDNs": [{"matchName": f"{name}.lab.svc.cluster.local"} for name in ("db", "desks")]}
    slices = [
        manifest(
            "EndpointSlice",
            name,
            "lab",
            labels={"kubernetes.io/service-name": name},
            addressType="IPv4",
            endpoints=[{"addresses": [address]}],
            ports=[{"port": 5432}],
        )
        for name, address in (("db", "203.0.113.9"), ("desks", "10.0.0.1"))
    ]
    spec = {"clusterIP": "None", "ports": [{"port": 5432}]}
    services = [manifest("Service", name, "lab", spec=spec) for name in ("db", "desks")]
    found = names(policy("p", [rule]), *services, *slices)
    assert found == [WORLD, "fqdn:db.lab.svc.cluster.local"]


def test_search_form_of_a_name_outside_is_a_class_and_a_pod_of_a_service_is_none() -> None:
    search = "api.example.lab.svc.cluster.local", "web-0.web.lab.svc.cluster.local"
    rule = {"toFQDNs": [{"matchName": name} for name in search]}
    service = manifest("Service", "web", "lab", spec={"clusterIP": "None"})
    assert names(policy("p", [rule]), service) == [WORLD, f"fqdn:{search[0]}"]
