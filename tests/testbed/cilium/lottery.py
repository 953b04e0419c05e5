"""Random policies of the proof's generator on ten real pods: a packet for every pair and port.

The pods and their labels are drawn once a run, the policies, Services and CIDR groups once a
cluster. What stays silent was dropped; an answer of any kind, a reset too, shows that the packet
got there. A disagreement is put to the cluster again, made as small as it gets, and written
to `tests/cases/packets`.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.oracle.clusters.cases import named_ports
from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.faults import add_fault
from tests.oracle.clusters.policies import PolicyMaker
from tests.oracle.clusters.workloads import furnish, make_world
from tests.oracle.shrink import shrink
from tests.testbed.cilium.cases import write_case
from tests.testbed.cilium.cluster import OUTSIDE, Cluster
from tests.testbed.cilium.objects import POLICIES, KubernetesObject, PodSpec
from tests.testbed.cilium.product import Product, Question
from tests.testbed.cilium.spaces import ip
from tests.testbed.kube.server import KubeError

PODS = 10
OUTSIDE_ENDS = ("10.1.2.3", "203.0.113.200", "192.168.7.7")
"""Addresses of the generator that the host outside has; rules name blocks around them."""

PORTS_A_CLUSTER = 3
WAIT_S, SURE_S = 0.6, 4.0
SHRINK_WITHIN_S = 90.0
SEED_STEP = 1_000_003
NOT_SENT = frozenset(
    {"rules", "serverNames", "listener", "terminatingTLS", "originatingTLS", "authentication"}
)
"""Fields that need Envoy or mutual authentication, of which there is none here."""

Say = Callable[[str], None]
Case = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shot:
    """One packet: from a prober to an address, and the ends as a question names them."""

    source: str
    own: str
    target: str
    asked_from: str
    asked_to: str
    port: int
    protocol: str

    @property
    def question(self) -> Question:
        """How the product is asked about it."""
        port = f"{self.port}/{self.protocol}"
        return {"from": self.asked_from, "to": self.asked_to, "port": port}

    def __str__(self) -> str:
        return f"{self.asked_from} to {self.asked_to} {self.port}/{self.protocol}"


@dataclass(slots=True)
class Tally:
    """What a run saw; `refused` are objects that the API server or Cilium did not take.

    `once` are packets at odds with the product until the same objects were put again: the agent
    had not forgotten what was there before, as an address of a CIDR group with host bits.
    """

    clusters: int = 0
    packets: int = 0
    passed: int = 0
    refused: int = 0
    once: int = 0
    found: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.clusters} clusters, {self.packets} packets, {self.passed} passed, "
            f"{self.refused} objects not taken, {self.once} at odds only once, "
            f"{len(self.found)} disagree"
        )


class Lottery:
    """Draws clusters and sends their packets; `found` is where disagreements are kept."""

    def __init__(self, cluster: Cluster, product: Product, seed: int, found: Path) -> None:
        self.cluster, self.product, self.seed, self.found = cluster, product, seed, found
        self.world = make_world(Dice(seed), pods=PODS)
        self.world.dual_stack = False
        self._there: list[KubernetesObject] = []
        self._sentinels = itertools.count()

    def prepare(self) -> None:
        """Make the ten pods, and the addresses outside."""
        for address in OUTSIDE_ENDS:
            ip("-n", self.cluster.outside.name, "address", "replace", f"{address}/32", "dev", "lo")
        for name, labels in self.world.namespaces.items():
            self.cluster.label_namespace(name, labels)
        self.cluster.add_pods(map(_pod_spec, self.world.pods))
        for pod in self.world.pods:
            pod["status"]["podIP"] = self.cluster.addresses[_key(pod)][0]

    def run(self, clusters: int, say: Say) -> Tally:
        """Send the packets of some clusters and compare; keeps every disagreement."""
        tally = Tally()
        for number in range(clusters):
            own_seed = self.seed * SEED_STEP + number
            case, drawn = self._draw(own_seed)
            refused = self._put(case["objects"])
            shots = self._shots(drawn)
            self._compare(case, shots, tally, say)
            tally.clusters += 1
            tally.refused += refused
        self._put([])
        return tally

    # Drawing

    def _draw(self, own_seed: int) -> tuple[Case, list[KubernetesObject]]:
        """Objects of one cluster; the policies are also given alone, for the ports they name."""
        dice = Dice(own_seed)
        self.world.dice = dice
        furnish(self.world)
        maker = PolicyMaker(self.world, layer7_share=0)
        policies: list[KubernetesObject] = []
        for number in range(dice.number(1, 6)):
            policy = maker.policy(number)
            if policy["kind"] != "NetworkPolicy" and dice.chance(0.06):
                add_fault(dice, policy)
            if not _needs_more(policy):
                policies.append(policy)
        services = [self._reachable(one) for one in self.world.services + self.world.slices]
        name = f"seed-{own_seed}"
        objects = [*services, *self.world.groups, *policies]
        return {"name": name, "config": {}, "objects": objects, "queries": []}, policies

    def _reachable(self, body: KubernetesObject) -> KubernetesObject:
        """A Service or EndpointSlice with addresses of this cluster."""
        moved = copy.deepcopy(body)
        if body["kind"] == "Service":
            last = int(body["spec"]["clusterIP"].rpartition(".")[2])
            moved["spec"]["clusterIP"] = f"10.0.0.{200 + last}"
            return moved
        pods = [one["status"]["podIP"] for one in self.world.pods[:2]]
        mapped = {"10.244.0.10": pods[0], "10.244.0.11": pods[1]}
        for endpoint in moved["endpoints"]:
            endpoint["addresses"] = [mapped.get(one, one) for one in endpoint["addresses"]]
        return moved

    def _shots(self, policies: Sequence[KubernetesObject]) -> list[Shot]:
        """A packet for every pair of ends and every port of the cluster."""
        dice = self.world.dice
        named = sorted({port for port in named_ports(policies) if 0 < port <= 65535})
        ports = [("TCP", port) for port in dice.some(named, 1, PORTS_A_CLUSTER)] if named else []
        if named:
            ports.append(("UDP", dice.pick(named)))
        ports += [("TCP", dice.number(1, 65535)), ("ICMP", 8)]
        return [
            Shot(*ends, port=port, protocol=protocol)
            for ends in self._pairs()
            for protocol, port in ports
        ]

    def _pairs(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Prober, own address, target address, and both ends as a question names them."""
        pods = {one.key: one for one in map(_pod_spec, self.world.pods)}
        address = {key: self.cluster.addresses[key][0] for key in pods}
        for source, target in itertools.permutations(pods, 2):
            yield source, "", address[target], source, target
        for key, spec in pods.items():
            for outside in OUTSIDE_ENDS:
                yield key, "", outside, key, f"ip:{outside}"
                yield OUTSIDE, outside, address[key], f"ip:{outside}", key
            for node in self.cluster.nodes:
                yield key, "", node.address, key, f"ip:{node.address}"
                near = spec.node == node.number
                source = "entity:host" if near else f"ip:{node.address}"
                yield node.name, "", address[key], source, key

    # In force

    def _put(self, objects: Iterable[KubernetesObject]) -> int:
        """Have these objects in force and no others of the last cluster; gives how many failed."""
        gone, self._there = self._there, []
        self.cluster.delete(*gone)
        failed = 0
        for body in objects:
            try:
                self._there += self.cluster.create(body)
            except KubeError as error:
                if error.code not in (400, 422):
                    raise
                failed += 1
        last = [self.cluster.create(one)[0] for one in _sentinels(next(self._sentinels))]
        self._there += last
        self.cluster.settle(last, [one for one in gone if one["kind"] in POLICIES])
        uids = [one["metadata"]["uid"] for one in self._there]
        self.product.know(uids, [one["metadata"]["uid"] for one in gone])
        return failed

    # Packets

    def _compare(self, case: Case, shots: Sequence[Shot], tally: Tally, say: Say) -> None:
        passed = self._fire(shots, WAIT_S)
        verdicts = self.product.judge((one.question for one in shots), of="live")
        tally.packets += len(shots)
        tally.passed += sum(passed)
        odd = [
            shot
            for shot, got, (verdict, _) in zip(shots, passed, verdicts, strict=True)
            if not _agrees(verdict, passed=got)
        ]
        odd = [shot for shot in odd if self._disagrees(shot)]
        if odd:
            self._put([])
            self._put(case["objects"])
            once, odd = odd, [shot for shot in odd if self._disagrees(shot)]
            tally.once += len(once) - len(odd)
        if odd:
            say(f"{case['name']}: {len(odd)} packets, the first {odd[0]}")
            tally.found.append(self._keep(case, odd[0], say))

    def _fire(self, shots: Sequence[Shot], wait_s: float) -> list[bool]:
        told = [
            self.cluster.probers[one.source].tell(
                "send",
                to=one.target,
                port=one.port,
                protocol=one.protocol,
                wait=wait_s,
                **({"from": one.own} if one.own else {}),
            )
            for one in shots
        ]
        return [one.result(60)["fate"] in ("arrived", "refused") for one in told]

    def _disagrees(self, shot: Shot) -> bool:
        """Whether packet and product differ when both are asked again, with patience."""
        (passed,) = self._fire([shot], SURE_S)
        ((verdict, _),) = self.product.judge([shot.question], of="live")
        return not _agrees(verdict, passed=passed)

    def _keep(self, case: Case, shot: Shot, say: Say) -> str:
        """Make the disagreement small and write it down."""
        until = time.monotonic() + SHRINK_WITHIN_S

        def shows(smaller: Case) -> bool:
            if time.monotonic() > until:
                return False
            self._put(smaller["objects"])
            return self._disagrees(shot)

        smallest = shrink({**case, "queries": [shot.question]}, None, shows)
        self._put(smallest["objects"])
        (passed,) = self._fire([shot], SURE_S)
        ((verdict, cause),) = self.product.judge([shot.question], of="live")
        fate = "arrives" if passed else "dropped"
        what = f"{shot}: the packet's fate is {fate}, we say {verdict} ({cause})"
        say(f"  {what}")
        snapshot = self.cluster.run.folder / "found.json"
        self.product.tell("snapshot", path=str(snapshot))
        questions = [{**shot.question, "is": fate}]
        path = write_case(self.found, case["name"], what, snapshot, questions)
        return f"{path}: {what}"


