"""What a TRE must show its auditors, statement by statement, each with its proof beside it.

A claim holds only where everything it needs was read; what was not read, or is not modelled, takes
it away and is said. The statements are those of SATRE (Standard Architecture for Trusted Research
Environments, https://satre-specification.readthedocs.io, "computing technology" and "information
security"), named by number; their sense is given in our own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address

from app.core.diagnose.boundaries import MOST_BREACHES, Boundary, Must, Ruling, judge_boundaries
from app.core.lint.projects import is_project
from app.core.model.cluster import Cluster, Endpoint, EnforcementMode
from app.core.model.labels import LabelSet
from app.core.model.metadata import METADATA
from app.core.model.unread import could_decide
from app.core.model.verdict import Direction, Protocol, Question, Verdict
from app.core.policy.engine import Engine

MOST_PROOFS = 40
"""Proofs of one claim that are listed; the rest are counted."""
OUTSIDE = ("100.0.0.1", "203.0.113.77", "2001:db8::77")
"""Addresses for the Internet at large: one of each half of IPv4, and one of IPv6."""
OUTSIDE_PORTS = (22, 53, 80, 443, 8443, 65535)
_UNMODELLED = (
    "pods with other labels than those seen (a new kind of workspace) were not decided",
    "ICMP and SCTP between projects were not asked, only every TCP and UDP port",
    "paths by way of a shared service (a mirror, a Git server) are that service's to control",
)


class Standing(StrEnum):
    """Whether a claim is shown."""

    HOLDS = "holds"
    FAILS = "does-not-hold"
    NOT_SHOWN = "not-shown"


@dataclass(frozen=True, slots=True)
class Proof:
    """One piece of evidence: what it says, where it can be checked, whether it speaks for it."""

    text: str
    ref: str = ""
    supports: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement, what is claimed of this cluster, and the proof."""

    statement: str
    title: str
    says: str
    standing: Standing
    proofs: tuple[Proof, ...]
    not_known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Grounds:
    """What claims rest on. `settings` is None where Cilium's configuration was not read."""

    engine: Engine
    rulings: tuple[Ruling, ...]
    settings: Mapping[str, str] | None

    @property
    def cluster(self) -> Cluster:
        """The objects."""
        return self.engine.cluster

    @property
    def projects(self) -> tuple[str, ...]:
        """The namespaces that are projects."""
        spaces = self.cluster.namespaces
        return tuple(sorted(name for name in spaces if is_project(name, spaces[name].labels)))

    @property
    def doubts(self) -> tuple[str, ...]:
        """What was not read and could decide a connection."""
        unread = tuple(f"not read: {one.text}" for one in self.cluster.unread if could_decide(one))
        config = self.cluster.config
        modes = []
        if config.audit_mode:
            modes.append("policy audit mode is on: what policies deny is let through, and logged")
        if config.enforcement is EnforcementMode.NEVER:
            modes.append("policy enforcement is off (enable-policy=never)")
        return (*modes, *unread)

    @property
    def unbound(self) -> tuple[str, ...]:
        """Pods of projects that no policy of their own binds."""
        return tuple(
            f"{one.key} is in the host network or not managed by Cilium: no policy binds it"
            for one in self.cluster.endpoints
            if one.namespace in self.projects and (one.host_network or not one.managed)
        )

    @property
    def is_enforced(self) -> bool:
        """Whether what policies deny is really refused."""
        config = self.cluster.config
        return not config.audit_mode and config.enforcement is not EnforcementMode.NEVER


def projects_apart(grounds: Grounds) -> Claim:
    """2.2.10: the engine's answer for every pair of identities of two projects, on every port."""
    projects = grounds.projects
    made = [
        Boundary(f"into {one}", tuple(f"ns:{other}" for other in projects if other != one),
                 (f"ns:{one}",), Must.DENY)
        for one in projects
        if len(projects) > 1
    ]  # fmt: skip
    rulings = judge_boundaries(made, grounds.engine)
    decided = [one for one in rulings if one.asked]
    proofs = [
        Proof(
            f"{one.boundary.name} from other projects: {one.asked:,} connections decided, "
            f"{_count(one)} allowed",
            supports=not one.breaches,
        )
        for one in decided
    ]
    proofs += [proof for one in decided for proof in _breaches(one)]
    breached = any(one.breaches for one in decided)
    doubts = grounds.unbound
    standing = _standing(grounds, broken=breached, shown=bool(decided), doubtful=bool(doubts))
    empty = () if decided else ("there are no two projects with pods to tell apart",)
    return Claim(
        "2.2.10",
        "No connectivity between users of different projects",
        f"No pod of one of the {len(projects)} projects can open a TCP or UDP connection to a pod "
        f"of another.",
        standing,
        _limited(proofs),
        (*empty, *doubts, *grounds.doubts, *_UNMODELLED),
    )


