"""DNS used to carry data: many, long or random names below one domain.

Threshold, for one workload and one registered domain within ten minutes: 60 different names, or 10
whose part below the domain has 52 characters or a label of 40, or 20 whose longest label reads like
encoded bytes. Names of the cluster, what search lists append, and names of addresses do not count.
A question that the proxy refused counts as well: it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.insights.alert import AlertSeverity
from app.core.insights.patterns.names import (
    is_of_cluster,
    is_reverse,
    looks_random,
    registered_domain,
)
from app.core.insights.patterns.pattern import MINUTE_NS, Pattern, make_room, who
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import Samples

WINDOW_NS = 10 * MINUTE_NS
MANY, LONG, RANDOM = 60, 10, 20
LONG_NAME, LONG_LABEL = 52, 40
MOST_NAMES = 512
"""Names remembered of one domain; more are as bad as this many."""
MOST_DOMAINS = 20_000

_Key = tuple[Actor, str]


@dataclass(slots=True)
class _Domain:
    names: dict[str, int] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    asked: int = 0
    reached: str = ""
    example: str = ""
    samples: Samples = field(default_factory=Samples)


class DnsTunnel:
    """Watches the names below each domain that a workload asks for."""

    kind = "dns-tunnel"

    def __init__(self) -> None:
        self._domains: dict[_Key, _Domain] = {}

    def see(self, seen: Seen, scene: Scene) -> None:  # noqa: ARG002  # a detector's form
        """Look at a question for a name."""
        l7 = seen.sight.flow.l7
        if l7 is None or l7.dns is None or not l7.dns.query:
            return
        name = l7.dns.query.lower().rstrip(".")
        if is_of_cluster(name) or is_reverse(name):
            return
        domain = registered_domain(name)
        if name == domain:
            return
        one = self._domains.get((seen.actor, domain))
        if one is None:
            make_room(self._domains, MOST_DOMAINS)
            one = self._domains[seen.actor, domain] = _Domain()
        self._note(one, name, domain, seen)

    def _note(self, one: _Domain, name: str, domain: str, seen: Seen) -> None:
        time_ns = seen.sight.time_ns
        one.asked += 1
        before = one.names.pop(name, None)
        one.names[name] = time_ns
        if len(one.names) > MOST_NAMES:
            del one.names[next(iter(one.names))]
        if before is not None and one.last_ns - time_ns < WINDOW_NS:
            if one.reached:
                one.last_ns = max(one.last_ns, time_ns)
            return
        self._forget(one, time_ns)
        reached = _reached(one, domain)
        if not reached:
            return
        if not one.reached:
            one.first_ns = min(one.names.values())
        one.reached, one.example, one.last_ns = reached, name, max(one.last_ns, time_ns)
        one.samples.take(seen.sight)

    def _forget(self, one: _Domain, time_ns: int) -> None:
        for name in list(one.names):
            if time_ns - one.names[name] <= WINDOW_NS:
                return
            del one.names[name]

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give the domains that passed the threshold."""
        for (actor, domain), one in self._domains.items():
            if one.reached:
                yield Pattern(
                    kind=self.kind,
                    actor=actor,
                    server=None,
                    to=domain,
                    port=53,
                    protocol="UDP",
                    severity=AlertSeverity.HIGH,
                    summary=(
                        f"{who(actor)} asks for names below {domain} as a DNS tunnel would: "
                        f"{one.reached}"
                    ),
                    evidence=(
                        f"{one.asked:,} questions and answers, for example {one.example[:120]}",
                        (
                            f"threshold within 10 min: {MANY} names, {LONG} long ones "
                            f"(of {LONG_NAME} characters, a label of {LONG_LABEL}), or {RANDOM} "
                            f"that read like encoded bytes"
                        ),
                    ),
                    first_ns=one.first_ns,
                    last_ns=one.last_ns,
                    count=one.asked,
                    samples=one.samples,
                )

    def forget_before(self, time_ns: int) -> None:
        """Let go of domains that were not asked for since."""
        self._domains = {
            key: one
            for key, one in self._domains.items()
            if max(one.last_ns, *one.names.values(), 0) >= time_ns
        }


def _reached(one: _Domain, domain: str) -> str:
    """Which threshold the names of the window passed, in words; empty when none."""
    if len(one.names) < LONG:
        return ""
    parts = [name.removesuffix(domain).rstrip(".") for name in one.names]
    labels = [max(part.split("."), key=len) for part in parts]
    long = sum(
        len(part) >= LONG_NAME or len(label) >= LONG_LABEL
        for part, label in zip(parts, labels, strict=True)
    )
    if long >= LONG:
        return f"{long} long names within 10 min"
    if len(one.names) >= RANDOM:
        random = sum(map(looks_random, labels))
        if random >= RANDOM:
            return f"{random} names of random characters within 10 min"
    return f"{len(one.names)} different names within 10 min" if len(one.names) >= MANY else ""
