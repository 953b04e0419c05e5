"""Random label selectors that fit a pod more often than not, in every spelling Cilium reads."""

from __future__ import annotations

from typing import Any

from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.words import APPS, ODD_POD_LABELS, PEER_ENTITIES, ROLES, TEAMS
from tests.oracle.clusters.workloads import KubernetesObject, Labels, World, pod_labels

Selector = dict[str, Any]

NAMESPACE_KEYS = (
    "k8s:io.kubernetes.pod.namespace",
    "io.kubernetes.pod.namespace",
    "any:io.kubernetes.pod.namespace",
)
NAMESPACE_LABEL_PREFIX = "io.cilium.k8s.namespace.labels."
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


class SelectorMaker:
    """Makes selectors: with `plain` keys for NetworkPolicy, with sources for Cilium."""

    def __init__(self, world: World, *, plain: bool) -> None:
        self._world = world
        self._dice: Dice = world.dice
        self._plain = plain

    def of_pod(self, pod: KubernetesObject) -> Selector:
        """Give a selector without namespaces, as a subject in a namespaced policy has it."""
        if self._dice.chance(0.2):
            return {}
        labels = self._dice.weighted({"fits": 8.0, "other": 1.0})
        source = pod["metadata"].get("labels", {}) if labels == "fits" else pod_labels(self._dice)
        chosen = self._dice.some(
            list(source), 0 if self._dice.chance(0.2) else 1, 1 if self._dice.chance(0.6) else 2
        )
        selector: Selector = {}
        if chosen:
            selector["matchLabels"] = {self._key(key): source[key] for key in chosen}
        if self._dice.chance(0.18):
            selector["matchExpressions"] = [self._expression()]
        return selector

    def of_peer(self, pod: KubernetesObject, home: str) -> Selector:
        """Give a selector of a peer seen from a policy in `home`; it may name a namespace."""
        if self._dice.chance(0.05):
            return self._reserved()
        selector = self.of_pod(pod)
        namespace = pod["metadata"]["namespace"]
        if self._dice.chance(0.85 if namespace != home else 0.15):
            self._add_namespace(selector, namespace)
        if self._dice.chance(0.05):
            self._add_label(selector, "kubernetes.io/metadata.name", namespace)
        if self._dice.chance(0.06):
            account = self._dice.pick(["default", "hub"])
            self._add_label(selector, "io.cilium.k8s.policy.serviceaccount", account)
        if self._dice.chance(0.04):
            self._add_expression(selector, "io.cilium.k8s.policy.cluster", ["default", "other"])
        return selector

    def of_namespace(self, labels: Labels) -> Selector:
        """Give a NetworkPolicy's namespaceSelector for a namespace with these labels."""
        if self._dice.chance(0.25) or not labels:
            return {}
        key = self._dice.pick(list(labels))
        if self._dice.chance(0.7):
            return {"matchLabels": {key: labels[key]}}
        operator = self._dice.pick(OPERATORS)
        expression: dict[str, Any] = {"key": self._dice.pick([key, "team"]), "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = self._dice.some([labels[key], *TEAMS, "study"], 1, 2)
        return {"matchExpressions": [expression]}

    def _key(self, key: str) -> str:
        if self._plain:
            return key
        prefix = self._dice.weighted({"": 12.0, "k8s:": 4.0, "any:": 3.0, "container:": 0.3})
        return prefix + key

    def _reserved(self) -> Selector:
        """Name a reserved identity; 1.19 and 1.20 read three of the spellings differently."""
        name = self._dice.pick([*PEER_ENTITIES, "world", "world-ipv4"])
        form = self._dice.weighted({"reserved:": 8.0, "$": 0.7, "reserved.": 0.7})
        if self._dice.chance(0.8):
            return {"matchLabels": {form + name: ""}}
        operator = self._dice.pick(["Exists", "DoesNotExist"])
        return {"matchExpressions": [{"key": form + name, "operator": operator}]}

    def _expression(self) -> dict[str, Any]:
        keys = ["app", "role", "release", "app.kubernetes.io/name", "absent", *ODD_POD_LABELS]
        key = self._dice.pick(keys[:5] if self._dice.chance(0.85) else keys)
        operator = self._dice.pick(OPERATORS)
        expression: dict[str, Any] = {"key": self._key(key), "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = self._dice.some([*APPS, *ROLES, "yes", ""], 1, 4)
        return expression

    def _add_namespace(self, selector: Selector, namespace: str) -> None:
        dice = self._dice
        labels = self._world.namespaces.get(namespace, {})
        if dice.chance(0.3) and labels:
            key = dice.pick(list(labels))
            self._add_label(selector, NAMESPACE_LABEL_PREFIX + key, labels[key])
            return
        if dice.chance(0.75):
            value = namespace if dice.chance(0.9) else "nowhere"
            selector.setdefault("matchLabels", {})[dice.pick(NAMESPACE_KEYS)] = value
            return
        others = [namespace, *self._world.namespaces, "nowhere"]
        self._add_expression(selector, dice.pick(NAMESPACE_KEYS), dice.some(others, 1, 3))

    def _add_label(self, selector: Selector, key: str, value: str) -> None:
        selector.setdefault("matchLabels", {})[self._key(key)] = value

    def _add_expression(self, selector: Selector, key: str, values: list[str]) -> None:
        operator = self._dice.pick(OPERATORS)
        expression: dict[str, Any] = {"key": key, "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = values
        selector.setdefault("matchExpressions", []).append(expression)
