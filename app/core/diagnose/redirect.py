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
        found = tuple(
            replace(
                of_endpoint(pod, engine),
                service=end.service,
                service_port=end.service_port,
                port=target.port,
                protocol=Protocol(target.protocol),
                frontend=end.frontend or end.peer.address,
                redirect=policy,
            )
            for pod in _pods(policy, client, engine)
            for target in _targets(policy, front, pod)
        )
        if found:
            return found
    return ()


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
    if several and own.name.lower() not in {one.name for one in policy.backend_ports}:
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
    """The pod's declared ports that the policy sends to: of one protocol, and of one name.

    A single port on either side needs no name.
    """
    fitting = [one for one in policy.backend_ports if one.protocol == front.protocol]
    if len(policy.backend_ports) > 1 and front.name:
        fitting = [one for one in fitting if one.name == front.name.lower()] or fitting
    declared = {(port.port, port.protocol) for port in pod.ports}
    for one in fitting:
        if (one.port, one.protocol) in declared:
            yield one
            return


def in_words(policy: LocalRedirect, to: str) -> str:
    """Say what a policy does with a connection."""
    return f"CiliumLocalRedirectPolicy {policy.key} sends it to {to} on the own node instead"
