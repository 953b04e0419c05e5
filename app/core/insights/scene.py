"""What detectors of patterns share: which connections there are, and since when who was watched.

A connection *opens* with a first packet, a policy verdict or a request from a client port that was
not seen just before; further packets, halves at other hooks and TCP's repeats belong to it.
Everything is bounded by workloads: a user's own pod counts as one, the outside by its names and
networks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from app.core.flows.times import NS_PER_S
from app.core.insights.party import FlowParty
from app.core.insights.sight import WITH_PORTS, Samples, Shows, Sight, is_message
from app.core.model.flow import EVENT_VERDICT

MOST_PAIRS = 50_000
KEEP_PORTS = 64
KEEP_STARTS = 64
KEEP_GAPS = 64
SAME_NS = 180 * NS_PER_S
"""A client port seen no longer ago belongs to the same connection: TCP repeats a SYN for 127 s."""
APART_NS = 5 * NS_PER_S
"""A refusal follows the first packet at once; what opened longer before was another connection."""
PING_NS = 30 * NS_PER_S
GAP_NS = 60 * NS_PER_S
"""Nothing at all for so long is a gap of the recording, not of a connection."""

Actor = tuple[FlowParty, str]
"""A party, and of workspaces the pod: each is another person's."""
PairKey = tuple[Actor, FlowParty, int, str]


@dataclass(slots=True)
class Pair:
    """One actor's connections to one server and port, with the figures detectors ask for.

    `starts` are the newest moments at which one opened. `active` counts moments of traffic that
    got through, `mean_gap_ns` and `longest_gap_ns` the time between them. `worked` counts
    connections that were not refused, opened before the first that was.
    """

    first_ns: int
    last_ns: int
    opened: int = 0
    passed: int = 0
    refused: int = 0
    answered: int = 0
    reset: int = 0
    first_ok_ns: int = 0
    last_ok_ns: int = 0
    last_refused_ns: int = 0
    worked: int = 0
    active: int = 0
    longest_gap_ns: int = 0
    starts: deque[int] = field(default_factory=lambda: deque(maxlen=KEEP_STARTS))
    samples: Samples = field(default_factory=Samples)
    _ports: dict[int, int] = field(default_factory=dict)
    _refused_ports: dict[int, int] = field(default_factory=dict)

    @property
    def mean_gap_ns(self) -> float:
        """Mean time between moments of traffic; 0 where there are fewer than two."""
        return (self.last_ok_ns - self.first_ok_ns) / (self.active - 1) if self.active > 1 else 0.0

    def opens(self, sight: Sight) -> bool:
        """Whether this flow opens a connection; notes its client port."""
        if sight.protocol not in WITH_PORTS:
            return sight.time_ns - self.last_ns > PING_NS or not self.opened
        return _is_fresh(self._ports, sight) and _may_open(sight)

    def is_refused_anew(self, sight: Sight) -> bool:
        """Whether this is the first refusal of its connection; a message is one of its own."""
        return is_message(sight.flow) or _is_fresh(self._refused_ports, sight)


def _is_fresh(ports: dict[int, int], sight: Sight) -> bool:
    """Whether a client port was not there just before; it is from now on."""
    time_ns, port = sight.time_ns, sight.client_port
    before = ports.pop(port, None)
    if len(ports) >= KEEP_PORTS:
        del ports[next(iter(ports))]
    ports[port] = time_ns
    return before is None or abs(time_ns - before) > SAME_NS


def _may_open(sight: Sight) -> bool:
    """Whether a packet can be the first of its connection; of UDP and of messages each can."""
    flow = sight.flow
    if sight.protocol != "TCP" or flow.event == EVENT_VERDICT or flow.l7 is not None:
        return True
    return "SYN" in flow.tcp_flags or sight.shows is Shows.REFUSED


@dataclass(slots=True)
class Seen:
    """One flow in its place: whose it is, its pair, and whether it opened a connection.

    `refused_anew` says that it is the first refusal of its connection.
    """

    sight: Sight
    actor: Actor
    pair: Pair
    opened: bool
    refused_anew: bool


