"""Many questions for names that do not exist: a program that guesses names, or a broken one.

Threshold, for one workload within ten minutes: 20 different names without an answer, or 200
answers that there is no such name, and at least half of all names that it asked for. With `ndots:5`
a pod's search list makes up to five questions of one, of which all but one fail: they count as one
name, and as answered when one of them was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.insights.alert import AlertSeverity
from app.core.insights.patterns.names import is_reverse, without_search_list
from app.core.insights.patterns.pattern import MINUTE_NS, Pattern, make_room, who
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import Samples

WINDOW_NS = 10 * MINUTE_NS
NAMES, ANSWERS = 20, 200
SHARE = 0.5
MOST_ANSWERS = 2_000
MOST_ACTORS = 10_000
NXDOMAIN = 3
"""Source: RFC 1035 §4.1.1, RCODE."""


@dataclass(slots=True)
class _Asker:
    answers: deque[tuple[int, str, bool]] = field(
        default_factory=lambda: deque(maxlen=MOST_ANSWERS)
    )
    first_ns: int = 0
    last_ns: int = 0
    failed: int = 0
    names: int = 0
    total: int = 0
    example: str = ""
    samples: Samples = field(default_factory=Samples)
    looked_ns: int = 0
    fails_since: int = 0


class NxdomainStorm:
    """Watches the answers that workloads get from DNS."""

    kind = "nxdomain-storm"

    def __init__(self) -> None:
        self._askers: dict[Actor, _Asker] = {}

    def see(self, seen: Seen, scene: Scene) -> None:  # noqa: ARG002  # a detector's form
        """Look at an answer of DNS."""
        flow = seen.sight.flow
        if flow.l7 is None or flow.l7.dns is None or flow.l7.type != "RESPONSE":
            return
        dns = flow.l7.dns
        name = dns.query.lower().rstrip(".")
        if is_reverse(name) or dns.rcode not in (0, NXDOMAIN):
            return
        one = self._askers.get(seen.actor)
        if one is None:
            make_room(self._askers, MOST_ACTORS)
            one = self._askers[seen.actor] = _Asker()
        failed = dns.rcode == NXDOMAIN
        one.answers.append((flow.time_ns, name, failed))
        if failed:
            one.fails_since += 1
            one.example = one.example or without_search_list(name)
            if one.fails_since >= NAMES // 2:
                one.fails_since = 0
                self._look(one, seen)

    def _look(self, one: _Asker, seen: Seen) -> None:
        now_ns = seen.sight.time_ns
        while one.answers and now_ns - one.answers[0][0] > WINDOW_NS:
            one.answers.popleft()
        failed, answers, total = _failing(one.answers)
        enough = len(failed) >= NAMES or answers >= ANSWERS
        if not enough or len(failed) < SHARE * total:
            return
        one.first_ns = one.first_ns or one.answers[0][0]
        one.last_ns, one.example = now_ns, min(failed)
        if answers >= one.failed:
            one.failed, one.names, one.total = answers, len(failed), total
        one.samples.take(seen.sight)

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give the workloads that passed the threshold."""
        for actor, one in self._askers.items():
            if one.last_ns:
                yield Pattern(
                    kind=self.kind,
                    actor=actor,
                    server=None,
                    to="names that do not exist",
                    port=53,
                    protocol="UDP",
                    severity=AlertSeverity.MEDIUM,
                    summary=(
                        f"{who(actor)} asked for {one.names} names that do not exist, of "
                        f"{one.total} within 10 min"
                    ),
                    evidence=(
                        f"{one.failed} answers NXDOMAIN, for example {one.example[:120]}",
                        (
                            f"threshold within 10 min: {NAMES} names nobody has or {ANSWERS} "
                            f"such answers, and half of all names; search lists count once"
                        ),
                    ),
                    first_ns=one.first_ns,
                    last_ns=one.last_ns,
                    count=one.failed,
                    samples=one.samples,
                )

    def forget_before(self, time_ns: int) -> None:
        """Let go of workloads that asked nothing since."""
        self._askers = {
            key: one for key, one in self._askers.items() if one.answers[-1][0] >= time_ns
        }


def _failing(answers: deque[tuple[int, str, bool]]) -> tuple[set[str], int, int]:
    """The names nobody has, how many answers said so, and how many names there were."""
    asked = {name for _, name, _ in answers}
    base = {name: _base(name, asked) for name in asked}
    known = {base[name] for _, name, failed in answers if not failed}
    failed = {one for one in base.values() if one not in known}
    count = sum(said and base[name] in failed for _, name, said in answers)
    return failed, count, len(set(base.values()))


def _base(name: str, asked: set[str]) -> str:
    """The name that a pod meant: without the cluster's search list, and without its node's."""
    stripped = without_search_list(name)
    labels = stripped.split(".")
    for cut in range(1, len(labels)):
        if cut > 1 and (shorter := ".".join(labels[:cut])) in asked:
            return shorter
    return stripped
