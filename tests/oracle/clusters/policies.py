"""Random policies of the three kinds."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.oracle.clusters import layer7
from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.ports import cilium_port, icmp_fields, kubernetes_port
from tests.oracle.clusters.selectors import SelectorMaker
from tests.oracle.clusters.words import INSIDE, NAMES, PATTERNS, RULE_ENTITIES
from tests.oracle.clusters.workloads import (
    CLOUD_GROUPS,
    GROUP_LABELS,
    KubernetesObject,
    World,
    labels_from,
)

Rule = dict[str, Any]
DIRECTIONS = ("ingress", "egress")
PEER_WORD = {"ingress": "from", "egress": "to"}


class PolicyMaker:
    """Makes policies whose subjects and peers are pods of one world."""

    def __init__(self, world: World, *, layer7_share: float) -> None:
        self._world = world
        self._dice: Dice = world.dice
        self._layer7_share = layer7_share
        self._cilium = SelectorMaker(world, plain=False)
        self._kubernetes = SelectorMaker(world, plain=True)

    def policy(self, number: int) -> KubernetesObject:
        """Give a policy of any kind."""
        return self._dice.call(
            {
                lambda: self.network_policy(f"np-{number}"): 35,
                lambda: self.cilium_policy(f"cnp-{number}", clusterwide=False): 48,
                lambda: self.cilium_policy(f"ccnp-{number}", clusterwide=True): 17,
            }
        )

    # Cilium's own kinds

    def cilium_policy(self, name: str, *, clusterwide: bool) -> KubernetesObject:
        """Give a CiliumNetworkPolicy or its clusterwide form, with `spec`, `specs` or both."""
        subject = self._world.pod()
        home = "" if clusterwide else subject["metadata"]["namespace"]
        kind = "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy"
        metadata = {"name": name, "namespace": home} if home else {"name": name}
        policy: KubernetesObject = {
            "apiVersion": "cilium.io/v2",
            "kind": kind,
            "metadata": metadata,
        }
        both = self._dice.chance(0.02)
        if self._dice.chance(0.1) or both:
            policy["specs"] = self._dice.list_of(lambda: self._spec(subject, home), 1, 2)
        if "specs" not in policy or both:
            policy["spec"] = self._spec(subject, home)
        return policy

    def _spec(self, subject: KubernetesObject, home: str) -> Rule:
        dice = self._dice
        if home and not dice.chance(0.1):
            selector = self._cilium.of_pod(subject)
        else:
            selector = self._cilium.of_peer(subject, home)
        spec: Rule = {"endpointSelector": selector}
        for direction in DIRECTIONS:
            if dice.chance(0.55):
                spec[direction] = self._items(direction, home, deny=False)
            if dice.chance(0.18):
                spec[direction + "Deny"] = self._items(direction, home, deny=True)
            if dice.chance(0.03):
                spec[direction] = []
        if len(spec) == 1:
            spec["ingress"] = self._items("ingress", home, deny=False)
        if dice.chance(0.12):
            spec["enableDefaultDeny"] = {
                direction: dice.chance(0.4) for direction in dice.some(DIRECTIONS, 1, 2)
            }
        if dice.chance(0.03):
            spec["description"] = "made at random"
        return spec

    def _items(self, direction: str, home: str, *, deny: bool) -> list[Rule]:
        return self._dice.list_of(lambda: self._item(direction, home, deny=deny))

    def _item(self, direction: str, home: str, *, deny: bool) -> Rule:
        dice = self._dice
        if dice.chance(0.05):
            return {}
        item = self._peer(direction, home, deny=deny)
        if dice.chance(0.62):
            item["toPorts"] = self._port_rules(direction, deny=deny)
        elif dice.chance(0.08):
            item["icmps"] = icmp_fields(dice)
        if not deny and dice.chance(0.02):
            item["authentication"] = {"mode": dice.pick(["disabled", "required"])}
        return item

    def _peer(self, direction: str, home: str, *, deny: bool) -> Rule:
        dice, word = self._dice, PEER_WORD[direction]
        names = 12 if direction == "egress" and not deny else 0
        services = 8 if direction == "egress" and self._world.services else 0
        cloud = 2 if self._world.groups else 0
        return dice.call(
            {
                lambda: {f"{word}Endpoints": self._endpoints(home)}: 42,
                lambda: {f"{word}Entities": dice.some(RULE_ENTITIES, 1, 2)}: 15,
                lambda: {f"{word}CIDR": dice.some(self._world.blocks, 1, 2)}: 8,
                lambda: {f"{word}CIDRSet": dice.list_of(self._cidr_rule)}: 14,
                lambda: {"toFQDNs": dice.list_of(self._fqdn)}: names,
                lambda: {"toServices": dice.list_of(self._service)}: services,
                lambda: {f"{word}Groups": dice.some(list(CLOUD_GROUPS.values()), 1, 2)}: cloud,
                dict: 12,
                lambda: self._odd_peer(word): 2,
            }
        )

    def _odd_peer(self, word: str) -> Rule:
        """Give lists that are empty, null, or beside each other."""
        return self._dice.pick(
            [
                {f"{word}Endpoints": []},
                {f"{word}Entities": []},
                {f"{word}CIDR": []},
                {f"{word}CIDRSet": []},
                {f"{word}Endpoints": None},
                {f"{word}Endpoints": [], f"{word}Entities": ["all"]},
                {f"{word}Nodes": []},
                {f"{word}Groups": []},
                {f"{word}Entities": ["all"], f"{word}CIDR": None},
                {"toFQDNs": []} if word == "to" else {f"{word}CIDR": []},
                {"toServices": []} if word == "to" else {},
            ]
        )

    def _endpoints(self, home: str) -> list[Rule]:
        return self._dice.list_of(lambda: self._cilium.of_peer(self._world.pod(), home))

    def _fqdn(self) -> Rule:
        if self._dice.chance(0.5):
            return {"matchName": self._dice.pick(NAMES)}
        return {"matchPattern": self._dice.pick(PATTERNS)}

    def _service(self) -> Rule:
        """Name a Service, select some by label, or name one that is not there."""
        dice = self._dice
        service = dice.pick(self._world.services)
        metadata = service["metadata"]
        namespace = dice.pick([metadata["namespace"], metadata["namespace"], "", "nowhere"])
        if dice.chance(0.55):
            reference = {"serviceName": metadata["name"], "namespace": namespace}
            return {"k8sService": reference if namespace else {"serviceName": metadata["name"]}}
        labels = metadata.get("labels") or {"app": "hub"}
        key = dice.pick(list(labels))
        selector = {"matchLabels": {key: labels[key]}} if dice.chance(0.9) else {}
        return {"k8sServiceSelector": {"selector": selector, "namespace": namespace}}

    def _cidr_rule(self) -> Rule:
        dice = self._dice
        if self._world.groups and dice.chance(0.4):
            return self._group_rule()
        block = dice.pick(self._world.blocks)
        rule: Rule = {"cidr": block}
        if block in INSIDE and dice.chance(0.6):
            rule["except"] = dice.some(INSIDE[block], 1, 2)
        return rule

    def _group_rule(self) -> Rule:
        dice = self._dice
        rule: Rule = {"cidrGroupSelector": self._group_selector()}
        if dice.chance(0.5):
            names = [group["metadata"]["name"] for group in self._world.groups]
            rule = {"cidrGroupRef": dice.pick([*names, *names, "no-such-group"])}
        if dice.chance(0.15):
            rule["except"] = dice.some(INSIDE["10.0.0.0/8"], 1, 1)
        return rule

    def _group_selector(self) -> Rule:
        dice = self._dice
        if dice.chance(0.08):
            return {}
        labels = labels_from(dice, GROUP_LABELS, 1, 2)
        if dice.chance(0.6):
            prefix = "cidrgroup:" if dice.chance(0.05) else ""
            return {"matchLabels": {prefix + key: value for key, value in labels.items()}}
        key = dice.pick(list(labels))
        operator = dice.pick(["In", "NotIn", "Exists", "DoesNotExist"])
        expression: Rule = {"key": key, "operator": operator}
        if operator in ("In", "NotIn"):
            expression["values"] = dice.some(GROUP_LABELS[key], 1, 2)
        return {"matchExpressions": [expression]}

    def _port_rules(self, direction: str, *, deny: bool) -> list[Rule]:
        dice = self._dice
        if dice.chance(0.02):
            return dice.pick([[], [{}], [{"ports": []}]])
        allow_layer7 = not deny and dice.chance(self._layer7_share)
        make = self._proxied_ports if allow_layer7 else self._plain_ports
        return dice.list_of(lambda: make(direction), 1, 1 if dice.chance(0.8) else 2)

    def _plain_ports(self, _direction: str) -> Rule:
        rule: Rule = {"ports": self._dice.list_of(lambda: cilium_port(self._dice), 1, 3)}
        if self._dice.chance(0.01):
            rule["rules"] = self._dice.pick([{"http": []}, {"dns": []}, {}])
        return rule

    def _proxied_ports(self, direction: str) -> Rule:
        dice = self._dice
        dns = 25 if direction == "egress" else 0
        return dice.call(
            {
                lambda: {
                    "ports": [
                        {"port": dice.pick(["80", "8080", "web", "http"]), "protocol": "TCP"}
                    ],
                    "rules": {"http": dice.list_of(lambda: layer7.http_rule(dice))},
                }: 50,
                lambda: {
                    "ports": [{"port": "53", "protocol": dice.pick(["UDP", "ANY", "TCP"])}],
                    "rules": {"dns": dice.list_of(lambda: layer7.dns_rule(dice))},
                }: dns,
                lambda: {
                    "ports": [{"port": "443", "protocol": dice.pick(["TCP", "TCP", "ANY"])}],
                    "serverNames": dice.some(layer7.SERVER_NAMES, 1, 2),
                }: 25,
            }
        )

    # NetworkPolicy

    def network_policy(self, name: str) -> KubernetesObject:
        """Give a Kubernetes NetworkPolicy."""
        dice = self._dice
        subject = self._world.pod()
        spec: Rule = {"podSelector": self._kubernetes.of_pod(subject)}
        for direction in DIRECTIONS:
            if dice.chance(0.55):
                low = 0 if dice.chance(0.2) else 1
                spec[direction] = dice.list_of(partial(self._np_item, direction), low, 2)
        if dice.chance(0.6):
            spec["policyTypes"] = dice.pick([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": subject["metadata"]["namespace"]},
            "spec": spec,
        }

    def _np_item(self, direction: str) -> Rule:
        dice = self._dice
        item: Rule = {}
        if dice.chance(0.8):
            item[PEER_WORD[direction]] = dice.list_of(self._np_peer, 0 if dice.chance(0.05) else 1)
        if dice.chance(0.6):
            low = 0 if dice.chance(0.05) else 1
            item["ports"] = dice.list_of(lambda: kubernetes_port(dice), low, 2)
        return item

    def _np_peer(self) -> Rule:
        dice = self._dice
        if dice.chance(0.2):
            block = dice.pick(self._world.blocks)
            rule: Rule = {"cidr": block}
            if block in INSIDE and dice.chance(0.5):
                rule["except"] = dice.some(INSIDE[block], 1, 2)
            return {"ipBlock": rule}
        pod = self._world.pod()
        namespace = self._world.namespaces[pod["metadata"]["namespace"]]
        return dice.call(
            {
                lambda: {"podSelector": self._kubernetes.of_pod(pod)}: 4,
                lambda: {"namespaceSelector": self._kubernetes.of_namespace(namespace)}: 3,
                lambda: {
                    "podSelector": self._kubernetes.of_pod(pod),
                    "namespaceSelector": self._kubernetes.of_namespace(namespace),
                }: 3,
            }
        )
