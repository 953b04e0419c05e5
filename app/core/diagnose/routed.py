"""Which route of a gateway serves a name, and which Services stand behind it.

The most specific host name wins; where several routes share it, the path decides, then the older
route, then its name. Source: Gateway API v1 `HTTPRouteSpec.Hostnames`, `HTTPRouteRule.Matches`;
Cilium `operator/pkg/model/translation/envoy_virtual_host.go` (`sortRoutes`).
"""

from __future__ import annotations

from collections.abc import Iterable

from app.core.model.cluster import Address, Cluster, GatewayRoute, Service, ServicePort

GATEWAY_LABELS = ("gateway.networking.k8s.io/gateway-name", "io.cilium.gateway/owning-gateway")
INGRESS_SERVICE = "cilium-ingress"
MARKER = "192.192.192.192"
"""What Cilium writes as the backend of the Service before its own proxy; no host has it.

Source: Cilium `operator/pkg/model/translation/gateway-api/translator.go`, `ingress/
dedicated_ingress.go`.
"""


def hostname_fits(hostname: str, name: str) -> bool:
    """Say whether a route's host name serves `name`; a leading `*.` stands for one or more labels.

    Source: Gateway API v1 `Hostname`, `HTTPRouteSpec.Hostnames`.
    """
    hostname = hostname.rstrip(".").lower()
    if hostname.startswith("*."):
        return name.endswith(hostname[1:]) and len(name) > len(hostname) - 1
    return hostname == name


def serving(
    name: str, routes: Iterable[GatewayRoute], port: int | None = None
) -> tuple[GatewayRoute, ...]:
    """Give the routes with the most specific host name that serves `name`, the oldest first.

    Of those, where some listen on the asked port, only they.
    """
    found: dict[tuple[bool, int], list[GatewayRoute]] = {}
    for route in routes:
        fitting = [one for one in route.hostnames if hostname_fits(one, name)]
        if fitting:
            best = max((not one.startswith("*."), len(one)) for one in fitting)
            found.setdefault(best, []).append(route)
    if not found:
        return ()
    named = sorted(found[max(found)], key=_age)
    listening = [route for route in named if port in route.listener_ports]
    return tuple(listening or named)


def _age(route: GatewayRoute) -> tuple[bool, str, str, str]:
    return (not route.created, route.created, route.ref.namespace, route.ref.name)


def by_path(routes: tuple[GatewayRoute, ...], path: str) -> tuple[GatewayRoute, ...]:
    """Give the route whose path fits a request most closely; all where paths alone cannot say."""
    ranks = [route.rank(path) for route in routes]
    unclear = any(one.value is None for route in routes for one in route.paths)
    known = [rank for rank in ranks if rank is not None]
    if unclear or not known:
        return routes
    return (routes[ranks.index(max(known))],)


def services_behind(route: GatewayRoute, cluster: Cluster) -> tuple[tuple[Service, int], ...]:
    """The Services behind a route; one that is not there, or refused, is empty."""
    known = {(service.namespace, service.name): service for service in cluster.services}
    admitted = [backend for backend in route.backends if backend not in route.refused]
    found = [
        (known[namespace, name], number)
        for namespace, name, number in admitted
        if (namespace, name) in known
    ]
    if known and not found:
        found = [(_missing(*backend), backend[2]) for backend in route.backends]
    return tuple(found)


def _missing(namespace: str, name: str, number: int) -> Service:
    return Service(namespace, name, ports=(ServicePort(number, number),), backends=())


def why_missing(service: Service, cluster: Cluster) -> str:
    """Say why a route's Service, which was not read, leads nowhere."""
    for route in cluster.routes:
        if any(one[:2] == (service.namespace, service.name) for one in route.refused):
            return (
                f"no ReferenceGrant in `{service.namespace}` lets {route.ref.kind} "
                f"{route.ref.namespace}/{route.ref.name} use it, so the gateway answers 500"
            )
    return "a route leads to it, but no such Service was read (a chart may create it)"


def behind_front(service: Service, cluster: Cluster) -> tuple[GatewayRoute, ...] | None:
    """Give the routes behind a Service that Cilium made for a Gateway or an Ingress.

    None for every other Service. A shared Ingress Service stands before all of them.
    """
    if not is_front(service):
        return None
    own = [service.labels.get(label, "") for label in GATEWAY_LABELS]
    keys = {f"{service.namespace}/{name}" for name in own if name}
    if keys:
        return tuple(route for route in cluster.routes if route.gateway in keys)
    ingresses = [route for route in cluster.routes if route.ref.kind == "Ingress"]
    if service.name == INGRESS_SERVICE:
        return tuple(ingresses)
    named = service.name.removeprefix(f"{INGRESS_SERVICE}-")
    return tuple(
        route
        for route in ingresses
        if (route.ref.namespace, route.ref.name) == (service.namespace, named)
    )


def is_front(service: Service) -> bool:
    """Say whether Cilium's own proxy stands behind a Service, and no host."""
    backends = service.backends or ()
    if backends:
        return all(str(one.address) == MARKER for one in backends)
    own = service.name.startswith("cilium-gateway-") and GATEWAY_LABELS[1] in service.labels
    return not service.selector and (own or service.name.startswith(INGRESS_SERVICE))


def meshed(service: Service, cluster: Cluster) -> tuple[tuple[Service, int], ...]:
    """Give the Services that routes with this Service as their parent lead to instead (GAMMA).

    The client's identity stays: Cilium's proxy keeps the source address then.
    Source: Gateway API GEP-1426; Cilium `operator/pkg/model/translation/cec_translator.go`
    `shouldUseOriginalSourceAddress`.
    """
    if not cluster.config.gateway_api:
        return ()
    found = {
        (one.key, number): (one, number)
        for route in cluster.other_routes
        if route.parent == "Service" and route.gateway == service.key
        for one, number in services_behind(route, cluster)
        if one.key != service.key
    }
    return tuple(found.values())


def before_others(name: str, cluster: Cluster, port: int | None) -> tuple[GatewayRoute, ...]:
    """Give the routes of other controllers' gateways that serve a name."""
    return serving(name, (one for one in cluster.other_routes if one.controller), port)


def pods_of(route: GatewayRoute, cluster: Cluster) -> Service | None:
    """Find the Service of another controller's gateway, by its address or its labels."""
    namespace, _, name = route.gateway.partition("/")
    for service in cluster.services:
        if _shares(service.external_ips, route.addresses):
            return service
        named = service.labels.get(GATEWAY_LABELS[0]) == name and service.namespace == namespace
        owner = (
            service.labels.get("gateway.envoyproxy.io/owning-gateway-namespace"),
            service.labels.get("gateway.envoyproxy.io/owning-gateway-name"),
        )
        if named or owner == (namespace, name):
            return service
    return None


def _shares(some: tuple[Address, ...], others: tuple[Address, ...]) -> bool:
    return not set(some).isdisjoint(others)