def internet_blocked(grounds: Grounds) -> Claim:
    """2.2.11: default deny at every pod of a project, and what is open to the outside."""
    pods = [
        one
        for one in grounds.cluster.endpoints
        if one.namespace in grounds.projects and one.managed and not one.host_network
    ]
    proofs: list[Proof] = []
    unguarded = [one.key for one in pods if not grounds.engine.default_deny(one, Direction.EGRESS)]
    if pods:
        guarded = len(pods) - len(unguarded)
        proofs.append(
            Proof(
                f"{guarded} of {len(pods)} pods of projects are in default deny for what they send",
                supports=not unguarded,
            )
        )
    proofs += [Proof(f"{key} may send anything", supports=False) for key in unguarded]
    opened = list(_open_to_all(grounds.engine, pods))
    proofs += opened
    if pods and not opened:
        proofs.append(
            Proof(
                f"no pod of a project reaches an arbitrary address outside ({', '.join(OUTSIDE)}) "
                f"on ports {', '.join(map(str, OUTSIDE_PORTS))}, nor cloud metadata"
            )
        )
    proofs += _exceptions_to_outside(grounds)
    doubts = grounds.unbound
    broken = bool(unguarded or opened)
    standing = _standing(grounds, broken=broken, shown=bool(pods), doubtful=bool(doubts))
    empty = () if pods else ("no pods of projects were seen",)
    return Claim(
        "2.2.11",
        "Outbound Internet access is blocked by default",
        "No pod of a project reaches the Internet, but for names and addresses that rules list.",
        standing,
        _limited(proofs),
        (*empty, *doubts, *grounds.doubts),
    )


def encrypted(grounds: Grounds, seen: tuple[int, int]) -> Claim:
    """2.8.02: encryption between nodes, as far as the agent's settings show it.

    `seen` counts traces of encrypted packets, and all traces. Source: Cilium
    `Documentation/security/network/encryption*.rst` (`enable-wireguard`, `enable-ipsec`).
    """
    settings = grounds.settings
    title = "Data are encrypted in transit"
    says = "Traffic of pods from node to node is encrypted by Cilium."
    limits = (
        "traffic between two pods of one node does not leave it and is not encrypted by Cilium",
        "what applications encrypt themselves (TLS) and what leaves the cluster was not looked at",
        "that nodes really use it: the settings say what is asked of the agents",
    )
    if settings is None:
        doubt = "Cilium's configuration (ConfigMap cilium-config) was not read"
        return Claim("2.8.02", title, says, Standing.NOT_SHOWN, (), (doubt, *limits))
    keys = ("enable-wireguard", "enable-ipsec", "encrypt-node", "enable-encryption-strict-mode")
    place = "ConfigMap kube-system/cilium-config"
    shown = keys[:2] + tuple(key for key in keys[2:] if key in settings)
    proofs = [Proof(f"{key} = {settings.get(key, 'not set (off)')}", place) for key in shown]
    is_on = any(settings.get(key) == "true" for key in keys[:2])
    proofs = [replace(one, supports=is_on) for one in proofs]
    if seen[1]:
        proofs.append(
            Proof(f"{seen[0]:,} of {seen[1]:,} traces of packets say that they were encrypted")
        )
    standing = Standing.HOLDS if is_on else Standing.FAILS
    return Claim("2.8.02", title, says, standing, tuple(proofs), limits)


