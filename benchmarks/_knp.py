"""A cluster with Kubernetes NetworkPolicies only, which other analysers read as well.

Labels and rules are drawn at random with a fixed seed, so that pods differ as they do in clusters
that grew.
"""

from __future__ import annotations

import random
from typing import Any

Body = dict[str, Any]

PODS_PER_NAMESPACE = 20
NUMBERS = (53, 80, 443, 5432, 8080, 9090)
PORTS = (*NUMBERS, 85, 450)
"""Ports to compare: those that policies name, and two inside ranges."""

LABELS = {
    "app": [f"app-{number}" for number in range(6)],
    "tier": ["front", "back", "data"],
    "env": ["dev", "prod"],
}


class Maker:
    """Draws objects from one seeded source."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311  # test data

    def objects(self, pods: int, policies: int) -> list[Body]:
        """Give namespaces, pods and policies; nothing in it needs Cilium."""
        spaces = [f"team-{number}" for number in range(max(2, pods // PODS_PER_NAMESPACE))]
        found = [_namespace(name, number) for number, name in enumerate(spaces)]
        found += [self._pod(number, spaces[number % len(spaces)]) for number in range(pods)]
        found += [self._policy(number, spaces) for number in range(policies)]
        return found

    def _labels(self, low: int, high: int) -> dict[str, str]:
        keys = self._dice.sample(list(LABELS), self._dice.randint(low, high))
        return {key: self._dice.choice(LABELS[key]) for key in keys}

    def _pod(self, number: int, namespace: str) -> Body:
        address = f"10.1.{number // 250}.{number % 250 + 1}"
        metadata = {"name": f"pod-{number}", "namespace": namespace, "labels": self._labels(3, 3)}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": [{"name": "main", "image": "example.org/app:1"}]},
            "status": {"phase": "Running", "podIP": address},
        }

    def _policy(self, number: int, spaces: list[str]) -> Body:
        spec: Body = {"podSelector": self._selector(), "policyTypes": []}
        for kind, field, word in (("Ingress", "ingress", "from"), ("Egress", "egress", "to")):
            if kind == "Ingress" or self._dice.random() < 0.25:
                spec["policyTypes"].append(kind)
                spec[field] = [self._rule(word)]
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"policy-{number}", "namespace": self._dice.choice(spaces)},
            "spec": spec,
        }

    def _selector(self) -> Body:
        if self._dice.random() < 0.6:
            return {"matchLabels": self._labels(1, 1)}
        key = self._dice.choice(list(LABELS))
        operator = self._dice.choice(["In", "NotIn"])
        values = self._dice.sample(LABELS[key], 1)
        return {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}

    def _rule(self, word: str) -> Body:
        peers = [self._peer()]
        return {word: peers, "ports": [self._port()]}

    def _peer(self) -> Body:
        ring = {"matchLabels": {"ring": f"r{self._dice.randint(0, 3)}"}}
        chance = self._dice.random()
        if chance < 0.4:
            return {"podSelector": self._selector()}
        if chance < 0.7:
            return {"namespaceSelector": ring}
        return {"podSelector": self._selector(), "namespaceSelector": ring}

    def _port(self) -> Body:
        number = self._dice.choice(NUMBERS)
        port: Body = {"port": number, "protocol": "TCP"}
        if self._dice.random() < 0.3:
            port["endPort"] = number + 10
        return port


def _namespace(name: str, number: int) -> Body:
    labels = {"kubernetes.io/metadata.name": name, "ring": f"r{number % 4}"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
