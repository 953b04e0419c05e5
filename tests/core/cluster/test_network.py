from ipaddress import ip_address, ip_network

import pytest

from app.core.model.cluster import (
    BackendAddress,
    Cluster,
    ContainerPort,
    GatewayRoute,
    Node,
    Service,
    ServicePort,
)
from app.core.model.provenance import Manifest
from tests.core.cluster.objects import Tree, at, build, manifest

ONE, TWO = ip_address("10.0.0.1"), ip_address("10.0.0.2")


def _service(**spec: object) -> Service:
    (found,) = build(manifest("Service", "s", "a", spec=spec)).services
    return found


def _slice(*endpoints: Tree, service: str | None = "s", **body: object) -> Manifest:
    labels = {"kubernetes.io/service-name": service} if service else {}
    ports = [{"name": "http", "port": 8080}]
    return manifest(
        "EndpointSlice", "s-1", "a", labels=labels, endpoints=list(endpoints), ports=ports, **body
    )


def _backends(*manifests: Manifest) -> tuple[BackendAddress, ...] | None:
    (found,) = build(manifest("Service", "s", "a", spec={}), *manifests).services
    return found.backends


@pytest.mark.parametrize(
    ("written", "port"),
    [
        ({"port": 80}, ServicePort(80, 80)),
        ({"port": 80, "targetPort": 8080}, ServicePort(80, 8080)),
        ({"port": 80, "targetPort": "8080"}, ServicePort(80, 8080)),
        ({"port": 80, "targetPort": "http"}, ServicePort(80, "http")),
        ({"port": 80, "targetPort": True}, ServicePort(80, 80)),
        ({"port": 80, "targetPort": 0}, ServicePort(80, 80)),
        (
            {"port": 53, "protocol": "UDP", "name": "dns", "nodePort": 30053},
            ServicePort(53, 53, "UDP", "dns", 30053),
        ),
    ],
)
def test_service_port_when_read_then_has_its_target(written: Tree, port: ServicePort) -> None:
    assert _service(ports=[written]).ports == (port,)


def test_service_when_read_then_has_all_its_addresses() -> None:
    found = _service(
        clusterIP="10.96.0.1",
        clusterIPs=["10.96.0.1", "fd00::1"],
        externalIPs=["192.0.2.1"],
        externalName="not.read",
    )

    assert found.cluster_ips == (ip_address("10.96.0.1"), ip_address("fd00::1"))
    assert found.external_ips == (ip_address("192.0.2.1"),)
    assert found.external_name == ""


def test_service_when_headless_or_external_then_has_no_address() -> None:
    assert _service(clusterIP="None").cluster_ips == ()
    assert _service(type="ExternalName", externalName="pypi.org").external_name == "pypi.org"


def test_service_when_balancer_gave_an_address_then_has_it() -> None:
    balancer = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "x.example"}]}}

    (found,) = build(manifest("Service", "s", "a", status=balancer)).services

    assert found.external_ips == (ip_address("192.0.2.7"),)


def test_backends_when_no_slice_was_seen_then_are_unknown() -> None:
    assert _backends() is None
    assert _backends(_slice(service=None)) is None
    assert _backends(_slice(addressType="FQDN")) is None


def test_backends_when_slice_was_seen_then_have_ports_and_readiness() -> None:
    ports = (ContainerPort("http", 8080),)

    found = _backends(
        _slice(
            {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "p"}},
            {
                "addresses": ["10.0.0.2"],
                "conditions": {"ready": False},
                "targetRef": {"kind": "Node", "name": "n"},
            },
        )
    )

    assert found == (
        BackendAddress(ONE, ports, ready=True, pod="p"),
        BackendAddress(TWO, ports, ready=False),
    )


def test_backends_when_only_legacy_endpoints_then_are_read_from_them() -> None:
    subset = {
        "addresses": [{"ip": "10.0.0.1", "targetRef": {"name": "p"}}],
        "notReadyAddresses": [{"ip": "10.0.0.2"}],
        "ports": [{"port": 8080}],
    }
    legacy = manifest("Endpoints", "s", "a", subsets=[subset])
    ports = (ContainerPort("", 8080),)

    assert _backends(legacy) == (
        BackendAddress(ONE, ports, ready=True, pod="p"),
        BackendAddress(TWO, ports, ready=False),
    )
    sliced = _backends(legacy, _slice({"addresses": ["10.0.0.1"]}))
    assert sliced == (BackendAddress(ONE, (ContainerPort("http", 8080),)),)


def test_node_when_both_objects_were_read_then_is_one() -> None:
    status = {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"address": "n1"}]}
    spec = {
        "addresses": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2", "type": "CiliumInternalIP"}],
        "ipam": {"podCIDRs": ["10.244.0.0/24", ""]},
        "health": {"ipv4": "10.1.0.1", "ipv6": "fd00::1"},
        "ingress": {"ipv4": "10.1.0.2"},
    }

    (found,) = build(
        manifest("Node", "n1", labels={"zone": "x"}, status=status),
        manifest("CiliumNode", "n1", spec=spec),
    ).nodes

    assert found == Node(
        "n1",
        (ONE, TWO),
        (TWO,),
        (ip_network("10.244.0.0/24"),),
        (ip_address("10.1.0.1"), ip_address("fd00::1")),
        (ip_address("10.1.0.2"),),
        {"zone": "x"},
    )


