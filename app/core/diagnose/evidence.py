"""The flows of one connection among all that were seen: which are its own, which are another's.

A connection is seen at both ends, before and after the address of a Service is translated, and on
its way back; a pod of another cluster may have the same name and address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.core.diagnose.story import DROPPED, Story, condense
from app.core.flows.times import NS_PER_S
from app.core.model.cluster import DEFAULT_CLUSTER_NAME
from app.core.model.flow import EVENT_L7, Flow, FlowEndpoint

_MINUTE_S = 60


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
        """Say whether a flow's end is this one, of whatever cluster it is."""
        if ip in self.addresses or (end.namespace, end.pod) in self.pods:
            return True
        if end.workload and (end.namespace, end.workload) in self.workloads:
            return True
        if self.names and not self.names.isdisjoint(names):
            return True
        return bool(self.reserved) and self.reserved in end.labels


@dataclass(frozen=True, slots=True)
class Place:
    """What a connection leads to, as flows show it: an end and its ports there.

    A Service has its own ports at its own address, and others at its pods: a flow to a pod on a
    port of the Service is another connection. `source` is who gets there, where that is not who
    asked: a node that replaced the client's address by its own.
    """

    spot: Spot
    ports: frozenset[int]
    source: Spot | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which flows belong to a connection: from `source` to one of `places`.

    `protocols` are Hubble's, `cluster` is the own cluster's name (empty: it is not known).
    """

    source: Spot
    places: tuple[Place, ...]
    protocols: frozenset[str]
    cluster: str = ""

    def is_asked(self, flow: Flow) -> bool:
        """Say whether a flow goes from the source to a place."""
        sender = (flow.source, flow.source_ip, flow.source_names)
        return any((one.source or self.source).holds(*sender) for one in self._places_of(flow))

    def leads_here(self, flow: Flow) -> bool:
        """Say whether a flow goes to a place, whoever sends it."""
        return next(self._places_of(flow), None) is not None

    def _places_of(self, flow: Flow) -> Iterator[Place]:
        port = flow.destination_port
        if not self._is_at(port, flow.protocol) or is_foreign(flow, self.cluster):
            return
        end, ip, names = flow.destination, flow.destination_ip, flow.destination_names
        for one in self.places:
            if port in one.ports and one.spot.holds(end, ip, names):
                yield one

    def is_answer(self, flow: Flow) -> bool:
        """Say whether a flow goes from a place back to the source.

        Hubble does not say of a drop that it is of an answer.
        Source: Cilium `pkg/hubble/parser/threefour/parser.go` `decodeIsReply`: traces, verdicts.
        """
        port = flow.source_port
        if not self._is_at(port, flow.protocol) or is_foreign(flow, self.cluster):
            return False
        if not flow.is_reply and (flow.verdict != DROPPED or flow.event == EVENT_L7):
            return False
        to = (flow.destination, flow.destination_ip, flow.destination_names)
        end, ip, names = flow.source, flow.source_ip, flow.source_names
        return any(
            port in one.ports
            and one.spot.holds(end, ip, names)
            and (one.source or self.source).holds(*to)
            for one in self.places
        )

    def _is_at(self, port: int, protocol: str) -> bool:
        return protocol in self.protocols and any(port in one.ports for one in self.places)


def is_foreign(flow: Flow, cluster: str) -> bool:
    """Say whether an end of a flow is a pod of another cluster than `cluster`.

    Source: Cilium `api/v1/flow/flow.proto` (`Endpoint.cluster_name`), `pkg/hubble/parser` and
    `pkg/hubble/observer` (`node_name` is `cluster/node`, the node alone in a cluster `default`).
    """
    if not cluster:
        return False
    seen_in, slash, _ = flow.node.partition("/")
    for end in (flow.source, flow.destination):
        home = end.cluster or (seen_in if slash and end.pod else "")
        if home and home != cluster:
            return True
    return False


def own_cluster(evidence: FlowEvidence, name: str) -> str:
    """The name by which flows of the own cluster are told from others; empty when they cannot be.

    `default` is also what a cluster is called of which no configuration was read: where no flow
    has it, the flows are of the only cluster that there is.
    """
    seen = {end.cluster for flow in evidence.flows for end in (flow.source, flow.destination)}
    seen |= {flow.node.partition("/")[0] for flow in evidence.flows if "/" in flow.node}
    seen.discard("")
    return "" if name == DEFAULT_CLUSTER_NAME and seen and name not in seen else name


def tell_story(evidence: FlowEvidence, wanted: Wanted) -> Story:
    """Collect the flows of one connection, there and back, and condense them."""
    asked, answers = [], []
    ports = frozenset[int]().union(*(one.ports for one in wanted.places))
    for flow in evidence.flows:
        to, of = flow.destination_port in ports, flow.source_port in ports
        if to and flow.is_reply is not True and wanted.is_asked(flow):
            asked.append(flow)
        elif of and wanted.is_answer(flow):
            answers.append(flow)
    return condense(asked, answers)


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
