"""How fast connections are answered, how many fail, by pair of workloads; in bounded memory.

Latency is measured where flows show both ends of it, and nowhere else:

- of HTTP by the agent itself, between request and response (`l7.latency_ns`);
- of DNS between a question and its answer at the proxy of one node;
- of TCP between the first SYN and the SYN-ACK as one node saw both; a SYN that was repeated
  measures nothing, since the answer may be to either (Karn's algorithm, RFC 6298 §3).

Percentiles come from a sketch with an error of 1 % of the value. Rates are over the time in which
the pair was seen. Hubble's flows carry no byte counts, so throughput is not measured here.

Source: Cilium `pkg/hubble/parser/seven/parser.go` (latency from `X-Request-Id`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ddsketch import DDSketch

from app.core.flows.times import NS_PER_S
from app.core.insights.party import Directory, FlowParty
from app.core.insights.sight import Shows, Sight, sight_of
from app.core.model.flow import EVENT_VERDICT, Flow

MOST_PAIRS = 5_000
MOST_OPEN = 20_000
"""First packets that wait for their answer; the oldest are given up."""
LONGEST_NS = 60 * NS_PER_S
"""An answer later than this is to something else."""
LEAST_S = 10.0
"""Shorter than this, a rate says nothing."""
ERROR = 0.01
"""Relative error of a percentile."""
PERCENTILES = (0.5, 0.9, 0.99)
SERVER_ERROR, CLIENT_ERROR = 500, 400
_DNS_FAILURES = frozenset({1, 2, 4, 5})
"""FORMERR, SERVFAIL, NOTIMP, REFUSED; a name that does not exist is an answer (RFC 1035)."""

Key = tuple[FlowParty, FlowParty, int, str]
_Tuple = tuple[str, str, str, int, int, str]


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds, from `count` measurements; None where there is none."""

    count: int
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class PairPerformance:
    """One pair. `http`, `dns` and `tcp` are None where nothing of it was measured.

    `requests` counts HTTP and DNS requests, `errors` server errors among their answers,
    `client_errors` HTTP 4xx; `connections` and `refused` count packets that open one. `seconds` is
    the time between the first and the last flow.
    """

    source: FlowParty
    destination: FlowParty
    port: int
    protocol: str
    seconds: float
    requests: int
    errors: int
    client_errors: int
    connections: int
    refused: int
    http: Latency | None
    dns: Latency | None
    tcp: Latency | None

    @property
    def request_rate(self) -> float | None:
        """Requests a second; None where there are none, or too little time to count them over."""
        enough = self.requests > 1 and self.seconds >= LEAST_S
        return self.requests / self.seconds if enough else None

    @property
    def error_share(self) -> float | None:
        """Server errors of all requests; None without requests."""
        return self.errors / self.requests if self.requests else None


@dataclass(slots=True)
class _Measures:
    first_ns: int
    last_ns: int
    requests: int = 0
    errors: int = 0
    client_errors: int = 0
    connections: int = 0
    messages_refused: int = 0
    drops: int = 0
    verdicts: int = 0
    sketches: dict[str, DDSketch] = field(default_factory=dict)

    @property
    def refused(self) -> int:
        """Packets and messages; a packet that shows as two events once."""
        return max(self.drops, self.verdicts) + self.messages_refused

    def measure(self, kind: str, latency_ns: int) -> None:
        if kind not in self.sketches:
            self.sketches[kind] = DDSketch(ERROR)
        self.sketches[kind].add(latency_ns / 1e6)


