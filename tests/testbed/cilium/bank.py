"""The bank of situations: what is sent, what becomes of it, and what the product says.

A stage is a YAML file under `situations/`: policies put in force in steps, and packets sent after
each. Every packet is judged four ways: its fate, the product attached live, the product over
a snapshot of the same cluster, and Hubble. `known.yaml` lists where the product is still wrong, and
why; it must be exact.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.testbed.cilium.cluster import OUTSIDE, OUTSIDE_ADDRESSES, Cluster
from tests.testbed.cilium.hubble import Seen, flows_of, verdict_of
from tests.testbed.cilium.node import wait_until
from tests.testbed.cilium.objects import POLICIES, KubernetesObject, PodSpec, service_objects
from tests.testbed.cilium.product import Answer, Product

FOLDER = Path(__file__).with_name("situations")
WAIT_S = 1.0
"""How long a packet may take. Every hop is on this machine, so an answer takes milliseconds."""

SURE_S = 4.0
"""How long an unexpected silence is tried again before it counts: the machine may be busy."""

DNS_SERVER = "10.0.0.10"
SERVICES6: list[dict[str, Any]] = [
    {"name": "app/web6", "cluster": "fd00:10::20", "ports": {81: "80"}, "backends": ["app/web"]},
    {"name": "app/far6", "cluster": "fd00:10::22", "ports": {80: "80"}, "backends": ["app/web2"]},
]
"""Services with an IPv6 address, where there are such."""

FLOWS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Situation:
    """One packet, and how the product is asked about it."""

    stage: str
    number: int
    words: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Stage and what is sent: the key of `known.yaml`."""
        words = self.words
        told = words.get("again") or words.get("dns") or words.get("to")
        name = f"{self.stage}: {words['from']} to {told} {self.port}/{self.protocol}"
        name += " over IPv6" if self.family else ""
        return f"{name} ({words['note']})" if "note" in words else name

    @property
    def port(self) -> int:
        """The port that the packet is addressed to; an ICMP echo has its type."""
        echo = 128 if self.protocol == "ICMPv6" else 8
        asked = self.words.get("ask", {}).get("port", echo)
        given = self.words.get("port", 53 if "dns" in self.words else asked)
        return int(given)

    @property
    def protocol(self) -> str:
        """TCP unless told."""
        default = "UDP" if "dns" in self.words else "TCP"
        return str(self.words.get("protocol", default))

    @property
    def family(self) -> int:
        """Which of a pod's addresses the packet goes to: 0 IPv4, 1 IPv6."""
        return 1 if self.words.get("family") == 6 else 0  # as people say it

    @property
    def expected(self) -> str:
        """What becomes of the packet: `arrives`, `dropped`, `refused` or `answered RCODE`."""
        return str(self.words.get("is", ""))


