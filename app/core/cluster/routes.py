"""Host names served by the own gateway: Gateway API routes and Ingress objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.core.cluster.tree import Tree, addresses, items, section, whole, word, words
from app.core.model.cluster import Address, GatewayRoute, RouteBackend, RoutePath
from app.core.model.provenance import Manifest

HTTP_PORT, HTTPS_PORT = 80, 443


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