def _agrees(verdict: str, *, passed: bool) -> bool:
    return {"allowed": True, "redirected": True, "denied": False}.get(verdict) is passed


def _needs_more(tree: Any) -> bool:
    """Whether a policy takes what is not here, or would shut the nodes themselves."""
    if isinstance(tree, list):
        return any(map(_needs_more, tree))
    if not isinstance(tree, dict):
        return False
    if "nodeSelector" in tree or NOT_SENT & set(tree):
        return True
    return any(map(_needs_more, tree.values()))


def _sentinels(number: int) -> list[KubernetesObject]:
    """A policy of each kind that selects nothing: what came before it has been taken in."""
    labels = {"matchLabels": {"sentinel": f"s{number}"}}
    cilium = {"endpointSelector": labels, "ingress": [{}]}
    bodies = [
        ("networking.k8s.io/v1", "NetworkPolicy", {"podSelector": labels}),
        ("cilium.io/v2", "CiliumNetworkPolicy", cilium),
        ("cilium.io/v2", "CiliumClusterwideNetworkPolicy", cilium),
    ]
    return [
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": f"sentinel-{number}"}
            | ({} if "Clusterwide" in kind else {"namespace": "default"}),
            "spec": spec,
        }
        for version, kind, spec in bodies
    ]


def _pod_spec(pod: Mapping[str, Any]) -> PodSpec:
    metadata, spec = pod["metadata"], pod["spec"]
    return PodSpec(
        metadata["namespace"],
        metadata["name"],
        node=int(spec["nodeName"].rpartition("-")[2]),
        labels=metadata["labels"],
        containers=spec["containers"],
        service_account=spec["serviceAccountName"],
    )


def _key(pod: Mapping[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
