"""Of the changes that would allow a connection, the one that opens least else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.core.drafts.candidates import Side, candidates, side_of
from app.core.drafts.change import Change, ChangeKind, apply_change
from app.core.drafts.edits import SetScalar
from app.core.drafts.keys import digest
from app.core.drafts.names import dns_changes, report, with_dns
from app.core.drafts.requests import opened_requests, request_changes
from app.core.errors import DraftRejected
from app.core.model.cluster import IdentityKind
from app.core.model.verdict import (
    ConnectionTrace,
    Direction,
    DirectionTrace,
    Effect,
    Outcome,
    Peer,
    Protocol,
    Question,
    Verdict,
)
from app.core.model.workloads import short_name
from app.core.policy.difference import PairChange, difference
from app.core.policy.engine import Engine
from app.core.policy.moved import moved_absent, moved_outside
from app.core.policy.outside import WORLD, outside_classes

_KINDS = (ChangeKind.EXTEND_RULE, ChangeKind.ADD_RULE, ChangeKind.NEW_POLICY)
"""Preferred in this order when they open the same: the fewer lines the better."""

ENOUGH = 3
"""Changes that open nothing else; where there are so many no further one can be better."""

_KEY_LENGTH = 12

_PROTOCOLS = frozenset(protocol.value for protocol in Protocol)


@dataclass(frozen=True, slots=True)
class Option:
    """Changes that belong together, with what the engine says of them.

    `opened` are the pairs that become allowed beside the one asked for, on every port that the
    changed policies name, `closed` those that become denied. `requests` are the pairs for which
    the request asked for is let through, where it is that which was refused. `after` is the engine
    afterwards.
    """

    changes: tuple[Change, ...]
    opened: tuple[PairChange, ...]
    closed: tuple[PairChange, ...]
    after: Engine
    requests: tuple[PairChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that together allow a connection: one for each direction that was denied.

    `asked` are the connections that policies are asked about: several behind a gateway, and where
    several identities are behind one end. Changes that are wanted for themselves have no `trace`:
    `asked` are then connections of the pods that they are about, `closed` what they deny,
    `unknown` why that may not be all, and `evidence` says a line each why they are as they are.
    """

    changes: tuple[Change, ...]
    opened: tuple[PairChange, ...]
    trace: ConnectionTrace | None
    after: Engine
    requests: tuple[PairChange, ...] = ()
    asked: tuple[Question, ...] = ()
    closed: tuple[PairChange, ...] = ()
    unknown: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A digest of what is changed: the same plan has the same key in every picture."""
        return digest([change.operation for change in self.changes])[:_KEY_LENGTH]

    @property
    def opens(self) -> str:
        """What else it allows, in one sentence."""
        if self.trace is None:
            return self._moves("opens", self.opened)
        return describe(self.opened, self.asked, requests=self.requests)

    @property
    def closes(self) -> str:
        """What it denies, in one sentence; empty where it is wanted for what it allows."""
        return self._moves("closes", self.closed) if self.trace is None else ""

    def _moves(self, verb: str, pairs: Sequence[PairChange]) -> str:
        found = _list_pairs(verb, pairs)
        if self.unknown:
            why = "; ".join(self.unknown)
            return (
                f"{found}; whether it {verb} more is not known: {why}"
                if found
                else (f"what it {verb} is not known: {why}")
            )
        return found or f"{verb} nothing among the ends that are known"

    @property
    def broadens(self) -> bool:
        """Whether it opens more than the two workloads need."""
        pairs = (*self.opened, *self.requests)
        return any(not _is_between_any(pair, self.asked) for pair in pairs)


class NothingDenied(DraftRejected):
    """There is nothing that a change of policies could allow."""


DirectedQuestion = tuple[Question, Direction]
"""One direction of a connection that must be allowed."""


def plans(
    question: Question,
    engine: Engine,
    *,
    service_port: int | None = None,
    most: int = ENOUGH,
    sides: Sequence[DirectedQuestion] = (),
) -> tuple[Plan, ...]:
    """Give up to `most` ways to allow a connection, the one that opens least first.

    They differ in the first direction that is denied; the others get their smallest change.
    `service_port` is that of the Service that was asked for, where pods listen on another; `sides`
    are what is asked of policies where that is not just both directions of the question, as on the
    way through a gateway. Raises NothingDenied when policies allow it, DraftRejected when a rule
    denies on purpose, or no change that can be written allows it.
    """
    wanted = sides or [(question, direction) for direction in Direction]
    for at, (asked, direction) in enumerate(wanted):
        if ways := options(asked, direction, engine, service_port):
            rest = wanted[at + 1 :]
            break
    else:
        raise NothingDenied("policies allow this already; there is nothing to draft")
    known: dict[int, Option] = {}
    found = [_completed(first, rest, question, service_port, known) for first in ways[:most]]
    return tuple(sorted((_beside(plan, wanted) for plan in found), key=_opened))


def _opened(plan: Plan) -> int:
    return weight((*plan.opened, *plan.requests))


def _beside(plan: Plan, wanted: Sequence[DirectedQuestion]) -> Plan:
    """Leave out of what a plan opens what was asked for by another direction or backend."""
    first = (plan.trace.question,) if plan.trace else ()
    asked = (*first, *(one for one, _ in wanted))
    opened, requests = (
        tuple(pair for pair in pairs if not any(_is_asked(pair, one) for one in asked))
        for pairs in (plan.opened, plan.requests)
    )
    return replace(plan, opened=opened, requests=requests, asked=asked)


def _completed(
    first: Option,
    rest: Sequence[DirectedQuestion],
    question: Question,
    service_port: int | None,
    known: dict[int, Option],
) -> Plan:
    """Allow the other directions too, each by its smallest change on top of those before.

    What was smallest on top of another first change is `known`, by place, and tried first.
    """
    chosen = [first]
    for number, asked in enumerate(rest):
        engine, before = chosen[-1].after, known.get(number)
        option = _once_more(before, asked, engine, service_port) if before else None
        ways = (option,) if option else options(*asked, engine, service_port)
        if ways:
            known[number] = ways[0]
            chosen.append(ways[0])
    return plan_of(chosen, question)


def _once_more(
    known: Option, asked: DirectedQuestion, engine: Engine, service_port: int | None
) -> Option | None:
    question, direction = asked
    if side_trace(engine.trace(question), direction).l4 is not Outcome.DENIED:
        return None
    side = _as_seen(side_of(question, direction, service_port), engine)
    try:
        return weigh(known.changes, question, side, engine)
    except DraftRejected:
        return None


def plan_of(chosen: Sequence[Option], question: Question) -> Plan:
    """Put options together that were found one after the other."""
    after = chosen[-1].after
    return Plan(
        tuple(change for option in chosen for change in option.changes),
        tuple(pair for option in chosen for pair in option.opened),
        after.trace(question),
        after,
        tuple(pair for option in chosen for pair in option.requests),
    )


def weight(opened: Sequence[PairChange]) -> int:
    """How many pairs of endpoints were opened."""
    return sum(pair.source.size * pair.destination.size for pair in opened)


def options(
    question: Question, direction: Direction, engine: Engine, service_port: int | None = None
) -> tuple[Option, ...]:
    """Give every change that allows a direction, the smallest first; none when it is allowed.

    A name that policies allow and whose DNS answers Cilium does not see counts as denied. Raises
    DraftRejected when the direction is denied and no change that can be written allows it.
    """
    trace = side_trace(engine.trace(question), direction)
    if trace.outcome is Outcome.NOT_APPLICABLE:
        return ()
    side = _as_seen(side_of(question, direction, service_port), engine)
    if trace.outcome is Outcome.DENIED:
        _refuse_denies(trace)
        if trace.l4 is not Outcome.DENIED:
            return _letting_through(question, side, engine)
        ways = [with_dns(change, side, engine) for change in candidates(side, engine)]
    elif trace.outcome is Outcome.NOT_ENFORCED or _is_learned(side, engine):
        return ()
    else:
        ways = [(change,) for change in dns_changes(side, engine)]
    found = _allowing(ways, question, side, engine)
    if not found:
        raise DraftRejected(f"no change that can be written allows {side.what}")
    return tuple(sorted(found, key=_size))


def _letting_through(question: Question, side: Side, engine: Engine) -> tuple[Option, ...]:
    """Give every change that lets the request through, where only the request is refused.

    With it comes what a name lacks, whose DNS answers Cilium does not see.
    """
    found = []
    request = question.request
    for change in request_changes(side, request, engine) if request else ():
        option = weigh(with_dns(change, side, engine), question, side, engine)
        if option is None:
            continue
        pairs = opened_requests(change, question, side.direction, engine, option.after)
        others = tuple(pair for pair in pairs if not _is_asked(pair, question))
        found.append(replace(option, requests=others))
    if not found:
        raise DraftRejected(
            "the connection is allowed and only the request is refused",
            hint="change the layer 7 rule that `why` names",
        )
    return tuple(sorted(found, key=_size))


def _allowing(
    ways: Sequence[tuple[Change, ...]], question: Question, side: Side, engine: Engine
) -> list[Option]:
    """Weigh changes; those of a clusterwide policy only where none of a namespace allows it.

    A clusterwide one is about pods that nobody asked about, and each of them has to be weighed.
    """
    own = [changes for changes in ways if all(change.policy.namespace for change in changes)]
    wide = [changes for changes in ways if changes not in own]
    return _weigh_some(own, question, side, engine) or _weigh_some(wide, question, side, engine)


def _weigh_some(
    ways: Sequence[tuple[Change, ...]], question: Question, side: Side, engine: Engine
) -> list[Option]:
    """Weigh changes, preferred ones first, until enough open nothing but what was asked for."""
    found: list[Option] = []
    narrow = 0
    for changes in sorted(ways, key=_preference):
        option = weigh(changes, question, side, engine)
        if option is not None:
            found.append(option)
            narrow += all(_is_between(pair, question) for pair in option.opened)
        if narrow == ENOUGH:
            break
    return found


def _preference(changes: tuple[Change, ...]) -> tuple[bool, int]:
    return (not _corrects(changes), _rank(changes[0]))


def _rank(change: Change) -> int:
    """What is preferred to what; a rule of its own is, to one that speaks of something else."""
    kind = ChangeKind.ADD_RULE if change.stretched else change.kind
    return 2 * _KINDS.index(kind) + change.stretched


def _corrects(changes: tuple[Change, ...]) -> bool:
    """Whether a rule that meant this is put right, rather than something added."""
    return any(isinstance(edit, SetScalar) for edit in changes[0].edits)


def _as_seen(side: Side, engine: Engine) -> Side:
    """See a node as the subject's agent does: its own node is the host."""
    kind = engine.identity_of(side.peer, seen_from=side.subject).kind
    return side if kind is side.peer.kind else replace(side, peer=replace(side.peer, kind=kind))


