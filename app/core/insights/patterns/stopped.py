"""A connection that was there all the time and is seen no more, while its client goes on.

Threshold: traffic for at least 10 minutes at 12 moments or more, never further apart than four
times the mean (workspaces, which people leave: one and a half times); then nothing for ten minutes
and for five times the longest pause, though the client was seen otherwise within the last
third of that silence. Gaps in which nothing at all was seen do not count as silence. Connections
that are refused now are violations, and not silent.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.core.insights.alert import AlertSeverity
from app.core.insights.party import FlowParty, network_of
from app.core.insights.patterns.pattern import MINUTE_NS, Pattern, who
from app.core.insights.scene import Pair, PairKey, Scene, Seen

MOMENTS = 12
LASTED_NS = 10 * MINUTE_NS
SILENT_NS = 10 * MINUTE_NS
PAUSES = 5
STEADY, STEADY_WORKSPACE = 4.0, 1.5
_DNS_PORT = 53


class ConnectionStopped:
    """Looks at pairs that were steady; the scene remembers that."""

    kind = "connection-stopped"

    def see(self, seen: Seen, scene: Scene) -> None:
        """Nothing of its own is kept."""

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:
        """Give the pairs that went silent."""
        for key, pair in list(scene.pairs.items()):
            if _is_steady(key, pair) and (silent_ns := _silence(key, pair, scene, now_ns)):
                yield self._pattern(key, pair, silent_ns)

    def _pattern(self, key: PairKey, pair: Pair, silent_ns: int) -> Pattern:
        actor, server, port, protocol = key
        return Pattern(
            kind=self.kind,
            actor=actor,
            server=server,
            port=port,
            protocol=protocol,
            severity=AlertSeverity.MEDIUM,
            summary=(
                f"{who(actor)} → {server.text}:{port} stopped {silent_ns // MINUTE_NS} min ago "
                f"without a refusal, and {who(actor)} goes on"
            ),
            evidence=(
                (
                    f"seen at {pair.active} moments, {pair.mean_gap_ns / 1e9:.1f} s apart on "
                    f"average, {pair.longest_gap_ns / 1e9:.1f} s at most"
                ),
                (
                    f"threshold: steady for {LASTED_NS // MINUTE_NS} min, then silent for "
                    f"{SILENT_NS // MINUTE_NS} min and {PAUSES} times the longest pause"
                ),
            ),
            first_ns=pair.first_ok_ns,
            last_ns=pair.last_ok_ns + silent_ns,
            count=pair.opened or pair.active,
            samples=pair.samples,
        )

    def forget_before(self, time_ns: int) -> None:
        """The scene forgets."""


def _is_steady(key: PairKey, pair: Pair) -> bool:
    (client, _), server, port, _ = key
    if not client.is_pod or port == _DNS_PORT or _is_nameless(server):
        return False
    if pair.active < MOMENTS or pair.last_ok_ns - pair.first_ok_ns < LASTED_NS:
        return False
    factor = STEADY_WORKSPACE if client.is_workspace else STEADY
    return pair.longest_gap_ns <= factor * pair.mean_gap_ns


def _is_nameless(server: FlowParty) -> bool:
    """Whether it is an address outside that another of the same service may have replaced."""
    return server.is_outside and network_of(server.name) != server.name


def _silence(key: PairKey, pair: Pair, scene: Scene, now_ns: int) -> int:
    """How long a pair has been silent, if that is long enough and its client goes on; else 0."""
    if pair.last_refused_ns > pair.last_ok_ns:
        return 0
    silent_ns = scene.silent_ns(pair.last_ok_ns, min(now_ns, scene.now_ns))
    if silent_ns < max(SILENT_NS, PAUSES * pair.longest_gap_ns):
        return 0
    alive_ns = scene.last_seen.get(key[0], 0)
    return silent_ns if alive_ns >= pair.last_ok_ns + silent_ns * 2 // 3 else 0
