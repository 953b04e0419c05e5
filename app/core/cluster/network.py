"""Services and their backends, nodes, CIDR groups, and host names served by the own gateway."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network

from app.core.cluster.tree import (
    Tree,
    addresses,
    items,
    pairs,
    section,
    whole,
    word,
    words,
)
from app.core.model.cluster import (
    Address,
    BackendAddress,
    CidrGroup,
    ContainerPort,
    GatewayRoute,
    Network,
    Node,
    RouteBackend,
    RoutePath,
    Service,
    ServicePort,
)
from app.core.model.provenance import Manifest, Notice

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
API_SERVER_SERVICE = ("default", "kubernetes")
"""Source: Cilium `pkg/k8s/watchers/endpoint_slice.go`: its addresses are `kube-apiserver`."""

HTTP_PORT, HTTPS_PORT = 80, 443

ServiceKey = tuple[str, str]
Backends = dict[ServiceKey, list[BackendAddress]]


def read_service(manifest: Manifest) -> Service:
    """Read a Service, without its backends."""
    spec = section(manifest.body, "spec")
    balancer = section(manifest.body, "status", "loadBalancer")
    assigned = [word(item, "ip") for item in items(balancer, "ingress")]
    return Service(
        manifest.ref.namespace,
        manifest.ref.name,
        word(spec, "type", "ClusterIP"),
        pairs(spec, "selector"),
        tuple(_read_service_port(item) for item in items(spec, "ports")),
        addresses([word(spec, "clusterIP"), *words(spec, "clusterIPs")]),
        addresses([*words(spec, "externalIPs"), word(spec, "loadBalancerIP"), *assigned]),
        word(spec, "externalName") if word(spec, "type") == "ExternalName" else "",
        source=manifest.source,
        labels=pairs(section(manifest.body, "metadata"), "labels"),
        publishes_unready=spec.get("publishNotReadyAddresses") is True,
        is_node_local=word(spec, "internalTrafficPolicy") == "Local",
    )


def _read_service_port(item: Tree) -> ServicePort:
    port = whole(item, "port")
    target = item.get("targetPort")
    known = target if isinstance(target, int | str) and not isinstance(target, bool) else port
    if isinstance(known, str) and known.isdigit():
        known = int(known)
    return ServicePort(
        port,
        known or port,
        word(item, "protocol", "TCP"),
        word(item, "name"),
        whole(item, "nodePort"),
    )


def read_endpoint_slice(manifest: Manifest, backends: Backends) -> None:
    """Add the backends of an EndpointSlice; without conditions they are ready."""
    body = manifest.body
    name = pairs(section(body, "metadata"), "labels").get(SERVICE_NAME_LABEL)
    if not name or word(body, "addressType", "IPv4") == "FQDN":
        return
    ports = _read_ports(body)
    found = backends.setdefault((manifest.ref.namespace, name), [])
    for item in items(body, "endpoints"):
        conditions = section(item, "conditions")
        ready = conditions.get("ready") is not False
        leaves = conditions.get("terminating") is True and conditions.get("serving") is True
        target = section(item, "targetRef")
        pod = word(target, "name") if word(target, "kind") == "Pod" else ""
        found += [
            BackendAddress(one, ports, ready, pod, leaves)
            for one in addresses(words(item, "addresses"))
        ]


def read_endpoints(manifest: Manifest, backends: Backends) -> None:
    """Add the backends of a legacy Endpoints object, unless slices gave them already."""
    key = (manifest.ref.namespace, manifest.ref.name)
    if backends.get(key):
        return
    found = backends.setdefault(key, [])
    for subset in items(manifest.body, "subsets"):
        ports = _read_ports(subset)
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for item in items(subset, field):
                pod = word(section(item, "targetRef"), "name")
                found += [
                    BackendAddress(one, ports, ready, pod) for one in addresses([word(item, "ip")])
                ]


def _read_ports(tree: Tree) -> tuple[ContainerPort, ...]:
    return tuple(
        ContainerPort(word(item, "name"), whole(item, "port"), word(item, "protocol", "TCP"))
        for item in items(tree, "ports")
    )


def with_backends(services: Iterable[Service], backends: Backends) -> tuple[Service, ...]:
    """Give every Service the backends that were read for it."""
    return tuple(
        replace(service, backends=tuple(backends[service.namespace, service.name]))
        if (service.namespace, service.name) in backends
        else service
        for service in services
    )


@dataclass(frozen=True, slots=True)
class NodePart:
    """What one object says of a node; a Node and a CiliumNode of one name make one node."""

    addresses: tuple[Address, ...] = ()
    health: tuple[Address, ...] = ()
    ingress: tuple[Address, ...] = ()
    labels: Mapping[str, str] | None = None


def read_node(body: Tree) -> NodePart:
    """Read a Kubernetes Node."""
    listed = [word(item, "address") for item in items(section(body, "status"), "addresses")]
    return NodePart(addresses(listed), labels=pairs(section(body, "metadata"), "labels"))


def read_cilium_node(body: Tree) -> NodePart:
    """Read a CiliumNode, which also knows the health and gateway addresses of its node."""
    spec = section(body, "spec")
    listed = [word(item, "ip") for item in items(spec, "addresses")]
    return NodePart(
        addresses(listed), _families(section(spec, "health")), _families(section(spec, "ingress"))
    )


def _families(tree: Tree) -> tuple[Address, ...]:
    return addresses([word(tree, "ipv4"), word(tree, "ipv6")])


def make_node(name: str, parts: Iterable[NodePart], api_server: frozenset[Address]) -> Node:
    """Join what is known of a node."""
    known = list(parts)
    own = tuple(dict.fromkeys(one for part in known for one in part.addresses))
    labels: dict[str, str] = {}
    for part in known:
        labels.update(part.labels or {})
    return Node(
        name,
        own,
        tuple(one for part in known for one in part.health),
        tuple(one for part in known for one in part.ingress),
        labels,
        runs_apiserver=bool(api_server & set(own)),
    )


def read_cidr_group(manifest: Manifest) -> tuple[CidrGroup, list[Notice]]:
    """Read a CiliumCIDRGroup; the agent skips what is no block."""
    blocks: list[Network] = []
    notices = []
    for index, text in enumerate(words(section(manifest.body, "spec"), "externalCIDRs")):
        try:
            if "/" not in text:
                raise ValueError  # noqa: TRY301  # one way out for both kinds of nonsense
            blocks.append(ip_network(text, strict=False))
        except ValueError:
            where = manifest.line_of(f"spec.externalCIDRs[{index}]")
            said = f"{manifest.ref}: `{text}` is no address block and is skipped"
            notices.append(Notice(said, manifest.file, where, manifest.ref))
    labels = pairs(section(manifest.body, "metadata"), "labels")
    return CidrGroup(manifest.ref.name, tuple(blocks), labels), notices


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway's own address, ports and host names."""

    addresses: tuple[Address, ...]
    ports: tuple[int, ...]
    hostnames: tuple[str, ...]


