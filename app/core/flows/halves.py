"""The halves of one packet: what several hooks or nodes saw of it, as one.

A packet between two pods is judged when it leaves and again when it enters, and a denied one gives
a drop event beside the policy verdict. A stream that shows each of these as a row says everything
twice; folded, a row is the packet.

Source: Cilium `bpf/bpf_lxc.c` (`policy_can_egress`, `policy_can_ingress`), `bpf/lib/policy_log.h`.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.flows.ring import Predicate
from app.core.model.flow import EVENT_VERDICT, Flow

APART_NS = 500_000_000
"""Nanoseconds between two halves at most: nodes' clocks differ, but TCP repeats after 1 s."""
MOST = 50_000
"""Packets remembered at most; of an older one only the first half shows."""

_RANKS = {"ERROR": 0, "DROPPED": 0, "AUDIT": 1, "REDIRECTED": 2, "FORWARDED": 3}

_Tuple = tuple[str, str, int, int, str, str]


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: its halves in the order they came, at least one."""

    flows: tuple[Flow, ...]

    @property
    def deciding(self) -> Flow:
        """The half that decides: one that was refused, and of equals the policy verdict.

        Only a policy verdict can name policies.
        """
        if len(self.flows) == 1:
            return self.flows[0]
        return min(self.flows, key=_weight)

    def half(self, direction: str) -> Flow | None:
        """What was seen of it in one direction (`EGRESS`), the policy verdict before others."""
        seen = [flow for flow in self.flows if flow.direction == direction]
        return min(seen, key=_weight, default=None)


def _weight(flow: Flow) -> tuple[int, bool]:
    return (_RANKS.get(flow.verdict, len(_RANKS)), flow.event != EVENT_VERDICT)


class Folding:
    """Tells first halves from later ones. It is asked once of each flow, in their order.

    As a predicate it lets first halves through that `wanted` lets through; `packet` then gives the
    packet that began with one. Two flows that one hook of one node saw are two packets, as are
    requests of layer 7.
    """

    def __init__(self, wanted: Predicate | None = None) -> None:
        self._wanted = wanted
        self._open: dict[_Tuple, Packet] = {}
        self._packets: dict[int, Packet] = {}
        self.folded = 0
        """Halves that were folded into an earlier one."""

    def __call__(self, flow: Flow) -> bool:
        """Whether a flow is wanted and begins a packet."""
        if self._wanted is not None and not self._wanted(flow):
            return False
        if flow.l7 is not None or flow.verdict not in _RANKS or not flow.source_ip:
            return True
        key = (
            *(flow.source_ip, flow.destination_ip, flow.source_port, flow.destination_port),
            *(flow.protocol, flow.tcp_flags),
        )
        known = self._open.get(key)
        if known is not None and _belongs(flow, known):
            self._fold(key, Packet((*known.flows, flow)))
            return False
        if len(self._open) >= MOST:
            self._open.clear()
        self._open[key] = Packet((flow,))
        return True

    def packet(self, flow: Flow) -> Packet:
        """Give the packet that a flow began."""
        # The packet holds its first flow, so its id is no other's while it is kept.
        return self._packets.get(id(flow)) or Packet((flow,))

    def _fold(self, key: _Tuple, packet: Packet) -> None:
        self.folded += 1
        self._open[key] = packet
        if len(self._packets) >= MOST:
            del self._packets[next(iter(self._packets))]
        self._packets[id(packet.flows[0])] = packet


def _belongs(flow: Flow, packet: Packet) -> bool:
    if abs(flow.time_ns - packet.flows[0].time_ns) > APART_NS:
        return False
    return _hook(flow) not in map(_hook, packet.flows)


def _hook(flow: Flow) -> tuple[str, int, str, str]:
    return (flow.direction, flow.event, flow.trace_point, flow.node)