def _is_learned(side: Side, engine: Engine) -> bool:
    name = report(side, engine)
    return name is None or name.is_visible


def weigh(
    changes: tuple[Change, ...], question: Question, side: Side, engine: Engine
) -> Option | None:
    """Ask the engine what changes do; None when they do not allow the direction.

    Nor do those count that take away a port on which somebody listens.
    """
    cluster = engine.cluster
    policies = cluster.policies
    for change in changes:
        policies = apply_change(policies, change)
    after = engine.replace(replace(cluster, policies=policies))
    if side_trace(after.trace(question), side.direction).outcome is Outcome.DENIED:
        return None
    if not _is_learned(side, after):
        return None
    ports = {(question.protocol, question.port)}
    for change in changes:
        ports |= _ports(change, side, engine) | _ports(change, side, after)
    moved = tuple(_moved(question, engine, after, sorted(ports)))
    opened = tuple(pair for pair in moved if pair.before is Verdict.DENIED)
    closed = tuple(pair for pair in moved if pair.after is Verdict.DENIED)
    if any(_listens(pair) for pair in closed):
        return None
    return Option(changes, opened, closed, after)


def _listens(pair: PairChange) -> bool:
    """Whether the destination declares the port; an end that is no pod may listen on any."""
    endpoint = pair.destination.subject
    if endpoint is None:
        return True
    return any(port.port == pair.port for port in endpoint.ports)


