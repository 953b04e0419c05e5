"""What the named ends of a connection are in a cluster: pods, backends, nodes, the outside.

A Service is its ready backends, an address is whatever the cluster knows it as, a name is the
Service or route it belongs to before it is anything outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from app.core.cluster.identity import identity_labels
from app.core.diagnose.naming import FORMS, parse_end, parse_port, parse_request
from app.core.diagnose.routed import (
    before_others,
    behind_front,
    meshed,
    pods_of,
    services_behind,
    serving,
)
from app.core.diagnose.services import (
    Backend,
    backends_of,
    no_such_port,
    service_names,
    service_port,
)
from app.core.errors import Ambiguous, NotFound
from app.core.model.asked import AskedPort, End, EndKind
from app.core.model.cluster import (
    Address,
    Cluster,
    Endpoint,
    GatewayRoute,
    IdentityKind,
    LocalRedirect,
    Node,
    Service,
    ServicePort,
)
from app.core.model.verdict import Peer, Protocol
from app.core.policy.engine import Engine
from app.core.policy.outside import CLUSTER_DOMAIN
from app.core.text import clean

__all__ = [
    "AskedPort",
    "End",
    "EndKind",
    "ResolvedEnd",
    "parse_end",
    "parse_port",
    "parse_request",
    "resolve",
]  # fmt: skip

_MOST_CHOICES = 12
_FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class ResolvedEnd:
    """One thing an end stands for.

    `endpoint` is the pod, also one without a policy of its own. Behind a Service `port` and
    `protocol` are those of the pod (None: the Service does not say which). `name` is the name that
    was asked for, `frontend` the address in front of a Service or gateway, `route` the route of the
    own gateway that leads here, `redirect` the policy that sends connections here instead.
    """

    peer: Peer
    text: str
    endpoint: Endpoint | None = None
    service: Service | None = None
    service_port: ServicePort | None = None
    port: int | None = None
    protocol: Protocol | None = None
    ready: bool = True
    name: str = ""
    frontend: Address | None = None
    route: GatewayRoute | None = None
    redirect: LocalRedirect | None = None


def resolve(end: End, engine: Engine, port: AskedPort | None = None) -> tuple[ResolvedEnd, ...]:
    """Give everything that `end` stands for.

    A Service without a ready backend gives its unready ones (`ready` False), one without any
    nothing. Raises `NotFound`, or `Ambiguous` with the choices.
    """
    port = _both(end.port, port)
    if end.kind in _BY_KIND:
        return _BY_KIND[end.kind](end, engine)
    if end.kind is EndKind.SERVICE:
        service = find_service(end.namespace, end.name, engine.cluster)
        return of_service(service, engine, port)
    if end.kind is EndKind.NAME:
        if (pod := _pod_of_name(end, engine, port)) is not None:
            return (of_endpoint(pod, engine),)
        return of_name(end.name, engine, address=end.address, port=port)
    return of_address(_known(end.address), engine, port)


def _both(own: AskedPort | None, port: AskedPort | None) -> AskedPort | None:
    """The port written at the end itself; the protocol may stand beside the port alone."""
    if own is None or port is None or own.protocol is not None:
        return own or port
    return port if (own.number, own.name) == (port.number, port.name) else own


def _known(address: Address | None) -> Address:
    if address is None:
        raise AssertionError("an address end has an address")
    return address


def of_endpoint(endpoint: Endpoint, engine: Engine) -> ResolvedEnd:
    """A pod or a workload's template."""
    peer = engine.peer_of(endpoint)
    return ResolvedEnd(peer, endpoint.key, endpoint, ready=endpoint.ready)


def _pod(end: End, engine: Engine) -> tuple[ResolvedEnd, ...]:
    return (of_endpoint(find_pod(end.namespace, end.name, engine.cluster), engine),)


def _pod_of_name(end: End, engine: Engine, port: AskedPort | None) -> Endpoint | None:
    """The pod of a bare `POD.NS`, which is no name that DNS knows; None where it is a name.

    `fqdn:` in front says that a name is meant. Raises `NotFound` where the namespace is there and
    no pod or Service of it is called so: as a name outside it would be answered, and wrongly.
    """
    if not end.text.startswith("fqdn:"):
        _refuse_misspelt(end.name, engine.cluster)
    name, dot, namespace = end.name.rpartition(".")
    if not dot or end.address is not None or end.text.startswith("fqdn:"):
        return None
    if namespace not in engine.cluster.namespaces or engine.cluster.learned_names.get(end.name):
        return None
    if _in_cluster(end.name, engine, port) is not None:
        return None
    try:
        return find_pod(namespace, name, engine.cluster)
    except Ambiguous:
        raise
    except NotFound as error:
        raise NotFound(
            f"no pod or Service `{clean(name)}` in `{namespace}`",
            hint=f"fqdn:{clean(end.name)} asks for a name outside the cluster; {error.hint}",
        ) from error


