"""All pairs at once: who may open a connection to whom, as sets of identity groups.

A direction allows a pair when no deny of the subject's policy holds the peer, and either some allow
does or nothing turns default deny on. So for a subject class and a port one set says it all: the
peers it allows, a union of selectors' sets without another. A pair is allowed when each of its ends
is in the other's set.

The verdicts are those of `reference.judge`; layer 7 rules are not asked, so a pair is allowed,
denied or redirected. The pair of a group with itself means two of its pods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.model.verdict import Direction, Peer, Verdict
from app.core.policy.ends import move_ends
from app.core.policy.groups import IdentityGroup, group_endpoints, group_of_peer
from app.core.policy.identities import Identities
from app.core.policy.index import Bits, members_of
from app.core.policy.named import NamedPorts
from app.core.policy.rows import Port, Row, Rows
from app.core.policy.rules import ParsedPolicy
from app.core.policy.subjects import Scope, Subjects

SPARE_PLACES, SPARE_SHARE = 32, 64
"""Places left free for groups to come, once pods have changed at all: some, and a share."""

ENTITIES = ("world", "host", "remote-node", "kube-apiserver", "health", "ingress")
"""The reserved identities that are always among the ends."""


@dataclass(frozen=True, slots=True)
class Reachability:
    """Every pair of a cluster's identity groups, computed as far as it is asked for.

    Groups go by their number in `groups`.
    """

    rows: Rows
    egress: Subjects
    ingress: Subjects

    @property
    def groups(self) -> tuple[IdentityGroup, ...]:
        """The ends: pods and reserved identities with a policy, then ends that have none."""
        return self.rows.groups

    def replace(self, policies: Sequence[ParsedPolicy], rows: Rows) -> Reachability:
        """Give the pairs under changed policies; what they leave alone is not computed again.

        `rows` are the same ones, or new ones of the same scope when the ends outside changed.
        """
        return Reachability(rows, self.egress.replace(policies), self.ingress.replace(policies))

    def move(self, identities: Identities, names: NamedPorts) -> Reachability | None:
        """Give the pairs of the same policies after pods changed; None where all is to be anew."""
        found = move_ends(self.rows.scope, identities)
        if found is None:
            return None
        rows = self.rows.move(found.scope, found.selectors, names)
        sides = (one.move(found.scope, found.places) for one in (self.egress, self.ingress))
        return Reachability(rows, *sides)

    def row(self, direction: Direction, number: int, port: Port) -> Row:
        """Give the peers that a group allows: destinations on egress, sources on ingress."""
        return self.rows.row(self.subjects(direction).classes.get(number), port)

    def subjects(self, direction: Direction) -> Subjects:
        """Give one direction's subject classes."""
        return self.egress if direction is Direction.EGRESS else self.ingress

    def verdict(self, source: int, destination: int, port: Port) -> Verdict:
        """Give the verdict of one pair."""
        egress = self.row(Direction.EGRESS, source, port)
        ingress = self.row(Direction.INGRESS, destination, port)
        if not (egress.allowed >> destination & 1 and ingress.allowed >> source & 1):
            return Verdict.DENIED
        if egress.redirected >> destination & 1 or ingress.redirected >> source & 1:
            return Verdict.REDIRECTED
        return Verdict.ALLOWED

    def pairs(self, port: Port) -> list[Row]:
        """Give for every source the destinations that both ends allow on a port."""
        accepted = _Accepted(self, port)
        found: list[Row] = []
        for number in range(len(self.groups)):
            if self.rows.scope.vacant >> number & 1:
                found.append(Row(0))
                continue
            sent = self.row(Direction.EGRESS, number, port)
            taken = accepted.from_source(number)
            allowed = sent.allowed & taken.allowed
            found.append(Row(allowed, (sent.redirected | taken.redirected) & allowed))
        return found


def find_reachability(
    identities: Identities,
    names: NamedPorts,
    peers: Sequence[Peer] = (),
    known: Reachability | None = None,
) -> Reachability:
    """Give all pairs of a cluster's pods, its reserved identities and more `peers`.

    `known` are the pairs before a change: what still holds is taken over.
    """
    cluster, policies = identities.cluster, identities.policies
    ends = (*identities.reserved_ends(ENTITIES), *peers)
    reserved = [group_of_peer(peer, identities) for peer in ends]
    outside = tuple(group for group in reserved if group.subject is None)
    spare = 0
    if known is not None and not _same_ends(known.rows.scope, identities):
        spare = SPARE_PLACES + len(known.groups) // SPARE_SHARE
        known = known.move(identities, names) if _only_pods(known.rows.scope, identities) else None
    if known is None:
        own_policy = tuple(group for group in reserved if group.subject is not None)
        groups = (*group_endpoints(cluster.endpoints, identities), *own_policy)
        scope = Scope.of(cluster, groups, spare)
        return Reachability(
            Rows(scope, outside, names),
            Subjects(scope, Direction.EGRESS, policies),
            Subjects(scope, Direction.INGRESS, policies),
        )
    rows = known.rows
    if rows.outside != outside:
        rows = Rows(rows.scope, outside, names)
    pairs = known.replace(policies, rows)
    rows.forget_all_but((*pairs.egress.members, *pairs.ingress.members))
    return pairs


def _same_ends(scope: Scope, identities: Identities) -> bool:
    cluster = identities.cluster
    same_pods = scope.endpoints is cluster.endpoints and scope.config == cluster.config
    return same_pods and (scope.nodes is cluster.nodes or not scope.hosts)


def _only_pods(scope: Scope, identities: Identities) -> bool:
    """Say whether nothing but pods differs of what groups are made of."""
    cluster = identities.cluster
    same_nodes = scope.nodes == cluster.nodes or not scope.hosts
    return scope.config == cluster.config and same_nodes


class _Accepted:
    """The ingress side turned round: for a source, the destinations that let it in.

    Every set of peers in a class's policy adds the class's members to each peer in it, so the work
    grows with the sets there are, not with the pairs.
    """

    def __init__(self, pairs: Reachability, port: Port) -> None:
        allow: dict[Bits, Bits] = {}
        deny: dict[Bits, Bits] = {}
        redirect: dict[Bits, Bits] = {}
        self._size = len(pairs.groups)
        self._always = pairs.rows.everyone
        for one, members in pairs.ingress.members.items():
            if not one.policy.enforced:
                continue
            self._always &= ~members
            for part, among in pairs.rows.parts(one, port):
                _add(allow, part.allow, members, among)
                _add(deny, part.deny, members, among)
            if redirected := pairs.rows.row(one, port).redirected:
                _add(redirect, (redirected,), members, None)
        self._allow = self._spread(allow)
        self._deny = self._spread(deny)
        self._redirect = self._spread(redirect)

    def _spread(self, sets: dict[Bits, Bits]) -> list[Bits]:
        rows = [0] * self._size
        for peers, members in sets.items():
            for number in members_of(peers):
                rows[number] |= members
        return rows

    def from_source(self, number: int) -> Row:
        """Give the destinations that let a source in."""
        allowed = (self._always | self._allow[number]) & ~self._deny[number]
        return Row(allowed, self._redirect[number] & allowed)


def _add(
    sets: dict[Bits, Bits], pieces: tuple[Bits, ...], members: Bits, among: Bits | None
) -> None:
    for piece in pieces:
        peers = piece if among is None else piece & among
        sets[peers] = sets.get(peers, 0) | members
