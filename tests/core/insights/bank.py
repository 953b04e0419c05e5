"""A labelled bank of recordings, generated: a TRE's ordinary traffic, and one pattern in it.

The quiet day has what makes detectors cry wolf: scrapes and probes, heartbeats, search lists whose
questions mostly fail, many addresses of one service, replicas that restart under other names,
workspaces that come and go, refused telemetry with TCP's repeats, hours in which nothing was
recorded. Level 2 has more of all of it, level 3 also loses a tenth of the flows and delivers the
rest out of order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from msgspec import structs

from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, PolicyEvidence
from tests.core.insights.sights import (
    HOST,
    START_NS,
    End,
    Outside,
    Pod,
    answered,
    asked,
    flow,
)
from tests.core.insights.sights import (
    refused as refused_twins,
)

LASTS_S = 3_600
HALF_NS = START_NS + LASTS_S // 2 * NS_PER_S
LEVELS = (1, 2, 3)
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
SAFE = "bcdfghjklmnpqrstvwxz2456789"
SPAWNED = (
    "k8s:app=jupyterhub",
    "k8s:component=singleuser-server",
    "k8s:hub.jupyter.org/username=u",
)


def leaving(client: End, server: End, port: int, at_s: float, source_port: int) -> Flow:
    """A first packet where it leaves its pod: refused or not, it is seen there."""
    return flow(
        client, server, port, at_s, source_port=source_port, event=4, sub_event=5, is_reply=None,
        direction="TRAFFIC_DIRECTION_UNKNOWN", trace_point="FROM_ENDPOINT",
    )  # fmt: skip


def refused(client: End, server: End, port: int, at_s: float, **fields: Any) -> list[Flow]:
    """A refused packet, and where it left its pod."""
    source_port = fields.get("source_port", 40_000)
    sent = leaving(client, server, port, at_s - 0.0001, source_port)
    return [sent, *refused_twins(client, server, port, at_s, **fields)]


def deployed(space: str, name: str, ip: str, random: Random) -> Pod:
    """A replica of a Deployment, under the name Kubernetes gives it."""
    tail = "".join(random.choices(SAFE, k=5))
    return Pod(space, f"{name}-{''.join(random.choices(SAFE, k=9))}-{tail}", ip, name)


def workspace(project: str, user: str, ip: str) -> Pod:
    """A notebook server as KubeSpawner makes it: a pod of its own."""
    return Pod(f"project-{project}", f"jupyter-{user}", ip, f"jupyter-{user}", "Pod", SPAWNED)


@dataclass
class Town:
    """Who lives in the cluster, and everything that happens there."""

    seed: int
    level: int
    flows: list[Flow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random = Random(self.seed)  # noqa: S311  # a generator of tests
        self.alice = workspace("lung", "alice", "10.0.1.1")
        self.bob = workspace("heart", "bob", "10.0.1.2")
        self.carol = workspace("lung", "carol", "10.0.1.3")
        self.mirror = deployed("mirror", "mirror", "10.0.2.1", random)
        self.gitea = Pod("gitea", "gitea-0", "10.0.2.2", "gitea", "StatefulSet")
        self.database = Pod("gitea", "gitea-db-0", "10.0.2.3", "gitea-db", "StatefulSet")
        self.hub = deployed("jupyterhub", "hub", "10.0.2.4", random)
        self.prometheus = Pod("monitoring", "prometheus-0", "10.0.2.5", "prometheus", "StatefulSet")
        self.argocd = deployed("argocd", "argocd-repo-server", "10.0.2.6", random)
        self.storage = Pod("project-lung", "cohort-db-0", "10.0.2.7", "cohort-db", "StatefulSet")
        self.people = [self.alice, self.bob, self.carol] + [
            workspace(random.choice(("lung", "heart", "gene")), f"u{n}", f"10.0.1.{n + 10}")
            for n in range(3 * self.level)
        ]
        self.services = [
            deployed(f"app-{n}", f"app-{n}", f"10.0.4.{n}", random) for n in range(4 * self.level)
        ]
        self._port = 32_768

    def port(self) -> int:
        """The next client port, as a node hands them out."""
        self._port = 32_768 + (self._port - 32_767 + self.random.randrange(3)) % 28_000
        return self._port

    def connect(self, client: End, server: End, port: int, at_s: float, **fields: Any) -> None:
        """A connection that works; of pods also what the destination's node saw."""
        source_port = self.port()
        self.flows.append(leaving(client, server, port, at_s - 0.0001, source_port))
        self.flows += answered(client, server, port, at_s, source_port=source_port, **fields)
        if isinstance(server, Pod):
            arrived = {
                "source": client.remote, "destination": server.local, "direction": "INGRESS",
                "source_port": source_port, "node": "node-2",
            }  # fmt: skip
            self.flows.append(flow(client, server, port, at_s + 0.0015, **(arrived | fields)))

    def refuse(self, client: End, server: End, port: int, at_s: float, **fields: Any) -> None:
        """A connection that is refused: TCP tries again after 1, 3 and 7 seconds."""
        source_port = self.port()
        for again in (0, 1, 3, 7)[: self.random.randint(1, 4)]:
            self.flows += refused(
                client, server, port, at_s + again, source_port=source_port, **fields
            )

    def every(self, period_s: float, jitter: float = 0.1, start: float = 0.0) -> Iterator[float]:
        """Moments about a period apart, to the end."""
        at = start + self.random.random() * period_s
        while at < LASTS_S:
            yield at
            at += period_s * (1 + self.random.uniform(-jitter, jitter))

    def now_and_then(self, mean_s: float, start: float = 0.0, end: float = LASTS_S) -> (
        Iterator[float]
    ):  # fmt: skip
        """Moments at random."""
        at = start + self.random.expovariate(1 / mean_s)
        while at < end:
            yield at
            at += self.random.expovariate(1 / mean_s)

    def look_up(self, client: Pod, name: str, at_s: float) -> None:
        """A name by the search list: most questions fail, A and AAAA each."""
        tails = [f".{client.namespace}.svc.cluster.local", ".svc.cluster.local", ".cluster.local"]
        tails += [".eu-west-2.compute.internal"] if self.level > 1 else []
        for qtype in ("A", "AAAA"):
            for tail in tails:
                self.flows += asked(client, name + tail, at_s, rcode=3, qtype=qtype)
            self.flows += asked(client, name, at_s, qtype=qtype)

    def live(self) -> None:
        """An ordinary hour."""
        self._run_platform()
        for one in self.people:
            self._work(one)
        self._restart()

    def _run_platform(self) -> None:
        github = Outside("140.82.121.4", "github.com")
        for one in (*self.services, self.mirror, self.gitea, self.hub):
            for at in self.every(30, 0.02):
                self.connect(self.prometheus, one, 9_090, at)
            for at in self.every(60, 0.01):  # the kubelet's probes, from the node itself
                self.flows.append(
                    flow(Outside("10.7.0.1"), one, 8_080, at, source=HOST, source_port=self.port(),
                         event=4, direction="INGRESS", trace_point="TO_ENDPOINT")
                )  # fmt: skip
        for at in self.every(180, 0.01):
            self.look_up(self.argocd, "github.com", at)
            self.connect(self.argocd, github, 443, at + 0.2)
        for at in self.every(64, 0.0):
            ntp = Outside("192.0.2.123")
            self.flows.append(flow(self.gitea, ntp, 123, at, protocol="UDP", tcp_flags=""))
        for at in self.every(5, 0.05):
            self.connect(self.gitea, self.database, 5_432, at)
        for n, one in enumerate(self.services):
            for at in self.now_and_then(90):
                self.connect(one, self.services[(n + 1) % len(self.services)], 8_443, at)

    def _work(self, one: Pod) -> None:
        until = self.random.uniform(0.5, 1.0) * LASTS_S
        cdn = [Outside(f"151.101.{n}.223", "files.pythonhosted.org") for n in range(40)]
        for at in self.now_and_then(45, end=until):
            self.look_up(one, self.random.choice(("mirror.mirror.svc", "packages.example.org")), at)
            self.connect(one, self.mirror, 8_080, at + 0.1)
        for at in self.now_and_then(150, end=until):
            self.connect(one, self.gitea, 3_000, at)
            self.connect(one, self.random.choice(cdn), 443, at + 1)
        for at in self.every(300, 0.02):
            self.connect(one, self.hub, 8_081, at)
            self.connect(self.hub, one, 8_888, at + 2)
        for at in self.now_and_then(900 / self.level, end=until):
            name = "telemetry.example.net"
            self.look_up(one, name, at)
            self.refuse(one, Outside("198.51.100.77", name), 443, at)
        if one.namespace == "project-lung":
            for at in self.now_and_then(120, end=until):
                self.connect(one, self.storage, 5_432, at)

    def _restart(self) -> None:
        """Replicas come back under other names and addresses, and do as before."""
        for n, one in enumerate(self.services[:3]):
            again = deployed(one.namespace, one.workload, f"10.0.5.{n}", self.random)
            for at in self.every(30, 0.02, start=LASTS_S / 2):
                self.connect(self.prometheus, again, 9_090, at)
            for at in self.now_and_then(90, start=LASTS_S / 2):
                self.connect(again, self.services[n + 1], 8_443, at)

    def recording(self) -> list[Flow]:
        """What was recorded of all: a gap in the middle, and on level 3 losses and disorder."""
        begin = min(one.time_ns for one in self.flows)
        gap = range(begin + 1_500 * NS_PER_S, begin + 1_620 * NS_PER_S)
        kept = [one for one in self.flows if one.time_ns not in gap]
        if self.level < 3:
            return sorted(kept, key=lambda one: one.time_ns)
        kept = [one for one in kept if self.random.random() > 0.1]
        shift = NS_PER_S // 2
        return sorted(kept, key=lambda one: one.time_ns + self.random.randint(-shift, shift))


