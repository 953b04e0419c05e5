"""The demo's pods: named, placed, addressed and given an identity, from the tables alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from integrations.demo.topology import Topology, Workload

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes generated names of.

Source: `staging/src/k8s.io/apimachinery/pkg/util/rand/rand.go`.
"""
_FIRST_IDENTITY = 14_000
_LABEL_PREFIX = "tre.example.org/"


@dataclass(frozen=True, slots=True)
class DemoPod:
    """One pod of a workload, placed on a node."""

    workload: Workload
    name: str
    node: str
    address: str
    ready: bool
    identity: int
    endpoint_id: int
    labels: Mapping[str, str]
    identity_labels: tuple[str, ...]


def place_pods(topology: Topology) -> tuple[DemoPod, ...]:
    """Name, place and number the pods of every workload."""
    taken: Counter[int] = Counter()
    identities: dict[tuple[str, ...], int] = {}
    pods = []
    for workload in topology.workload:
        for index, node in enumerate(workload.nodes):
            name = _pod_name(workload, index)
            labels = _pod_labels(workload, name)
            identity_labels = _identity_labels(workload, labels, topology)
            identity = identities.setdefault(identity_labels, _FIRST_IDENTITY + len(identities))
            taken[node] += 1
            address = f"10.8.{node}.{10 + taken[node]}"
            pods.append(
                DemoPod(
                    workload=workload,
                    name=name,
                    node=f"node-{node}",
                    address=topology.nodes[f"node-{node}"] if workload.host_network else address,
                    ready=index not in workload.not_ready and workload.phase == "Running",
                    identity=identity,
                    endpoint_id=100 * node + taken[node],
                    labels=labels,
                    identity_labels=identity_labels,
                )
            )
    return tuple(pods)


def generated_suffix(text: str, length: int) -> str:
    """A suffix as Kubernetes generates them, but always the same for the same text."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_SUFFIX_ALPHABET[byte % len(_SUFFIX_ALPHABET)] for byte in digest[:length])


def template_hash(workload: Workload) -> str:
    """The `pod-template-hash` of a Deployment, which its ReplicaSet's name ends in."""
    return generated_suffix(f"{workload.namespace}/{workload.name}", 9)


def _pod_name(workload: Workload, index: int) -> str:
    place = f"{workload.namespace}/{workload.name}/{index}"
    match workload.kind:
        case "Pod":
            return workload.name
        case "Node":
            return f"{workload.name}-node-{workload.nodes[index]}"
        case "StatefulSet" | "Cluster":
            return f"{workload.name}-{workload.first + index}"
        case "Deployment":
            return f"{workload.name}-{template_hash(workload)}-{generated_suffix(place, 5)}"
        case _:
            return f"{workload.name}-{generated_suffix(place, 5)}"


def _pod_labels(workload: Workload, name: str) -> Mapping[str, str]:
    generated = {
        "Deployment": {"pod-template-hash": template_hash(workload)},
        "StatefulSet": {"statefulset.kubernetes.io/pod-name": name},
        "DaemonSet": {"controller-revision-hash": generated_suffix(workload.name, 9)},
        "Job": {"batch.kubernetes.io/job-name": workload.name},
    }
    return {**workload.labels, **generated.get(workload.kind, {})}


def namespace_labels(topology: Topology, namespace: str) -> Mapping[str, str]:
    """Every label of a Namespace object."""
    own = topology.namespaces[namespace]
    return {
        "kubernetes.io/metadata.name": namespace,
        **{f"{_LABEL_PREFIX}{key}": value for key, value in own.items()},
    }


def _identity_labels(
    workload: Workload, labels: Mapping[str, str], topology: Topology
) -> tuple[str, ...]:
    namespace = namespace_labels(topology, workload.namespace)
    kept = workload.labels.keys() | {"batch.kubernetes.io/job-name"}
    return tuple(
        sorted(
            [
                *(f"k8s:{key}={value}" for key, value in labels.items() if key in kept),
                *(
                    f"k8s:io.cilium.k8s.namespace.labels.{key}={value}"
                    for key, value in namespace.items()
                ),
                "k8s:io.cilium.k8s.policy.cluster=default",
                f"k8s:io.cilium.k8s.policy.serviceaccount={workload.account}",
                f"k8s:io.kubernetes.pod.namespace={workload.namespace}",
            ]
        )
    )
