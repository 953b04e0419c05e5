"""From a flow to the question "why?": whom it names, in the forms of docs/forms.md §3."""

from __future__ import annotations

from app.core.diagnose.naming import parse_end, parse_port, parse_request
from app.core.flows.asking import end_asked
from app.core.model.asked import Asked, End
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow, FlowEndpoint
from app.core.model.verdict import Request

_AGENT_KEYS = ("io.cilium.", "io.kubernetes.")


def asked_of(flow: Flow, cluster: Cluster, *, is_answer: bool = False) -> Asked:
    """Ask about the connection of a flow; an answer is turned round.

    A pod that is not there any more is asked about by the labels that the flow has of it. Raises
    `UsageError` for a flow that no question can be asked about.
    """
    source = _end(flow.source, flow.source_ip, flow.source_names, cluster)
    destination = _end(flow.destination, flow.destination_ip, flow.destination_names, cluster)
    number = flow.destination_port
    if is_answer:
        source, destination, number = destination, source, flow.source_port
    protocol = {"ICMPv4": "ICMP"}.get(flow.protocol, flow.protocol)
    port = parse_port(f"{number}/{protocol}") if protocol else None
    return Asked(source, destination, port, _request(flow))


def _end(end: FlowEndpoint, ip: str, names: tuple[str, ...], cluster: Cluster) -> End:
    words = end_asked(end, ip, names)
    if end.pod and not any(
        (one.namespace, one.name) == (end.namespace, end.pod) for one in cluster.endpoints
    ):
        pairs = ",".join(_pod_labels(end))
        words = f"label:{end.namespace}/{pairs}" if pairs else words
    return parse_end(words)


def _pod_labels(end: FlowEndpoint) -> list[str]:
    labels = (label.removeprefix("k8s:") for label in end.labels if label.startswith("k8s:"))
    return [label for label in labels if "=" in label and not label.startswith(_AGENT_KEYS)]


def _request(flow: Flow) -> Request | None:
    if flow.l7 is None:
        return None
    if flow.l7.http is not None and flow.l7.http.method:
        return parse_request(f"{flow.l7.http.method} {flow.l7.http.url}")
    if flow.l7.dns is not None and flow.l7.dns.query:
        return parse_request(dns=flow.l7.dns.query)
    return None
