"""Where a node sends a connection instead: CiliumLocalRedirectPolicy, before any policy is asked.

The load balancer replaces the backends of a Service, or an address, by ready pods of the node that
the connection starts on; where the node has none, nothing is replaced. Policies then see that pod.
Source: Cilium `pkg/loadbalancer/redirectpolicy/controller.go` (`updateRedirects`,
`updateRedirectBackends`, `shouldRedirectFrontend`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from app.core.cluster.redirects import selects
from app.core.diagnose.ends import ResolvedEnd, of_endpoint
from app.core.model.asked import AskedPort
from app.core.model.cluster import ContainerPort, Endpoint, LocalRedirect, ServicePort
from app.core.model.verdict import Protocol
from app.core.policy.engine import Engine
from app.core.text import clean


def redirect(
    ends: Iterable[ResolvedEnd], sources: Iterable[ResolvedEnd], engine: Engine, port: AskedPort
) -> tuple[ResolvedEnd, ...]:
    """Give where connections of the sources to the ends really go.

    A source whose node is not known is taken to find a pod on it.
    """
    ends = tuple(ends)
    if not engine.cluster.redirects or engine.cluster.config.local_redirect is False:
        return ends
    clients = tuple(source.endpoint for source in sources)
    found: dict[object, ResolvedEnd] = {}
    for end in ends:
        for client in clients:
            for one in _instead(end, client, engine, port) or (end,):
                found.setdefault((one.text, one.port, one.protocol, one.service_port), one)
    return tuple(found.values())


def _instead(
    end: ResolvedEnd, client: Endpoint | None, engine: Engine, port: AskedPort
) -> tuple[ResolvedEnd, ...]:
    if client is None:
        return ()
    for policy in engine.cluster.redirects:
        front = _frontend(policy, end, port)
        if front is None or (policy.skips_backends and _holds(policy, client)):
            continue
        pods = tuple(_pods(policy, client, engine))
        found = tuple(
            _sent_to(end, pod, policy, engine, target)
            for pod in pods
            for target in _targets(policy, front, pod)
        )
        if pods:
            return found or (_sent_to(end, pods[0], policy, engine, None),)
    return ()


def _sent_to(
    end: ResolvedEnd,
    pod: Endpoint,
    policy: LocalRedirect,
    engine: Engine,
    target: ContainerPort | None,
) -> ResolvedEnd:
    """The end a policy sends to; without a port where it takes over but finds no backend."""
    return replace(
        of_endpoint(pod, engine),
        service=end.service,
        service_port=end.service_port,
        port=target.port if target else None,
        protocol=Protocol(target.protocol) if target else None,
        frontend=end.frontend or end.peer.address,
        redirect=policy,
    )


def _frontend(policy: LocalRedirect, end: ResolvedEnd, port: AskedPort) -> ContainerPort | None:
    """The port of a connection that the policy takes over; only a ClusterIP is taken of a Service.

    An address that belongs to a Service stays with it.
    """
    service, own = end.service, end.service_port
    if service is None:
        number, protocol = port.number, port.protocol or Protocol.TCP
        outer = end.peer.address if end.endpoint is None else None
        fits = outer is not None and policy.address == outer
        for one in policy.frontend_ports if fits else ():
            if (one.port, one.protocol) == (number, protocol.value):
                return one
        return None
    named = (service.namespace, service.name) == (policy.namespace, policy.service)
    if own is None or not named or end.frontend in service.external_ips:
        return None
    return _service_port(policy, own)


def _service_port(policy: LocalRedirect, own: ServicePort) -> ContainerPort | None:
    front = ContainerPort(own.name, own.port, own.protocol)
    ports = policy.frontend_ports
    if ports and not any((one.port, one.protocol) == (own.port, own.protocol) for one in ports):
        return None
    several = len(policy.backend_ports) > 1
    if several and own.name not in {one.name for one in policy.backend_ports}:
        return None
    return front


def _holds(policy: LocalRedirect, pod: Endpoint) -> bool:
    return pod.namespace == policy.namespace and selects(policy.selector, pod.pod_labels)


def _pods(policy: LocalRedirect, client: Endpoint, engine: Engine) -> Iterator[Endpoint]:
    for pod in engine.cluster.endpoints:
        elsewhere = client.node and pod.node and pod.node != client.node
        if not elsewhere and (pod.ready or pod.template) and _holds(policy, pod):
            yield pod


def _targets(policy: LocalRedirect, front: ContainerPort, pod: Endpoint) -> Iterator[ContainerPort]:
    """The pod's declared ports that the frontend takes as its backends; none is a refusal.

    The number decides which are backends at all, and their name where the policy lists several
    frontend ports. Of those a frontend with a name takes the ones of the same name, or of none:
    a Service's port has its own name, an address has one only if the policy lists several.
    Source: Cilium `pkg/loadbalancer/redirectpolicy/controller.go` `updateRedirectBackends`,
    `pkg/loadbalancer/writer/writer.go` `selectBackends`.
    """
    numbers = {(one.port, one.protocol) for one in policy.backend_ports}
    named = {one.name for one in policy.backend_ports} if len(policy.frontend_ports) > 1 else None
    wanted = front.name if policy.service or named is not None else ""
    for one in pod.ports:
        if (one.port, one.protocol) not in numbers or one.protocol != front.protocol:
            continue
        if named is not None and one.name.lower() not in named:
            continue
        if not wanted or not one.name or one.name == wanted:
            yield one


def finds_nothing(end: ResolvedEnd) -> bool:
    """Say whether a policy takes connections over and has no backend for them."""
    return end.redirect is not None and end.port is None


def why_nothing(end: ResolvedEnd) -> str:
    """Say why connections that a policy takes over are refused; empty where they are not."""
    policy = end.redirect
    if policy is None or end.port is not None:
        return ""
    front = f"Service {end.service.key}" if end.service else str(end.frontend)
    name = end.service_port.name if end.service_port else ""
    wanted = ", ".join(f"{one.port}/{one.protocol}" for one in policy.backend_ports)
    called = f" under the name `{clean(name)}` of the Service's port, or none" if name else ""
    where = f" on {end.endpoint.node}" if end.endpoint and end.endpoint.node else ""
    return (
        f"CiliumLocalRedirectPolicy {policy.key} takes {front} over{where}, and {end.text}, which "
        f"it selects, declares no port {wanted}{called}: the connection is refused there, though "
        "other backends may be ready"
    )


def in_words(policy: LocalRedirect, to: str) -> str:
    """Say what a policy does with a connection."""
    return f"CiliumLocalRedirectPolicy {policy.key} sends it to {to} on the own node instead"
