"""What flows say of one connection, told once: twins, retries and both directions are one story.

A denied packet is two flows (policy verdict and drop), a retried connection several, a refused
request two more (the dropped request and the proxy's own 403); a connection is seen at both ends.
Source: Cilium `pkg/hubble/parser/threefour/parser.go`, `pkg/hubble/parser/seven`,
`cilium/proxy: cilium/l7policy.cc`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.core.model.flow import EVENT_L7, EVENT_VERDICT, Flow

FORBIDDEN = 403

FORWARDED = frozenset({"FORWARDED", "REDIRECTED"})
DROPPED = "DROPPED"
FAILED = "ERROR"
"""A proxy that could not do its work decided nothing: that is no drop."""
POLICY_REASONS = frozenset({"POLICY_DENIED", "POLICY_DENY", ""})
"""Reasons that stand for network policy; a drop without a reason is taken for one."""
_TWINS_NS = 20_000_000
"""Flows of one packet are this close: its verdict and its drop come in either order."""


@dataclass(frozen=True, slots=True)
class Story:
    """Every flow of one connection, condensed. Times are UTC nanoseconds, 0 for never.

    `drops` counts packets once (a verdict and its drop are one), `attempts` connections (retries
    from one source port are one). `last_denied` is the newest dropped flow, of an answer where
    `is_answer_denied`; `last_passed` is the newest past the source's own policy, `last_arrived` the
    newest past the destination's, `last_answered` the newest answer. `failed_requests` are those
    that a proxy could not handle.
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
    last_answered: Flow | None = None
    last_audited: Flow | None = None
    is_answer_denied: bool = False
    refused_requests: tuple[Flow, ...] = ()
    failed_requests: tuple[Flow, ...] = ()
    application_403: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether no flow of the connection was seen."""
        return not self.flows

    @property
    def ends_denied(self) -> bool:
        """Whether the newest word on the connection is a drop at layer 3/4."""
        denied = self.last_denied
        if denied is None:
            return False
        passed = self._passed_where_denied(denied)
        return passed is None or passed.time_ns <= denied.time_ns + _TWINS_NS

    @property
    def passed_since(self) -> bool:
        """Whether something went on past the source's own policy after the newest drop."""
        passed = self.last_passed
        return passed is not None and passed.time_ns > self.last_drop_ns

    def _passed_where_denied(self, denied: Flow) -> Flow | None:
        """The newest flow that shows the same connection past the place of a drop.

        What passes the source's policy says nothing of a drop at the destination. Policy may let a
        packet pass that is dropped a moment later for another reason; of such a drop only what
        arrives at a pod, or leaves for the outside, says that it is over.
        """
        if self.is_answer_denied:
            return self.last_answered
        shown = [self.last_arrived, self.last_passed if self._is_past(denied) else None]
        return max((flow for flow in shown if flow is not None), key=_time, default=None)

    def _is_past(self, denied: Flow) -> bool:
        """Whether the newest flow past the source's policy is past the place of the drop, too."""
        passed = self.last_passed
        if passed is None or denied.direction not in ("EGRESS", passed.direction):
            return False
        if denied.direction == "INGRESS" and passed.trace_point in _UNDERWAY:
            return False
        if denied.drop_reason in POLICY_REASONS:
            return True
        return passed.event != EVENT_VERDICT and not denied.destination.pod


def condense(flows: Iterable[Flow], answers: Iterable[Flow] = ()) -> Story:
    """Make one story of the flows of a connection and of those back, each in any order."""
    asked, back = sorted(flows, key=_time), sorted(answers, key=_time)
    packets = [flow for flow in asked if flow.event != EVENT_L7]
    returned = [flow for flow in back if flow.event != EVENT_L7]
    lost = [flow for flow in returned if flow.verdict == DROPPED]
    dropped = sorted((*lost, *(one for one in packets if one.verdict == DROPPED)), key=_time)
    passed = [flow for flow in packets if flow.verdict in FORWARDED and not _leaves(flow)]
    audited = [flow for flow in packets if flow.verdict == "AUDIT"]
    requests = [flow for flow in asked if flow.event == EVENT_L7]
    refused = tuple(flow for flow in requests if flow.verdict == DROPPED)
    whole = tuple(sorted((*asked, *back), key=_time))
    return Story(
        flows=whole,
        drops=_count_packets(dropped),
        attempts=len({_attempt(flow) for flow in dropped}),
        forwarded=len(passed),
        audited=_count_packets(audited),
        first_drop_ns=dropped[0].time_ns if dropped else 0,
        last_drop_ns=dropped[-1].time_ns if dropped else 0,
        reasons=Counter(flow.drop_reason for flow in dropped if flow.drop_reason),
        last_denied=_last_explained(dropped),
        last_passed=_last(passed),
        last_arrived=_last(flow for flow in passed if _arrived(flow)),
        last_answered=_last(
            flow for flow in returned if flow.verdict in FORWARDED and not _leaves(flow)
        ),
        last_audited=_last(audited),
        is_answer_denied=bool(lost) and dropped[-1] is lost[-1],
        refused_requests=refused,
        failed_requests=tuple(flow for flow in requests if flow.verdict == FAILED),
        application_403=_count_application_403(whole, refused),
    )


def _time(flow: Flow) -> int:
    return flow.time_ns


def _last(flows: Iterable[Flow]) -> Flow | None:
    """The newest of flows in order of time."""
    return next(iter(deque(flows, maxlen=1)), None)


def _attempt(flow: Flow) -> tuple[str, int, int]:
    """What the packets of one connection share, in either direction."""
    return flow.source_ip, flow.source_port, flow.destination_port


def _leaves(flow: Flow) -> bool:
    """Whether a flow shows a packet before the source's own policy.

    Source: Cilium `bpf/bpf_lxc.c`: `from-endpoint` is traced before the policy look-up.
    """
    return flow.trace_point == "FROM_ENDPOINT"


_UNDERWAY = frozenset({"TO_OVERLAY", "FROM_OVERLAY", "TO_NETWORK", "FROM_NETWORK"})
"""Where a packet between two nodes is traced before the policy of the pod it is for.

Source: Cilium `bpf/bpf_overlay.c`, `bpf/bpf_host.c`.
"""


def _arrived(flow: Flow) -> bool:
    """Whether a forwarded flow shows the packet past the destination's own policy."""
    if flow.trace_point in _UNDERWAY:
        return False
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
