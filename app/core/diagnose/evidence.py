"""What flows say of one connection, told once: twins, retries and both directions are one story.

A denied packet is two flows (policy verdict and drop), a retried connection several, a refused
request two more (the dropped request and the proxy's own 403); a connection is seen at both ends.
Source: Cilium `pkg/hubble/parser/threefour/parser.go`, `pkg/hubble/parser/seven`,
`cilium/proxy: cilium/l7policy.cc`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowEndpoint

EVENT_DROP = 1
EVENT_VERDICT = 5
EVENT_L7 = 129
FORBIDDEN = 403
RCODE_NXDOMAIN = 3
RCODE_REFUSED = 5

FORWARDED = frozenset({"FORWARDED", "REDIRECTED"})
REFUSED = frozenset({"DROPPED", "ERROR"})
POLICY_REASONS = frozenset({"POLICY_DENIED", "POLICY_DENY", ""})
"""Reasons that stand for network policy; a drop without a reason is taken for one."""
_TWINS_NS = 20_000_000
"""Flows of one packet are this close: its verdict and its drop come in either order."""
_MINUTE_S = 60


class Wanted(Protocol):
    """Says whether a flow is on the port that is asked about; `back` is the way of answers."""

    def __call__(self, flow: Flow, *, back: bool) -> bool:
        """Look at the port that a client connects to."""


@dataclass(frozen=True, slots=True)
class FlowEvidence:
    """Flows in order of time, with what is known of their completeness.

    `since_ns`/`until_ns` bound the time looked at (0: take it from the flows), `lost` counts
    events that nodes or Relay could not deliver, `policies_as_of_ns` says when policies were read.
    """

    flows: Sequence[Flow] = ()
    lost: int = 0
    since_ns: int = 0
    until_ns: int = 0
    policies_as_of_ns: int = 0

    @property
    def window(self) -> tuple[int, int]:
        """First and last moment looked at, UTC nanoseconds."""
        first = self.since_ns or (self.flows[0].time_ns if self.flows else 0)
        last = self.until_ns or (self.flows[-1].time_ns if self.flows else 0)
        return first, last


@dataclass(frozen=True, slots=True)
class Spot:
    """One end of a connection as flows show it: pods and workloads by name, others by address."""

    pods: frozenset[tuple[str, str]] = frozenset()
    workloads: frozenset[tuple[str, str]] = frozenset()
    addresses: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    reserved: str = ""

    def joined(self, other: Spot) -> Spot:
        """Both ends taken as one."""
        return Spot(
            self.pods | other.pods,
            self.workloads | other.workloads,
            self.addresses | other.addresses,
            self.names | other.names,
            self.reserved or other.reserved,
        )

    def holds(self, end: FlowEndpoint, ip: str, names: tuple[str, ...] = ()) -> bool:
        """Say whether a flow's end is this one."""
        if ip in self.addresses or (end.namespace, end.pod) in self.pods:
            return True
        if end.workload and (end.namespace, end.workload) in self.workloads:
            return True
        if self.names and not self.names.isdisjoint(names):
            return True
        return bool(self.reserved) and self.reserved in end.labels


