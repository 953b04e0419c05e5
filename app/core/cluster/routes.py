"""Host names served by gateways: Gateway API routes and Ingress objects.

Cilium's own gateways and those of another controller are kept apart: behind the latter stand pods.
Source: Cilium `operator/pkg/gateway-api/controller.go` `controllerName`,
`operator/pkg/ingress/helpers.go`; Gateway API v1 `ListenerSpec`, `ParentReference`,
`ReferenceGrantSpec`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.core.cluster.redirects import selects
from app.core.cluster.tree import Tree, addresses, items, pairs, section, whole, word, words
from app.core.model.cluster import Address, GatewayRoute, Namespace, RouteBackend, RoutePath
from app.core.model.provenance import Manifest

HTTP_PORT, HTTPS_PORT = 80, 443
GATEWAY_CONTROLLER = "io.cilium/gateway-controller"
INGRESS_CONTROLLER = "cilium.io/ingress-controller"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
INGRESS_CLASS = "kubernetes.io/ingress.class"
_OWN_CLASS = "cilium"
_PROTOCOLS = {
    "HTTPRoute": ("HTTP", "HTTPS"),
    "GRPCRoute": ("HTTP", "HTTPS"),
    "TLSRoute": ("TLS",),
}


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a Gateway, and which namespaces' routes it takes."""

    name: str
    port: int
    protocol: str
    hostname: str = ""
    admits: str = "All"
    selector: Tree = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway's own address and listeners; `controller` is empty where it is Cilium's."""

    addresses: tuple[Address, ...] = ()
    listeners: tuple[Listener, ...] = ()
    controller: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """A ReferenceGrant: routes of a kind and namespace may use Services; no names: all of them."""

    namespace: str
    kind: str
    of: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What routes are read against; `grants` is None where no ReferenceGrant was read."""

    gateways: Mapping[tuple[str, str], Gateway]
    namespaces: Mapping[str, Namespace]
    grants: tuple[Grant, ...] | None = None


def read_class(manifest: Manifest) -> tuple[str, str, bool]:
    """Read a GatewayClass or IngressClass: name, controller, whether it is the default."""
    spec = section(manifest.body, "spec")
    said = pairs(section(manifest.body, "metadata"), "annotations").get(DEFAULT_CLASS, "")
    return (
        manifest.ref.name,
        word(spec, "controllerName") or word(spec, "controller"),
        said.lower() == "true",
    )


def read_grant(manifest: Manifest) -> list[Grant]:
    """Read a ReferenceGrant as far as it is about Services."""
    spec, found = section(manifest.body, "spec"), []
    to = [item for item in items(spec, "to") if word(item, "kind") == "Service"]
    names = frozenset(word(item, "name") for item in to)
    for item in items(spec, "from") if to else ():
        named = frozenset() if "" in names else names
        kind, of = word(item, "kind"), word(item, "namespace")
        found.append(Grant(manifest.ref.namespace, kind, of, named))
    return found


def read_gateway(body: Tree, classes: Mapping[str, str]) -> Gateway:
    """Read a Gateway of the Gateway API; `classes` gives the controllers of those known.

    A class that nobody read is Cilium's by its usual name.
    """
    spec = section(body, "spec")
    asked = [word(item, "value") for item in items(spec, "addresses")]
    given = [word(item, "value") for item in items(section(body, "status"), "addresses")]
    name = word(spec, "gatewayClassName")
    own = not name or classes.get(name, _by_name(name)) == GATEWAY_CONTROLLER
    return Gateway(
        addresses([*given, *asked]),
        tuple(_read_listener(item) for item in items(spec, "listeners")),
        "" if own else f"class {name}",
    )


def _by_name(name: str) -> str:
    return GATEWAY_CONTROLLER if name.startswith(_OWN_CLASS) else ""


