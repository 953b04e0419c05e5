"""Small clusters for tests: policies and pods from short trees."""

from __future__ import annotations

from typing import Any

from app.core.cluster.build import build_cluster
from app.core.model.cluster import Cluster, ClusterConfig
from app.core.model.provenance import Manifest, ObjectRef, Source
from app.core.model.verdict import Peer, Protocol, Question
from app.core.policy.context import ParseContext
from app.core.policy.engine import Engine
from app.core.policy.parse import parse_policy
from app.core.policy.rules import ParsedPolicy, RejectedPolicy
from tests.core.policy.cases import expand, fixture

Tree = dict[str, Any]
V117, V118, V119, V1195, V1196, V120 = (
    (1, 17, 0),
    (1, 18, 4),
    (1, 19, 3),
    (1, 19, 5),
    (1, 19, 6),
    (1, 20, 2),
)


def manifest(body: Tree, source: Source | None = None) -> Manifest:
    """Wrap a raw object."""
    metadata = body["metadata"]
    ref = ObjectRef(body["kind"], metadata.get("namespace", ""), metadata["name"])
    return Manifest(ref, body.get("apiVersion", ""), body, source)


def cnp(spec: Tree | None, name: str = "p", namespace: str = "a", **top: Any) -> Tree:
    """Write a CiliumNetworkPolicy."""
    body: Tree = {
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        **top,
    }
    return body | ({"spec": spec} if spec is not None else {})


def ccnp(spec: Tree, name: str = "p") -> Tree:
    """Write a CiliumClusterwideNetworkPolicy."""
    return {"kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": name}, "spec": spec}


def knp(spec: Tree, name: str = "p", namespace: str = "a") -> Tree:
    """Write a NetworkPolicy."""
    metadata = {"name": name, "namespace": namespace}
    return {"kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def ingress(*items: Tree, **rule: Any) -> Tree:
    """Write the spec of an ingress rule for every pod."""
    return {"endpointSelector": {}, "ingress": list(items), **rule}


def egress(*items: Tree, **rule: Any) -> Tree:
    """Write the spec of an egress rule for every pod."""
    return {"endpointSelector": {}, "egress": list(items), **rule}


def ports(*written: Tree, **extra: Any) -> Tree:
    """Write an item with one `toPorts` element."""
    return {"toPorts": [{"ports": list(written), **extra}]}


TCP80 = {"port": "80", "protocol": "TCP"}


def parse(
    body: Tree, config: ClusterConfig | None = None, cluster: Cluster | None = None
) -> ParsedPolicy | RejectedPolicy:
    """Parse one policy."""
    known = cluster or Cluster(config=config or ClusterConfig())
    return parse_policy(manifest(body), ParseContext.of(known))


def accepted(body: Tree, config: ClusterConfig | None = None) -> ParsedPolicy:
    """Parse a policy that must be accepted."""
    parsed = parse(body, config)
    assert isinstance(parsed, ParsedPolicy), parsed
    return parsed


def refused(body: Tree, config: ClusterConfig | None = None) -> RejectedPolicy:
    """Parse a policy that must be refused."""
    parsed = parse(body, config)
    assert isinstance(parsed, RejectedPolicy), parsed
    return parsed


def make_cluster(*bodies: Tree, config: ClusterConfig | None = None) -> Cluster:
    """Build the fixture's cluster with more objects."""
    objects = [*fixture(), *(expand(body) for body in bodies)]
    return build_cluster([manifest(body) for body in objects], config or ClusterConfig())


def make_engine(*bodies: Tree, config: ClusterConfig | None = None) -> Engine:
    """Build an engine over the fixture's cluster."""
    return Engine.build(make_cluster(*bodies, config=config))


def pod(engine: Engine, key: str) -> Peer:
    """Find a pod as an end of a connection."""
    return next(engine.peer_of(item) for item in engine.cluster.endpoints if item.key == key)


def ask(
    engine: Engine,
    source: Peer | str,
    destination: Peer | str,
    port: int = 80,
    protocol: Protocol = Protocol.TCP,
) -> Question:
    """Ask about two ends, pods by their key."""
    ends = [pod(engine, end) if isinstance(end, str) else end for end in (source, destination)]
    return Question(ends[0], ends[1], port, protocol)
