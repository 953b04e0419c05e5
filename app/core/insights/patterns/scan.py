"""One end that tries many ports of another, or many hosts on one port, most of them in vain.

Threshold for a port scan: 10 ports of one server without an answer within ten minutes, or 20 within
an hour; for a sweep the same numbers of hosts on one port. At least 70 % of what was tried in that
time must have been in vain: refused, reset, or (where the recording shows answers at all) not
answered. What a service really serves, scrapes and probes included, is answered and does not count;
neither does a host that a name was looked up for. In a recording without a single answer 40 ports
of one server are a scan, and 40 hosts a sweep where a project tried them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from app.core.insights.alert import AlertSeverity
from app.core.insights.party import FlowParty
from app.core.insights.patterns.pattern import HOUR_NS, MINUTE_NS, Pattern, make_room, who
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import WITH_PORTS, Samples, Shows
from app.core.model.cluster import IdentityKind

SHORT_NS, LONG_NS = 10 * MINUTE_NS, HOUR_NS
FAST, SLOW = 10, 20
SHARE = 0.7
BLIND = 40
MOST_TRIED = 1_024
MOST_KEYS = 20_000
MOST_SHOWN = 12
_NEVER = frozenset({IdentityKind.HOST, IdentityKind.REMOTE_NODE, IdentityKind.HEALTH})
"""Nodes and their agents probe everything, and answer for everybody."""


class Outcome(IntEnum):
    """What became of a try; the higher of two is what is known."""

    OPEN = 0
    REFUSED = 1
    ANSWERED = 2


_Key = tuple[Actor, int | str, str]


@dataclass(slots=True)
class _Tries:
    """What one end tried: the port or host, when, and whether in vain."""

    actor: Actor
    server: FlowParty
    port: int
    protocol: str
    counts_blind: bool
    tried: dict[int | str, tuple[int, Outcome]] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    vain: int = 0
    total: int = 0
    samples: Samples = field(default_factory=Samples)

    def note(self, what: int | str, time_ns: int, outcome: Outcome) -> None:
        """Take over a try; what was answered once stays so, what was refused is no mere try."""
        _, before = self.tried.pop(what, (0, Outcome.OPEN))
        self.tried[what] = (time_ns, max(before, outcome))
        if len(self.tried) > MOST_TRIED:
            del self.tried[next(iter(self.tried))]

    def answer(self, what: int | str) -> None:
        """Take over that a try was answered."""
        if what in self.tried:
            self.tried[what] = (self.tried[what][0], Outcome.ANSWERED)

    def judge(self, now_ns: int, current: int | str | None, *, answers: bool) -> bool:
        """Whether the threshold is passed; the try that is under way is only counted refused.

        `answers` says whether the recording shows any at all.
        """
        for window_ns, enough in ((SHORT_NS, FAST), (LONG_NS, SLOW)):
            here = [
                (time_ns, outcome)
                for what, (time_ns, outcome) in self.tried.items()
                if now_ns - time_ns <= window_ns
                and (what != current or outcome is not Outcome.OPEN)
            ]
            vain = sum(
                outcome is Outcome.REFUSED or (answers and outcome is Outcome.OPEN)
                for _, outcome in here
            )
            if not answers and len(here) >= BLIND and self.counts_blind:
                vain = len(here)
            if vain >= enough and vain >= SHARE * len(here):
                if not self.last_ns:
                    self.first_ns = min(time_ns for time_ns, _ in here)
                self.last_ns = now_ns
                self.vain, self.total = max(self.vain, vain), max(self.total, len(here))
                return True
        return False


class _Tracker(ABC):
    """What both kinds share: tries by a key, refused at once or unanswered for a while."""

    kind = ""
    what = ""

    def __init__(self) -> None:
        self._tries: dict[_Key, _Tries] = {}

    def see(self, seen: Seen, scene: Scene) -> None:
        """Look at a try, or at the answer to one."""
        sight = seen.sight
        if sight.client.kind in _NEVER or not self._concerns(seen):
            return
        key, what = self._place(seen)
        one = self._tries.get(key)
        if sight.shows is Shows.ANSWERED:
            if one is not None:
                one.answer(what)
            return
        refused = sight.shows in (Shows.REFUSED, Shows.RESET)
        if not (refused or seen.opened):
            return
        if one is None:
            make_room(self._tries, MOST_KEYS)
            one = self._tries[key] = _Tries(
                seen.actor, sight.server, sight.port, sight.protocol, self._counts_blind(seen)
            )
        one.note(what, sight.time_ns, Outcome.REFUSED if refused else Outcome.OPEN)
        if len(one.tried) < FAST or not one.judge(
            sight.time_ns, None if refused else what, answers=scene.answers > 0
        ):
            return
        one.samples.take(seen.sight)

    @abstractmethod
    def _concerns(self, seen: Seen) -> bool:
        """Whether a flow can be part of the pattern."""

    @abstractmethod
    def _counts_blind(self, seen: Seen) -> bool:
        """Whether tries count although the recording shows no answers at all."""

    @abstractmethod
    def _place(self, seen: Seen) -> tuple[_Key, int | str]:
        """Give whose tries a flow is one of, and what it tried."""

    @abstractmethod
    def _pattern(self, one: _Tries) -> Pattern:
        """Describe what passed the threshold."""

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give what passed the threshold."""
        for one in self._tries.values():
            if one.last_ns:
                yield self._pattern(one)

    def forget_before(self, time_ns: int) -> None:
        """Let go of tries that are older."""
        self._tries = {
            key: one
            for key, one in self._tries.items()
            if max(at for at, _ in one.tried.values()) >= time_ns
        }

    def _evidence(self, one: _Tries) -> tuple[str, ...]:
        return (
            f"{one.vain} of {one.total} {self.what} refused, reset or not answered",
            (
                f"threshold: {FAST} {self.what} in vain within 10 min or {SLOW} in an hour, and "
                f"{SHARE:.0%} of all that were tried"
            ),
        )


