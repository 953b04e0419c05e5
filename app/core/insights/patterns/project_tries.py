"""A project that tries another one again and again, or gets through.

Threshold: five tries within an hour from one workload (a workspace: one pod) of a project to
another project, whatever the port; TCP's repeats of one try count once. One connection that got
through, answered or let in at the destination, is enough.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.insights.alert import AlertSeverity
from app.core.insights.party import FlowParty
from app.core.insights.patterns.pattern import HOUR_NS, Pattern, make_room, who
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import Samples, arrives

TRIES = 5
WINDOW_NS = HOUR_NS
MOST_KEYS = 20_000


@dataclass(slots=True)
class _Tries:
    server: FlowParty
    when: deque[int] = field(default_factory=lambda: deque(maxlen=TRIES))
    ports: set[int] = field(default_factory=set)
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0
    through: int = 0
    reached: bool = False
    samples: Samples = field(default_factory=Samples)


class ProjectTries:
    """Watches what goes from one project to another."""

    kind = "project-tries"

    def __init__(self) -> None:
        self._tries: dict[tuple[Actor, str], _Tries] = {}

    def see(self, seen: Seen, scene: Scene) -> None:  # noqa: ARG002  # a detector's form
        """Look at a flow between two projects."""
        sight = seen.sight
        here, there = sight.client.project, sight.server.project
        if not here or not there or here == there:
            return
        through = arrives(sight)
        if not (seen.opened or through):
            return
        key = (seen.actor, there)
        one = self._tries.get(key)
        if one is None:
            make_room(self._tries, MOST_KEYS)
            one = self._tries[key] = _Tries(sight.server, first_ns=sight.time_ns)
        one.last_ns = max(one.last_ns, sight.time_ns)
        if through:
            one.through += 1
        if seen.opened:
            one.count += 1
            one.when.append(sight.time_ns)
            if len(one.ports) < 64:  # noqa: PLR2004  # more are not shown
                one.ports.add(sight.port)
        one.reached |= through or _is_often(one.when)
        one.samples.take(seen.sight)

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give the projects that tried another often enough."""
        for (actor, there), one in self._tries.items():
            if one.reached:
                yield self._pattern(actor, there, one)

    def _pattern(self, actor: Actor, there: str, one: _Tries) -> Pattern:
        words = "reached" if one.through else "tries to reach"
        ports = ", ".join(map(str, sorted(one.ports)[:12]))
        return Pattern(
            kind=self.kind,
            actor=actor,
            server=one.server,
            to=f"project {there}",
            port=None,
            protocol="",
            severity=AlertSeverity.HIGH,
            summary=f"{who(actor)} {words} project {there}: {max(one.count, 1)} connections tried",
            evidence=(
                f"{one.through} flows got through" if one.through else "none got through",
                f"ports {ports}; threshold: {TRIES} tries within an hour, or one that gets through",
            ),
            first_ns=one.first_ns,
            last_ns=one.last_ns,
            count=max(one.count, 1),
            samples=one.samples,
        )

    def forget_before(self, time_ns: int) -> None:
        """Let go of tries that are older."""
        self._tries = {key: one for key, one in self._tries.items() if one.last_ns >= time_ns}


def _is_often(when: deque[int]) -> bool:
    return len(when) >= TRIES and when[-1] - when[0] <= WINDOW_NS