def configuration_checked(
    grounds: Grounds, findings: Sequence[Proof], policies: int, errors: int
) -> Claim:
    """2.2.12: the boundaries as declared, and what lint finds in the policies."""
    proofs = [
        Proof(
            f"boundary {one.boundary.name} ({one.boundary.must.value}): "
            + (f"holds for {one.asked:,} connections" if one.holds else _why_broken(one)),
            _place(one.boundary.file, one.boundary.line),
            supports=one.holds,
        )
        for one in grounds.rulings
    ]
    proofs.append(Proof(f"lint: {errors} errors in {policies} policies", supports=not errors))
    doubts = () if grounds.rulings else ("no boundaries are declared (check.boundaries)",)
    broken = errors > 0 or any(not one.holds for one in grounds.rulings)
    shown = policies > 0 and bool(grounds.rulings)
    return Claim(
        "2.2.12",
        "Misconfiguration of the network is found",
        "Every declared boundary holds, and no policy has a mistake that lint rates as an error.",
        _standing(grounds, broken=broken, shown=shown),
        _limited([*proofs, *findings]),
        (*doubts, *grounds.doubts),
    )


def _standing(grounds: Grounds, *, broken: bool, shown: bool, doubtful: bool = False) -> Standing:
    """A breach is a breach whatever was not read; without one nothing may be left open."""
    if broken or not grounds.is_enforced:
        return Standing.FAILS
    if not shown or doubtful or grounds.doubts:
        return Standing.NOT_SHOWN
    return Standing.HOLDS


def _breaches(one: Ruling) -> Iterator[Proof]:
    for breach in one.breaches:
        rules = [str(rule) for rule in breach.rules]
        said = "could be" if breach.verdict is Verdict.UNKNOWN else "is"
        yield Proof(
            f"{breach.source} → {breach.destination}:{breach.port}/{breach.protocol.value} "
            f"{said} {'allowed' if one.boundary.must is Must.DENY else 'denied'}",
            "; ".join(rules) or "no policy selects it",
            supports=False,
        )


def _why_broken(one: Ruling) -> str:
    return one.problem or f"does not hold, {_count(one)} connections are otherwise"


def _count(one: Ruling) -> str:
    more = " or more" if len(one.breaches) >= MOST_BREACHES else ""
    return f"{len(one.breaches)}{more}"


def _open_to_all(engine: Engine, pods: Iterable[Endpoint]) -> Iterator[Proof]:
    asked: set[LabelSet] = set()
    for pod in pods:
        if pod.labels in asked:
            continue
        asked.add(pod.labels)
        source = engine.peer_of(pod)
        for text in (*OUTSIDE, *METADATA):
            target = engine.peer_of_address(ip_address(text))
            ports = [
                port
                for port in OUTSIDE_PORTS
                if engine.decide(Question(source, target, port, Protocol.TCP)).verdict
                is not Verdict.DENIED
            ]
            if ports:
                trace = engine.trace(Question(source, target, ports[0], Protocol.TCP))
                rules = [str(match.rule) for match in trace.egress.matched]
                shown = ", ".join(map(str, ports))
                yield Proof(
                    f"{pod.key} reaches {text} on {shown}/TCP",
                    "; ".join(rules) or "nothing restricts what it sends",
                    supports=False,
                )


def _exceptions_to_outside(grounds: Grounds) -> Iterator[Proof]:
    """What rules open to the outside by name or address: the exceptions, each with its rule."""
    made = [
        Boundary(f"{one} to the outside", (f"ns:{one}",), ("entity:world",), Must.DENY)
        for one in grounds.projects
    ]
    seen: set[tuple[str, ...]] = set()
    for ruling in judge_boundaries(made, grounds.engine):
        for breach in ruling.breaches:
            rules = tuple(str(rule) for rule in breach.rules)
            key = (breach.outside or breach.destination, *rules)
            if key in seen:
                continue
            seen.add(key)
            where = breach.outside or breach.destination
            yield Proof(
                f"exception: {breach.source} may reach {where} on "
                f"{breach.port}/{breach.protocol.value}",
                "; ".join(rules),
            )


def _limited(proofs: Sequence[Proof]) -> tuple[Proof, ...]:
    """At most so many, what speaks against the claim first; the rest is counted."""
    ranked = sorted(proofs, key=lambda one: one.supports)
    if len(ranked) <= MOST_PROOFS:
        return tuple(ranked)
    rest = len(ranked) - MOST_PROOFS
    against = sum(not one.supports for one in ranked[MOST_PROOFS:])
    more = Proof(f"and {rest} more, {against} of them against it", supports=not against)
    return (*ranked[:MOST_PROOFS], more)


def _place(file: str, line: int) -> str:
    return f"{file}:{line}" if file and line else file
