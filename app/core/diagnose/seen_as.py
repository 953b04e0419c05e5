"""What identity Hubble saw beside the one that the objects imply.

The datapath judges by the identity that its agent knows for an address at that moment: a pod whose
address no agent has an identity for is the CIDR around it, or `world`; a masqueraded client is the
node that it came through.
Source: Cilium `pkg/identity/numericidentity.go` (reserved numbers, and local ones from 1<<24 on),
`bpf/lib/identity.h`, `pkg/ipcache`.
"""

from __future__ import annotations

from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.question import Leg
from app.core.diagnose.story import Story
from app.core.model.cluster import IdentityKind
from app.core.model.flow import Flow, FlowEndpoint
from app.core.policy.identities import NODE_KINDS

_RESERVED = "reserved:"
_NUMBERS = {
    1: "host",
    2: "world",
    3: "unmanaged",
    4: "health",
    5: "init",
    6: "remote-node",
    7: "kube-apiserver",
    8: "ingress",
    9: "world-ipv4",
    10: "world-ipv6",
}
_OUTSIDE = frozenset({"world", "world-ipv4", "world-ipv6"})
_NODES = frozenset({"host", "remote-node", "kube-apiserver"})
_LOCAL = range(1 << 24, 1 << 25)
"""Identities that an agent gives to addresses outside."""


def seen_as(leg: Leg, story: Story) -> str:
    """Say where Hubble saw another identity than the objects imply; empty where they agree."""
    flow = story.last_denied or story.last_passed
    if flow is None:
        return ""
    ends = [("source", flow.source, leg.source), ("destination", flow.destination, leg.destination)]
    if story.is_answer_denied and flow is story.last_denied:
        ends = [
            (ends[0][0], flow.destination, leg.source),
            (ends[1][0], flow.source, leg.destination),
        ]
    if _is_of_a_service(flow, leg):
        ends = ends[:1]
    return "; ".join(text for side, seen, end in ends if (text := _differs(side, seen, end)))


def _is_of_a_service(flow: Flow, leg: Leg) -> bool:
    """Whether the destination is the address in front of the pods, which has no identity."""
    end = leg.destination
    fronts = {str(end.frontend)} if end.frontend is not None else set()
    if end.service is not None:
        fronts |= {str(ip) for ip in (*end.service.cluster_ips, *end.service.external_ips)}
    return flow.destination_ip in fronts


def _differs(side: str, seen: FlowEndpoint, end: ResolvedEnd) -> str:
    if not seen.identity and not seen.labels:
        return ""
    kinds = _kinds(seen)
    if _is_implied(kinds, end):
        return _other_labels(side, seen, end)
    return f"Hubble saw the {side} as {_words(seen, kinds)}, not as {_own(end)}"


def _kinds(seen: FlowEndpoint) -> frozenset[str]:
    """The reserved labels of an identity; none for that of a pod."""
    named = {one.removeprefix(_RESERVED) for one in seen.labels if one.startswith(_RESERVED)}
    if seen.identity in _NUMBERS:
        named.add(_NUMBERS[seen.identity])
    if not named and seen.identity in _LOCAL:
        named.add("world")
    return frozenset(named)


def _is_implied(kinds: frozenset[str], end: ResolvedEnd) -> bool:
    kind = end.peer.kind
    if kind is IdentityKind.POD:
        return not kinds
    if kind is IdentityKind.WORLD:
        return bool(kinds & _OUTSIDE)
    if kind in NODE_KINDS or kind is IdentityKind.KUBE_APISERVER:
        return bool(kinds & _NODES) or (kind is IdentityKind.KUBE_APISERVER and bool(kinds))
    return kind.value in kinds


def _words(seen: FlowEndpoint, kinds: frozenset[str]) -> str:
    number = f"identity {seen.identity}" if seen.identity else ""
    if not kinds:
        return f"the pod {seen.namespace}/{seen.pod} ({number})" if seen.pod else number
    if kinds & _OUTSIDE:
        blocks = [one for one in seen.labels if one.startswith(("cidr:", "fqdn:"))]
        return f"an address outside ({', '.join(filter(None, (number, *blocks)))})"
    return f"{' and '.join(sorted(kinds))} ({seen.identity})"


def _own(end: ResolvedEnd) -> str:
    pod = end.endpoint
    if pod is not None and pod.identity is not None:
        return f"the pod {pod.key}, whose own identity is {pod.identity}"
    if pod is not None and end.peer.kind is IdentityKind.POD:
        return f"the pod {pod.key}"
    return "what is outside" if end.peer.kind is IdentityKind.WORLD else end.peer.kind.value


def _other_labels(side: str, seen: FlowEndpoint, end: ResolvedEnd) -> str:
    """Labels that both have, with other values: the identity is of an older or a newer pod."""
    if end.peer.kind is not IdentityKind.POD:
        return ""
    known = {label.key: label.value for label in end.peer.labels.values()}
    pairs = (one.partition(":")[2].partition("=") for one in seen.labels)
    other = [f"{key}={value}" for key, _, value in pairs if known.get(key, value) != value]
    return f"Hubble saw the {side} with the label {', '.join(sorted(other))}" if other else ""