def _ports(change: Change, side: Side, engine: Engine) -> set[tuple[Protocol, int]]:
    """Every port that a rule of the changed policy names: one more peer gets all of its rule's."""
    return {
        (Protocol(protocol), number)
        for policy in engine.policies
        if policy.ref == change.policy
        for entry in policy.entries
        for rule in entry.ports
        for spec in rule.ports
        for protocol in spec.protocols
        for number in engine.numbers_of(spec, entry, side.subject, protocol)
        if number and protocol in _PROTOCOLS
    }


def _moved(
    question: Question, before: Engine, after: Engine, ports: Sequence[tuple[Protocol, int]]
) -> Iterable[PairChange]:
    """Yield what else changes: for groups, for every class of ends outside, for absent pods."""
    asked = _asked(question)
    ends = [one for one in asked if one.kind is IdentityKind.WORLD]
    addresses = [one.address for one in ends if one.address]
    names = {name for one in ends for name in one.names}
    outside = [
        replace(one.peer, text=one.words)
        for one in outside_classes(before, after, apart=addresses, names=names)
        if one.name != WORLD
    ]
    absent = [one.endpoint for one in asked if one.endpoint is not None and one.endpoint.template]
    peers = tuple(
        peer for peer in asked if peer.endpoint is None and peer.kind is not IdentityKind.WORLD
    )
    found = [
        *difference(before.reachability(peers), after.reachability(peers), ports),
        *moved_outside(before, after, outside, ports),
    ]
    for endpoint in absent:
        found += moved_absent(endpoint, before, after, outside, ports)
    for change in found:
        if not _is_asked(change, question):
            yield change


