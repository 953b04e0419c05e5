"""The tunnel between two nodes, which the host firewall may shut: then no packet of pods gets over.

Encapsulated packets are UDP from node to node, and each way is a connection of its own.
Source: Cilium `Documentation/security/host-firewall.rst`, `pkg/defaults/defaults.go`
(`TunnelPortVXLAN`, `TunnelPortGeneve`).
"""

from __future__ import annotations

from collections.abc import Iterator

from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.question import Leg
from app.core.model.verdict import Protocol, Question, Verdict
from app.core.policy.engine import Engine

_VXLAN, _GENEVE = 8472, 6081


def shut_tunnels(leg: Leg, engine: Engine) -> Iterator[str]:
    """Say of each way between the nodes of two pods that policies on nodes shut its tunnel."""
    config = engine.cluster.config
    if not config.host_firewall or config.routing_mode == "native" or leg.is_denied:
        return
    there, back = _node_of(leg.source), _node_of(leg.destination)
    known = {one.endpoint.node: one for one in engine.nodes_with_policy() if one.endpoint}
    if there == back or there not in known or back not in known:
        return
    for way in ((there, back), (back, there)):
        source, destination = (known[name] for name in way)
        asked = (Question(source, destination, port, Protocol.UDP) for port in (_VXLAN, _GENEVE))
        if all(engine.decide(one).verdict is Verdict.DENIED for one in asked):
            yield (
                f"whether packets get through the tunnel from {way[0]} to {way[1]}: policies on "
                f"nodes do not let UDP {_VXLAN} (VXLAN) pass between them, which drops whatever "
                "pods of the two say to each other"
            )


def _node_of(end: ResolvedEnd) -> str:
    """The node of a pod that is reached through the tunnel; a node itself is reached without."""
    pod = end.endpoint
    return pod.node if pod is not None and not pod.host_network else ""
