"""What stands behind a Service: its backends, ready or not, and the port of the pod.

Policies see the backend's address and port, never the Service's.
Source: Kubernetes `discovery.k8s.io/v1` EndpointSlice; Cilium `pkg/loadbalancer`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.core.errors import UsageError
from app.core.model.asked import AskedPort
from app.core.model.cluster import (
    Address,
    BackendAddress,
    Cluster,
    Endpoint,
    Service,
    ServicePort,
)
from app.core.text import clean

_FINISHED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Backend:
    """One backend. `port` is None where the target port's name is not declared by the pod."""

    endpoint: Endpoint | None
    address: Address | None
    port: int | None
    ready: bool
    leaves: bool = False


def service_port(service: Service, port: AskedPort | None) -> ServicePort | None:
    """Choose the port of a Service that was asked for; None when it has none, or no such one.

    Raises `UsageError` when none was asked for and there are several.
    """
    if not service.ports:
        return None
    if port is None or (port.number is None and not port.name):
        return _only_port(service)
    return next((own for own in service.ports if _fits(own, port)), None)


def no_such_port(service: Service, port: AskedPort | None, cluster: Cluster) -> str:
    """Say that a Service has no such port, and which it has; empty where it has.

    A Service's own address takes connections at the Service's ports only; a headless one has none.
    Source: Kubernetes `ServiceSpec.ports`; Cilium `bpf/lib/lb.h` (DROP_NO_SERVICE).
    """
    if service.is_headless or not service.ports or service_port(service, port) is not None:
        return ""
    said = f"Service {service.key} has no port {clean(str(port))}: {listed_ports(service)}"
    for own in service.ports:
        if port is not None and _is_target(own, port, service, cluster):
            return f"{said}; {own.port} is the one that leads to the pods' port {clean(str(port))}"
    return said


def _only_port(service: Service) -> ServicePort:
    numbers = {own.port for own in service.ports}
    if len(numbers) > 1:
        raise UsageError(f"which port of Service `{service.key}`?", hint=listed_ports(service))
    return service.ports[0]


def listed_ports(service: Service) -> str:
    """Say which ports a Service has."""
    shown = [f"{p.port}/{p.protocol}" + (f" ({p.name})" if p.name else "") for p in service.ports]
    return f"it has {', '.join(shown)}"


def _fits(own: ServicePort, port: AskedPort) -> bool:
    if port.protocol is not None and port.protocol.value != own.protocol:
        return False
    return own.port == port.number if port.number is not None else own.name == port.name


def _is_target(own: ServicePort, port: AskedPort, service: Service, cluster: Cluster) -> bool:
    if port.protocol is not None and port.protocol.value != own.protocol:
        return False
    if port.number is None or isinstance(own.target, int):
        return own.target == (port.number if port.number is not None else port.name)
    return any(backend.port == port.number for backend in backends_of(service, own, cluster))


def backends_of(
    service: Service, asked: ServicePort | None, cluster: Cluster
) -> tuple[Backend, ...]:
    """Every backend, from EndpointSlices where they are known, else by the Service's selector.

    A slice that calls a pod ready lags behind a pod that says it is not. Where none is ready,
    those that terminate and serve still are sent to.
    Source: Kubernetes `staging/src/k8s.io/endpointslice/utils.go` `podToEndpoint`; Cilium
    `pkg/loadbalancer/reconciler/bpf_reconciler.go` (fallback to terminating backends).
    """
    if service.backends is not None:
        found = [_from_slice(address, asked, cluster) for address in service.backends]
    else:
        found = [_from_pod(endpoint, asked) for endpoint in selected_by(service, cluster)]
    sent = tuple(replace(one, ready=_is_sent_to(one, service)) for one in found)
    if any(one.ready for one in sent):
        return sent
    return tuple(replace(one, ready=one.leaves) for one in sent)


def _is_sent_to(backend: Backend, service: Service) -> bool:
    """Whether the Service sends to a backend: its pod must be ready too where one is known."""
    if service.publishes_unready:
        return True
    return backend.ready and (backend.endpoint is None or backend.endpoint.ready)


def _from_pod(endpoint: Endpoint, asked: ServicePort | None) -> Backend:
    address = endpoint.addresses[0] if endpoint.addresses else None
    return Backend(endpoint, address, target_port(endpoint, asked), endpoint.ready)


def selected_by(service: Service, cluster: Cluster) -> tuple[Endpoint, ...]:
    """The unfinished pods that a Service selects; none for one without a selector."""
    if not service.selector:
        return ()
    wanted = service.selector.items()
    return tuple(
        endpoint
        for endpoint in cluster.endpoints
        if endpoint.namespace == service.namespace
        and endpoint.phase not in _FINISHED
        and wanted <= endpoint.pod_labels.items()
    )


def _from_slice(address: BackendAddress, asked: ServicePort | None, cluster: Cluster) -> Backend:
    endpoint = _endpoint_at(address, cluster)
    port = _slice_port(address, asked, endpoint)
    return Backend(endpoint, address.address, port, address.ready, address.leaves)


def _endpoint_at(address: BackendAddress, cluster: Cluster) -> Endpoint | None:
    for endpoint in cluster.endpoints:
        if address.address in endpoint.addresses and (
            not endpoint.host_network or endpoint.name == address.pod
        ):
            return endpoint
    return None


def _slice_port(
    address: BackendAddress, asked: ServicePort | None, endpoint: Endpoint | None
) -> int | None:
    """The number a slice gives for a Service's port, which it calls by the Service port's name."""
    if asked is None:
        return None
    for port in address.ports:
        if port.name == asked.name and port.protocol == asked.protocol:
            return port.port
    return target_port(endpoint, asked)


def target_port(endpoint: Endpoint | None, asked: ServicePort | None) -> int | None:
    """The pod's port behind a Service's port; None when the pod does not declare that name."""
    if asked is None:
        return None
    if isinstance(asked.target, int):
        return asked.target
    for port in endpoint.ports if endpoint else ():
        if port.name == asked.target and port.protocol == asked.protocol:
            return port.port
    return None


def services_before(endpoint: Endpoint, cluster: Cluster) -> tuple[Service, ...]:
    """The Services that lead to a pod."""
    return tuple(
        service
        for service in cluster.services
        if service.namespace == endpoint.namespace and _leads_to(service, endpoint)
    )


def _leads_to(service: Service, endpoint: Endpoint) -> bool:
    if service.backends is not None:
        return any(backend.address in endpoint.addresses for backend in service.backends)
    return bool(service.selector) and service.selector.items() <= endpoint.pod_labels.items()


def service_names(service: Service) -> tuple[str, ...]:
    """The DNS names of a Service inside the cluster."""
    short = f"{service.name}.{service.namespace}.svc"
    return (short, f"{short}.cluster.local")