def _read_listener(item: Tree) -> Listener:
    """Read a listener; the API server writes `Same` where nobody says which namespaces it takes.

    What was never given to an API server says nothing, and is taken to admit what hangs on it.
    """
    admitted = section(item, "allowedRoutes", "namespaces")
    return Listener(
        word(item, "name"),
        whole(item, "port"),
        word(item, "protocol"),
        word(item, "hostname").lower(),
        word(admitted, "from", "All"),
        section(admitted, "selector"),
    )


def read_route(manifest: Manifest, around: Surroundings) -> Iterator[GatewayRoute]:
    """Yield a route of the Gateway API once per Gateway it hangs on, and per Service (GAMMA).

    A Gateway that nobody read takes every route.
    """
    for parent in items(section(manifest.body, "spec"), "parentRefs"):
        kind = word(parent, "kind", "Gateway")
        space = word(parent, "namespace") or manifest.ref.namespace
        key = (space, word(parent, "name"))
        if kind == "Service":
            yield _make_route(manifest, key, Gateway(), (), around)
        if kind != "Gateway":
            continue
        gateway = around.gateways.get(key)
        if gateway is None:
            yield _make_route(manifest, key, Gateway(), (), around)
            continue
        taken = tuple(_taken_by(manifest, parent, gateway, key[0], around))
        if taken or not gateway.listeners:
            yield _make_route(manifest, key, gateway, taken, around)


def _make_route(
    manifest: Manifest,
    key: tuple[str, str],
    gateway: Gateway,
    listeners: tuple[Listener, ...],
    around: Surroundings,
) -> GatewayRoute:
    spec, ref = section(manifest.body, "spec"), manifest.ref
    rules = [(rule, tuple(_route_backends(rule, ref.namespace))) for rule in items(spec, "rules")]
    named = tuple(dict.fromkeys(one for _, found in rules for one in found))
    ports = tuple(dict.fromkeys(one.port for one in listeners if one.port))
    return GatewayRoute(
        ref,
        "/".join(key),
        _hostnames(words(spec, "hostnames"), listeners),
        named,
        gateway.addresses,
        ports or (HTTPS_PORT,),
        manifest.source,
        tuple(path for rule, found in rules for path in _route_paths(rule, found)),
        controller=gateway.controller,
        created=word(section(manifest.body, "metadata"), "creationTimestamp"),
        refused=tuple(one for one in named if not _is_granted(manifest, one, around.grants)),
        assumed=tuple(one for one in named if one[0] != ref.namespace and around.grants is None),
        parent="Service" if not listeners and _has_service(spec, key) else "Gateway",
    )


def _has_service(spec: Tree, key: tuple[str, str]) -> bool:
    return any(
        word(item, "kind") == "Service" and word(item, "name") == key[1]
        for item in items(spec, "parentRefs")
    )


def _hostnames(own: tuple[str, ...], listeners: tuple[Listener, ...]) -> tuple[str, ...]:
    """The names that both the route and one of its listeners serve; the narrower of each two."""
    served = tuple(dict.fromkeys(one.hostname for one in listeners))
    if not own or not served:
        return own or tuple(name for name in served if name)
    found = (narrower(mine, theirs) for mine in own for theirs in served)
    return tuple(dict.fromkeys(name for name in found if name))


def narrower(one: str, other: str) -> str:
    """Give the host names that two patterns both hold, as one pattern; empty: there are none.

    Source: Gateway API v1 `HTTPRouteSpec.Hostnames`.
    """
    one, other = one.rstrip(".").lower(), other.rstrip(".").lower()
    if not one or not other or one == other:
        return one or other
    wide, narrow = (one, other) if one.startswith("*.") else (other, one)
    if one.startswith("*.") and other.startswith("*."):
        wide, narrow = sorted((one, other), key=len)
    fits = wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:])
    return narrow if fits and len(narrow) > len(wide) - 1 else ""


