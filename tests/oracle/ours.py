"""The same cases, answered by this project's engine, in the drivers' form."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from app.core.cluster.build import build_cluster
from app.core.model.cluster import ClusterConfig, EnforcementMode
from app.core.model.provenance import Manifest, ObjectRef
from app.core.model.verdict import (
    DirectionDecision,
    DnsRequest,
    HttpRequest,
    Outcome,
    Peer,
    Protocol,
    Question,
    Request,
    SniRequest,
)
from app.core.policy.engine import Engine, without_policy
from tests.oracle.client import Answers, Case

WORDS = {
    Outcome.ALLOWED: "allowed",
    Outcome.NOT_ENFORCED: "allowed",
    Outcome.DENIED: "denied",
    Outcome.REDIRECTED: "redirected",
}


def build_engine(case: Case, version: str) -> Engine:
    """Build the engine of a case."""
    manifests = [_manifest(body) for body in case["objects"]]
    return Engine.build(build_cluster(manifests, _config(case["config"], version)))


def answer(case: Case, version: str) -> Answers:
    """Give verdicts, deciding policies and refused objects of a case."""
    engine = build_engine(case, version)
    pods = {endpoint.key: endpoint for endpoint in engine.cluster.endpoints}
    ends = {f"pod:{key}": engine.peer_of(endpoint) for key, endpoint in pods.items()}
    expect = [_expectation(engine, ends, query) for query in case["queries"]]
    invalid = {str(rejected.ref): rejected.reason for rejected in engine.rejected}
    return {"name": case["name"], "invalid": invalid, "expect": expect}


def _manifest(body: dict[str, Any]) -> Manifest:
    metadata = body["metadata"]
    ref = ObjectRef(body["kind"], metadata.get("namespace", ""), metadata["name"])
    return Manifest(ref, body["apiVersion"], body)


def _config(config: dict[str, Any], version: str) -> ClusterConfig:
    major, minor, patch = (int(part) for part in version.split("."))
    return ClusterConfig(
        cilium_version=(major, minor, patch),
        dual_stack=config.get("dualStack", False),
        enforcement=EnforcementMode(config.get("policyEnforcementMode", "default")),
    )


def _expectation(engine: Engine, ends: dict[str, Peer], query: dict[str, Any]) -> dict[str, Any]:
    for end in (query["from"], query["to"]):
        if end not in ends:
            ends[end] = _outside_end(engine, end)
    request = _request(query)
    decision = engine.decide(
        Question(
            ends[query["from"]],
            ends[query["to"]],
            query["port"],
            Protocol(query["protocol"]),
            request,
        )
    )
    expectation: dict[str, Any] = {"verdict": decision.verdict.value}
    for name, direction in (("egress", decision.egress), ("ingress", decision.ingress)):
        if direction.outcome is not Outcome.NOT_APPLICABLE:
            expectation[name] = _direction(direction, asked_request=request is not None)
    return expectation


def _direction(direction: DirectionDecision, *, asked_request: bool) -> dict[str, Any]:
    words: dict[str, Any] = {
        "verdict": WORDS[direction.outcome],
        "by": [str(ref) for ref in direction.by],
    }
    if asked_request and direction.l4 is not None:
        words["l4"] = WORDS[direction.l4]
    return words


def _outside_end(engine: Engine, end: str) -> Peer:
    kind, _, rest = end.partition(":")
    if kind == "entity":
        return without_policy(engine.peer_of_entity(rest))
    name, _, address = rest.rpartition("=")
    names = frozenset((name.lower().removesuffix("."),)) if name else frozenset[str]()
    return engine.peer_of_outside(ip_address(address), names)


def _request(query: dict[str, Any]) -> Request | None:
    if "dns" in query:
        return DnsRequest(query["dns"])
    if "sni" in query:
        return SniRequest(query["sni"])
    if "http" not in query:
        return None
    http = query["http"]
    return HttpRequest(
        http.get("method", "GET"),
        http.get("path", "/"),
        http.get("host", ""),
        http.get("headers", {}),
    )