@dataclass(frozen=True, slots=True)
class Story:
    """Every flow of one connection, condensed. Times are UTC nanoseconds, 0 for never.

    `drops` counts packets once (a verdict and its drop are one), `attempts` connections (retries
    from one source port are one). `last_denied` is the newest refused flow, `last_passed` the
    newest that shows the connection getting through the same place.
    """

    flows: tuple[Flow, ...] = ()
    drops: int = 0
    attempts: int = 0
    forwarded: int = 0
    audited: int = 0
    first_drop_ns: int = 0
    last_drop_ns: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    last_denied: Flow | None = None
    last_passed: Flow | None = None
    last_arrived: Flow | None = None
    last_audited: Flow | None = None
    refused_requests: tuple[Flow, ...] = ()
    application_403: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no flow of the connection was seen."""
        return not self.flows

    @property
    def ends_denied(self) -> bool:
        """Whether the newest word on the connection is a drop at layer 3/4.

        Policy may let a packet pass that is dropped a moment later for another reason; of such a
        drop only what arrives at a pod, or leaves for the outside, says that it is over.
        """
        denied = self.last_denied
        if denied is None:
            return False
        passed = self.last_arrived or self._passed_where_denied(denied)
        return passed is None or passed.time_ns <= denied.time_ns + _TWINS_NS

    def _passed_where_denied(self, denied: Flow) -> Flow | None:
        passed = self.last_passed
        if passed is None or passed.direction != denied.direction:
            return None
        if denied.drop_reason in POLICY_REASONS:
            return passed
        left = passed.event != EVENT_VERDICT and not denied.destination.pod
        return passed if left else None


def tell_story(
    evidence: FlowEvidence,
    source: Spot,
    destination: Spot,
    wanted: Wanted,
) -> Story:
    """Collect the flows from `source` to `destination` that `wanted` keeps, and condense them."""
    picked = [flow for flow in evidence.flows if _belongs(flow, source, destination, wanted)]
    return condense(picked)


def _belongs(flow: Flow, source: Spot, destination: Spot, wanted: Wanted) -> bool:
    back = bool(flow.is_reply) or _is_dropped_answer(flow, wanted)
    if not wanted(flow, back=back):
        return False
    if back:
        return source.holds(
            flow.destination, flow.destination_ip, flow.destination_names
        ) and destination.holds(flow.source, flow.source_ip, flow.source_names)
    return source.holds(flow.source, flow.source_ip, flow.source_names) and destination.holds(
        flow.destination, flow.destination_ip, flow.destination_names
    )


def _is_dropped_answer(flow: Flow, wanted: Wanted) -> bool:
    """Whether a drop is of an answer: Hubble does not say so of what was dropped.

    Source: Cilium `pkg/hubble/parser/threefour/parser.go` `decodeIsReply`: of traces and verdicts.
    """
    if flow.is_reply or flow.verdict not in REFUSED or flow.event == EVENT_L7:
        return False
    return wanted(flow, back=True) and not wanted(flow, back=False)


def condense(flows: Iterable[Flow]) -> Story:
    """Make one story of the flows of one connection, in any order."""
    ordered = tuple(sorted(flows, key=lambda flow: flow.time_ns))
    asked = [flow for flow in ordered if not flow.is_reply]
    packets = [flow for flow in asked if flow.event != EVENT_L7]
    dropped = [flow for flow in packets if flow.verdict in REFUSED]
    passed = [flow for flow in packets if flow.verdict in FORWARDED and not _leaves(flow)]
    arrived = [flow for flow in passed if _arrived(flow)]
    audited = [flow for flow in packets if flow.verdict == "AUDIT"]
    refused = tuple(flow for flow in asked if flow.event == EVENT_L7 and flow.verdict in REFUSED)
    return Story(
        flows=ordered,
        drops=_count_packets(dropped),
        attempts=len({(flow.source_ip, flow.source_port) for flow in dropped}),
        forwarded=len(passed),
        audited=_count_packets(audited),
        first_drop_ns=dropped[0].time_ns if dropped else 0,
        last_drop_ns=dropped[-1].time_ns if dropped else 0,
        reasons=Counter(flow.drop_reason for flow in dropped if flow.drop_reason),
        last_denied=_last_explained(dropped),
        last_passed=passed[-1] if passed else None,
        last_arrived=arrived[-1] if arrived else None,
        last_audited=audited[-1] if audited else None,
        refused_requests=refused,
        application_403=_count_application_403(ordered, refused),
    )


def _leaves(flow: Flow) -> bool:
    """Whether a flow shows a packet before the source's own policy.

    Source: Cilium `bpf/bpf_lxc.c`: `from-endpoint` is traced before the policy look-up.
    """
    return flow.trace_point == "FROM_ENDPOINT"


def _arrived(flow: Flow) -> bool:
    """Whether a forwarded flow shows the packet past the destination's own policy."""
    return flow.direction == "INGRESS" or flow.trace_point == "TO_ENDPOINT"


def _last_explained(dropped: Sequence[Flow]) -> Flow | None:
    """The newest drop; of twins the verdict flow, which names policies."""
    if not dropped:
        return None
    last = dropped[-1]
    twins = [flow for flow in dropped[-4:] if flow.event == EVENT_VERDICT]
    twin = twins[-1] if twins else last
    same = (twin.source_port, twin.direction) == (last.source_port, last.direction)
    return twin if same else last


def _count_packets(flows: Sequence[Flow]) -> int:
    """Count packets: a verdict flow and a drop flow of one connection are twins."""
    kinds: dict[tuple[str, int, str], Counter[int]] = {}
    for flow in flows:
        key = (flow.source_ip, flow.source_port, flow.direction)
        kinds.setdefault(key, Counter())[flow.event] += 1
    return sum(max(events.values()) for events in kinds.values())


def _count_application_403(flows: Sequence[Flow], refused: Sequence[Flow]) -> int:
    """Count 403 answers that no proxy refusal explains: those the application gave itself.

    Source: `cilium/proxy: cilium/l7policy.cc`; both carry the header `X-Request-Id`.
    """
    answers = [flow for flow in flows if _is_403(flow)]
    tagged = {_request_id(flow) for flow in refused} - {""}
    untagged = sum(not _request_id(flow) for flow in refused)
    open_answers = sum(_request_id(flow) not in tagged for flow in answers)
    return max(0, open_answers - untagged)


def _is_403(flow: Flow) -> bool:
    return flow.l7 is not None and flow.l7.http is not None and flow.l7.http.code == FORBIDDEN


def _request_id(flow: Flow) -> str:
    http = flow.l7.http if flow.l7 else None
    headers = http.headers if http else ()
    return next((value for key, value in headers if key.lower() == "x-request-id"), "")


def clock(time_ns: int) -> str:
    """Show a moment as UTC time of day."""
    return datetime.fromtimestamp(time_ns / NS_PER_S, UTC).strftime("%H:%M:%S")


def span(window: tuple[int, int]) -> str:
    """Show how long a window is: `45 s`, `15 min`, `3 h`."""
    seconds = max(0, window[1] - window[0]) // NS_PER_S
    if seconds < 2 * _MINUTE_S:
        return f"{seconds} s"
    minutes = seconds // _MINUTE_S
    return f"{minutes} min" if minutes < 2 * _MINUTE_S else f"{minutes // _MINUTE_S} h"