class Scene:
    """Everything that was seen, in the small."""

    def __init__(self) -> None:
        self.pairs: dict[PairKey, Pair] = {}
        self.first_ns = 0
        self.now_ns = 0
        self.answers = 0
        self.last_seen: dict[Actor, int] = {}
        self.gaps: deque[tuple[int, int]] = deque(maxlen=KEEP_GAPS)
        self.forgotten = 0

    def note(self, sight: Sight) -> Seen:
        """Put one flow in its place."""
        time_ns = sight.time_ns
        if time_ns - self.now_ns > GAP_NS and self.now_ns:
            self.gaps.append((self.now_ns, time_ns))
        self.first_ns = self.first_ns or time_ns
        self.now_ns = max(self.now_ns, time_ns)
        actor = actor_of(sight)
        self.last_seen[actor] = time_ns
        server = sight.server
        self.last_seen[server, sight.server_pod if server.is_workspace else ""] = time_ns
        key = (actor, sight.server, sight.port, sight.protocol)
        pair = self.pairs.get(key)
        if pair is None:
            self._make_room()
            pair = self.pairs[key] = Pair(time_ns, time_ns)
        anew = sight.shows is Shows.REFUSED and pair.is_refused_anew(sight)
        return Seen(sight, actor, pair, self._count(pair, sight), anew)

    def _count(self, pair: Pair, sight: Sight) -> bool:
        shows, time_ns = sight.shows, sight.time_ns
        opened = False
        if shows is Shows.ANSWERED:
            pair.answered += 1
            self.answers += 1
        elif shows is Shows.RESET:
            pair.reset += 1
            self.answers += 1
        else:
            opened = pair.opens(sight)
        if opened:
            pair.opened += 1
            pair.starts.append(time_ns)
            pair.samples.take(sight)
        if shows is Shows.REFUSED:
            if not pair.refused:
                pair.worked = sum(start < time_ns - APART_NS for start in pair.starts)
            pair.refused += 1
            pair.last_refused_ns = time_ns
        elif shows in (Shows.PASSED, Shows.ANSWERED):
            pair.passed += shows is Shows.PASSED
            self._keep_pace(pair, time_ns)
        pair.last_ns = max(pair.last_ns, time_ns)
        return opened

    def _keep_pace(self, pair: Pair, time_ns: int) -> None:
        """Note a moment of traffic; what comes within a second of the last is the same moment."""
        if not pair.active:
            pair.first_ok_ns = pair.last_ok_ns = time_ns
            pair.active = 1
            return
        gap = time_ns - pair.last_ok_ns
        if gap < NS_PER_S:
            return
        if self.gaps and pair.last_ok_ns < self.gaps[-1][1]:
            gap = self.silent_ns(pair.last_ok_ns, time_ns)
        pair.longest_gap_ns = max(pair.longest_gap_ns, gap)
        pair.last_ok_ns = time_ns
        pair.active += 1

    def silent_ns(self, since_ns: int, now_ns: int) -> int:
        """Time since a moment in which the recording itself went on."""
        gaps = (min(end, now_ns) - max(begin, since_ns) for begin, end in self.gaps)
        return now_ns - since_ns - sum(gap for gap in gaps if gap > 0)

    def forget_before(self, time_ns: int) -> None:
        """Let go of what was last seen before a moment."""
        self.pairs = {key: one for key, one in self.pairs.items() if one.last_ns >= time_ns}
        self.last_seen = {who: ns for who, ns in self.last_seen.items() if ns >= time_ns}

    def _make_room(self) -> None:
        if len(self.pairs) < MOST_PAIRS:
            return
        by_age = sorted(self.pairs, key=lambda key: self.pairs[key].last_ns)
        for key in by_age[: MOST_PAIRS // 10]:
            del self.pairs[key]
            self.forgotten += 1


def actor_of(sight: Sight) -> Actor:
    """Who acts: a workload, or one person's workspace."""
    return (sight.client, sight.client_pod if sight.client.is_workspace else "")