def text(random: Random, length: int) -> str:
    return "".join(random.choices(ALPHABET, k=length))


def first_seen(town: Town) -> None:
    for at in (2_400.0, 2_460.0, 2_800.0):
        town.connect(town.gitea, Outside("203.0.113.66"), 8_443, at)


def port_scan(town: Town) -> None:
    for n, port in enumerate(town.random.sample(range(1, 10_000), 40)):
        source_port = town.port()
        town.flows += refused(town.alice, town.gitea, port, 2_000 + n * 2, source_port=source_port)


def port_scan_of_closed_ports(town: Town) -> None:
    """Policies allow it, and nobody listens: a reset answers each."""
    for n, port in enumerate(town.random.sample(range(1, 10_000), 40)):
        given = {"source_port": town.port()}
        (opened, *_) = answered(town.alice, town.mirror, port, 2_000 + n, **given)
        back = answered(town.alice, town.mirror, port, 2_000 + n, **given)[2]
        town.flows += [opened, structs.replace(back, tcp_flags="RST,ACK")]


def host_sweep(town: Town) -> None:
    for n in range(30):
        town.flows += refused(
            town.bob, Pod("kube-system", f"x-{n}", f"10.0.9.{n}"), 22, 2_000 + n * 3,
            source_port=town.port(),
        )  # fmt: skip


