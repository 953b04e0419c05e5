"""Short ways to write objects for tests: the YAML a person would write becomes manifests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from app.core.model.kinds import CCNP, CNP, KNP
from app.core.model.provenance import Manifest, ObjectRef, Source

API_VERSIONS = {
    CNP: "cilium.io/v2",
    CCNP: "cilium.io/v2",
    "CiliumCIDRGroup": "cilium.io/v2",
    KNP: "networking.k8s.io/v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
}


def manifest(
    kind: str,
    name: str,
    namespace: str = "",
    *,
    labels: Mapping[str, str] | None = None,
    source: Source | None = None,
    **fields: Any,
) -> Manifest:
    """One object; `fields` are its top-level fields, as `spec={…}`."""
    api_version = API_VERSIONS.get(kind, "v1")
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    body = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}
    return Manifest(ObjectRef(kind, namespace, name), api_version, body, source)


def namespace(name: str, **labels: str) -> Manifest:
    """A namespace with labels."""
    return manifest("Namespace", name, labels=labels)


def pod(
    place: str, ip: str = "", *, labels: Mapping[str, str] | None = None, ready: bool = True
) -> Manifest:
    """A running pod `NS/NAME` with an address."""
    space, _, name = place.partition("/")
    status: dict[str, Any] = {
        "phase": "Running",
        "podIPs": [{"ip": ip}] if ip else [],
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
    }
    if ip:
        status["podIP"] = ip
    spec = {"containers": [{"name": "main"}], "nodeName": "node-1"}
    return manifest("Pod", name, space, labels=labels, spec=spec, status=status)


def manifests(text: str, *, file: str | None = None) -> tuple[Manifest, ...]:
    """Every object of a YAML text; with `file` each claims to come from it, line 1."""
    found = []
    for at, body in enumerate(yaml.safe_load_all(text)):
        metadata = body["metadata"]
        ref = ObjectRef(body["kind"], metadata.get("namespace", ""), metadata["name"])
        source = Source(file, 1, at) if file else None
        found.append(Manifest(ref, body["apiVersion"], body, source))
    return tuple(found)