def _is_asked(pair: PairChange, question: Question) -> bool:
    ends = zip((pair.source.peer, pair.destination.peer), _asked(question), strict=True)
    same = all(_is_end(one, asked) for one, asked in ends)
    return same and (pair.protocol, pair.port) == (question.protocol, question.port)


def _is_end(peer: Peer, asked: Peer) -> bool:
    """Whether an end is the one that was asked about; outside its name or its address tells."""
    if _key(peer) == _key(asked):
        return True
    if IdentityKind.WORLD not in (peer.kind, asked.kind) or peer.kind is not asked.kind:
        return False
    if peer.names or asked.names:
        return bool(peer.names & asked.names) or (not peer.names and peer.address == asked.address)
    return peer.address is not None and peer.address == asked.address


def _key(peer: Peer) -> object:
    return peer.kind, peer.labels, peer.address, peer.names


def _size(option: Option) -> tuple[int, bool, bool, int, int, bool, str]:
    first = option.changes[0]
    return (
        weight((*option.opened, *option.requests)),
        any(change.source is None for change in option.changes),
        not _corrects(option.changes),
        _rank(first),
        first.strange,
        not first.policy.namespace,
        str(first.policy),
    )


def side_trace(trace: ConnectionTrace, direction: Direction) -> DirectionTrace:
    """Give one side of a trace."""
    return trace.egress if direction is Direction.EGRESS else trace.ingress


def _refuse_denies(side: DirectionTrace) -> None:
    denies = [match.rule for match in side.matched if match.effect is Effect.DENY]
    if denies:
        rule = denies[0]
        raise DraftRejected(
            f"`{rule.policy.name}` denies it on purpose, in {rule.path.removeprefix('spec.')};"
            " no rule can allow it again",
            hint="change the deny rule by hand, if it is wrong",
        )


def describe(
    opened: Sequence[PairChange],
    asked: Sequence[Question],
    *,
    requests: Sequence[PairChange] = (),
    most: int = 3,
) -> str:
    """Say in one sentence what a change allows beside what was asked for.

    Pods of one workload cannot be told apart by a rule that outlives them, so those that were
    asked about are named apart from the rest.
    """
    if not opened and not requests:
        return "opens nothing else among the ends that are known"
    parts = []
    pods = [
        short_name(end)
        for question in asked
        if any(_is_between(pair, question) for pair in (*opened, *requests))
        for end in _asked(question)
        if end.endpoint is not None
    ]
    if pods:
        parts.append(f"holds for every pod of {' and '.join(dict.fromkeys(pods))}")
    for verb, pairs in (("also opens", opened), ("also lets this request through", requests)):
        parts.append(_list_pairs(verb, [p for p in pairs if not _is_between_any(p, asked)], most))
    return "; ".join(filter(None, parts))


def _list_pairs(verb: str, pairs: Iterable[PairChange], most: int = 3) -> str:
    shown = list(dict.fromkeys(_show(one) for one in pairs))
    rest = f" and {len(shown) - most} more" if len(shown) > most else ""
    return f"{verb} {', '.join(shown[:most])}{rest}" if shown else ""


def _asked(question: Question) -> tuple[Peer, Peer]:
    return question.source, question.destination


def _is_between(pair: PairChange, question: Question) -> bool:
    ends = (pair.source.peer, pair.destination.peer)
    same = [short_name(one) for one in ends] == [short_name(one) for one in _asked(question)]
    return same and (pair.protocol, pair.port) == (question.protocol, question.port)


def _is_between_any(pair: PairChange, asked: Sequence[Question]) -> bool:
    return any(_is_between(pair, question) for question in asked)


def _show(pair: PairChange) -> str:
    ends = f"{_end_words(pair.source.peer)} → {_end_words(pair.destination.peer)}"
    return f"{ends}:{pair.port}/{pair.protocol.value}"


def _end_words(peer: Peer) -> str:
    return short_name(peer) if peer.endpoint is not None else peer.text
