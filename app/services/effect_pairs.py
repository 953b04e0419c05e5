"""The pairs of ends whose verdict a change turns, and what of them cannot be known.

Ends that nothing tells apart are one: pods of a workload with their count, outside addresses and
names by class. A rule may name pods that are not there yet: they are asked about as their labels.
A changed policy that selects nobody says nothing of anybody, which is not the same as no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.core.diagnose.doubts import unread_words
from app.core.diagnose.ends import hypothetical
from app.core.diagnose.pairwise import Known, PairDoubts, told
from app.core.errors import UsageError
from app.core.model.cluster import Endpoint
from app.core.model.labels import ANY_SOURCE, K8S_SOURCE
from app.core.model.provenance import ObjectRef
from app.core.model.unread import could_decide
from app.core.model.verdict import Direction, Protocol, Question, Verdict
from app.core.policy.difference import PairChange, difference
from app.core.policy.engine import Engine
from app.core.policy.groups import GroupKey, IdentityGroup, key_of_peer
from app.core.policy.moved import changed_policies, moved_absent, moved_outside
from app.core.policy.outside import WORLD, outside_classes
from app.core.policy.port_cuts import Span, cut, named_spans, unnamed_port
from app.core.policy.rules import Entry, LabelSelector, Operator, ParsedPolicy
from app.core.policy.selectors import CLUSTER_KEY, NAMESPACE_KEY, NAMESPACE_LABELS_KEY
from app.services.matrix import By, name_of

PROTOCOLS = (Protocol.TCP, Protocol.UDP)
_MOST_DOUBTED = 2_000
"""Changes that are looked at for what they do not rest on; it is told of the whole list."""

Port = tuple[Protocol, int]
ShownPorts = Mapping[Port, int | None]
"""The ports that stand for all, and what to show for each: None for those that nobody names."""


@dataclass(frozen=True, slots=True)
class PairEffect:
    """Two ends whose verdict changes.

    `port` None is every port when the pair has no other row of the protocol, else every port that
    neither a rule nor an endpoint names. The counts are of endpoints: 1 for an end that is no pod,
    0 for pods that are not there yet. `outside` says which ends outside one of the two stands for.
    """

    source: str
    destination: str
    protocol: Protocol
    port: int | None
    source_count: int = 1
    destination_count: int = 1
    outside: str = ""


@dataclass(frozen=True, slots=True)
class PairsReport:
    """What changes. A list is None where nothing of it is known, and `unknown` says why."""

    allowed: tuple[PairEffect, ...] | None
    denied: tuple[PairEffect, ...] | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _End:
    """What an end is called, how many endpoints it is, and who is meant where it is outside."""

    name: str
    count: int
    words: str = ""


@dataclass(frozen=True, slots=True)
class _Change:
    source: _End
    destination: _End
    port: Port
    before: Verdict
    after: Verdict


def pairs_between(before: Engine, after: Engine) -> PairsReport:
    """Compare two engines of the same endpoints. Raises `UsageError` when they differ."""
    outside = [one for one in outside_classes(before, after) if one.name != WORLD]
    told = {key_of_peer(one.peer): (one.name, one.words) for one in outside}
    peers = [one.peer for one in outside]
    asked = dict(_asked_ports(before, after))
    groups = after.reachability().groups
    absent, unknown = _absent(before, after, groups)
    try:
        found = [
            *difference(before.reachability(), after.reachability(), [*asked]),
            *moved_outside(before, after, peers, [*asked]),
        ]
    except ValueError as error:
        raise UsageError(
            "the draft changes endpoints, not only policies", hint="leave its workloads out"
        ) from error
    for endpoint in absent:
        found += moved_absent(endpoint, before, after, peers, [*asked])
    unknown += _uncertain(found, before, after)
    changes = [_change(one, told) for one in found]
    allowed = _listed((one for one in changes if one.before is Verdict.DENIED), asked)
    denied = _listed((one for one in changes if one.after is Verdict.DENIED), asked)
    unknown = (*_selecting_nobody(before, after, groups), *unknown)
    if not unknown:
        return PairsReport(allowed, denied)
    return PairsReport(allowed or None, denied or None, unknown)


def _change(pair: PairChange, told: Mapping[GroupKey, tuple[str, str]]) -> _Change:
    ends = _end(pair.source, told), _end(pair.destination, told)
    return _Change(*ends, (pair.protocol, pair.port), pair.before, pair.after)


def _end(group: IdentityGroup, told: Mapping[GroupKey, tuple[str, str]]) -> _End:
    if group.endpoints:
        return _End(name_of(group.endpoints, By.WORKLOAD), group.size)
    if group.key in told:
        return _End(told[group.key][0], 1, told[group.key][1])
    if (pod := group.subject) is not None and pod.template:
        shown = ",".join(f"{key}={value}" for key, value in sorted(pod.pod_labels.items()))
        return _End(f"label:{pod.namespace}/{shown}", 0)
    if group.key.address:
        return _End(f"ip:{group.key.address}", 1)
    return _End(f"entity:{group.key.kind.value}", 1)


def _asked_ports(before: Engine, after: Engine) -> Iterator[tuple[Port, int | None]]:
    """A port of each piece that changed policies or endpoints tell apart, and one for the rest."""
    spans: dict[Protocol, set[Span]] = {protocol: set() for protocol in PROTOCOLS}
    for _, policy in changed_policies(before, after):
        for direction in Direction:
            for protocol, span in named_spans(policy, direction):
                spans.setdefault(protocol, set()).add(span)
    for endpoint in after.cluster.endpoints:
        for port in endpoint.ports:
            spans.setdefault(Protocol(port.protocol), set()).add((port.port, port.port))
    for protocol, named in spans.items():
        pieces = cut(named)
        yield from (((protocol, first), first) for first, _ in pieces)
        if (free := unnamed_port(pieces, protocol)) is not None:
            yield (protocol, free), None


# What is not known


def _uncertain(found: Sequence[PairChange], before: Engine, after: Engine) -> tuple[str, ...]:
    """Say what the change does not rest on: of the pairs that were found, and of all others.

    Whatever was not read may hide pairs that change, or keep others from changing.
    """
    several: dict[tuple[GroupKey, GroupKey], Question] = {}
    for one in found[:_MOST_DOUBTED]:
        question = Question(one.source.peer, one.destination.peer, one.port, one.protocol)
        several.setdefault((one.source.key, one.destination.key), question)
    doubts = [PairDoubts(engine) for engine in (before, after)]
    known = [
        Known(not_known=unread_words(filter(could_decide, after.cluster.unread), None)),
        *(
            one.about(asked, one.engine.decide(asked))
            for asked in several.values()
            for one in doubts
        ),
    ]
    return told(known)


def _selecting_nobody(
    before: Engine, after: Engine, groups: Sequence[IdentityGroup]
) -> Iterator[str]:
    """Say of which changed policies no version selects an end that is known."""
    versions: dict[ObjectRef, list[ParsedPolicy]] = {}
    for ref, policy in changed_policies(before, after):
        versions.setdefault(ref, []).append(policy)
    for ref, several in sorted(versions.items()):
        entries = [entry for one in several for entry in one.entries]
        if not any(_is_subject(group, entries) for group in groups):
            yield f"{ref} selects no endpoint that is known here: its effect is not known"
        if names := dict.fromkeys(name for one in several for name in one.open_names):
            said = ", ".join(f"${{{name}}}" for name in names)
            yield f"{ref}: {said} has no value: what it opens or closes by it is not known"


def _is_subject(group: IdentityGroup, entries: Iterable[Entry]) -> bool:
    subject = group.subject
    return subject is not None and any(
        entry.selects_subject(subject.labels, subject.namespace) for entry in entries
    )


def _absent(
    before: Engine, after: Engine, groups: Sequence[IdentityGroup]
) -> tuple[tuple[Endpoint, ...], tuple[str, ...]]:
    """Give the pods that changed rules name as peers and that are not there yet.

    Where a rule does not say all of what they would be, words say that they are not known.
    """
    pods: dict[tuple[str, str], Endpoint] = {}
    unknown: dict[str, None] = {}
    for ref, policy in changed_policies(before, after):
        for selector in _nobody(policy, groups):
            pod = _pod_of(selector)
            if pod is None:
                words = f"{ref} names {selector.text or selector.key}, which no endpoint here is"
                unknown[f"{words}: what it does for them is not known"] = None
                continue
            endpoint = hypothetical(*pod, after)
            pods.setdefault((endpoint.namespace, endpoint.name), endpoint)
    return tuple(pods.values()), tuple(unknown)


def _nobody(policy: ParsedPolicy, groups: Sequence[IdentityGroup]) -> Iterator[LabelSelector]:
    """Yield the peers of a policy that are pods, and that no group is."""
    for entry in policy.entries:
        for peer in entry.peers or ():
            if not isinstance(peer, LabelSelector) or not _names_pods(peer):
                continue
            if not any(peer.selects(group.identity) for group in groups):
                yield peer


def _names_pods(selector: LabelSelector) -> bool:
    """Whether a selector asks for labels that a pod may have, and no identity of Cilium's own."""
    keys = {one.key for one in selector.requirements} - {CLUSTER_KEY}
    sources = {one.source for one in selector.requirements}
    return bool(keys) and sources <= {K8S_SOURCE, ANY_SOURCE}


