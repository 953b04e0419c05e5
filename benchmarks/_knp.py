"""A cluster with Kubernetes NetworkPolicies only, which other analysers read as well."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]

PODS_PER_NAMESPACE = 20
PORTS = (80, 443, 5432, 8080)
"""The ports that policies name; one that none names is asked about besides."""

ROLES = ("front", "back", "data", "batch")


def objects(pods: int, policies: int) -> list[Body]:
    """Give namespaces, pods and policies; nothing in it needs Cilium."""
    spaces = [f"team-{number}" for number in range(max(2, pods // PODS_PER_NAMESPACE))]
    found: list[Body] = [_namespace(name, number) for number, name in enumerate(spaces)]
    found += [_pod(number, spaces[number % len(spaces)]) for number in range(pods)]
    found += [_policy(number, spaces) for number in range(policies)]
    return found


def _namespace(name: str, number: int) -> Body:
    labels = {"kubernetes.io/metadata.name": name, "ring": f"r{number % 3}"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _pod(number: int, namespace: str) -> Body:
    labels = {"app": f"app-{number}", "role": ROLES[number // 7 % len(ROLES)]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{number}", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "example.org/app:1"}]},
        "status": {"phase": "Running", "podIP": f"10.1.{number // 250}.{number % 250 + 1}"},
    }


def _policy(number: int, spaces: list[str]) -> Body:
    spec: Body = {"podSelector": {"matchLabels": {"role": ROLES[number % len(ROLES)]}}}
    port = {"port": PORTS[number % len(PORTS)], "protocol": "TCP"}
    peers = [{"podSelector": {"matchLabels": {"role": ROLES[number // 4 % len(ROLES)]}}}]
    if number % 3 == 0:
        peers = [{"namespaceSelector": {"matchLabels": {"ring": f"r{number % 2}"}}}]
    if number % 5 == 0:
        front = {"matchLabels": {"role": "front"}}
        ring = {"matchExpressions": [{"key": "ring", "operator": "In", "values": ["r1", "r2"]}]}
        peers.append({"podSelector": front, "namespaceSelector": ring})
    if number % 4 == 3:
        spec |= {"policyTypes": ["Egress"], "egress": [{"to": peers, "ports": [port]}]}
    else:
        spec |= {"policyTypes": ["Ingress"], "ingress": [{"from": peers, "ports": [port]}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"policy-{number}", "namespace": spaces[number % len(spaces)]},
        "spec": spec,
    }
