"""Raw objects for tests of the cluster's build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.cluster.build import build_cluster
from app.core.model.cluster import Cluster, ClusterConfig, Endpoint
from app.core.model.provenance import Manifest, ObjectRef, Source

Tree = dict[str, Any]


def manifest(kind: str, name: str, namespace: str = "", /, **body: Any) -> Manifest:
    """Write an object; `labels` and `owners` go to its metadata, `source` to the manifest."""
    source = body.pop("source", None)
    metadata: Tree = {"name": name, "labels": body.pop("labels", {})}
    if namespace:
        metadata["namespace"] = namespace
    if "owners" in body:
        metadata["ownerReferences"] = body.pop("owners")
    return Manifest(
        ObjectRef(kind, namespace, name), "", {"kind": kind, "metadata": metadata, **body}, source
    )


def pod(name: str, namespace: str = "a", address: str = "10.0.0.1", **body: Any) -> Manifest:
    """Write a running Pod."""
    spec = {"serviceAccountName": "default", "containers": [{"name": "c"}]} | body.pop("spec", {})
    status = {"phase": "Running", "podIP": address} | body.pop("status", {})
    return manifest("Pod", name, namespace, spec=spec, status=status, **body)


def build(
    *manifests: Manifest,
    config: ClusterConfig | None = None,
    settings: Mapping[str, str] | None = None,
) -> Cluster:
    """Build the cluster of these objects."""
    return build_cluster(manifests, config, settings)


def endpoint(*manifests: Manifest, settings: Mapping[str, str] | None = None) -> Endpoint:
    """Build the cluster and give its only endpoint."""
    (found,) = build(*manifests, settings=settings).endpoints
    return found


def at(line: int, **lines: int) -> Source:
    """Place an object in a file."""
    return Source(
        "objects.yaml", line, lines={key.replace("_", "."): n for key, n in lines.items()}
    )