class Performance:
    """Measures a stream of flows; each is looked at once."""

    def __init__(self, directory: Directory | None = None) -> None:
        self._directory = directory or Directory()
        self._pairs: dict[Key, _Measures] = {}
        self._open: dict[_Tuple, int] = {}
        self.forgotten = 0

    def add(self, flows: Iterable[Flow]) -> None:
        """Look at flows, in about the order of their time."""
        for flow in flows:
            if (sight := sight_of(flow, self._directory)) is not None:
                self._add(sight)

    def _add(self, sight: Sight) -> None:
        one = self._pairs.get(sight.pair)
        if one is None:
            self._make_room()
            one = self._pairs[sight.pair] = _Measures(sight.time_ns, sight.time_ns)
        one.first_ns = min(one.first_ns, sight.time_ns)
        one.last_ns = max(one.last_ns, sight.time_ns)
        if sight.flow.l7 is not None:
            self._message(one, sight)
        elif sight.protocol == "TCP":
            self._handshake(one, sight)

    def _message(self, one: _Measures, sight: Sight) -> None:
        flow, l7 = sight.flow, sight.flow.l7
        if l7 is None:
            return
        if sight.shows is Shows.REFUSED:
            one.messages_refused += 1
        if l7.type == "REQUEST":
            one.requests += 1
            if l7.dns is not None:
                self._wait(_key(sight, l7.dns.query), flow.time_ns)
            return
        if l7.http is not None:
            one.errors += l7.http.code >= SERVER_ERROR
            one.client_errors += CLIENT_ERROR <= l7.http.code < SERVER_ERROR
            if l7.latency_ns > 0:
                one.measure("http", l7.latency_ns)
        elif l7.dns is not None:
            one.errors += l7.dns.rcode in _DNS_FAILURES
            self._answered(one, "dns", _key(sight, l7.dns.query), flow.time_ns)

    def _handshake(self, one: _Measures, sight: Sight) -> None:
        flags = sight.flow.tcp_flags
        if "SYN" not in flags:
            return
        key = _key(sight, "")
        if "ACK" in flags:
            self._answered(one, "tcp", key, sight.time_ns)
            return
        if sight.shows is Shows.REFUSED:
            is_verdict = sight.flow.event == EVENT_VERDICT
            one.verdicts += is_verdict
            one.drops += not is_verdict
            return
        before = self._open.get(key)
        if before is None:
            one.connections += 1
            self._wait(key, sight.time_ns)
        elif sight.time_ns - abs(before) > NS_PER_S // 2:
            self._open[key] = -abs(before)  # repeated: it measures nothing

    def _wait(self, key: _Tuple, time_ns: int) -> None:
        if len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        self._open.setdefault(key, time_ns)

    def _answered(self, one: _Measures, kind: str, key: _Tuple, time_ns: int) -> None:
        begun_ns = self._open.pop(key, None)
        if begun_ns is not None and 0 < begun_ns <= time_ns <= begun_ns + LONGEST_NS:
            one.measure(kind, time_ns - begun_ns)

    def _make_room(self) -> None:
        if len(self._pairs) < MOST_PAIRS:
            return
        by_age = sorted(self._pairs, key=lambda key: self._pairs[key].last_ns)
        for key in by_age[: MOST_PAIRS // 10]:
            del self._pairs[key]
            self.forgotten += 1

    def pairs(self) -> Iterator[PairPerformance]:
        """Every pair of which something was measured or counted, in order of their names."""
        named = sorted(self._pairs, key=lambda key: (key[0].text, key[1].text, *key[2:]))
        for key in named:
            one = self._pairs[key]
            latencies = {kind: _latency(sketch) for kind, sketch in one.sketches.items()}
            if not (latencies or one.requests or one.connections or one.refused):
                continue
            yield PairPerformance(
                *key,
                seconds=(one.last_ns - one.first_ns) / NS_PER_S,
                requests=one.requests,
                errors=one.errors,
                client_errors=one.client_errors,
                connections=one.connections,
                refused=one.refused,
                http=latencies.get("http"),
                dns=latencies.get("dns"),
                tcp=latencies.get("tcp"),
            )


def _key(sight: Sight, query: str) -> _Tuple:
    """What a packet and its answer have in common, as one node sees them."""
    flow = sight.flow
    client = flow.destination_ip if sight.host == flow.source_ip else flow.source_ip
    return (flow.node, client, sight.host, sight.client_port, sight.port, query)


def _latency(sketch: DDSketch) -> Latency:
    p50, p90, p99 = (sketch.get_quantile_value(one) for one in PERCENTILES)
    return Latency(int(sketch.count), p50, p90, p99)