class PortScan(_Tracker):
    """Many ports of one server."""

    kind = "port-scan"
    what = "ports"

    def _concerns(self, seen: Seen) -> bool:
        return seen.sight.protocol in WITH_PORTS

    def _counts_blind(self, seen: Seen) -> bool:  # noqa: ARG002  # the tracker's form
        return True

    def _place(self, seen: Seen) -> tuple[_Key, int | str]:
        sight = seen.sight
        return (seen.actor, sight.host, sight.protocol), sight.port

    def _pattern(self, one: _Tries) -> Pattern:
        ports = sorted(port for port in one.tried if isinstance(port, int))
        shown = ", ".join(map(str, ports[:MOST_SHOWN]))
        return Pattern(
            kind=self.kind,
            actor=one.actor,
            server=one.server,
            port=None,
            protocol=one.protocol,
            severity=AlertSeverity.HIGH,
            summary=f"{who(one.actor)} tried {one.vain} ports of {one.server.text} in vain",
            evidence=(
                *self._evidence(one),
                f"ports: {shown}{' …' if len(ports) > MOST_SHOWN else ''}",
            ),
            first_ns=one.first_ns,
            last_ns=one.last_ns,
            count=one.vain,
            samples=one.samples,
        )


class HostSweep(_Tracker):
    """Many hosts on one port."""

    kind = "host-sweep"
    what = "hosts"

    def _concerns(self, seen: Seen) -> bool:
        client, server = seen.sight.client, seen.sight.server
        if server.kind in _NEVER and not client.project:
            return False  # what watches nodes, and is kept from it, sweeps nothing
        return not (server.is_outside and server.name and server.name != seen.sight.host)

    def _counts_blind(self, seen: Seen) -> bool:
        return bool(seen.sight.client.project)

    def _place(self, seen: Seen) -> tuple[_Key, int | str]:
        sight = seen.sight
        return (seen.actor, sight.port, sight.protocol), sight.host

    def _pattern(self, one: _Tries) -> Pattern:
        hosts = sorted(map(str, one.tried))
        shown = ", ".join(hosts[:MOST_SHOWN])
        return Pattern(
            kind=self.kind,
            actor=one.actor,
            server=None,
            to="many hosts",
            port=one.port,
            protocol=one.protocol,
            severity=AlertSeverity.HIGH,
            summary=f"{who(one.actor)} tried {one.vain} hosts on port {one.port} in vain",
            evidence=(
                *self._evidence(one),
                f"hosts: {shown}{' …' if len(hosts) > MOST_SHOWN else ''}",
            ),
            first_ns=one.first_ns,
            last_ns=one.last_ns,
            count=one.vain,
            samples=one.samples,
        )