def _pod_of(selector: LabelSelector) -> tuple[str, dict[str, str]] | None:
    """A namespace and labels that a selector holds; None where it does not name them all."""
    labels: dict[str, str] = {}
    for one in selector.requirements:
        if one.operator is Operator.IN:
            labels[one.key] = min(one.values)
        elif one.operator is Operator.EXISTS:
            return None
    namespace = labels.pop(NAMESPACE_KEY, "")
    labels.pop(CLUSTER_KEY, None)
    if not namespace or any(key.startswith(NAMESPACE_LABELS_KEY) for key in labels):
        return None
    return namespace, labels


# Rows


@dataclass
class _Row:
    """The ports of a pair of names on one protocol, and who is behind the names on each."""

    ports: set[int | None] = field(default_factory=set)
    sources: dict[_End, None] = field(default_factory=dict)
    destinations: dict[_End, None] = field(default_factory=dict)


def _listed(changes: Iterable[_Change], asked: ShownPorts) -> tuple[PairEffect, ...]:
    """Rows by pair; one row where every port of a protocol changed alike."""
    by_pair: dict[tuple[str, str, Protocol], _Row] = {}
    for change in changes:
        ends = change.source.name, change.destination.name
        row = by_pair.setdefault((*ends, change.port[0]), _Row())
        row.ports.add(asked[change.port])
        row.sources[change.source] = None
        row.destinations[change.destination] = None
    every = {protocol: {show for (one, _), show in asked.items() if one is protocol}
             for protocol in {one for one, _ in asked}}  # fmt: skip
    return tuple(
        PairEffect(source, destination, protocol, port, *_counts(row))
        for (source, destination, protocol), row in sorted(by_pair.items(), key=lambda one: one[0])
        for port in _shown(row.ports, every[protocol])
    )