def sweep_outside(town: Town) -> None:
    for n in range(30):
        town.refuse(town.bob, Outside(f"192.0.2.{n + 1}"), 445, 2_000 + n * 5)


def dns_tunnel_long(town: Town) -> None:
    for n in range(60):
        name = f"{text(town.random, 50)}.t.evil.example.com"
        town.flows += asked(town.alice, name, 2_000 + n * 4, qtype="TXT")


def dns_tunnel_many(town: Town) -> None:
    for n in range(150):
        town.flows += asked(town.alice, f"c{n:03x}.evil.net", 2_000 + n * 2)


def dns_tunnel_random(town: Town) -> None:
    for n in range(50):
        town.flows += asked(town.alice, f"{text(town.random, 20)}.evil.co.uk", 2_000 + n * 5)


def nxdomain_names(town: Town) -> None:
    for n in range(80):
        tail = ".project-lung.svc.cluster.local"
        name = f"{text(town.random, 9)}.com"
        town.flows += asked(town.alice, name + tail, 2_000 + n * 3, rcode=3)
        town.flows += asked(town.alice, name, 2_000 + n * 3, rcode=3)


def project_tries(town: Town) -> None:
    for n in range(8):
        town.refuse(town.bob, town.alice, town.random.choice((22, 5432, 8888)), 1_800 + n * 120)


