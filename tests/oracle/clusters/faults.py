"""One mistake in a Cilium policy: the agent refuses most of them, and then the object whole."""

from __future__ import annotations

from typing import Any

from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.workloads import KubernetesObject

Rule = dict[str, Any]

TCP: Rule = {"port": "8080", "protocol": "TCP"}

PORT_FAULTS: tuple[Rule, ...] = (
    {"ports": [{"port": "70000", "protocol": "TCP"}]},
    {"ports": [{"port": "web_1", "protocol": "TCP"}]},
    {"ports": [{"port": "a-name-of-over-15-letters", "protocol": "TCP"}]},
    {"ports": [{"port": "-1", "protocol": "TCP"}]},
    {"ports": [{"port": "", "protocol": "TCP"}]},
    {"ports": [{"protocol": "TCP"}]},
    {"ports": [{"port": "8080", "protocol": "HTTP"}]},
    {"ports": [{"port": "8080", "protocol": "ICMP"}]},
    {"ports": [{"port": "0", "protocol": "VRRP"}]},
    {"ports": [{**TCP, "endPort": 80}]},
    {"ports": [{**TCP, "endPort": 70000}]},
    {"ports": [{"port": str(7000 + number)} for number in range(41)]},
    {"ports": [{**TCP, "protocol": "UDP"}], "rules": {"http": [{}]}},
    {"ports": [{"port": "8080"}], "rules": {"http": [{}]}},
    {"ports": [{"port": "0", "protocol": "TCP"}], "rules": {"http": [{}]}},
    {"ports": [TCP], "rules": {"http": [{"path": "/(["}]}},
    {"ports": [TCP], "rules": {"http": [{"method": "*"}]}},
    {"ports": [TCP], "rules": {"http": [{"path": "/(?=x)"}]}},
    {"ports": [TCP], "rules": {"http": [{}], "dns": [{"matchPattern": "*"}]}},
    {"ports": [TCP], "rules": {"http": [{}], "dns": []}},
    {"ports": [TCP], "rules": {"dns": [{"matchName": "*.pypi.org"}]}},
    {"ports": [TCP], "rules": {"dns": [{"matchPattern": "*.pypi.org!"}]}},
    {"ports": [{**TCP, "endPort": 8090}], "rules": {"dns": [{"matchPattern": "*"}]}},
    {"ports": [TCP], "rules": {"http": [{"headerMatches": [{"name": "X", "mismatch": "DENY"}]}]}},
    {"ports": [TCP], "rules": {"http": [{"headerMatches": [{"value": "x"}]}]}},
    {"ports": [TCP], "rules": {"kafka": [{"topic": "t"}]}},
    {"ports": [TCP], "rules": {"l7proto": "test", "l7": [{"k": "v"}]}},
    {"ports": [TCP], "rules": {"l7": [{"k": "v"}]}},
    {"ports": [TCP], "serverNames": [""]},
    {"ports": [TCP], "serverNames": ["pypi.org"], "rules": {"http": [{}]}},
    {"ports": [{"port": "0", "protocol": "TCP"}], "serverNames": ["pypi.org"]},
)

PEER_FAULTS: tuple[Rule, ...] = (
    {"CIDR": ["10.0.0.0/33"]},
    {"CIDR": ["10.1.2.3"]},
    {"CIDR": ["fd00::/129"]},
    {"CIDR": ["lab"]},
    {"CIDR": ["10.0.0.0/8"], "Endpoints": [{}]},
    {"CIDR": ["10.0.0.0/8"], "Entities": ["all"]},
    {"Entities": ["world", "nowhere"]},
    {"Entities": ["World"]},
    {"CIDRSet": [{"cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"]}]},
    {"CIDRSet": [{"cidr": "10.1.0.0/16", "except": ["10.0.0.0/8"]}]},
    {"CIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "group-0"}]},
    {"CIDRSet": [{"cidrGroupRef": "Not_A_Name"}]},
    {"CIDRSet": [{}]},
    {"Endpoints": [{"matchExpressions": [{"key": "app", "operator": "In", "values": []}]}]},
    {"Endpoints": [{"matchExpressions": [{"key": "app", "operator": "Is", "values": ["x"]}]}]},
    {"Endpoints": [{"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]}]},
    {"Endpoints": [{"matchLabels": {"app": "not a value"}}]},
    {"Endpoints": [{"matchLabels": {"app": "v" * 64}}]},
    {"Endpoints": [{"matchLabels": {"k" * 60: "v"}}]},
    {"Endpoints": [{"matchLabels": {"io.cilium.k8s.namespace.labels." + "k" * 29: "v"}}]},
    {"Endpoints": [{"matchLabels": {"not a key": "v"}}]},
    {"Nodes": [{}]},
    {"Groups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]},
    {"Groups": [{"aws": {"labels": {"a": "<&>", "B": "ü"}, "region": "eu-west-2"}}]},
    {"Groups": [{"aws": {}}, {}]},
    {"Groups": []},
    {"Requires": [{}]},
)

EGRESS_FAULTS: tuple[Rule, ...] = (
    {"toFQDNs": [{"matchPattern": "*.exa mple.org"}]},
    {"toFQDNs": [{"matchName": "*.example.org"}]},
    {"toFQDNs": [{"matchName": "a..example.org"}]},
    {"toFQDNs": [{"matchName": "pypi.org", "matchPattern": "*.pypi.org"}]},
    {"toFQDNs": [{}]},
    {"toFQDNs": [{"matchName": "pypi.org"}], "toCIDR": ["10.0.0.0/8"]},
    {"toFQDNs": [{"matchName": "pypi.org"}], "toEndpoints": []},
    {"toServices": [{"k8sService": {"serviceName": "x"}}], "toEntities": ["all"]},
)


def add_fault(dice: Dice, policy: KubernetesObject) -> None:
    """Spoil one thing in the policy, in place."""
    spec = policy.get("spec") or policy["specs"][0]
    direction = dice.pick([name for name in ("ingress", "egress") if spec.get(name)] or ["egress"])
    spec[direction] = spec.get(direction) or [{}]
    item: Rule = dice.pick(spec[direction])
    word = "from" if direction == "ingress" else "to"
    dice.call(
        {
            lambda: item.update(toPorts=[dice.pick(PORT_FAULTS)]): 45,
            lambda: item.update(
                {word + name: value for name, value in dice.pick(PEER_FAULTS).items()}
            ): 35,
            lambda: spec.setdefault("egress", []).append(dice.pick(EGRESS_FAULTS)): 12,
            lambda: _spoil_rule(dice, policy, spec): 12,
        }
    )


def _spoil_rule(dice: Dice, policy: KubernetesObject, spec: Rule) -> None:
    fault = dice.number(0, 7)
    if fault == 0:
        spec.pop("endpointSelector", None)
    elif fault == 1:
        spec["nodeSelector"] = {}
    elif fault == 2:
        spec["nodeSelector"] = spec.pop("endpointSelector", {})
    elif fault == 3:
        for name in ("ingress", "egress", "ingressDeny", "egressDeny"):
            spec.pop(name, None)
    elif fault == 4:
        spec["ingress"] = [{"icmps": [{"fields": [{"type": 8}]}], "toPorts": [{"ports": [TCP]}]}]
    elif fault == 5:
        spec["egressDeny"] = [
            {"toFQDNs": [{"matchName": "pypi.org"}], "toPorts": [{"ports": [TCP]}]}
        ]
    elif fault == 6:
        spec["log"] = {"value": "x" * dice.number(30, 40)}
    else:
        policy.pop("spec", None)
