"""A workload that reaches something it never reached before.

Threshold: the workload was watched for ten minutes at least and had opened 20 connections, and
nothing was new to it in the second half of that time. A destination is a workload, a reserved
identity, outside a domain, or without a name a network (/24, IPv6 /48), so that replicas, roll-outs
and the many addresses of one service are nothing new. Workloads that reach everybody (15 others of
the cluster, 30 outside) do not count, nor does what the platform opens to workspaces, which come
and go; people in workspaces go where others went before. What was refused is a violation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.insights.alert import AlertSeverity
from app.core.insights.party import FlowParty, network_of
from app.core.insights.patterns.names import registered_domain
from app.core.insights.patterns.pattern import MINUTE_NS, Pattern, make_room, who
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import Samples, Shows

WATCHED_NS = 10 * MINUTE_NS
OPENED = 20
MANY_INSIDE, MANY_OUTSIDE = 15, 30
MOST_ACTORS = 20_000
_DNS_PORT = 53


@dataclass(slots=True)
class _New:
    server: FlowParty
    name: str
    port: int
    protocol: str
    first_ns: int
    last_ns: int
    count: int
    refused: bool
    watched_s: int
    known: int
    answered: bool = False
    samples: Samples = field(default_factory=Samples)

    @property
    def is_refused(self) -> bool:
        """Whether nothing of it got through, as far as was seen."""
        return self.refused and not self.answered


@dataclass(slots=True)
class _Habits:
    since_ns: int
    new_ns: int
    opened: int = 0
    inside: set[str] = field(default_factory=set)
    outside: set[str] = field(default_factory=set)
    found: dict[str, _New] = field(default_factory=dict)


class FirstSeen:
    """Knows where each workload goes."""

    kind = "first-seen-destination"

    def __init__(self) -> None:
        self._habits: dict[Actor, _Habits] = {}
        self._visitors: dict[str, Actor] = {}

    def see(self, seen: Seen, scene: Scene) -> None:  # noqa: ARG002  # a detector's form
        """Look at a connection that opens."""
        sight = seen.sight
        if not sight.client.is_pod or sight.port == _DNS_PORT:
            return
        habits = self._habits.get(seen.actor)
        if habits is None:
            make_room(self._habits, MOST_ACTORS)
            habits = self._habits[seen.actor] = _Habits(sight.time_ns, sight.time_ns)
        place = _place(sight.server)
        known = habits.found.get(place)
        if known is not None:
            known.refused |= sight.shows is Shows.REFUSED
            known.answered |= sight.shows is Shows.ANSWERED
        if not seen.opened or sight.shows not in (Shows.SENT, Shows.PASSED, Shows.REFUSED):
            return
        if known is not None:
            self._again(known, seen)
            return
        places = habits.outside if sight.server.is_outside else habits.inside
        if place not in places:
            if self._is_news(habits, place, seen):
                habits.found[place] = _news(habits, place, seen)
            else:
                habits.new_ns = sight.time_ns
            if len(places) <= MANY_OUTSIDE:
                places.add(place)
            if place not in self._visitors:
                make_room(self._visitors, MOST_ACTORS)
                self._visitors[place] = seen.actor
        habits.opened += 1

    def _is_news(self, habits: _Habits, place: str, seen: Seen) -> bool:
        sight = seen.sight
        watched_ns = sight.time_ns - habits.since_ns
        if watched_ns < WATCHED_NS or habits.opened < OPENED:
            return False
        if habits.new_ns - habits.since_ns > watched_ns / 2:
            return False
        if sight.server.is_workspace and not sight.client.project:
            return False
        if sight.client.is_workspace and self._visitors.get(place, seen.actor) != seen.actor:
            return False
        if sight.server.is_outside:
            return len(habits.outside) < MANY_OUTSIDE
        return len(habits.inside) < MANY_INSIDE

    def _again(self, known: _New, seen: Seen) -> None:
        sight = seen.sight
        known.count += 1
        known.last_ns = max(known.last_ns, sight.time_ns)
        known.samples.take(seen.sight)

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give what was new."""
        for actor, habits in self._habits.items():
            for one in habits.found.values():
                if not one.is_refused:
                    yield self._pattern(actor, one)

    def _pattern(self, actor: Actor, one: _New) -> Pattern:
        return Pattern(
            kind=self.kind,
            actor=actor,
            server=one.server,
            to=one.name,
            port=one.port,
            protocol=one.protocol,
            severity=_severity(actor[0], one),
            summary=f"{who(actor)} opened {one.name}, which it never did before",
            evidence=(
                (
                    f"watched for {one.watched_s // 60} min with {one.known} other destinations, "
                    f"none of them new in the second half"
                ),
                f"threshold: {WATCHED_NS // MINUTE_NS} min and {OPENED} connections",
            ),
            first_ns=one.first_ns,
            last_ns=one.last_ns,
            count=one.count,
            samples=one.samples,
        )

    def forget_before(self, time_ns: int) -> None:
        """Habits are kept: forgetting them would make everything new. Findings go."""
        for habits in self._habits.values():
            habits.found = {
                place: one for place, one in habits.found.items() if one.last_ns >= time_ns
            }


def _place(server: FlowParty) -> str:
    if server.is_outside and server.name:
        network = network_of(server.name)
        return network if network != server.name else registered_domain(server.name)
    return server.text


def _news(habits: _Habits, place: str, seen: Seen) -> _New:
    sight = seen.sight
    return _New(
        server=sight.server,
        name=sight.server.text if sight.server.name else place,
        port=sight.port,
        protocol=sight.protocol,
        first_ns=sight.time_ns,
        last_ns=sight.time_ns,
        count=1,
        refused=sight.shows is Shows.REFUSED,
        watched_s=(sight.time_ns - habits.since_ns) // 1_000_000_000,
        known=len(habits.inside) + len(habits.outside),
    )


def _severity(client: FlowParty, one: _New) -> AlertSeverity:
    if client.project and one.server.project and one.server.project != client.project:
        return AlertSeverity.HIGH
    return AlertSeverity.MEDIUM if one.server.is_outside else AlertSeverity.LOW