def beacon(town: Town) -> None:
    for at in town.every(60, 0.08, start=600):
        town.connect(town.carol, Outside("203.0.113.9"), 443, at)


def beacon_named(town: Town) -> None:
    for at in town.every(120, 0.05):
        town.connect(town.bob, Outside("203.0.113.99", "cdn.evil.example"), 443, at)


def drop_rise(town: Town) -> None:
    """From half an hour on, the mirror refuses everybody whom it served until then."""
    town.flows = [
        one for one in town.flows
        if town.mirror.ip not in (one.source_ip, one.destination_ip) or one.time_ns < HALF_NS
        or one.source.labels == HOST.labels
    ]  # fmt: skip
    for one in town.people:
        for at in town.now_and_then(60, start=LASTS_S / 2):
            town.refuse(one, town.mirror, 8_080, at, direction="INGRESS")


def serving(town: Town) -> None:
    for n in range(12):
        town.connect(town.carol, town.alice, 8_000, 2_000 + n * 60)


def stopped(town: Town) -> None:
    """Gitea's questions to its database end; everything else of it goes on."""
    ends = {town.gitea.ip, town.database.ip}
    town.flows = [
        one for one in town.flows
        if {one.source_ip, one.destination_ip} != ends or one.time_ns < HALF_NS
    ]  # fmt: skip


def broad_path(town: Town) -> None:
    by = (PolicyEvidence("CiliumNetworkPolicy", "gitea", "allow-all"),)
    for at in town.now_and_then(200):
        given = {"match_type": 4, "egress_allowed_by": by, "source_port": town.port()}
        town.flows.append(flow(town.gitea, town.services[0], 8_443, at, **given))


PATTERNS: dict[str, tuple[str, Callable[[Town], None]]] = {
    one.__name__: (kind, one)
    for kind, several in {
        "first-seen-destination": (first_seen,),
        "port-scan": (port_scan, port_scan_of_closed_ports),
        "host-sweep": (host_sweep, sweep_outside),
        "dns-tunnel": (dns_tunnel_long, dns_tunnel_many, dns_tunnel_random),
        "nxdomain-storm": (nxdomain_names,),
        "project-tries": (project_tries,),
        "beacon": (beacon, beacon_named),
        "drop-rise": (drop_rise,),
        "workspace-serves": (serving,),
        "connection-stopped": (stopped,),
        "broad-path": (broad_path,),
    }.items()
    for one in several
}
"""Each pattern by its name: the kind of alert it must raise, and what adds it to a town."""


@cache
def _quiet(level: int, seed: int) -> Town:
    town = Town(seed, level)
    town.live()
    return town


def recording(level: int, seed: int, add: Callable[[Town], None] | None = None) -> list[Flow]:
    """An hour at a level of noise, with a pattern or quiet."""
    town = copy(_quiet(level, seed))
    town.flows, town.random = list(town.flows), Random(seed)  # noqa: S311  # as above
    if add is not None:
        add(town)
    return town.recording()