@dataclass(slots=True)
class Outcome:
    """A situation with everything that was seen and said of it."""

    situation: Situation
    fate: str
    at: str = ""
    seen_as: str = ""
    hubble: str = ""
    flows: Sequence[Mapping[str, Any]] = ()
    live: Answer = field(default_factory=dict)
    seeing: Answer = field(default_factory=dict)
    recorded: Answer = field(default_factory=dict)
    packet: Mapping[str, Any] = field(default_factory=dict)
    question: Mapping[str, str] = field(default_factory=dict)
    snapshot: Path = Path()

    @property
    def passed(self) -> bool:
        """Whether the packet got to where it was sent, whoever answered there."""
        return self.fate.startswith(("arrives", "answered NOERROR", "answered NXDOMAIN"))

    def agrees(self, answer: Answer) -> bool:
        """Whether an answer of the product fits the packet.

        What passed must be allowed, with nothing said against it. What did not must be denied, or
        explained by a cause beside policy (no backend, no such port); "unknown" alone fits neither.
        Where the fate `depends` on what the question leaves open, an answer that is not certain and
        says on what fits both.
        """
        verdict, code = answer.get("verdict"), (answer.get("cause") or {}).get("code", "")
        backends = {one["verdict"] for one in answer.get("backends", ())}
        if code == "flows-disagree":
            return False
        if (hinge := str(self.situation.words.get("depends", ""))) and _says(answer, hinge):
            return True
        if len(backends) > 1:  # which of them a packet gets to is the load balancer's choice
            return True
        if self.passed:
            return verdict in ("allowed", "redirected") and code == "none"
        if verdict == "error":
            return "has no port" in answer["error"]
        return verdict == "denied" or code not in ("none", "unknown")

    def disagreements(self) -> list[str]:
        """Who is at odds with the packet: `live`, `flows`, `snapshot`, `hubble`, or the bank.

        `flows` is the product attached live, with the flows it has seen as evidence.
        """
        found = []
        expected = self.situation.expected
        if expected != "either" and not f"{self.told_fate} ".startswith(f"{expected} ".lstrip()):
            found.append("bank")
        answers = {"live": self.live, "flows": self.seeing, "snapshot": self.recorded}
        for name, answer in answers.items():
            if not self.agrees(answer):
                found.append(name)
        if self.hubble != self.expected_hubble:
            found.append("hubble")
        return found

    @property
    def arrived_late(self) -> bool:
        """Whether a packet of a new connection was dropped, and the same got there afterwards."""
        is_new = not {"again", "hubble"} & set(self.situation.words)
        return is_new and self.passed and self.hubble == "dropped"

    @property
    def told_fate(self) -> str:
        """The fate with the place where the packet arrived."""
        return f"{self.fate} {self.at}".strip() if self.at else self.fate

    @property
    def expected_hubble(self) -> str:
        """What Hubble must say of a packet with this fate, unless the situation says otherwise."""
        if "hubble" in self.situation.words:
            return str(self.situation.words["hubble"])
        if self.fate == "refused":
            return "none"
        return "forwarded" if self.passed else "dropped"

    def line(self) -> str:
        """All of it in one line."""
        answers = (self.live, self.seeing, self.recorded)
        said = "/".join(str(one.get("verdict")) for one in answers)
        causes = [str((one.get("cause") or one).get("code", one.get("error"))) for one in answers]
        cause = "/".join(dict.fromkeys(causes))
        marks = ",".join(self.disagreements()) or "agree"
        return (
            f"{self.situation.name}: {self.told_fate} as {self.seen_as or '?'}; product {said} "
            f"({cause}); Hubble {self.hubble}; {marks}"
        )


def _says(answer: Answer, hinge: str) -> bool:
    """Whether an answer is unsure, and says that it hinges on something."""
    cause = answer.get("cause") or {}
    said = (cause.get("summary", ""), *answer.get("not_known", ()))
    return cause.get("confidence") != "certain" and any(hinge in one for one in said)


def load_base() -> tuple[list[PodSpec], list[dict[str, Any]], dict[str, Any]]:
    """The pods, the Services and the DNS zone that every stage has."""
    words = yaml.safe_load((FOLDER / "base.yaml").read_text())
    pods = []
    for one in words["pods"]:
        namespace, _, name = one.pop("pod").partition("/")
        pods.append(PodSpec(namespace, name, **one))
    return pods, words["services"], words["zone"]