def _refuse_misspelt(name: str, cluster: Cluster) -> None:
    """Raise `NotFound` for a Service's name under a domain that is nearly the cluster's."""
    head, found, domain = name.rpartition(".svc.")
    if not found or domain == CLUSTER_DOMAIN or cluster.learned_names.get(name):
        return
    labels = head.split(".")[-2:]
    right = f"{head}.svc.{CLUSTER_DOMAIN}"
    if labels[-1] in cluster.namespaces and service_of_name(right, cluster) is not None:
        raise NotFound(
            f"`{clean(domain)}` is not the domain of this cluster",
            hint=f"{clean(right)} is a Service; fqdn:{clean(name)} asks for a name outside",
        )


def find_pod(namespace: str, name: str, cluster: Cluster) -> Endpoint:
    """Find a pod by name or unique prefix; finished pods count only when nothing else fits.

    Without a namespace it is looked for in all of them.
    """
    here = [one for one in cluster.endpoints if not namespace or one.namespace == namespace]
    exact = [endpoint for endpoint in here if endpoint.name == name]
    fitting = exact or [endpoint for endpoint in here if endpoint.name.startswith(name)]
    alive = [endpoint for endpoint in fitting if endpoint.phase not in _FINISHED] or fitting
    if not alive:
        raise _no_pod(namespace, name, here, cluster)
    if len(alive) > 1 and (not exact or not namespace):
        raise _ambiguous(f"{namespace}/{name}".removeprefix("/"), alive)
    return alive[0]


def _ambiguous(text: str, endpoints: Iterable[Endpoint]) -> Ambiguous:
    keys = sorted(endpoint.key for endpoint in endpoints)
    shown = ", ".join(keys[:_MOST_CHOICES])
    more = f" and {len(keys) - _MOST_CHOICES} more" if len(keys) > _MOST_CHOICES else ""
    return Ambiguous(
        f"`{clean(text)}` fits {len(keys)} pods: {shown}{more}",
        hint="write more of the name, or deploy:, sts:, ds: or label: for any of them",
        choices=tuple(keys),
    )


def _no_pod(namespace: str, name: str, here: list[Endpoint], cluster: Cluster) -> NotFound:
    if not namespace:
        close = get_close_matches(name, sorted({one.name for one in here}), n=3, cutoff=0.5)
        tail = f"; did you mean {' or '.join(f'`{one}`' for one in close)}?" if close else ""
        return NotFound(f"no pod is called `{clean(name)}`", hint=f"{FORMS}{tail}")
    if not here:
        known = sorted({*cluster.namespaces, *(e.namespace for e in cluster.endpoints)})
        hint = near_names(namespace, known, "namespaces")
        if namespace in known:
            hint = "label:NS/k=v asks for a pod that is not there"
        return NotFound(f"no pod in namespace `{clean(namespace)}`", hint=hint)
    names = sorted(endpoint.name for endpoint in here)
    return NotFound(
        f"no pod `{clean(name)}` in `{clean(namespace)}`", hint=near_names(name, names, "pods")
    )


def near_names(wanted: str, names: list[str], what: str) -> str:
    """A hint: the names nearest to the one that was asked for, else those that there are."""
    close = get_close_matches(wanted, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(f'`{name}`' for name in close)}?"
    return f"{what} here: {', '.join(names[:_MOST_CHOICES])}" if names else f"there are no {what}"


def _workload(end: End, engine: Engine) -> tuple[ResolvedEnd, ...]:
    members = [
        endpoint
        for endpoint in engine.cluster.endpoints
        if endpoint.namespace == end.namespace
        and endpoint.workload is not None
        and endpoint.workload.name == end.name
        and endpoint.workload.kind in end.workload_kinds
    ]
    alive = [endpoint for endpoint in members if endpoint.phase not in _FINISHED] or members
    if not alive:
        names = {
            endpoint.workload.name
            for endpoint in engine.cluster.endpoints
            if endpoint.namespace == end.namespace
            and endpoint.workload is not None
            and endpoint.workload.kind in end.workload_kinds
        }
        kind = end.workload_kinds[0]
        raise NotFound(
            f"no {kind} `{clean(end.name)}` in `{clean(end.namespace)}`",
            hint=near_names(end.name, sorted(names), f"{kind}s"),
        )
    return tuple(of_endpoint(endpoint, engine) for endpoint in alive)


