"""A synthetic research environment as Kubernetes objects: many small projects, few shared services.

Every workload has a label of its own, so every one is an identity; its pods share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.core.model.provenance import Manifest, ObjectRef

Body = dict[str, Any]

APPS = ("notebook", "hub", "proxy", "store", "runner", "mirror", "desktop", "login")
SHARED = ("kube-system", "gateway", "monitoring", "mirror", "identity")
POLICIES_PER_PROJECT = 5
PODS_PER_NODE = 100


@dataclass(frozen=True, slots=True)
class Size:
    """How big the environment is."""

    identities: int
    pods_per_identity: int
    policies: int

    @property
    def projects(self) -> int:
        """Namespaces with policies of their own."""
        return self.policies // POLICIES_PER_PROJECT


def manifests(size: Size) -> list[Manifest]:
    """Give every object of the environment."""
    return [manifest(body) for body in _objects(size)]


def manifest(body: Body) -> Manifest:
    """Wrap an object as read."""
    metadata = body["metadata"]
    ref = ObjectRef(body["kind"], metadata.get("namespace", ""), metadata["name"])
    return Manifest(ref, body["apiVersion"], body)


def _objects(size: Size) -> Iterator[Body]:
    namespaces = [*SHARED, *(f"project-{number}" for number in range(size.projects))]
    for name in namespaces:
        labels = {"kubernetes.io/metadata.name": name}
        if name.startswith("project"):
            labels |= {"kind": "project", "team": f"team-{hash_of(name) % 20}"}
        yield {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels},
        }
    for number in range(size.identities):
        for replica in range(size.pods_per_identity):
            yield _pod(namespaces[number % len(namespaces)], number, replica, size)
    made = 0
    for policy in _clusterwide():
        made += 1
        yield policy
    for number in range(size.policies - made):
        yield _project_policy(number // POLICIES_PER_PROJECT, number % POLICIES_PER_PROJECT)


def hash_of(text: str) -> int:
    """Give a number that is the same in every process."""
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(text))


def _pod(namespace: str, number: int, replica: int, size: Size) -> Body:
    app = APPS[number // (size.projects + len(SHARED)) % len(APPS)]
    serial = number * size.pods_per_identity + replica
    address = f"10.{100 + (serial >> 16)}.{serial >> 8 & 255}.{serial & 255}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": f"{app}-{number}-{replica}",
            "labels": {
                "app": app,
                "app.kubernetes.io/instance": f"{app}-{number}",
                "tier": "front" if app in ("proxy", "login") else "back",
                "pod-template-hash": f"{number:08x}",
            },
        },
        "spec": {
            "nodeName": f"node-{serial // PODS_PER_NODE}",
            "serviceAccountName": app,
            "containers": [
                {
                    "name": "main",
                    "image": "example.org/app:1",
                    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                }
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _cilium(namespace: str, name: str, spec: Body) -> Body:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    kind = "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy"
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": spec}


def _tcp(*numbers: int) -> list[Body]:
    return [{"ports": [{"port": str(number), "protocol": "TCP"} for number in numbers]}]


def _in(namespace: str, **labels: str) -> Body:
    return {"matchLabels": {"k8s:io.kubernetes.pod.namespace": namespace, **labels}}


DNS = [
    {
        "ports": [{"port": "53", "protocol": "ANY"}],
        "rules": {"dns": [{"matchPattern": "*"}]},
    }
]


def _clusterwide() -> Iterator[Body]:
    yield _cilium(
        "",
        "dns",
        {"endpointSelector": {}, "egress": [{"toEndpoints": [_in("kube-system")], "toPorts": DNS}]},
    )
    yield _cilium(
        "",
        "no-metadata-service",
        {
            "endpointSelector": {},
            "egressDeny": [{"toCIDR": ["169.254.169.254/32"]}],
            "enableDefaultDeny": {"egress": False},
        },
    )
    projects = {"matchLabels": {"io.cilium.k8s.namespace.labels.kind": "project"}}
    yield _cilium(
        "",
        "metrics",
        {
            "endpointSelector": projects,
            "ingress": [{"fromEndpoints": [_in("monitoring")], "toPorts": _tcp(9090)}],
        },
    )
    yield _cilium(
        "",
        "projects-to-services",
        {
            "endpointSelector": projects,
            "egress": [
                {"toEndpoints": [_in("identity")], "toPorts": _tcp(8443)},
                {"toEndpoints": [_in("mirror", app="mirror")], "toPorts": _tcp(8080)},
            ],
        },
    )
    yield _cilium(
        "",
        "mirror-out",
        {
            "endpointSelector": _in("mirror"),
            "egress": [{"toFQDNs": [{"matchPattern": "**.pypi.org"}], "toPorts": _tcp(443)}],
        },
    )


def _project_policy(project: int, which: int) -> Body:
    namespace = f"project-{project}"
    neighbour = f"project-{project ^ 1}"
    makers = (_inside, _gateway, _store, _notebooks, _shared_data)
    return makers[which](namespace, neighbour)


def _inside(namespace: str, _: str) -> Body:
    spec = {
        "endpointSelector": {},
        "ingress": [
            {"fromEndpoints": [{"matchLabels": {"tier": "front"}}], "toPorts": _tcp(8080, 8888)}
        ],
        "egress": [{"toEndpoints": [{}], "toPorts": _tcp(8080, 8888, 5432)}],
    }
    return _cilium(namespace, "inside", spec)


def _gateway(namespace: str, _: str) -> Body:
    rules = {"http": [{"method": "GET", "path": "/.*"}]}
    spec = {
        "endpointSelector": {"matchLabels": {"app": "proxy"}},
        "ingress": [
            {"fromEntities": ["ingress"], "toPorts": [{**_tcp(8080)[0], "rules": rules}]},
            {"fromEndpoints": [_in("gateway")], "toPorts": _tcp(8080)},
        ],
    }
    return _cilium(namespace, "gateway", spec)


def _store(namespace: str, _: str) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "store", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app": "store"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {
                            "podSelector": {
                                "matchExpressions": [
                                    {"key": "app", "operator": "In", "values": ["hub", "notebook"]}
                                ]
                            }
                        }
                    ],
                    "ports": [{"port": 5432, "protocol": "TCP"}],
                }
            ],
        },
    }


def _notebooks(namespace: str, _: str) -> Body:
    spec = {
        "endpointSelector": {
            "matchExpressions": [
                {"key": "app", "operator": "In", "values": ["notebook", "desktop"]}
            ]
        },
        "egress": [
            {"toEntities": ["kube-apiserver"], "toPorts": _tcp(6443)},
            {
                "toCIDRSet": [{"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}],
                "toPorts": _tcp(443),
            },
        ],
        "egressDeny": [{"toEndpoints": [{"matchLabels": {"app": "hub"}}], "toPorts": _tcp(22)}],
    }
    return _cilium(namespace, "notebooks", spec)


def _shared_data(namespace: str, neighbour: str) -> Body:
    spec = {
        "endpointSelector": {"matchLabels": {"app": "store"}},
        "ingress": [{"fromEndpoints": [_in(neighbour, app="runner")], "toPorts": _tcp(5432)}],
        "egress": [{"toEndpoints": [_in(neighbour, app="store")], "toPorts": _tcp(5432)}],
    }
    return _cilium(namespace, "shared-data", spec)
