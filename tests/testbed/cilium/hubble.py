"""What Hubble itself says of a packet, from the flows that its own CLI prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PASSED = frozenset({"FORWARDED", "REDIRECTED", "TRANSLATED"})
REFUSED = frozenset({"DROPPED", "ERROR"})
SLACK_S = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """How a packet shows in flows: by the ends that sent it, before and after translation.

    `target` is the address it was sent to, which alone tells an ICMP echo, and a packet whose port
    another node chose anew, which is 0 here.
    """

    ends: frozenset[tuple[str, int]]
    target: str
    protocol: str

    def is_of(self, flow: Mapping[str, Any]) -> bool:
        """Whether a flow is of this packet, on its way there."""
        address = flow.get("IP", {})
        if self.protocol.startswith("ICMP"):
            echo = any(kind in flow.get("l4", {}) for kind in ("ICMPv4", "ICMPv6"))
            sources = {source for source, _ in self.ends}
            there = address.get("destination") == self.target and address.get("source") in sources
            return echo and there
        layer4 = flow.get("l4", {}).get(self.protocol)
        if layer4 is None:
            return False
        source = address.get("source")
        if (source, 0) in self.ends:
            return bool(address.get("destination") == self.target)
        return (source, layer4.get("source_port")) in self.ends


def flows_of(
    lines: Iterable[Mapping[str, Any]], seen: Seen, since: float
) -> list[Mapping[str, Any]]:
    """The flows of a packet on its way there, in order."""
    return [
        flow
        for flow in (line.get("flow", {}) for line in lines)
        if not flow.get("is_reply")
        and seen.is_of(flow)
        and _time(flow.get("time", "")) >= since - SLACK_S
    ]


def verdict_of(flows: Iterable[Mapping[str, Any]]) -> str:
    """`dropped` when a flow of the packet was, `forwarded` when one was, `none` without flows."""
    verdicts = {flow.get("verdict") for flow in flows}
    if verdicts & REFUSED:
        return "dropped"
    return "forwarded" if verdicts & PASSED else "none"


def _time(text: str) -> float:
    """Seconds since the epoch of a flow's time, which has nanoseconds."""
    if not text:
        return 0.0
    head, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{rest or 0}")
