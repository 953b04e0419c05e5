"""Policies about one conversation: who talks to whom, over what; and requests within it.

Layer 7 rules at random rarely meet a request. A theme fixes a pod, its peer and a kind of request;
the policies of the theme hold both ends more or less broadly, with and without layer 7 rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.oracle.clusters import layer7
from tests.oracle.clusters.words import NAMES
from tests.oracle.clusters.workloads import KubernetesObject, World

Rule = dict[str, Any]

PORT_OF = {"http": 8080, "dns": 53, "sni": 443}


def pod_end(pod: KubernetesObject) -> str:
    """Write a pod as an end of a question."""
    return f"pod:{pod['metadata']['namespace']}/{pod['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Theme:
    """`peer` is a pod, or an outside end (`ip:…`, `fqdn:…`)."""

    world: World
    kind: str
    direction: str
    subject: KubernetesObject
    peer: KubernetesObject | str

    def policy(self, name: str) -> KubernetesObject:
        """Give a Cilium policy about the conversation."""
        dice = self.world.dice
        metadata = self.subject["metadata"]
        clusterwide = dice.chance(0.2)
        key = dice.pick(list(metadata["labels"]))
        selector = {} if dice.chance(0.3) else {"matchLabels": {key: metadata["labels"][key]}}
        spec: Rule = {
            "endpointSelector": selector,
            self.direction: dice.list_of(self._item, 1, 2),
        }
        if dice.chance(0.1):
            spec["enableDefaultDeny"] = {self.direction: False}
        if dice.chance(0.06):
            spec[f"{self.direction}Deny"] = [{**self._peer_rule(), "toPorts": [self._plain()]}]
        kind = "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy"
        where = {} if clusterwide else {"namespace": metadata["namespace"]}
        return {
            "apiVersion": "cilium.io/v2",
            "kind": kind,
            "metadata": {"name": name, **where},
            "spec": spec,
        }

    def _item(self) -> Rule:
        dice = self.world.dice
        item = self._peer_rule()
        if dice.chance(0.15) and item:
            return item
        make = self._proxied if dice.chance(0.75) else self._plain
        return {**item, "toPorts": dice.list_of(make, 1, 1 if dice.chance(0.85) else 2)}

    def _peer_rule(self) -> Rule:
        dice = self.world.dice
        word = "from" if self.direction == "ingress" else "to"
        if isinstance(self.peer, str):
            name, _, address = self.peer.partition(":")[2].rpartition("=")
            bits = 128 if ":" in address else 32
            choices: list[Rule] = [
                {f"{word}CIDR": [f"{address}/{bits}"]},
                {f"{word}Entities": ["world"]},
                {f"{word}Entities": ["all"]},
                {},
            ]
            if name and word == "to":
                choices += [
                    {"toFQDNs": [{"matchName": name}]},
                    {"toFQDNs": [{"matchPattern": "*"}]},
                ]
            return dice.pick(choices)
        metadata = self.peer["metadata"]
        key = dice.pick(list(metadata["labels"]))
        namespace = {"k8s:io.kubernetes.pod.namespace": metadata["namespace"]}
        one = {**namespace, key: metadata["labels"][key]}
        return dice.pick(
            [
                {f"{word}Endpoints": [{"matchLabels": one}]},
                {f"{word}Endpoints": [{"matchLabels": namespace}]},
                {f"{word}Entities": ["cluster"]},
                {f"{word}Entities": ["all"]},
                {},
            ]
        )

    def _plain(self) -> Rule:
        dice = self.world.dice
        port = PORT_OF[self.kind]
        protocol = dice.pick(["TCP", "ANY"] if self.kind != "dns" else ["UDP", "TCP", "ANY"])
        written: Rule = {"port": str(port), "protocol": protocol}
        if dice.chance(0.2):
            written["endPort"] = port + 10
        elif dice.chance(0.1):
            written["port"] = "0"
        return {"ports": [written]}

    def _proxied(self) -> Rule:
        dice = self.world.dice
        port = str(PORT_OF[self.kind])
        if self.kind == "dns" and self.direction == "egress":
            protocol = dice.pick(["UDP", "TCP", "ANY"])
            rules = {"dns": dice.list_of(lambda: layer7.dns_rule(dice))}
            return {"ports": [{"port": port, "protocol": protocol}], "rules": rules}
        ports = [{"port": port, "protocol": "TCP"}]
        if self.kind == "sni":
            return {"ports": ports, "serverNames": dice.some(layer7.SERVER_NAMES, 1, 2)}
        return {"ports": ports, "rules": {"http": dice.list_of(lambda: layer7.http_rule(dice))}}

    def question(self) -> Rule:
        """Give a request from one end to the other."""
        dice = self.world.dice
        subject = pod_end(self.subject if dice.chance(0.85) else self.world.pod())
        peer = self.peer if isinstance(self.peer, str) else pod_end(self.peer)
        if dice.chance(0.15) or peer == subject:
            others = [pod for pod in self.world.pods if pod_end(pod) != subject]
            peer = pod_end(dice.pick(others))
        ends = (subject, peer) if self.direction == "egress" else (peer, subject)
        kind = self.kind if self.direction == "egress" or self.kind != "dns" else "http"
        protocol = dice.pick(["UDP", "TCP"]) if kind == "dns" else "TCP"
        port = PORT_OF[self.kind] + (0 if dice.chance(0.92) else 1)
        question: Rule = {"from": ends[0], "to": ends[1], "port": port, "protocol": protocol}
        return question | layer7.request(dice, kind)


def make_theme(world: World) -> Theme:
    """Choose a conversation."""
    dice = world.dice
    direction = dice.pick(["egress", "egress", "ingress"])
    subject = dice.pick(world.favourites)
    peer: KubernetesObject | str = dice.pick([pod for pod in world.pods if pod is not subject])
    if dice.chance(0.35):
        peer = f"ip:{dice.pick(world.addresses)}"
        if direction == "egress" and dice.chance(0.6):
            peer = f"fqdn:{dice.pick(NAMES)}={dice.pick(world.addresses)}"
    kinds = {"http": 5, "dns": 4 if direction == "egress" else 0, "sni": 3}
    return Theme(world, dice.weighted(kinds), direction, subject, peer)