def _labels(end: End, engine: Engine) -> tuple[ResolvedEnd, ...]:
    wanted = {key.removeprefix("k8s:"): value for key, value in end.labels}
    fitting = [
        endpoint
        for endpoint in engine.cluster.endpoints
        if endpoint.namespace == end.namespace
        and endpoint.phase not in _FINISHED
        and wanted.items() <= endpoint.pod_labels.items()
    ]
    if fitting:
        return tuple(of_endpoint(endpoint, engine) for endpoint in fitting)
    return (replace(of_endpoint(hypothetical(end.namespace, wanted, engine), engine),
                    text=end.text),)  # fmt: skip


def hypothetical(namespace: str, labels: dict[str, str], engine: Engine) -> Endpoint:
    """A pod that does not exist yet, with the identity Cilium would give it."""
    identity = identity_labels(labels, namespace, engine.cluster)
    shown = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return Endpoint(namespace, f"({shown})", identity, pod_labels=labels, template=True)


def _entity(end: End, engine: Engine) -> tuple[ResolvedEnd, ...]:
    """A reserved identity; nodes one by one where the host firewall gives each its own policy."""
    kind = IdentityKind(end.name)
    known = engine.hosts() if kind is IdentityKind.HOST else engine.nodes_with_policy()
    nodes = [peer for peer in known if peer.kind is kind]
    if not nodes:
        return (ResolvedEnd(engine.peer_of_entity(end.name), end.text),)
    return tuple(ResolvedEnd(peer, peer.text) for peer in nodes)


def find_service(namespace: str, name: str, cluster: Cluster) -> Service:
    """Find a Service by its full name."""
    here = [service for service in cluster.services if service.namespace == namespace]
    for service in here:
        if service.name == name:
            return service
    names = sorted(service.name for service in here)
    raise NotFound(
        f"no Service `{clean(name)}` in `{clean(namespace)}`",
        hint=near_names(name, names, "Services"),
    )


def of_service(service: Service, engine: Engine, port: AskedPort | None) -> tuple[ResolvedEnd, ...]:
    """Every ready backend of a Service, each with the port of the pod; else the unready ones."""
    if service.external_name:
        return _of_external_name(service, engine, port)
    if (front := behind_front(service, engine.cluster)) is not None:
        gateway = ResolvedEnd(
            engine.peer_of_entity("ingress"), f"the gateway's Service {service.key}"
        )
        return _of_routes(front, engine) or (gateway,)
    asked = service_port(service, port)
    if instead := meshed(service, engine.cluster):
        found = [of_service(one, engine, AskedPort(number)) for one, number in instead]
        return tuple(end for ends in found for end in ends)
    if service.is_headless and asked is None and port is not None:
        return _of_headless(service, engine)
    if no_such_port(service, port, engine.cluster):
        return ()
    backends = backends_of(service, asked, engine.cluster)
    ready = [backend for backend in backends if backend.ready]
    return tuple(_of_backend(backend, service, asked, engine) for backend in ready or backends)


def _of_headless(service: Service, engine: Engine) -> tuple[ResolvedEnd, ...]:
    """The pods behind a headless Service: its name gives their addresses, no port is translated.

    Source: Kubernetes `ServiceSpec.clusterIP` (None), DNS specification 1.1.0 section 2.4.
    """
    backends = backends_of(service, None, engine.cluster)
    ready = [backend for backend in backends if backend.ready]
    return tuple(_of_backend(backend, service, None, engine) for backend in ready or backends)


def _of_external_name(
    service: Service, engine: Engine, port: AskedPort | None
) -> tuple[ResolvedEnd, ...]:
    """What an ExternalName Service leads to, under the name that is asked for: the Service's own.

    The answer is a CNAME, and the proxy learns its addresses for the name in the question only.
    Source: Kubernetes DNS specification 1.1.0 section 2.5; Cilium `pkg/fqdn/dnsproxy/helpers.go`
    `ExtractMsgDetails`.
    """
    target = service.external_name.rstrip(".").lower()
    asked = service_names(service)[-1]
    known = engine.cluster.learned_names
    addresses = known.get(asked) or known.get(target) or ()
    ends = of_name(target, engine, address=next(iter(addresses), None), port=port)
    return tuple(replace(_renamed(end, asked, target), service=service) for end in ends)


def _renamed(end: ResolvedEnd, asked: str, target: str) -> ResolvedEnd:
    """Give an end outside the name that was asked for in place of the one it stands for."""
    if end.peer.kind is not IdentityKind.WORLD:
        return replace(end, name=asked)
    text = f"{asked} ({end.peer.address})" if end.peer.address else asked
    peer = replace(end.peer, names=(end.peer.names - {target}) | {asked}, text=text)
    return replace(end, peer=peer, name=asked, text=text)


