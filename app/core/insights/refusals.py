"""Refused packets, grouped by who, to whom and on which port; bounded whatever is tried.

Of a refused packet Hubble shows a drop event and a policy verdict; both are one packet here, and
packets from the same client port are tries of one attempt (TCP repeats a SYN after 1, 2, 4 … s).

Source: Cilium `bpf/lib/policy_log.h`: a denied packet gives both events; neither is thinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.core.insights.party import FlowParty
from app.core.insights.sight import WITH_PORTS, Samples, Shows, Sight, is_message
from app.core.model.flow import EVENT_DROP, EVENT_VERDICT, Flow

MOST_GROUPS = 20_000
"""Groups kept; beyond that the one that was quiet longest is let go, and counted."""
MOST_PORTS = 32
"""Ports of one pair of ends that have a group each; all further ones share one."""
MOST_OUTSIDE = 256
"""Ends outside of one workload that have a group each; all further ones share one."""
MOST_ATTEMPTS = 1_024
MANY_PORTS = -1
"""Stands for the ports beyond the first `MOST_PORTS`."""

Key = tuple[FlowParty, FlowParty, int, str, str]


@dataclass(slots=True)
class Refusals:
    """Refused packets of one client, server, port and reason. `sample` can name policies best."""

    client: FlowParty
    server: FlowParty
    port: int
    protocol: str
    reason: str
    sample: Flow
    first_ns: int
    last_ns: int
    drops: int = 0
    verdicts: int = 0
    messages: int = 0
    audited: int = 0
    samples: Samples = field(default_factory=Samples)
    client_ports: set[int] = field(default_factory=set)

    @property
    def count(self) -> int:
        """Packets and messages; a packet that shows as two events once."""
        return max(self.drops, self.verdicts) + self.messages

    @property
    def attempts(self) -> int:
        """Connections tried: different client ports, or messages; at least one."""
        return max(len(self.client_ports), self.messages, 1)

    def add(self, sight: Sight) -> None:
        """Count one more flow."""
        flow = sight.flow
        self.first_ns = min(self.first_ns, flow.time_ns)
        self.last_ns = max(self.last_ns, flow.time_ns)
        if is_message(flow):
            self.messages += 1
        elif flow.event == EVENT_VERDICT:
            self.verdicts += 1
        else:
            self.drops += 1
        if flow.verdict == "AUDIT":
            self.audited += 1
        if sight.client_port and len(self.client_ports) < MOST_ATTEMPTS:
            self.client_ports.add(sight.client_port)
        self.samples.take(sight)
        if self.sample.event == EVENT_DROP and flow.event == EVENT_VERDICT:
            self.sample = flow


class RefusalBook:
    """Groups refused flows as they come, in about the order of their time."""

    def __init__(self) -> None:
        self._groups: dict[Key, Refusals] = {}
        self._ports: dict[tuple[FlowParty, FlowParty], set[int]] = {}
        self._outside: dict[FlowParty, set[FlowParty]] = {}
        self.forgotten = 0

    def __iter__(self) -> Iterator[Refusals]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, sight: Sight) -> None:
        """Count a flow that shows a refusal; others change nothing."""
        if sight.shows is not Shows.REFUSED:
            return
        server = self._server_of(sight)
        port = self._port_of(sight, server)
        key = (sight.client, server, port, sight.protocol, _reason(sight.flow))
        group = self._groups.get(key)
        if group is None:
            self._make_room()
            flow = sight.flow
            group = self._groups[key] = Refusals(*key, flow, flow.time_ns, flow.time_ns)
        group.add(sight)

    def _server_of(self, sight: Sight) -> FlowParty:
        """The server itself, or the outside as a whole where a client tried too many of it."""
        server = sight.server
        if not server.is_outside:
            return server
        known = self._outside.setdefault(sight.client, set())
        if server in known or len(known) < MOST_OUTSIDE:
            known.add(server)
            return server
        return FlowParty(server.kind)

    def _port_of(self, sight: Sight, server: FlowParty) -> int:
        if sight.protocol not in WITH_PORTS:
            return sight.port
        known = self._ports.setdefault((sight.client, server), set())
        if sight.port in known or len(known) < MOST_PORTS:
            known.add(sight.port)
            return sight.port
        return MANY_PORTS

    def _make_room(self) -> None:
        if len(self._groups) < MOST_GROUPS:
            return
        by_age = sorted(self._groups, key=lambda key: self._groups[key].last_ns)
        self.forgotten += MOST_GROUPS // 10
        self._let_go(by_age[: MOST_GROUPS // 10])

    def forget_before(self, time_ns: int) -> None:
        """Let go of what was last seen before a moment: it has long ended."""
        self._let_go([key for key, one in self._groups.items() if one.last_ns < time_ns])

    def _let_go(self, keys: Iterable[Key]) -> None:
        for key in keys:
            del self._groups[key]
        pairs = {(key[0], key[1]) for key in self._groups}
        self._ports = {pair: ports for pair, ports in self._ports.items() if pair in pairs}
        clients = {pair[0] for pair in pairs}
        self._outside = {who: ends for who, ends in self._outside.items() if who in clients}


def _reason(flow: Flow) -> str:
    """Hubble's reason; for a message of layer 7, which has none, what kind it was."""
    if flow.drop_reason:
        return flow.drop_reason
    if flow.l7 is None:
        return ""
    return "dns" if flow.l7.dns is not None else "http" if flow.l7.http is not None else "l7"
