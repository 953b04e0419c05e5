"""What a change of policies does to ends that are in no group of pods: outside, or not there yet.

`app.core.policy.difference` meets the groups that are there. An end outside has no policy, so only
the pods that a changed rule selects can have another answer for it; a pod that is not there yet is
met with whom the changed rules select, and with whom they name as its peers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.core.model.cluster import Endpoint
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Peer, Question
from app.core.policy.difference import PairChange
from app.core.policy.engine import Engine
from app.core.policy.groups import IdentityGroup, key_of_endpoint, key_of_peer
from app.core.policy.index import Bits, members_of
from app.core.policy.reachability import Reachability
from app.core.policy.rows import Port
from app.core.policy.rules import Entry, ParsedPolicy
from app.core.policy.subjects import SubjectClass


def changed_policies(before: Engine, after: Engine) -> Iterator[tuple[ObjectRef, ParsedPolicy]]:
    """Yield the policies that differ, before and after, each with its reference."""
    old, new = (set(map(id, engine.policies)) for engine in (before, after))
    if before is not after:
        yield from ((one.ref, one) for one in before.policies if id(one) not in new)
        yield from ((one.ref, one) for one in after.policies if id(one) not in old)


def moved_outside(
    before: Engine, after: Engine, peers: Iterable[Peer], ports: Sequence[Port]
) -> Iterator[PairChange]:
    """Yield what changes between groups of pods and ends outside, of which `peers` are some."""
    was, now = before.reachability(), after.reachability()
    outside = [IdentityGroup(key_of_peer(peer), peer, after.identity_of(peer)) for peer in peers]
    for direction in Direction:
        for members in _alike(before, after, was, now, direction):
            for other in outside:
                for change in _asked(before, after, members[0], other, direction, ports):
                    yield from (_with_subject(change, one, direction) for one in members)


def _alike(
    before: Engine, after: Engine, was: Reachability, now: Reachability, direction: Direction
) -> Iterator[list[IdentityGroup]]:
    """Yield the groups that changed rules select, those of the same rules together."""
    old, new = was.subjects(direction).classes, now.subjects(direction).classes
    found: dict[tuple[SubjectClass | None, SubjectClass | None], list[IdentityGroup]] = {}
    for number in members_of(_subjects(before, after, now, direction)):
        key = old.get(number), new.get(number)
        found.setdefault(key, []).append(now.groups[number])
    yield from found.values()


def _entries(before: Engine, after: Engine, direction: Direction) -> Iterator[Entry]:
    for _, policy in changed_policies(before, after):
        yield from (one for one in policy.entries if one.direction is direction)


def _subjects(before: Engine, after: Engine, pairs: Reachability, direction: Direction) -> Bits:
    found = 0
    for entry in _entries(before, after, direction):
        found |= pairs.rows.scope.subjects_of(entry)
    return found


def _asked(
    before: Engine,
    after: Engine,
    subject: IdentityGroup,
    other: IdentityGroup,
    direction: Direction,
    ports: Sequence[Port],
) -> Iterator[PairChange]:
    ends = (subject, other) if direction is Direction.EGRESS else (other, subject)
    if ends[0].peer.names:  # nobody is known by a name before it is connected to
        return
    for protocol, port in ports:
        question = Question(ends[0].peer, ends[1].peer, port, protocol)
        old, new = before.decide(question).verdict, after.decide(question).verdict
        if old is not new:
            yield PairChange(*ends, protocol, port, old, new)


def _with_subject(change: PairChange, group: IdentityGroup, direction: Direction) -> PairChange:
    egress = direction is Direction.EGRESS
    return PairChange(
        source=group if egress else change.source,
        destination=change.destination if egress else group,
        protocol=change.protocol,
        port=change.port,
        before=change.before,
        after=change.after,
    )


def moved_absent(
    endpoint: Endpoint,
    before: Engine,
    after: Engine,
    outside: Sequence[Peer],
    ports: Sequence[Port],
) -> Iterator[PairChange]:
    """Yield what changes for a pod that is not there yet, with groups and with ends outside.

    Its own group has no endpoints.
    """
    pairs = after.reachability()
    peer = after.peer_of(endpoint)
    own = IdentityGroup(key_of_endpoint(endpoint), peer, after.identity_of(peer))
    beyond = [IdentityGroup(key_of_peer(one), one, after.identity_of(one)) for one in outside]
    for direction in Direction:
        if not any(_selects(one, endpoint) for one in _entries(before, after, direction)):
            continue
        known = members_of(_named_by(endpoint, before, after, pairs, direction))
        for other in (*(pairs.groups[number] for number in known), *beyond):
            yield from _asked(before, after, own, other, direction, ports)
    for direction in Direction:
        for number in members_of(_subjects(before, after, pairs, direction)):
            yield from _asked(before, after, pairs.groups[number], own, direction, ports)


def _selects(entry: Entry, endpoint: Endpoint) -> bool:
    return entry.selects_subject(endpoint.labels, endpoint.namespace)


def _named_by(
    endpoint: Endpoint, before: Engine, after: Engine, pairs: Reachability, direction: Direction
) -> Bits:
    """The groups for which the pod's changed rules could say anything new.

    All of them, where the rules turn default deny on or off for it.
    """
    if before.default_deny(endpoint, direction) is not after.default_deny(endpoint, direction):
        return pairs.rows.everyone
    found = 0
    for entry in _entries(before, after, direction):
        if _selects(entry, endpoint):
            if entry.peers == ():
                return pairs.rows.everyone
            for selector in entry.peers or ():
                found |= pairs.rows.selected(selector, aggregates=True)
    return found
