"""Who may talk to whom: every pair of identities, with the ports on which the answer is the same.

The ports of a pair are cut where anything could change the answer: at every number that a policy
of either end names and at every port the destination declares. Each piece is asked once; pieces
with the same verdict and the same deciding policies become one row. `others` are all the ports
of no other row of the pair, `*` is every port, `ANY` is every protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.core.diagnose.pairwise import CERTAIN, Known, PairDoubts
from app.core.errors import UsageError
from app.core.model.cluster import Endpoint
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Decision, Direction, Peer, Protocol, Question, Verdict
from app.core.policy.engine import Engine
from app.core.policy.outside import WORLD, outside_classes
from app.core.policy.port_cuts import Span, cut, named_spans, unnamed_port
from app.services.matrix_pairs import let_through
from app.services.picture import Picture

ENTITIES = ("host", "remote-node", "kube-apiserver", "ingress")
EVERY_PORT = "*"
OTHER_PORTS = "others"
EVERY_PROTOCOL = "ANY"

MOST_PAIRS = 4_000_000
"""Pairs beyond which the question has to be narrowed: a list of them would help nobody."""

ALWAYS_ASKED = frozenset({Protocol.TCP, Protocol.UDP, Protocol.ICMP})

Spans = frozenset[tuple[Protocol, Span]]
_Key = tuple[Verdict, tuple[ObjectRef, ...], tuple[ObjectRef, ...], Known]
"""What pieces must agree on to share a row: verdict, who decided each direction, how sure it is."""


class By(StrEnum):
    """What a row's ends are."""

    IDENTITY = "identity"
    WORKLOAD = "workload"


@dataclass(frozen=True, slots=True)
class Party:
    """One end: `name` is what `why` understands, `ports` what it listens on.

    `outside` says which ends outside it stands for, where it is one for a class of them.
    """

    name: str
    namespace: str
    peer: Peer
    ports: frozenset[tuple[Protocol, int]] = frozenset()
    outside: str = ""
    only_destination: bool = False
    another: Peer | None = None
    """A second pod of several: whether they may connect to each other is asked of two."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One pair on some ports of a protocol, and the policies that decided each direction.

    `known` says how sure the verdict is, as `why` would be of it.
    """

    source: str
    destination: str
    protocol: str
    ports: str
    verdict: Verdict
    egress_by: tuple[ObjectRef, ...]
    ingress_by: tuple[ObjectRef, ...]
    known: Known = CERTAIN
    outside: str = ""


Chooser = Callable[[Party, Party], bool]


def matrix(
    picture: Picture, by: By, wanted: Chooser, verdicts: Collection[Verdict] = ()
) -> Iterator[MatrixRow]:
    """Rows for every wanted pair, by source and destination, of some verdicts or of all.

    Raises `UsageError` when there are more than `MOST_PAIRS` pairs to ask.
    """
    parties = find_parties(picture, by)
    rows = _all_rows(picture, parties, wanted, denied=not verdicts or Verdict.DENIED in verdicts)
    return (row for row in rows if not verdicts or row.verdict in verdicts)


def _all_rows(
    picture: Picture, parties: Sequence[Party], wanted: Chooser, *, denied: bool
) -> Iterator[MatrixRow]:
    """Rows of the pairs that may have one worth giving: of all, where `denied` ones are wanted."""
    asker = _Asker(picture.engine, PairDoubts(picture.engine))
    let = None
    if not denied:
        declared = {port for one in parties for port in one.ports}
        let = let_through(picture.engine, [one.peer for one in parties], declared)
    _refuse_flood(len(parties), let.count if let is not None else len(parties) ** 2)
    for number, source in enumerate(parties):
        reached = let.reached(number) if let is not None else range(len(parties))
        for destination in map(parties.__getitem__, reached):
            if source.peer.endpoint is None and destination.peer.endpoint is None:
                continue
            if source.only_destination:
                continue
            if wanted(source, destination):
                yield from asker.rows(source, destination)


def find_parties(picture: Picture, by: By) -> tuple[Party, ...]:
    """Every identity of the picture: pods, entities, and what rules name outside the cluster."""
    engine = picture.engine
    return (*_pods(picture, by), *_outside(engine), *_reserved(engine))


def _refuse_flood(parties: int, pairs: int) -> None:
    if pairs > MOST_PAIRS:
        raise UsageError(
            f"{parties} identities make {pairs:,} pairs",
            hint="narrow it with -n NS, --from or --to, or with --verdict allowed",
        )


def _pods(picture: Picture, by: By) -> Iterator[Party]:
    groups: dict[object, list[Endpoint]] = {}
    for endpoint in sorted(picture.cluster.endpoints, key=lambda one: one.key):
        key = (endpoint.namespace, endpoint.labels, endpoint.host_network, endpoint.managed)
        groups.setdefault((key, endpoint.workload if by is By.WORKLOAD else None), []).append(
            endpoint
        )
    targets = _service_targets(picture)
    for members in groups.values():
        first = members[0]
        ports = {(Protocol(port.protocol), port.port) for one in members for port in one.ports}
        for one in members:
            ports |= targets.get(one.key, set())
        peer = picture.engine.peer_of(first)
        another = picture.engine.peer_of(members[1]) if len(members) > 1 else None
        yield Party(name_of(members, by), first.namespace, peer, frozenset(ports), another=another)


_PREFIXES = {
    "Deployment": "deploy",
    "StatefulSet": "sts",
    "DaemonSet": "ds",
    "Job": "job",
    "CronJob": "job",
}


