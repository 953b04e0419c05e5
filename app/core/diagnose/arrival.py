"""As whom a client outside arrives at a pod behind a NodePort or a load balancer.

The node that takes the packet keeps the client's address for a backend of its own, and where
`externalTrafficPolicy` is Local. To a backend of another node it forwards the packet under its own
address: with native routing the pod sees `remote-node`, through a tunnel plain `world`, never the
client's address, so that no rule by addresses matches. With kube-proxy the node's address stands
for every client. Source: Cilium `Documentation/security/policy/caveats.rst`,
`Documentation/network/kubernetes/kubeproxy-free.rst` (Client Source IP Preservation, DSR);
Kubernetes `pkg/proxy/iptables/proxier.go` (KUBE-MARK-MASQ).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.question import Leg, ask
from app.core.model.cluster import Address, Cluster, ClusterConfig, IdentityKind, Node, Service
from app.core.model.verdict import Peer, Protocol, Verdict
from app.core.policy.engine import Engine


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a connection also is, or is instead, when the client's address gets lost.

    `leg` is what is judged first, `others` are the other ways it may arrive. `kept` says that the
    client's own address is one of them.
    """

    leg: Leg
    others: tuple[Leg, ...]
    kept: bool
    service: Service
    node: Node | None

    @property
    def differs(self) -> bool:
        """Whether the verdict depends on the way."""
        denied = {one.is_denied for one in (self.leg, *self.others)}
        return len(denied) > 1

    def sentence(self) -> str:
        """Say what becomes of the client's address."""
        end = self.leg.destination
        seen = " or ".join(dict.fromkeys(_seen_as(one) for one in (self.leg, *self.others)))
        by = f"through {self.node.name}" if self.node else "through another node than its own"
        return (
            f"the externalTrafficPolicy of Service {self.service.key} is Cluster: {by}, {end.text} "
            f"sees {seen}, not the client's source address; no CIDR rule for the client matches "
            "then, and a rule for remote-node or cluster lets every such client in; "
            "externalTrafficPolicy: Local keeps the address"
        )


def addresses_at(
    end: ResolvedEnd, arrivals: Iterable[Arrival], client: Address | None, cluster: Cluster
) -> frozenset[Address]:
    """Give the addresses under which flows show a client outside at a backend.

    Those of the node that takes the connection in, or of every other one where that is not known;
    none where the client keeps its own.
    """
    pod = end.endpoint
    here = pod.node if pod is not None else ""
    own = (one for one in arrivals if one.service == end.service)
    one = next((one for one in own if _node_of(one) == here), None)
    if one is None:
        return frozenset()
    nodes = [one.node] if one.node else [node for node in cluster.nodes if node.name != here]
    kept = {client} if one.kept and client is not None else set()
    return frozenset(kept.union(*(node.addresses for node in nodes)))


def _node_of(one: Arrival) -> str:
    pod = one.leg.destination.endpoint
    return pod.node if pod is not None else ""


def _seen_as(leg: Leg) -> str:
    peer = leg.source.peer
    if peer.kind is IdentityKind.WORLD:
        return "world (tunnel)" if peer.address is None else str(peer.address)
    return "remote-node (native routing)" if peer.kind is not IdentityKind.HOST else "host"


def arrival(leg: Leg, engine: Engine) -> Arrival | None:
    """Give as whom a client outside arrives; None where its own address surely stays."""
    end, service = leg.destination, leg.destination.service
    if service is None or not comes_from_outside(leg.source, end) or service.external_is_local:
        return None
    config, node = engine.cluster.config, entry_node(end, engine.cluster)
    pod = end.endpoint
    same = node is not None and pod is not None and pod.node == node.name
    if _keeps_address(config, leg.question.protocol) or (same and config.kube_proxy_replacement):
        return None
    peers = _peers(config, node, engine, same=same)
    port = (leg.question.port, leg.question.protocol)
    legs = [ask(_as(leg.source, peer), end, port, engine, leg.question.request) for peer in peers]
    kept = node is None and config.kube_proxy_replacement
    first, *others = (leg, *legs) if kept else legs
    return Arrival(first, tuple(others), kept, service, node)


