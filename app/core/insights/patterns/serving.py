"""A workspace that serves others: somebody else's workspace, or the outside, connects to it.

Threshold: three connections that were answered, or let in at the workspace. What opens workspaces
by design (the hub, its proxy, the gateway's own hop, probes, scrapes) runs in namespaces that are
no projects, or on nodes, and does not count; nor do a project's own servers as clients, such as
workers that report to the notebook which started them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.insights.alert import AlertSeverity
from app.core.insights.party import FlowParty
from app.core.insights.patterns.pattern import Pattern, make_room
from app.core.insights.scene import Scene, Seen
from app.core.insights.sight import Samples, arrives

CONNECTIONS = 3
MOST_KEYS = 10_000
MOST_CLIENTS = 64


@dataclass(slots=True)
class _Served:
    server: FlowParty
    first_client: FlowParty
    protocol: str
    first_ns: int
    last_ns: int
    ports: set[int] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)
    samples: Samples = field(default_factory=Samples)


class WorkspaceServes:
    """Watches who connects to workspaces."""

    kind = "workspace-serves"

    def __init__(self) -> None:
        self._served: dict[tuple[str, int], _Served] = {}

    def see(self, seen: Seen, scene: Scene) -> None:  # noqa: ARG002  # a detector's form
        """Look at a flow that arrived at a workspace."""
        sight = seen.sight
        if not sight.server.is_workspace or not _is_other(seen):
            return
        arrived = arrives(sight)
        if not arrived:
            return
        key = (sight.server_pod, sight.port)
        one = self._served.get(key)
        if one is None:
            make_room(self._served, MOST_KEYS)
            one = self._served[key] = _Served(
                sight.server, sight.client, sight.protocol, sight.time_ns, sight.time_ns
            )
        one.last_ns = max(one.last_ns, sight.time_ns)
        if sight.client_port and len(one.ports) < 1_024:  # noqa: PLR2004  # more count as this many
            one.ports.add(sight.client_port)
        if len(one.clients) < MOST_CLIENTS:
            one.clients.add(sight.client_pod or sight.client.text)
        one.samples.take(seen.sight)

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give the workspaces that serve."""
        for (pod, port), one in self._served.items():
            if len(one.ports) >= CONNECTIONS:
                yield Pattern(
                    kind=self.kind,
                    actor=(one.first_client, ""),
                    server=one.server,
                    to=pod,
                    port=port,
                    protocol=one.protocol,
                    severity=AlertSeverity.MEDIUM,
                    summary=(
                        f"the workspace {pod} serves others on port {port}: {len(one.ports)} "
                        f"connections from {len(one.clients)} ends"
                    ),
                    evidence=(
                        f"from {', '.join(sorted(one.clients)[:5])}",
                        f"threshold: {CONNECTIONS} connections from other workspaces or outside",
                    ),
                    first_ns=one.first_ns,
                    last_ns=one.last_ns,
                    count=len(one.ports),
                    samples=one.samples,
                )

    def forget_before(self, time_ns: int) -> None:
        """Let go of what nobody connected to since."""
        self._served = {key: one for key, one in self._served.items() if one.last_ns >= time_ns}


def _is_other(seen: Seen) -> bool:
    sight = seen.sight
    if sight.client.is_outside:
        return True
    return sight.client.is_workspace and sight.client_pod != sight.server_pod