def _taken_by(
    manifest: Manifest, parent: Tree, gateway: Gateway, namespace: str, around: Surroundings
) -> Iterator[Listener]:
    """The listeners that a route hangs on: by name, port, protocol, host name and namespace."""
    spec, ref = section(manifest.body, "spec"), manifest.ref
    section_name, port = word(parent, "sectionName"), whole(parent, "port")
    names = words(spec, "hostnames")
    for one in gateway.listeners:
        named = section_name in ("", one.name) and port in (0, one.port)
        spoken = not one.protocol or one.protocol in _PROTOCOLS.get(ref.kind, (one.protocol,))
        served = not names or any(narrower(name, one.hostname) for name in names)
        if named and spoken and served and _admits(one, ref.namespace, namespace, around):
            yield one


def _admits(listener: Listener, of: str, own: str, around: Surroundings) -> bool:
    if listener.admits == "Selector":
        known = around.namespaces.get(of)
        return known is None or selects(listener.selector, known.labels)
    return listener.admits == "All" or of == own


def _is_granted(
    manifest: Manifest, backend: RouteBackend, grants: tuple[Grant, ...] | None
) -> bool:
    """Whether a route may use a Service of another namespace; not known counts as yes."""
    namespace, name, _ = backend
    own = manifest.ref.namespace
    if namespace == own or grants is None:
        return True
    return any(
        (one.namespace, one.kind, one.of) == (namespace, manifest.ref.kind, own)
        and (not one.names or name in one.names)
        for one in grants
    )


def _route_backends(rule: Tree, namespace: str) -> Iterator[RouteBackend]:
    for item in items(rule, "backendRefs"):
        if word(item, "kind", "Service") == "Service" and item.get("weight") != 0:
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


def is_own_ingress(body: Tree, classes: Mapping[str, str], default: str) -> str:
    """Give the class of an Ingress that is another controller's; empty where it is Cilium's.

    Without a class it is that of the default one, where one was read.
    Source: Cilium `operator/pkg/ingress/helpers.go` `isCiliumManagedIngress`.
    """
    spec, metadata = section(body, "spec"), section(body, "metadata")
    annotated = pairs(metadata, "annotations").get(INGRESS_CLASS, "")
    name = word(spec, "ingressClassName") or annotated or default
    if not name or classes.get(name, "") == INGRESS_CONTROLLER:
        return ""
    return "" if name not in classes and name == _OWN_CLASS else f"class {name}"


def read_ingress(manifest: Manifest, controller: str = "") -> list[GatewayRoute]:
    """Read an Ingress, one route for each host name; the default backend answers for none."""
    spec, ref = section(manifest.body, "spec"), manifest.ref
    balancer = section(manifest.body, "status", "loadBalancer")
    secure = bool(list(items(spec, "tls")))
    default = _ingress_backend(section(spec, "defaultBackend"), ref.namespace)
    by_host: dict[str, list[RoutePath]] = {}
    for rule in items(spec, "rules"):
        if paths := list(_ingress_paths(section(rule, "http"), ref.namespace)):
            by_host.setdefault(word(rule, "host").lower(), []).extend(paths)
    if default is not None:
        for paths in by_host.values():
            paths.append(RoutePath("/", (default,)))
        by_host = by_host or {"": [RoutePath("/", (default,))]}
    return [
        GatewayRoute(
            ref,
            f"{ref.namespace}/{word(spec, 'ingressClassName') or 'ingress'}",
            (host,) if host else (),
            tuple(dict.fromkeys(one for path in paths for one in path.backends)),
            addresses([word(item, "ip") for item in items(balancer, "ingress")]),
            (HTTP_PORT, HTTPS_PORT) if secure else (HTTP_PORT,),
            manifest.source,
            tuple(paths),
            controller=controller,
        )
        for host, paths in by_host.items()
    ]


def _ingress_paths(tree: Tree, namespace: str) -> Iterator[RoutePath]:
    for item in items(tree, "paths"):
        backend = _ingress_backend(section(item, "backend"), namespace)
        if backend is not None:
            exact = word(item, "pathType") == "Exact"
            yield RoutePath(word(item, "path") or "/", (backend,), exact=exact)


def _ingress_backend(tree: Tree, namespace: str) -> RouteBackend | None:
    service = section(tree, "service")
    name = word(service, "name")
    return (namespace, name, whole(section(service, "port"), "number")) if name else None