def test_api_server_when_its_endpoints_are_a_node_then_are_its_addresses() -> None:
    addresses = [{"addresses": [{"ip": "10.0.0.1"}]}]
    cluster = build(
        manifest("Endpoints", "kubernetes", "default", subsets=addresses),
        manifest("Node", "n1", status={"addresses": [{"address": "10.0.0.1"}]}),
        manifest("Node", "n2", status={"addresses": [{"address": "10.0.0.2"}]}),
    )

    assert cluster.apiserver_addresses == (ONE,)


def test_cidr_group_when_a_block_is_none_then_is_skipped_and_said() -> None:
    group = manifest(
        "CiliumCIDRGroup",
        "g",
        labels={"env": "x"},
        spec={"externalCIDRs": ["10.0.0.0/8", "10.0.0.1", "nonsense/8"]},
        source=at(3, **{"spec_externalCIDRs[1]": 9}),
    )

    cluster = build(group)

    assert cluster.cidr_groups[0].blocks == (ip_network("10.0.0.0/8"),)
    assert cluster.cidr_groups[0].labels == {"env": "x"}
    assert [(notice.file, notice.line) for notice in cluster.notices] == [
        ("objects.yaml", 9),
        ("objects.yaml", 3),
    ]


GATEWAY = manifest(
    "Gateway",
    "gw",
    "edge",
    spec={
        "listeners": [{"port": 443, "hostname": "*.x.example"}, {"port": 80}, {"port": 443}],
        "addresses": [{"value": "192.0.2.2"}],
    },
    status={"addresses": [{"value": "192.0.2.1"}]},
)


def _route(cluster: Cluster) -> GatewayRoute:
    (found,) = cluster.routes
    return found


def _http_route(parent: Tree, kind: str = "HTTPRoute", **spec: object) -> Manifest:
    refs = [
        {"name": "web", "port": 80},
        {"name": "api", "namespace": "b", "port": 81},
        {"name": "bucket", "kind": "Bucket"},
        {"name": "web", "port": 80},
    ]
    body = {"parentRefs": [parent], "rules": [{"backendRefs": refs}], **spec}
    return manifest(kind, "r", "a", spec=body)


@pytest.mark.parametrize("kind", ["HTTPRoute", "TLSRoute", "GRPCRoute"])
def test_route_when_hung_on_a_gateway_then_knows_its_address_and_backends(kind: str) -> None:
    found = _route(build(GATEWAY, _http_route({"name": "gw", "namespace": "edge"}, kind)))

    assert found.gateway == "edge/gw"
    assert found.hostnames == ("*.x.example",)
    assert found.backends == (("a", "web", 80), ("b", "api", 81))
    assert found.addresses == (ip_address("192.0.2.1"), ip_address("192.0.2.2"))
    assert found.listener_ports == (443, 80)


def test_route_when_it_names_hosts_then_those_count() -> None:
    parent = {"name": "gw", "namespace": "edge"}

    assert _route(build(GATEWAY, _http_route(parent, hostnames=["w.x.example"]))).hostnames == (
        "w.x.example",
    )


def test_route_when_gateway_was_not_read_then_is_kept_without_address() -> None:
    found = _route(build(_http_route({"name": "gw"})))

    assert (found.gateway, found.addresses, found.listener_ports) == ("a/gw", (), (443,))


def test_route_when_parent_is_no_gateway_then_is_left_out() -> None:
    assert build(_http_route({"name": "s", "kind": "Service"})).routes == ()


@pytest.mark.parametrize(("tls", "ports"), [([], (80,)), ([{"secretName": "x"}], (80, 443))])
def test_ingress_when_read_then_is_a_route_of_the_own_proxy(
    tls: list[Tree], ports: tuple[int, ...]
) -> None:
    paths = [
        {"backend": {"service": {"name": "web", "port": {"number": 80}}}},
        {"backend": {"resource": {"name": "x"}}},
    ]
    spec = {
        "ingressClassName": "cilium",
        "tls": tls,
        "rules": [{"host": "w.example", "http": {"paths": paths}}, {}],
        "defaultBackend": {"service": {"name": "fallback", "port": {"name": "http"}}},
    }
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}

    found = _route(build(manifest("Ingress", "i", "a", spec=spec, status=status)))

    assert found.gateway == "a/cilium"
    assert found.hostnames == ("w.example",)
    assert found.backends == (("a", "web", 80), ("a", "fallback", 0))
    assert found.addresses == (ip_address("192.0.2.1"),)
    assert found.listener_ports == ports