def _of_backend(
    backend: Backend, service: Service, asked: ServicePort | None, engine: Engine
) -> ResolvedEnd:
    if backend.endpoint is not None:
        end = of_endpoint(backend.endpoint, engine)
    else:
        end = ResolvedEnd(engine.peer_of_address(_known(backend.address)), str(backend.address))
    protocol = Protocol(asked.protocol) if asked else None
    return replace(
        end,
        service=service,
        service_port=asked,
        port=backend.port,
        protocol=protocol,
        ready=backend.ready,
    )


def of_address(
    address: Address, engine: Engine, port: AskedPort | None = None
) -> tuple[ResolvedEnd, ...]:
    """Whatever the cluster knows an address as."""
    cluster = engine.cluster
    for endpoint in cluster.endpoints:
        if not endpoint.host_network and address in endpoint.addresses:
            return (of_endpoint(endpoint, engine),)
    routes = [route for route in cluster.routes if address in route.addresses]
    if len(routes) == 1:
        return _of_route(routes[0], engine, address)
    if routes:
        gateway = engine.peer_of_entity("ingress")
        return (ResolvedEnd(gateway, f"gateway {address}", frontend=address),)
    for service in cluster.services:
        if address in service.cluster_ips or address in service.external_ips:
            found = of_service(service, engine, port)
            return tuple(replace(end, frontend=address) for end in found)
    if at_node := _at_node(address, engine, port):
        return at_node
    names = _names_of(address, cluster)
    return (ResolvedEnd(engine.peer_of_address(address, names), _with_names(address, names)),)


def _at_node(address: Address, engine: Engine, port: AskedPort | None) -> tuple[ResolvedEnd, ...]:
    """What stands behind a port of a node: a Service's backends, or a pod; nothing for the rest."""
    if (behind := _node_port(address, engine, port)) is not None:
        service, own = behind
        ends = of_service(service, engine, AskedPort(own.port, protocol=Protocol(own.protocol)))
        return tuple(replace(end, frontend=address) for end in ends)
    pod = _host_port(address, engine, port)
    return (replace(pod, frontend=address),) if pod is not None else ()


def _node_port(
    address: Address, engine: Engine, port: AskedPort | None
) -> tuple[Service, ServicePort] | None:
    """The Service behind a port of a node, which is translated when a pod connects.

    Source: Cilium `bpf/bpf_sock.c` `sock4_wildcard_lookup`, with kube-proxy replaced.
    """
    cluster = engine.cluster
    nodes = {known for node in cluster.nodes for known in node.addresses}
    if port is None or not port.number or address not in nodes:
        return None
    if not cluster.config.kube_proxy_replacement:
        return None
    for service in cluster.services:
        for own in service.ports:
            if own.node_port == port.number and port.protocol in (None, Protocol(own.protocol)):
                return service, own
    return None


def _host_port(address: Address, engine: Engine, port: AskedPort | None) -> ResolvedEnd | None:
    """The pod that takes a port of its node.

    Source: Kubernetes `ContainerPort.hostPort`; Cilium `Documentation/network/kubernetes/
    kubeproxy-free.rst` (Container HostPort Support).
    """
    if port is None or not port.number:
        return None
    nodes = {node.name for node in engine.cluster.nodes if address in node.addresses}
    for pod in engine.cluster.endpoints:
        if pod.node not in nodes or pod.host_network or pod.phase in _FINISHED:
            continue
        for own in pod.ports:
            if own.host_port == port.number and port.protocol in (None, Protocol(own.protocol)):
                end = of_endpoint(pod, engine)
                return replace(end, port=own.port, protocol=Protocol(own.protocol))
    return None


def _names_of(address: Address, cluster: Cluster) -> frozenset[str]:
    return frozenset(
        name for name, addresses in cluster.learned_names.items() if address in addresses
    )


def _with_names(address: Address, names: frozenset[str]) -> str:
    return f"{address} ({min(names)})" if names else str(address)


def of_name(
    name: str, engine: Engine, *, address: Address | None = None, port: AskedPort | None = None
) -> tuple[ResolvedEnd, ...]:
    """What a name means: a Service, a route of the own gateway, or something outside.

    A name outside whose address nobody knows is one end without an address.
    """
    inside = _in_cluster(name, engine, port)
    if inside is not None:
        return inside
    addresses = (address,) if address else engine.cluster.learned_names.get(name, ())
    if not addresses:
        world = engine.peer_of_entity("world")
        peer = replace(world, text=name, names=frozenset({name}))
        return (ResolvedEnd(peer, name, name=name),)
    ends = [end for known in addresses for end in of_address(known, engine, port)]
    return tuple(_named(end, name) for end in ends)


