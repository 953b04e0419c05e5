"""Random namespaces, pods, Services with EndpointSlices, and CIDR groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.words import (
    ADDRESSES,
    ADDRESSES_V6,
    BLOCKS,
    BLOCKS_V6,
    NAMED_PORTS,
    NAMESPACE_LABELS,
    NAMESPACES,
    ODD_NAMESPACE_LABELS,
    ODD_POD_LABELS,
    POD_LABELS,
    SERVICE_ACCOUNTS,
)

KubernetesObject = dict[str, Any]
Labels = dict[str, str]


@dataclass(slots=True)
class World:
    """What policies and questions can refer to."""

    dice: Dice
    dual_stack: bool = False
    namespaces: dict[str, Labels] = field(default_factory=dict)
    pods: list[KubernetesObject] = field(default_factory=list)
    favourites: list[KubernetesObject] = field(default_factory=list)
    services: list[KubernetesObject] = field(default_factory=list)
    slices: list[KubernetesObject] = field(default_factory=list)
    groups: list[KubernetesObject] = field(default_factory=list)

    @property
    def objects(self) -> list[KubernetesObject]:
        """Every object, namespaces first."""
        namespaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            for name, labels in self.namespaces.items()
        ]
        return [*namespaces, *self.pods, *self.services, *self.slices, *self.groups]

    def pod(self) -> KubernetesObject:
        """Give a pod, more often than not one of the few that everything is about."""
        return self.dice.pick(self.favourites if self.dice.chance(0.7) else self.pods)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses outside the cluster."""
        return ADDRESSES + ADDRESSES_V6 if self.dual_stack else ADDRESSES

    @property
    def blocks(self) -> tuple[str, ...]:
        """Blocks to write in rules."""
        return BLOCKS + BLOCKS_V6 if self.dual_stack else BLOCKS


def make_world(dice: Dice, *, pods: int = 0) -> World:
    """Make the cluster that policies will be written for; 3 to 8 pods unless told how many."""
    world = World(dice, dual_stack=dice.chance(0.25))
    for name in dice.some(NAMESPACES, 1, 3):
        world.namespaces[name] = _namespace_labels(dice, name)
    for number in range(pods or dice.number(3, 8)):
        world.pods.append(_pod(world, number))
    return furnish(world)


def furnish(world: World) -> World:
    """Give a world of pods new Services and CIDR groups, and new pods that matter most."""
    dice = world.dice
    world.services, world.slices, world.groups = [], [], []
    world.favourites = dice.some(world.pods, 2, 3)
    if dice.chance(0.35):
        for number in range(dice.number(1, 3)):
            _add_service(world, number)
    if dice.chance(0.4):
        world.groups = [_group(world, number) for number in range(dice.number(1, 3))]
    return world


def labels_from(
    dice: Dice, vocabulary: Mapping[str, Sequence[str]], low: int, high: int
) -> dict[str, str]:
    """Give some labels of a vocabulary with one of their values each."""
    return {key: dice.pick(vocabulary[key]) for key in dice.some(list(vocabulary), low, high)}


def pod_labels(dice: Dice) -> Labels:
    """Give the labels of a pod; about one in eight has an odd one."""
    labels = labels_from(dice, POD_LABELS, 1, 3)
    if dice.chance(0.12):
        labels |= labels_from(dice, ODD_POD_LABELS, 1, 2)
    return labels


def _namespace_labels(dice: Dice, name: str) -> Labels:
    labels = {"kubernetes.io/metadata.name": name}
    labels |= labels_from(dice, NAMESPACE_LABELS, 0, 2)
    if dice.chance(0.06):
        labels |= labels_from(dice, ODD_NAMESPACE_LABELS, 1, 1)
    return labels


def _pod(world: World, number: int) -> KubernetesObject:
    dice = world.dice
    containers = [{"name": "main", "image": "i", "ports": _container_ports(dice)}]
    if dice.chance(0.15):
        containers.append({"name": "side", "image": "i", "ports": _container_ports(dice)})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"p{number}",
            "namespace": dice.pick(list(world.namespaces)),
            "labels": pod_labels(dice),
        },
        "spec": {
            "serviceAccountName": dice.pick(SERVICE_ACCOUNTS),
            "nodeName": dice.pick(["node-1", "node-2"]),
            "containers": containers,
        },
        "status": {"phase": "Running", "podIP": f"10.244.0.{number + 10}"},
    }


def _container_ports(dice: Dice) -> list[KubernetesObject]:
    """Named ports; on one pod in five a name means another number than elsewhere."""
    moved = 1000 if dice.chance(0.2) else 0
    return [
        {"name": name, "containerPort": number + moved, "protocol": dice.pick(["TCP", "UDP"])}
        for name, number in dice.some(list(NAMED_PORTS.items()), 0, 3)
    ]


def _add_service(world: World, number: int) -> None:
    """Add a Service; without a selector its addresses come from an EndpointSlice."""
    dice = world.dice
    namespace, name = dice.pick(list(world.namespaces)), f"svc-{number % 2}"
    taken = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in world.services}
    if (namespace, name) in taken:
        return
    service: KubernetesObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": f"10.96.0.{number + 10}", "ports": [{"port": 80}]},
    }
    if dice.chance(0.8):
        service["metadata"]["labels"] = labels_from(dice, POD_LABELS, 1, 2)
    if dice.chance(0.6):
        pod = world.pod()["metadata"]["labels"]
        service["spec"]["selector"] = {key: pod[key] for key in dice.some(list(pod), 1, 2)}
    elif dice.chance(0.85):
        world.slices.append(_slice(world, namespace, name))
    world.services.append(service)


def _slice(world: World, namespace: str, name: str) -> KubernetesObject:
    dice = world.dice
    pool = [*ADDRESSES, "10.244.0.10", "10.244.0.11"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": f"{name}-abc",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True}}
            for address in dice.some(pool, 1, 3)
        ],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }


GROUP_LABELS: dict[str, tuple[str, ...]] = {
    "site": ("vpn", "office", "lab"),
    "kind": ("office", "lab"),
    "example.org/site": ("vpn", "lab"),
}
CLOUD_GROUPS: dict[str, KubernetesObject] = {
    "extgrp.cilium.io/zbNb9W6aenSjAJK8RoTgcPT5ygDqKmqJKoQb4w": {
        "aws": {"securityGroupsIds": ["sg-1"]}
    },
    "extgrp.cilium.io/Oh8XX1esCA2zL6avwHV4rpFfjN9E7cyTSv1iPA": {
        "aws": {"region": "eu-west-2", "labels": {"a": "<&>", "B": "ü"}}
    },
    "extgrp.cilium.io/XN0VqHNggIe-B6QbfxoE6W06Zv56mw-qxx-NBQ": {},
}
"""Groups of a cloud by the label that Cilium 1.20's operator puts on their CIDR group."""


def _group(world: World, number: int) -> KubernetesObject:
    dice = world.dice
    metadata: KubernetesObject = {"name": f"group-{number}"}
    if dice.chance(0.8):
        metadata["labels"] = labels_from(dice, GROUP_LABELS, 1, 2)
    if dice.chance(0.3):
        metadata.setdefault("labels", {})[dice.pick(list(CLOUD_GROUPS))] = ""
    blocks = dice.some(world.blocks, 0 if dice.chance(0.1) else 1, 3)
    if dice.chance(0.05):
        blocks.append(dice.pick(["10.0.0.0/33", "10.1.2.3", "lab"]))
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": metadata,
        "spec": {"externalCIDRs": blocks},
    }