def name_of(members: Sequence[Endpoint], by: By) -> str:
    """What endpoints of one identity are called: their workload, or a pod that stands alone."""
    first = members[0]
    workload = first.workload
    prefix = _PREFIXES.get(workload.kind) if workload else None
    if workload is None or prefix is None or any(one.workload != workload for one in members):
        return first.key
    alone = by is By.IDENTITY and len(members) == 1
    return first.key if alone else f"{prefix}:{first.namespace}/{workload.name}"


def _service_targets(picture: Picture) -> dict[str, set[tuple[Protocol, int]]]:
    """Ports that Services send to, by the pod that gets them."""
    by_address = {
        address: one.key for one in picture.cluster.endpoints for address in one.addresses
    }
    targets: dict[str, set[tuple[Protocol, int]]] = {}
    for service in picture.cluster.services:
        for backend in service.backends or ():
            key = by_address.get(backend.address)
            for port in backend.ports if key else ():
                targets.setdefault(str(key), set()).add((Protocol(port.protocol), port.port))
    return targets


def _reserved(engine: Engine) -> Iterator[Party]:
    """The reserved identities; where the host firewall is on, one host for each node."""
    hosts = engine.hosts()
    for name in ENTITIES:
        if name != "host" or not hosts:
            yield Party(f"entity:{name}", "", engine.peer_of_entity(name))
    for host in hosts:
        yield Party(f"entity:{host.text}", "", host)


def _outside(engine: Engine) -> Iterator[Party]:
    """Everything outside, a party for each class; names are connected to only."""
    for one in outside_classes(engine):
        words = "" if one.name == WORLD else one.words
        yield Party(one.name, "", one.peer, outside=words, only_destination=one.by_name)


@dataclass(slots=True)
class _Asker:
    """Asks the engine piece by piece; where ports are cut is kept for pairs that agree on it."""

    engine: Engine
    doubts: PairDoubts
    spans: dict[object, Spans] = field(default_factory=dict)
    cuts: dict[object, dict[Protocol, tuple[Span, ...]]] = field(default_factory=dict)

    def rows(self, source: Party, destination: Party) -> Iterator[MatrixRow]:
        named = self._named_spans(source, destination)
        outside = source.outside or destination.outside
        answers = {
            protocol: self._answers(source, destination, protocol, spans)
            for protocol, spans in named.items()
        }
        for protocol, ports, key in join_protocols(answers):
            yield MatrixRow(source.name, destination.name, protocol, ports, *key, outside)

    def _answers(
        self, source: Party, destination: Party, protocol: Protocol, spans: Sequence[Span]
    ) -> dict[_Key, list[str]]:
        """Ports by answer; the piece that nothing names comes last."""
        found: dict[_Key, list[str]] = {}
        for first, last in spans:
            key = self._ask(source, destination, protocol, first)
            text = str(first) if first == last else f"{first}-{last}"
            found.setdefault(key, []).append(text)
        free = unnamed_port(spans, protocol)
        if free is not None:
            key = self._ask(source, destination, protocol, free)
            found.setdefault(key, []).append(OTHER_PORTS)
        return found

    def _ask(self, source: Party, destination: Party, protocol: Protocol, port: int) -> _Key:
        peer = destination.peer
        if source is destination and destination.another is not None:
            peer = destination.another
        question = Question(source.peer, peer, port, protocol)
        decision: Decision = self.engine.decide(question)
        known = self.doubts.about(question, decision)
        return decision.verdict, decision.egress.by, decision.ingress.by, known

    def _named_spans(self, source: Party, destination: Party) -> dict[Protocol, tuple[Span, ...]]:
        """By protocol the pieces that a rule or a declaration tells apart, in order."""
        egress = self._spans(source, Direction.EGRESS)
        ingress = self._spans(destination, Direction.INGRESS)
        key = (egress, ingress, destination.ports)
        found = self.cuts.get(key)
        if found is None:
            declared = {(protocol, (port, port)) for protocol, port in destination.ports}
            found = self.cuts[key] = _by_protocol(egress | ingress | declared)
        return found

    def _spans(self, party: Party, direction: Direction) -> Spans:
        """What the policies of one end name; pods of one identity share it."""
        endpoint = party.peer.endpoint
        if endpoint is None:
            return frozenset()
        key = (endpoint.namespace, endpoint.labels, direction)
        found = self.spans.get(key)
        if found is None:
            policies = self.engine.policies_selecting(endpoint)
            named = (span for policy in policies for span in named_spans(policy, direction))
            found = self.spans[key] = frozenset(named)
        return found


def join_protocols(
    answers: Mapping[Protocol, Mapping[_Key, Sequence[str]]],
) -> Iterator[tuple[str, str, _Key]]:
    """Rows of one pair: one for all protocols where they agree, on everything or on the rest."""
    if len({key for found in answers.values() for key in found}) == 1:
        key = next(iter(next(iter(answers.values()))))
        yield EVERY_PROTOCOL, EVERY_PORT, key
        return
    rest = {key for found in answers.values() for key, ports in found.items() if _is_rest(ports)}
    joined = rest.pop() if len(rest) == 1 else None
    for protocol, found in answers.items():
        for key, ports in found.items():
            if key != joined:
                yield protocol.value, _ports_text(ports, alone=len(found) == 1), key
    if joined is not None:
        yield EVERY_PROTOCOL, OTHER_PORTS, joined


def _is_rest(ports: Sequence[str]) -> bool:
    return OTHER_PORTS in ports


def _ports_text(ports: Sequence[str], *, alone: bool) -> str:
    if _is_rest(ports):
        return EVERY_PORT if alone else OTHER_PORTS
    return ",".join(ports)


def _by_protocol(spans: Spans) -> dict[Protocol, tuple[Span, ...]]:
    named = {one for one, _ in spans}
    return {
        protocol: cut(span for one, span in spans if one is protocol)
        for protocol in Protocol
        if protocol in ALWAYS_ASKED or protocol in named
    }