def read_gateway(body: Tree) -> Gateway:
    """Read a Gateway of the Gateway API."""
    listeners = list(items(section(body, "spec"), "listeners"))
    asked = [word(item, "value") for item in items(section(body, "spec"), "addresses")]
    given = [word(item, "value") for item in items(section(body, "status"), "addresses")]
    ports = dict.fromkeys(whole(item, "port") for item in listeners)
    names = (word(item, "hostname") for item in listeners)
    return Gateway(
        addresses([*given, *asked]),
        tuple(port for port in ports if port) or (HTTPS_PORT,),
        tuple(dict.fromkeys(name for name in names if name)),
    )


def read_route(
    manifest: Manifest, gateways: Mapping[tuple[str, str], Gateway]
) -> Iterator[GatewayRoute]:
    """Yield a route of the Gateway API once per Gateway it hangs on."""
    spec, ref = section(manifest.body, "spec"), manifest.ref
    rules = [(rule, tuple(_route_backends(rule, ref.namespace))) for rule in items(spec, "rules")]
    backends = (one for _, found in rules for one in found)
    behind = tuple(dict.fromkeys(backends))
    paths = tuple(path for rule, found in rules for path in _route_paths(rule, found))
    own = words(spec, "hostnames")
    for parent in items(spec, "parentRefs"):
        if word(parent, "kind", "Gateway") != "Gateway":
            continue
        key = (word(parent, "namespace") or ref.namespace, word(parent, "name"))
        gateway = gateways.get(key, Gateway((), (HTTPS_PORT,), ()))
        yield GatewayRoute(
            ref,
            "/".join(key),
            own or gateway.hostnames,
            behind,
            gateway.addresses,
            gateway.ports,
            manifest.source,
            paths,
        )


def _route_backends(rule: Tree, namespace: str) -> Iterator[RouteBackend]:
    for item in items(rule, "backendRefs"):
        if word(item, "kind", "Service") == "Service":
            name, port = word(item, "name"), whole(item, "port")
            yield word(item, "namespace") or namespace, name, port


def _route_paths(rule: Tree, backends: tuple[RouteBackend, ...]) -> Iterator[RoutePath]:
    matches = list(items(rule, "matches"))
    if not matches:
        yield RoutePath("/", backends)
    for match in matches:
        path = section(match, "path")
        kind = word(path, "type") or "PathPrefix"
        plain = set(match) <= {"path"} and kind in ("Exact", "PathPrefix")
        value = (word(path, "value") or "/") if plain else None
        yield RoutePath(value, backends, exact=kind == "Exact")


def read_ingress(manifest: Manifest) -> GatewayRoute:
    """Read an Ingress, which Cilium's own proxy serves like a Gateway."""
    spec, ref = section(manifest.body, "spec"), manifest.ref
    balancer = section(manifest.body, "status", "loadBalancer")
    paths = [
        section(path, "backend")
        for rule in items(spec, "rules")
        for path in items(section(rule, "http"), "paths")
    ]
    backends = (
        _ingress_backend(backend, ref.namespace)
        for backend in [section(spec, "defaultBackend"), *paths]
    )
    names = dict.fromkeys(word(rule, "host") for rule in items(spec, "rules"))
    secure = bool(list(items(spec, "tls")))
    return GatewayRoute(
        ref,
        f"{ref.namespace}/{word(spec, 'ingressClassName') or 'ingress'}",
        tuple(name for name in names if name),
        tuple(dict.fromkeys(backend for backend in backends if backend is not None)),
        addresses([word(item, "ip") for item in items(balancer, "ingress")]),
        (HTTP_PORT, HTTPS_PORT) if secure else (HTTP_PORT,),
        manifest.source,
    )


def _ingress_backend(tree: Tree, namespace: str) -> tuple[str, str, int] | None:
    service = section(tree, "service")
    name = word(service, "name")
    return (namespace, name, whole(section(service, "port"), "number")) if name else None