def _counts(row: _Row) -> tuple[int, int, str]:
    ends = (*row.sources, *row.destinations)
    words = next((one.words for one in ends if one.words), "")
    return sum(one.count for one in row.sources), sum(one.count for one in row.destinations), words


def _shown(ports: set[int | None], every: set[int | None]) -> list[int | None]:
    return [None] if ports == every else sorted(ports, key=lambda one: one or 0)


def pair_lines(pairs: Iterable[PairEffect]) -> tuple[str, ...]:
    """A line for each pair and protocol; `*` is every port, with exceptions where some stay."""
    lines: dict[str, list[int | None]] = {}
    for pair in pairs:
        source = _with_count(pair.source, pair.source_count)
        destination = _with_count(pair.destination, pair.destination_count)
        who = f" ({pair.outside})" if pair.outside else ""
        ends = f"{source} → {destination}{who} {pair.protocol.value}"
        lines.setdefault(ends, []).append(pair.port)
    return tuple(f"{ends} {_port_words(ports)}" for ends, ports in lines.items())


def _with_count(name: str, count: int) -> str:
    if count == 0:
        return f"{name} (not there yet)"
    return f"{name} ({count} pods)" if count > 1 else name


def _port_words(ports: list[int | None]) -> str:
    if None in ports:
        return "*" if len(ports) == 1 else "* with exceptions"
    return ",".join(map(str, ports))
