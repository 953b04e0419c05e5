"""What a workload is called, and which labels say so, whatever its pods are named.

Rules, titles and messages are written from it: none names a person, or changes with a roll-out.
"""

from __future__ import annotations

import re

from app.core.model.cluster import Endpoint, IdentityKind
from app.core.model.labels import K8S_SOURCE, LabelSet
from app.core.model.verdict import Peer

_TELLING = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app",
    "k8s-app",
    "component",
    "name",
    "role",
    "tier",
    "release",
)
"""Labels that say what a workload is; when a pod has some, no others are written."""

_UNSTABLE = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/job-completion-index",
        "app.kubernetes.io/version",
        "app.kubernetes.io/managed-by",
        "helm.sh/chart",
        "chart",
        "heritage",
        "hub.jupyter.org/servername",
        "hub.jupyter.org/network-access-hub",
    }
)
"""Labels that change with a roll-out, name one pod, or say how it was installed."""

_PERSONAL = re.compile(r"(?:^|[./_-])(?:user|owner|e-?mail|person)", re.IGNORECASE)
"""Keys of labels that name a person: a rule must not, and neither must what is said of it."""


def stable_labels(endpoint: Endpoint) -> dict[str, str]:
    """Give the labels that a selector for this pod's workload is made of; none may be left.

    Only labels that are part of the identity count: Cilium does not see the others.
    """
    stable = {
        key: value
        for key, value in endpoint.pod_labels.items()
        if key not in _UNSTABLE
        and not _PERSONAL.search(key)
        and _is_identity_label(endpoint.labels, key, value)
    }
    telling = {key: stable[key] for key in _TELLING if key in stable}
    return telling or stable


def short_name(peer: Peer) -> str:
    """Say who an end is, by its workload and never by a pod's own name, which may name a person."""
    endpoint = peer.endpoint
    if endpoint is None or peer.kind is not IdentityKind.POD:
        return min(peer.names) if peer.names else peer.text
    return f"{endpoint.namespace}/{workload_name(endpoint)}"


def subject_name(endpoint: Endpoint) -> str:
    """Say whose policy it is: a pod's workload, else the reserved endpoint or the node."""
    if not endpoint.namespace:
        return endpoint.name.replace("reserved:", "entity ")
    return f"{endpoint.namespace}/{workload_name(endpoint)}"


def workload_name(endpoint: Endpoint) -> str:
    """Give a pod's workload, else the label that says most, else its labels."""
    if endpoint.workload is not None:
        return endpoint.workload.name
    labels = stable_labels(endpoint)
    for key in ("component", "app.kubernetes.io/component", *_TELLING):
        if key in labels:
            return labels[key]
    return ",".join(f"{key}={value}" for key, value in labels.items()) or "pods"


def _is_identity_label(labels: LabelSet, key: str, value: str) -> bool:
    label = labels.get(key)
    return label is not None and label.source == K8S_SOURCE and label.value == value
