"""Random cases: a world, policies for it, and the connections worth asking about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.oracle.clusters import layer7
from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.faults import add_fault
from tests.oracle.clusters.policies import PolicyMaker
from tests.oracle.clusters.themes import Theme, make_theme, pod_end
from tests.oracle.clusters.words import NAMED_PORTS, NAMES, PEER_ENTITIES, PORTS
from tests.oracle.clusters.workloads import KubernetesObject, World, make_world

Case = dict[str, Any]

QUESTIONS = 60
ODD_PORTS = (1, 1234, 8085, 65535)
MAX_PORT = 65535


def make_case(seed: int, name: str, *, with_requests: bool) -> Case:
    """Give one case without answers; the same seed gives the same case."""
    dice = Dice(seed)
    world = make_world(dice)
    maker = PolicyMaker(world, layer7_share=dice.pick([0.1, 0.1, 0.7]))
    themes = [make_theme(world)] if with_requests else []
    policies = []
    for number in range(dice.number(1, 6)):
        policy = maker.policy(number)
        if themes and dice.chance(0.7):
            policy = themes[0].policy(f"theme-{number}")
        if policy["kind"] != "NetworkPolicy" and dice.chance(0.06):
            add_fault(dice, policy)
        policies.append(policy)
    config: dict[str, Any] = {"dualStack": True} if world.dual_stack else {}
    if dice.chance(0.06):
        config["policyEnforcementMode"] = dice.pick(["always", "never"])
    ask = QuestionMaker(world, policies, themes)
    return {
        "name": name,
        "config": config,
        "objects": [*world.objects, *policies],
        "queries": [ask.question() for _ in range(QUESTIONS)],
    }


class QuestionMaker:
    """Asks about pods that policies select and ports that they name, and their neighbours."""

    def __init__(self, world: World, policies: list[KubernetesObject], themes: list[Theme]) -> None:
        self._world = world
        self._dice = world.dice
        self._themes = themes
        self._ports = sorted({port for port in named_ports(policies) if 0 < port <= MAX_PORT})

    def question(self) -> dict[str, Any]:
        """Give one question; at least one end is a pod."""
        if self._themes and self._dice.chance(0.6):
            return self._dice.pick(self._themes).question()
        source = self._end(can_be_name=False)
        destination = self._end(can_be_name=True)
        while source == destination or "pod:" not in source + destination:
            source, destination = self._end(can_be_name=False), self._end(can_be_name=True)
        question: dict[str, Any] = {"from": source, "to": destination}
        if self._themes and self._dice.chance(0.3):
            return question | self._request()
        protocol = self._dice.weighted({"TCP": 12, "UDP": 5, "SCTP": 2, "ICMP": 2, "ICMPv6": 0.3})
        question |= {"port": self._port(), "protocol": protocol}
        if protocol.startswith("ICMP"):
            question["port"] = self._dice.pick([8, 3, 0, 128])
        return question

    def _request(self) -> dict[str, Any]:
        dice = self._dice
        kind = dice.weighted({"http": 5, "dns": 3, "sni": 3})
        ports = {"http": [80, 8080, 8080, 3000], "dns": [53], "sni": [443, 443, 8443]}[kind]
        protocol = dice.pick(["UDP", "TCP"]) if kind == "dns" else "TCP"
        port = dice.pick(ports) if dice.chance(0.85) else self._port()
        return {"port": port, "protocol": protocol, **layer7.request(dice, kind)}

    def _port(self) -> int:
        named = [*NAMED_PORTS.values(), *(number + 1000 for number in NAMED_PORTS.values())]
        if self._ports and self._dice.chance(0.75):
            return self._dice.pick(self._ports)
        return self._dice.pick([*PORTS, *named, *ODD_PORTS])

    def _end(self, *, can_be_name: bool) -> str:
        dice = self._dice
        names = 9 if can_be_name else 0
        return dice.call(
            {
                self._pod: 70,
                lambda: f"ip:{dice.pick(self._world.addresses)}": 14,
                lambda: f"fqdn:{dice.pick(NAMES)}={dice.pick(self._world.addresses)}": names,
                lambda: f"entity:{dice.pick(PEER_ENTITIES)}": 7,
            }
        )

    def _pod(self) -> str:
        return pod_end(self._world.pod())


def named_ports(tree: Any) -> Iterator[int]:
    """Give every port number that policies name, and a neighbour of each range's ends."""
    if isinstance(tree, list):
        for item in tree:
            yield from named_ports(item)
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        if key == "port":
            yield from _numbers(value, tree.get("endPort"))
        else:
            yield from named_ports(value)


def _numbers(port: Any, end: Any) -> Iterator[int]:
    text = str(port)
    number = int(text) if text.isascii() and text.isdigit() else NAMED_PORTS.get(text.lower())
    if number is None:
        return
    yield number
    if isinstance(end, int):
        yield from (number - 1, end, end + 1)