def load_stages(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Every stage by name, in the order of the files' names."""
    files = sorted(one for one in folder.glob("[0-9]*.yaml"))
    return {one.stem.partition("-")[2]: yaml.safe_load(one.read_text()) for one in files}


def load_known() -> dict[str, dict[str, str]]:
    """The disagreements that are known, by situation: what the product says, and the cause."""
    words: dict[str, dict[str, str]] = yaml.safe_load((FOLDER / "known.yaml").read_text()) or {}
    return words


def situations(
    stage: str, words: Mapping[str, Any], *, tunnel: bool = False
) -> Iterator[Situation]:
    """Every packet of a stage, in order; what is different through the tunnel under `tunnel`."""
    number = 0
    name = f"tunnel, {stage}" if tunnel else stage
    for step in words["steps"]:
        for packet in step.get("packets", ()):
            other = packet.get("tunnel", {}) if tunnel else {}
            yield Situation(name, number, {**packet, **other})
            number += 1


class Bank:
    """Sends the packets of the bank through a cluster, the product beside it."""

    def __init__(self, cluster: Cluster, product: Product) -> None:
        self.cluster, self.product = cluster, product
        self.services: dict[str, KubernetesObject] = {}

    def prepare(self) -> None:
        """Make the base: pods, Services, the DNS zone; and wait until all of it is known."""
        pods, services, zone = load_base()
        self.cluster.label_namespace("other", {"team": "red"})
        self.cluster.add_pods(pods)
        self.cluster.probers["kube-system/dns"].tell("serve", zone=zone, udp=[53], tcp=[53]).result(
            30
        )
        self.cluster.probers["outside"].tell(
            "serve", tcp=[443, 80, 8443], udp=[443], hosts=list(OUTSIDE_ADDRESSES)
        ).result(30)
        made = []
        if self.cluster.mode.ipv6:
            services += SERVICES6
        for words in services:
            objects = self.cluster.create(
                *service_objects(words, self.cluster.pods, self.cluster.addresses)
            )
            self._give_status(words, objects[0])
            self.services[words["name"]] = objects[0]
            made += objects
        kubernetes = "/api/v1/namespaces/default/services/kubernetes"
        self.services["default/kubernetes"] = self.cluster.kube.call("GET", kubernetes)
        self.cluster.settle_services(made)
        self.product.know(one["metadata"]["uid"] for one in made)

    def _give_status(self, words: Mapping[str, Any], service: KubernetesObject) -> None:
        """Write the address that a load balancer's controller would have assigned."""
        if "balancer" not in words:
            return
        metadata = service["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
        ingress = [{"ip": words["balancer"], "ipMode": "VIP"}]
        self.cluster.kube.call("PATCH", path, {"status": {"loadBalancer": {"ingress": ingress}}})

    def run(self, stage: str, words: Mapping[str, Any], folder: Path) -> list[Outcome]:
        """Go through the steps of a stage; its objects are gone afterwards.

        What the product has read after each step is kept as `folder/STAGE-STEP.json`.
        """
        outcomes: list[Outcome] = []
        there: dict[tuple[str, str, str], KubernetesObject] = {}
        listed = list(situations(stage, words, tunnel=self.cluster.mode.tunnel))
        try:
            for number, step in enumerate(words["steps"]):
                self._change(step, there)
                packets = step.get("packets", ())
                chosen, listed = listed[: len(packets)], listed[len(packets) :]
                outcomes += self._step(chosen, folder / f"{stage}-{number}.json")
        finally:
            self._remove(there)
        return outcomes

    def _change(
        self, step: Mapping[str, Any], there: dict[tuple[str, str, str], KubernetesObject]
    ) -> None:
        gone = [there.pop(key) for key in list(there) if key[2] in step.get("delete", ())]
        self.cluster.delete(*gone)
        made = []
        for body in step.get("apply", ()):
            made += self.cluster.create(body)
            there[_key(body)] = made[-1]
        refused = step.get("refused", ())
        valid = [one for one in made if one["metadata"]["name"] not in refused]
        self.cluster.settle(_policies(valid), _policies(gone))
        self._settle_redirects(there)
        self.product.know(_uids(made), _uids(gone))

    def _settle_redirects(self, there: Mapping[tuple[str, str, str], KubernetesObject]) -> None:
        wanted = {name for kind, _, name in there if kind == "CiliumLocalRedirectPolicy"}

        def known() -> bool:
            names = {
                one["name"] for node in self.cluster.nodes[:1] for one in node.api("/lrp") or ()
            }
            return wanted <= names

        if wanted:
            wait_until(known, "redirect policies", 30)
            time.sleep(0.5)

    def _remove(self, there: Mapping[tuple[str, str, str], KubernetesObject]) -> None:
        gone = list(there.values())
        self.cluster.delete(*gone)
        self.cluster.settle((), _policies(gone))
        self.product.know((), _uids(gone))

    def _step(self, chosen: Sequence[Situation], snapshot: Path) -> list[Outcome]:
        if not chosen:
            return []
        since = time.time()
        outcomes = [
            self._judged(one, sent) for one, sent in zip(chosen, self._send(chosen), strict=True)
        ]
        self._look(outcomes, since)
        self._send_late(outcomes)
        self.product.tell("snapshot", path=str(snapshot))
        questions = [self.question(one) for one in chosen]
        uuids = {flow["uuid"] for one in outcomes for flow in one.flows}
        missing = self.product.tell("see", uuids=sorted(uuids))["missing"]
        assert not missing, f"Hubble has {len(missing)} flows that did not get to the product"
        for outcome, question, live, seeing, recorded in zip(
            outcomes,
            questions,
            self.product.why(questions, of="live"),
            self.product.why(questions, of="live", flows=True),
            self.product.why(questions, of="recorded"),
            strict=True,
        ):
            outcome.live, outcome.seeing, outcome.recorded = live, seeing, recorded
            outcome.question, outcome.snapshot = question, snapshot
        return outcomes

    # Packets

    def _send(self, chosen: Sequence[Situation]) -> list[Mapping[str, Any]]:
        """Send all at once; what is silent against expectation is sent once more, with patience."""
        sent = [self._tell(one, WAIT_S) for one in chosen]
        answers: list[Mapping[str, Any]] = [one.result(30) for one in sent]
        again = {
            number: self._tell(one, SURE_S)
            for number, (one, answer) in enumerate(zip(chosen, answers, strict=True))
            if answer["fate"] == "silent" and one.expected != "dropped"
        }
        for number, told in again.items():
            answers[number] = told.result(30)
        return answers

    def _send_late(self, outcomes: list[Outcome]) -> None:
        """Send once more what arrived at the second try: its policy came into force meanwhile.

        A revision is realised a moment before the datapath has the identities of its addresses.
        """
        late = [number for number, one in enumerate(outcomes) if one.arrived_late]
        if not late:
            return
        since = time.time()
        chosen = [outcomes[number].situation for number in late]
        again = [
            self._judged(one, sent) for one, sent in zip(chosen, self._send(chosen), strict=True)
        ]
        self._look(again, since)
        for number, outcome in zip(late, again, strict=True):
            outcomes[number] = outcome

    def _tell(self, one: Situation, wait_s: float) -> Any:
        words, prober = one.words, self.cluster.probers[one.words["from"]]
        if "again" in words:
            return prober.tell("again", keep=words["again"], wait=wait_s)
        protocol = one.protocol.removesuffix("v6")
        common = {"port": one.port, "protocol": protocol, "wait": wait_s}
        if "dns" in words:
            server = self.address(words.get("to", f"ip:{DNS_SERVER}"))
            kind = words.get("type", "A")
            return prober.tell("look up", name=words["dns"], type=kind, to=server, **common)
        kept = {"keep": words["keep"]} if "keep" in words else {}
        target = self.address(words["to"], one.family)
        own = words.get("source")
        if words["from"] == OUTSIDE and not own:
            own = self.cluster.addresses[OUTSIDE][1 if ":" in target else 0]
        source = {"from": own} if own else {}
        return prober.tell("send", to=target, **common, **kept, **source)

    def address(self, target: str, family: int = 0) -> str:
        """Where a packet to `target` is addressed: its IPv4 address, or with `family` 1 IPv6."""
        kind, colon, rest = target.partition(":")
        if colon and kind == "svc":
            return str(self.services[rest]["spec"]["clusterIP"])
        if colon and kind in ("ip", "fqdn"):
            return rest.partition("=")[2] or rest
        return self.cluster.addresses[target][family]

    def question(self, one: Situation) -> dict[str, str]:
        """How an operator would ask about this packet."""
        words = one.words
        target = words.get("to", f"ip:{DNS_SERVER}")
        given = words.get("ask", {})
        source = given.get("from") or self._asked_source(words["from"], target, one)
        port = f"{one.port}/{one.protocol}"
        destination = given.get("to") or self._asked_destination(target, one)
        question = {"from": source, "to": destination, "port": str(given.get("port", port))}
        if "dns" in words:
            question["dns"] = words["dns"]
        return question

    def _asked_source(self, source: str, target: str, one: Situation) -> str:
        if source == OUTSIDE:
            return f"ip:{one.words.get('source', self.cluster.addresses[source][one.family])}"
        if source.startswith("node"):
            spec = self.cluster.pods.get(target)
            near = spec is None or f"node{spec.node}" == source
            return "entity:host" if near else "entity:remote-node"
        return source

    def _asked_destination(self, target: str, one: Situation) -> str:
        if target.startswith("svc:"):
            return f"{target}:{one.port}"
        if target == "outside" or target.startswith("node"):
            return f"ip:{self.cluster.addresses[target][one.family]}"
        return target

    def _judged(self, one: Situation, answer: Mapping[str, Any]) -> Outcome:
        fate = {"arrived": "arrives", "silent": "dropped"}.get(answer["fate"], answer["fate"])
        if "rcode" in answer:
            names = {0: "NOERROR", 3: "NXDOMAIN", 5: "REFUSED"}
            fate = f"answered {names.get(answer['rcode'], answer['rcode'])}"
        at = answer.get("at", "") if "rcode" not in answer else ""
        return Outcome(one, fate, at, answer.get("seen_as", ""), packet=answer)

    # Hubble

    def _look(self, outcomes: Sequence[Outcome], since: float) -> None:
        """Ask Hubble about every packet; events need a moment to get to Relay."""
        deadline = time.monotonic() + FLOWS_WITHIN_S
        while True:
            flows = self.cluster.hubble(
                "observe",
                "--since",
                f"{time.time() - since + 1:.0f}s",
                "--last",
                "20000",
                "-o",
                "jsonpb",
            )
            for outcome in outcomes:
                outcome.flows = flows_of(flows, self._seen(outcome), since)
                outcome.hubble = verdict_of(outcome.flows)
            waiting = [one for one in outcomes if one.hubble != one.expected_hubble]
            if not waiting or time.monotonic() > deadline:
                return
            time.sleep(0.2)

    def _seen(self, outcome: Outcome) -> Seen:
        own = outcome.packet.get("own") or ["", 0]
        words = outcome.situation.words
        target = ""
        if "again" not in words:
            target = self.address(words.get("to", f"ip:{DNS_SERVER}"), outcome.situation.family)
        ends = {(own[0], own[1])}
        if (through := words.get("through")) is not None:
            node, backend = (self.address(one) for one in through)
            return Seen(frozenset({(node, 0)}), backend, outcome.situation.protocol)
        if outcome.seen_as:
            ends.add((outcome.seen_as, outcome.packet["seen_port"]))
        return Seen(frozenset(ends), target, outcome.situation.protocol)


def _key(body: KubernetesObject) -> tuple[str, str, str]:
    metadata = body["metadata"]
    return body["kind"], metadata.get("namespace", ""), metadata["name"]


def _policies(objects: Iterable[KubernetesObject]) -> list[KubernetesObject]:
    return [one for one in objects if one["kind"] in POLICIES]


def _uids(objects: Iterable[KubernetesObject]) -> list[str]:
    return [one["metadata"]["uid"] for one in objects]
