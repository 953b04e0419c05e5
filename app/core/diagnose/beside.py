"""Which nodes an entity stands for beside the other end: `host` is its own node, `remote-node` not.

Source: Cilium `pkg/identity/numericidentity.go` (`ReservedIdentityHost`, `…RemoteNode`), from the
view of the node whose policy is asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.core.diagnose.ends import ResolvedEnd
from app.core.model.asked import Asked, End, EndKind
from app.core.model.cluster import IdentityKind
from app.core.policy.engine import Engine

Ends = tuple[ResolvedEnd, ...]


def both_beside(
    sources: Ends, destinations: Ends, asked: Asked, engine: Engine
) -> tuple[Ends, Ends]:
    """Leave of the nodes at either end those that they can be beside the other end."""
    return (
        _beside(sources, destinations, asked.source, engine),
        _beside(destinations, sources, asked.destination, engine),
    )


def is_own_node(source: ResolvedEnd, destination: ResolvedEnd, asked: Asked) -> bool:
    """Say whether an end that was asked for as another node is the other end's own."""
    if not (_is_remote(asked.source) or _is_remote(asked.destination)):
        return False
    return bool(_node_of(source)) and _node_of(source) == _node_of(destination)


def asks_for_another(asked: Asked) -> bool:
    """Say whether an end was asked for as any other node, so that it matters where a pod runs."""
    return _is_remote(asked.source) or _is_remote(asked.destination)


def _is_remote(end: End) -> bool:
    return end.kind is EndKind.ENTITY and end.name == IdentityKind.REMOTE_NODE.value


def _beside(ends: Ends, others: Ends, end: End, engine: Engine) -> Ends:
    nodes = {node for node in map(_node_of, others) if node}
    return _other_nodes(ends, nodes, engine) if _is_remote(end) else _own_hosts(ends, nodes)


def _other_nodes(ends: Ends, nodes: set[str], engine: Engine) -> Ends:
    """The nodes that are others to some pod, and one for each pod that would have none.

    A cluster's only other node may be its API server's; else any other node has the plain identity.
    """
    kept = [one for one in ends if nodes != {_node_of(one)}]
    alone = {node for node in nodes if all(_node_of(one) == node for one in kept)}
    if not alone:
        return tuple(kept)
    known = [one for one in engine.nodes_with_policy() if one.kind is IdentityKind.KUBE_APISERVER]
    served = [ResolvedEnd(one, one.text) for one in known]
    more = [one for one in served if _node_of(one) not in alone]
    if not more:
        more = [ResolvedEnd(engine.peer_of_entity("remote-node"), "entity remote-node")]
    return (*kept, *more)


def _own_hosts(ends: Ends, nodes: set[str]) -> Ends:
    """Leave of all hosts those of the nodes at the other end: a pod's host is its own node."""
    own = tuple(one for one in ends if one.peer.kind is not IdentityKind.HOST or _is_at(one, nodes))
    return own or ends


def _is_at(end: ResolvedEnd, nodes: Iterable[str]) -> bool:
    return end.peer.endpoint is None or end.peer.endpoint.node in nodes


def _node_of(end: ResolvedEnd) -> str:
    endpoint = end.endpoint or end.peer.endpoint
    return endpoint.node if endpoint is not None else ""
