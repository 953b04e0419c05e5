"""Recorded flows as connections that policies are asked about, each with how often it was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address

from app.core.diagnose.ends import hypothetical
from app.core.diagnose.evidence import FlowEvidence
from app.core.drafts.seen import Seen
from app.core.flows.times import NS_PER_S
from app.core.model.cluster import Endpoint
from app.core.model.flow import EVENT_L7, Flow, FlowEndpoint
from app.core.model.verdict import Peer, Protocol, Question
from app.core.policy.engine import Engine
from app.core.policy.reachability import ENTITIES

_THROUGH = frozenset({"FORWARDED", "REDIRECTED", "AUDIT", "TRACED", "TRANSLATED"})
"""Verdicts of what went through; `AUDIT` would have been dropped but for audit mode."""

_DROPPED = "DROPPED"
_LEAVES = "FROM_ENDPOINT"
"""Where a packet leaves its pod, before any policy was asked."""

_PROTOCOLS = {
    "TCP": Protocol.TCP,
    "UDP": Protocol.UDP,
    "SCTP": Protocol.SCTP,
    "ICMPv4": Protocol.ICMP,
    "ICMPv6": Protocol.ICMPV6,
}
_LABEL_PREFIX = "k8s:"
_CILIUM_LABELS = "io.cilium."
_NAMESPACE_LABELS = "io.kubernetes.pod."


def seen_connections(evidence: FlowEvidence, engine: Engine) -> tuple[Seen, ...]:
    """Give what went through, by its ends and port; a connection seen at both ends counts once.

    Replies and messages of the proxy are no connections of their own, nor is what was dropped on
    its way, or only seen to leave its pod. Pods that are not in the picture are those that their
    labels say.
    """
    ends = _Ends(engine)
    counts: dict[object, tuple[Question, set[object]]] = {}
    for flow in _opening(evidence):
        question = ends.question(flow)
        if question is None:
            continue
        key = (
            *_key(question.source),
            *_key(question.destination),
            question.protocol,
            question.port,
        )
        counts.setdefault(key, (question, set()))[1].add(_connection(flow))
    return tuple(Seen(question, len(several)) for question, several in counts.values())


def _key(peer: Peer) -> tuple[object, ...]:
    """What policies tell of an end."""
    return peer.kind, peer.labels, peer.address if peer.endpoint is None else None, peer.names


def _opening(evidence: FlowEvidence) -> Iterator[Flow]:
    """Flows of what went through. Source: Cilium `pkg/monitor/api/types.go` (trace points)."""
    dropped = {_connection(flow) for flow in evidence.flows if flow.verdict == _DROPPED}
    for flow in evidence.flows:
        if flow.verdict not in _THROUGH or flow.is_reply or flow.event == EVENT_L7:
            continue
        only_sent = flow.verdict == "FORWARDED" and flow.trace_point == _LEAVES
        if not only_sent and _connection(flow) not in dropped:
            yield flow


def _connection(flow: Flow) -> tuple[object, ...]:
    """What tells a connection from the next; what has no ports is another one each second."""
    ends = (flow.protocol, flow.source_ip, flow.source_port, flow.destination_ip)
    return (*ends, flow.destination_port, 0 if flow.source_port else flow.time_ns // NS_PER_S)


class _Ends:
    """Who the ends of a flow are, by the pods of a picture and by what Hubble says of others."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pods = {(one.namespace, one.name): one for one in engine.cluster.endpoints}
        self._templates = [one for one in engine.cluster.endpoints if one.template]
        self._known: dict[FlowEndpoint, Endpoint] = {}
        services = engine.cluster.services
        self._virtual = {ip for one in services for ip in (*one.cluster_ips, *one.external_ips)}

    def question(self, flow: Flow) -> Question | None:
        """The connection a flow belongs to; None where an end or the protocol is not known."""
        protocol = _PROTOCOLS.get(flow.protocol)
        source = self._peer(flow.source, flow.source_ip, flow.source_names)
        destination = self._peer(flow.destination, flow.destination_ip, flow.destination_names)
        if protocol is None or source is None or destination is None:
            return None
        return Question(source, destination, flow.destination_port, protocol)

    def _peer(self, end: FlowEndpoint, ip: str, names: tuple[str, ...]) -> Peer | None:
        if end.pod:
            return self._engine.peer_of(self._pod(end))
        for name in ENTITIES:
            if name != "world" and f"reserved:{name}" in end.labels:
                return self._engine.peer_of_entity(name)
        try:
            address = ip_address(ip)
        except ValueError:
            return None
        if address in self._virtual:  # before translation; another flow shows the pod behind it
            return None
        peer = self._engine.peer_of_address(address, frozenset(names))
        return replace(peer, names=frozenset(names)) if names else peer

    def _pod(self, end: FlowEndpoint) -> Endpoint:
        if (present := self._pods.get((end.namespace, end.pod))) is not None:
            return present
        if end not in self._known:
            self._known[end] = self._by_labels(end.namespace, _labels(end))
        return self._known[end]

    def _by_labels(self, namespace: str, labels: Mapping[str, str]) -> Endpoint:
        for one in self._templates:
            own = one.pod_labels.items()
            if one.namespace == namespace and own and own <= labels.items():
                return one
        return hypothetical(namespace, dict(labels), self._engine)


def _labels(end: FlowEndpoint) -> dict[str, str]:
    """The pod's own labels, of those that Hubble shows of its identity."""
    pairs = (one.removeprefix(_LABEL_PREFIX).partition("=") for one in end.labels)
    return {
        key: value
        for key, _, value in pairs
        if not key.startswith((_CILIUM_LABELS, _NAMESPACE_LABELS, "reserved:"))
    }