def comes_from_outside(source: ResolvedEnd, end: ResolvedEnd) -> bool:
    """Say whether a connection comes in by a Service's port of a node, or its outer address."""
    service = end.service
    if service is None or end.frontend is None or end.route is not None:
        return False
    inner = end.frontend in service.cluster_ips
    return source.peer.kind is IdentityKind.WORLD and source.endpoint is None and not inner


def _keeps_address(config: ClusterConfig, protocol: Protocol) -> bool:
    """Whether the backend's node answers the client itself (DSR), so that the address stays."""
    direct = config.lb_mode == "dsr" or (config.lb_mode == "hybrid" and protocol is Protocol.TCP)
    return direct and config.kube_proxy_replacement


def _peers(
    config: ClusterConfig, node: Node | None, engine: Engine, *, same: bool
) -> tuple[Peer, ...]:
    if not config.kube_proxy_replacement and same:
        return (engine.peer_of_entity("host"),)
    known = node is not None and bool(node.addresses)
    other = engine.peer_of_address(node.addresses[0]) if node and known else None
    remote = other or engine.peer_of_entity("remote-node")
    if not config.kube_proxy_replacement or config.routing_mode == "native":
        return (remote,)
    world = engine.peer_of_entity("world")
    return (world,) if config.routing_mode == "tunnel" else (world, remote)


def _as(source: ResolvedEnd, peer: Peer) -> ResolvedEnd:
    kind = "world" if peer.kind is IdentityKind.WORLD else peer.kind.value
    plain = replace(peer, endpoint=None)
    return replace(source, peer=plain, text=f"{source.text} (seen as {kind})")


def entry_node(end: ResolvedEnd, cluster: Cluster) -> Node | None:
    """Give the node whose own address a connection was sent to."""
    return next((node for node in cluster.nodes if end.frontend in node.addresses), None)


def reached_by_entry(
    ends: Iterable[ResolvedEnd], sources: Iterable[ResolvedEnd], cluster: Cluster
) -> tuple[ResolvedEnd, ...]:
    """Leave the backends that a node with `externalTrafficPolicy: Local` sends outsiders to.

    It is those of its own; where it has none, all are given, not ready, for the answer to name.
    Source: Kubernetes `ServiceSpec.externalTrafficPolicy`.
    """
    ends = tuple(ends)
    if not ends or not all(_is_local_entry(one, sources, cluster) for one in ends):
        return ends
    node = entry_node(ends[0], cluster)
    own = tuple(one for one in ends if node and one.endpoint and one.endpoint.node == node.name)
    return own or tuple(replace(one, ready=False) for one in ends)


def _is_local_entry(end: ResolvedEnd, sources: Iterable[ResolvedEnd], cluster: Cluster) -> bool:
    outside = all(_is_from_outside_local(source, end) for source in sources)
    return outside and entry_node(end, cluster) is not None


def nodes_without_backend(
    source: ResolvedEnd, ends: Iterable[ResolvedEnd], cluster: Cluster
) -> tuple[str, ...]:
    """Give the nodes that refuse what a load balancer may send there: Local, without a backend.

    A load balancer that asks the Service's `healthCheckNodePort` leaves them out; which node takes
    a connection in is not Kubernetes' to say. Nothing where the entry is known, or some backend's
    node is not. Source: Kubernetes `ServiceSpec.externalTrafficPolicy`, `.healthCheckNodePort`.
    """
    ends = tuple(ends)
    local = all(_is_from_outside_local(source, one) for one in ends)
    if not ends or not local or any(entry_node(one, cluster) for one in ends):
        return ()
    used = {one.endpoint.node if one.endpoint else "" for one in ends if one.ready}
    return () if "" in used else tuple(n.name for n in cluster.nodes if n.name not in used)


def _is_from_outside_local(source: ResolvedEnd, end: ResolvedEnd) -> bool:
    local = end.service is not None and end.service.external_is_local
    return local and comes_from_outside(source, end)


def is_mixed(arrivals: Iterable[Arrival]) -> bool:
    """Say whether the verdict on any connection depends on how it arrives."""
    return any(one.differs for one in arrivals)


def verdicts(one: Arrival) -> tuple[tuple[str, Verdict], ...]:
    """Give the verdict for each way of arriving."""
    return tuple((_seen_as(leg), leg.trace.verdict) for leg in (one.leg, *one.others))
