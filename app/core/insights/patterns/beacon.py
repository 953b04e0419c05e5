"""Connections to the outside that open like clockwork, as malware asks its master for orders.

Threshold: nine connections at least to one destination outside, and four of five of the times
between them within a quarter of their median, or of twice or three times that where a beat was
lost, the median from 5 seconds to 2 hours. What opens within two seconds is one beat. Only what a
project opens counts, or what has no DNS name: a platform's servers ask named services regularly.
Time servers (123/UDP) and DNS are left out. Probes and scrapes stay inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from app.core.insights.alert import AlertSeverity
from app.core.insights.party import FlowParty
from app.core.insights.patterns.pattern import Pattern, who
from app.core.insights.scene import Actor, Pair, Scene, Seen

NS_PER_S = 1_000_000_000
BEATS = 9
SHARE = 0.8
JITTER = 0.25
SHORTEST_S, LONGEST_S = 5.0, 7_200.0
BURST_NS = 2 * NS_PER_S
MISSED = (1, 2, 3)
_LEFT_OUT = frozenset({(53, "UDP"), (53, "TCP"), (123, "UDP"), (853, "TCP")})


class Beacon:
    """Looks at when connections to the outside opened; the scene remembers that."""

    kind = "beacon"

    def see(self, seen: Seen, scene: Scene) -> None:
        """Nothing of its own is kept."""

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give the pairs that open regularly."""
        for (actor, server, port, protocol), pair in list(scene.pairs.items()):
            if (port, protocol) in _LEFT_OUT or not _concerns(actor[0], server):
                continue
            beats = beats_of(pair.starts)
            if (period_s := period(beats)) is not None:
                yield self._pattern((actor, server, port, protocol), pair, len(beats), period_s)

    def _pattern(
        self, key: tuple[Actor, FlowParty, int, str], pair: Pair, beats: int, period_s: float
    ) -> Pattern:
        actor, server, port, protocol = key
        refused = " (all refused)" if pair.refused and not pair.passed else ""
        return Pattern(
            kind=self.kind,
            actor=actor,
            server=server,
            port=port,
            protocol=protocol,
            severity=AlertSeverity.MEDIUM if refused else AlertSeverity.HIGH,
            summary=(
                f"{who(actor)} opens {server.text}:{port} every {period_s:.0f} s like clockwork"
                f"{refused}"
            ),
            evidence=(
                f"{beats} beats, median {period_s:.1f} s apart",
                (
                    f"threshold: {BEATS} beats, {SHARE:.0%} within {JITTER:.0%} of the median, "
                    f"lost ones allowed for"
                ),
            ),
            first_ns=pair.starts[0],
            last_ns=pair.starts[-1],
            count=pair.opened,
            samples=pair.samples,
        )

    def forget_before(self, time_ns: int) -> None:
        """The scene forgets."""


def beats_of(starts: Sequence[int]) -> list[int]:
    """Moments at which something opened; what follows within a burst belongs to the first."""
    beats: list[int] = []
    for start in sorted(starts):
        if not beats or start - beats[-1] > BURST_NS:
            beats.append(start)
    return beats


def period(beats: Sequence[int]) -> float | None:
    """Seconds from beat to beat; None where there is no rhythm."""
    if len(beats) < BEATS:
        return None
    gaps = [(later - earlier) / NS_PER_S for earlier, later in pairwise(beats)]
    middle = median(gaps)
    if not SHORTEST_S <= middle <= LONGEST_S:
        return None
    fitting = sum(
        any(abs(gap - times * middle) <= JITTER * middle for times in MISSED) for gap in gaps
    )
    single = sum(abs(gap - middle) <= JITTER * middle for gap in gaps)
    if fitting < SHARE * len(gaps) or single < len(gaps) / 2:
        return None
    return middle


def _concerns(client: FlowParty, server: FlowParty) -> bool:
    if not client.is_pod or not server.is_outside:
        return False
    unnamed = not server.name or server.name[-1].isdigit() or ":" in server.name
    return bool(client.project) or unnamed