def _named(end: ResolvedEnd, name: str) -> ResolvedEnd:
    """Give an end the name it was asked by; only what is outside can be learned under a name."""
    if end.peer.kind is not IdentityKind.WORLD:
        return replace(end, name=name)
    peer = replace(end.peer, names=end.peer.names | {name}, text=f"{name} ({end.peer.address})")
    return replace(end, name=name, peer=peer, text=peer.text)


def _in_cluster(
    name: str, engine: Engine, port: AskedPort | None
) -> tuple[ResolvedEnd, ...] | None:
    cluster = engine.cluster
    found = service_of_name(name, cluster)
    if found is not None:
        service, pod = found
        ends = of_service(service, engine, port)
        chosen = [end for end in ends if end.endpoint is not None and end.endpoint.name == pod]
        asked = f"{pod}." * bool(pod) + service_names(service)[-1]
        return tuple(replace(end, name=asked) for end in (chosen if pod and chosen else ends))
    number = port.number if port is not None else None
    routes = serving(name, cluster.routes, number)
    if routes:
        return _of_routes(routes, engine, name)
    for other in before_others(name, cluster, number):
        if (front := pods_of(other, cluster)) is not None:
            return tuple(replace(end, name=name) for end in of_service(front, engine, port))
    return None


def _of_routes(
    routes: tuple[GatewayRoute, ...], engine: Engine, name: str = ""
) -> tuple[ResolvedEnd, ...]:
    ends = [end for route in routes for end in _of_route(route, engine, None)]
    return tuple(replace(end, name=name) for end in ends) if name else tuple(ends)


def node_of_block(end: ResolvedEnd, cluster: Cluster) -> Node | None:
    """Give the node from whose block of pod addresses an address is that nobody has."""
    address = end.peer.address
    if end.peer.kind is not IdentityKind.WORLD or address is None:
        return None
    return next(
        (node for node in cluster.nodes if any(address in block for block in node.pod_blocks)), None
    )


def service_of_name(name: str, cluster: Cluster) -> tuple[Service, str] | None:
    """The Service of `[POD.]SERVICE.NS.svc[.cluster.local]`, with the pod where one is named.

    `SERVICE.NS` is found too, as the search list of a pod does; the whole name is asked for then.
    Source: Kubernetes DNS specification 1.1.0; `pkg/kubelet/network/dns` (search list).
    """
    inside = name.removesuffix(f".{CLUSTER_DOMAIN}")
    short = inside.removesuffix(".svc")
    parts = short.split(".")
    if short == inside and (inside != name or len(parts) > 2):  # noqa: PLR2004  # service, namespace
        return None
    if len(parts) not in (2, 3):
        return None
    service, namespace = parts[-2:]
    pod = "".join(parts[:-2])
    for candidate in cluster.services:
        if (candidate.namespace, candidate.name) == (namespace, service):
            return candidate, pod
    return None


def _of_route(
    route: GatewayRoute, engine: Engine, address: Address | None
) -> tuple[ResolvedEnd, ...]:
    """The backends of a route; the gateway itself where the route has none of ours."""
    frontend = address or (route.addresses[0] if route.addresses else None)
    ends: list[ResolvedEnd] = []
    services = services_behind(route, engine.cluster)
    for service, number in services:
        ends += of_service(service, engine, AskedPort(number))
    if not services:
        gateway = engine.peer_of_entity("ingress")
        ends = [ResolvedEnd(gateway, f"gateway {route.gateway}")]
    return tuple(replace(end, route=route, frontend=frontend) for end in ends)


def service_asked(end: End, cluster: Cluster) -> Service | None:
    """The Service that an end leads to, also when nothing stands behind it; None for others."""
    if end.kind is EndKind.SERVICE:
        return find_service(end.namespace, end.name, cluster)
    if end.kind is EndKind.NAME:
        if (found := service_of_name(end.name, cluster)) is not None:
            return found[0]
        for route in serving(end.name, cluster.routes):
            return next((service for service, _ in services_behind(route, cluster)), None)
    for service in cluster.services:
        if end.address in (*service.cluster_ips, *service.external_ips):
            return service
    return None


_BY_KIND: dict[EndKind, Callable[[End, Engine], tuple[ResolvedEnd, ...]]] = {
    EndKind.POD: _pod,
    EndKind.WORKLOAD: _workload,
    EndKind.LABEL: _labels,
    EndKind.ENTITY: _entity,
}
