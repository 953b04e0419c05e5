"""Which rules and paths are used, as far as the flows reach back.

A path is a pair of workloads with a port; it is used where a flow of it was let through. A rule is
hit where the engine says that it lets a used path through, so several rules may share a hit. What
was not seen is a candidate to close, and never more than that: the report says how far the data
reach, and what was lost of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from app.core.diagnose.ends import resolve
from app.core.diagnose.flow_question import asked_of
from app.core.errors import K8treError
from app.core.flows.times import NS_PER_S
from app.core.insights.party import Directory, FlowParty
from app.core.insights.sight import Shows, Sight, is_answer, sight_of
from app.core.model.flow import Flow, FlowBatch
from app.core.model.provenance import RuleRef
from app.core.model.verdict import DirectionTrace, Effect, Outcome, Protocol, Question
from app.core.model.workloads import short_name
from app.core.policy.engine import Engine
from app.core.policy.rules import (
    CidrSelector,
    Entry,
    LabelSelector,
    Operator,
    PeerSelector,
)
from app.core.policy.selectors import CLUSTER_KEY
from app.services.matrix import By, Party, matrix
from app.services.picture import Picture

MOST_PATHS = 50_000
_PROTOCOLS = {"TCP": Protocol.TCP, "UDP": Protocol.UDP, "SCTP": Protocol.SCTP}
DAY_NS = 24 * 3600 * NS_PER_S

PathKey = tuple[FlowParty, FlowParty, int, str]


@dataclass(frozen=True, slots=True)
class Path:
    """One way: workload to workload, or to what is outside, on a port."""

    source: str
    destination: str
    port: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Resting:
    """A used path that one rule alone lets through in a direction; `broad` says why it is."""

    path: Path
    rule: RuleRef
    broad: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was used. `reaches_days` is how far back the flows go; `unjudged` paths had no answer.

    `unused` are allowed paths between workloads of the cluster that no flow took, `idle` rules
    without a hit. Both are None where the flows do not reach back as far as was asked for.
    """

    used: int
    reaches_days: float
    asked_days: float
    lost: int
    forgotten: int
    unjudged: int
    resting: tuple[Resting, ...]
    unused: tuple[Path, ...] | None
    idle: tuple[RuleRef, ...] | None


@dataclass
class Used:
    """The paths that flows took; each flow is looked at once."""

    directory: Directory = field(default_factory=Directory)
    first_ns: int = 0
    last_ns: int = 0
    lost: int = 0
    forgotten: int = 0
    paths: dict[PathKey, Flow] = field(default_factory=dict)
    refused: set[PathKey] = field(default_factory=set)

    def take(self, batch: FlowBatch) -> None:
        """Look at what a source delivered."""
        self.lost += sum(one.count for one in batch.lost) + batch.dropped
        for flow in batch.flows:
            self.first_ns = min(self.first_ns or flow.time_ns, flow.time_ns)
            self.last_ns = max(self.last_ns, flow.time_ns)
            if (sight := sight_of(flow, self.directory)) is not None:
                self._note(sight)

    def _note(self, sight: Sight) -> None:
        if sight.shows is Shows.REFUSED:
            if len(self.refused) < MOST_PATHS:
                self.refused.add(sight.pair)
            return
        if sight.shows in (Shows.OTHER, Shows.SENT) or sight.pair in self.paths:
            return
        if len(self.paths) >= MOST_PATHS:
            self.forgotten += 1
            return
        self.paths[sight.pair] = sight.flow


def coverage(picture: Picture, used: Used, *, days: float) -> Coverage:
    """Say what was used of what the policies allow. `days` is how long unused makes a candidate."""
    reaches = (used.last_ns - used.first_ns) / DAY_NS
    hits: set[RuleRef] = set()
    resting: list[Resting] = []
    entries = _entries(picture.engine)
    unjudged = 0
    for key, flow in used.paths.items():
        sides = traces_of(picture.engine, flow)
        if sides is None or any(side.outcome is Outcome.DENIED for side in sides):
            unjudged += 1
            continue
        for side in sides:
            rules = [match.rule for match in side.matched if match.effect is Effect.ALLOW]
            hits.update(rules)
            if len(set(rules)) == 1 and (broad := _broad(entries.get(rules[0], ()))):
                resting.append(Resting(_path(key), rules[0], broad))
    enough = reaches >= days and bool(used.paths)
    idle = sorted(set(entries) - hits, key=lambda rule: (rule.policy, rule.path))
    return Coverage(
        used=len(used.paths),
        reaches_days=reaches,
        asked_days=days,
        lost=used.lost,
        forgotten=used.forgotten,
        unjudged=unjudged,
        resting=tuple(sorted(resting, key=lambda one: (str(one.rule), str(one.path)))),
        unused=tuple(_unused(picture, used)) if enough else None,
        idle=tuple(rule for rule in idle if not rule.denies) if enough else None,
    )


def _entries(engine: Engine) -> dict[RuleRef, tuple[Entry, ...]]:
    """Every allow rule that is in force, with its entries."""
    found: dict[RuleRef, list[Entry]] = defaultdict(list)
    for policy in engine.policies:
        for entry in policy.entries:
            if entry.effect is Effect.ALLOW:
                found[entry.rule].append(entry)
    return {rule: tuple(entries) for rule, entries in found.items()}


def traces_of(engine: Engine, flow: Flow) -> tuple[DirectionTrace, DirectionTrace] | None:
    """Both directions of a flow's connection, as policies judge it; None without an answer."""
    try:
        asked = asked_of(flow, engine.cluster, is_answer=is_answer(flow))
        source = resolve(asked.source, engine)[0].peer
        destination = resolve(asked.destination, engine)[0].peer
    except (K8treError, IndexError):
        return None
    protocol = _PROTOCOLS.get(flow.protocol)
    if protocol is None or asked.port is None or asked.port.number is None:
        return None
    trace = engine.trace(Question(source, destination, asked.port.number, protocol))
    return trace.egress, trace.ingress


def _broad(entries: Iterable[Entry]) -> str:
    """Why a rule is broad: it names no peer, or no port; empty where it names both."""
    for entry in entries:
        if entry.peers is None or any(map(_is_everyone, entry.peers)):
            return "names no peer"
        if not entry.ports:
            return "names no port"
    return ""


def _is_everyone(peer: PeerSelector) -> bool:
    """Whether a selector asks for nothing but a namespace, whichever it is."""
    if isinstance(peer, CidrSelector):
        return not peer.block.prefixlen
    return isinstance(peer, LabelSelector) and all(
        one.operator is Operator.EXISTS or one.key == CLUSTER_KEY for one in peer.requirements
    )


def _unused(picture: Picture, used: Used) -> Iterable[Path]:
    """Allowed rows of the matrix between workloads, by the names that flows have for them."""
    taken = {(key[0].text, key[1].text) for key in used.paths}
    names: dict[str, str] = {}

    def both_inside(source: Party, destination: Party) -> bool:
        for one in (source, destination):
            names[one.name] = short_name(one.peer)
        return bool(source.namespace and destination.namespace)

    for row in matrix(picture, By.WORKLOAD, both_inside):
        if row.verdict.value not in ("allowed", "redirected") or not row.egress_by + row.ingress_by:
            continue
        pair = (names[row.source], names[row.destination])
        if pair not in taken:
            yield Path(*pair, row.ports, row.protocol)


def _path(key: PathKey) -> Path:
    return Path(key[0].text, key[1].text, str(key[2]), key[3])
