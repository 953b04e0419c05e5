"""What was let through is refused all of a sudden, as after a change of a policy.

Threshold: within ten minutes five tries are refused between ends that had opened two connections
before, not refused until then; or 30 tries by two workloads or more, eight times as many as in ten
minutes on average until then, none of them with more than 80 % of all. Drops that no policy decided
do not count, and a scan alone is no rise: its connections never worked.

The newest change of a policy within the fifteen minutes before is named with it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.insights.alert import AlertSeverity
from app.core.insights.patterns.pattern import MINUTE_NS, Pattern
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import Samples, is_message
from app.core.model.provenance import RuleRef

WINDOW_NS = 10 * MINUTE_NS
BEFORE_NS = 15 * MINUTE_NS
BROKEN = 5
WORKED = 2
RISEN, TIMES, CLIENTS, SHARE = 30, 8, 2, 0.8
MOST_TRIES = 4_096
MOST_CHANGES = 256
_REASONS = frozenset({"POLICY_DENIED", "POLICY_DENY"})


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A policy that became another at a moment; `text` says who changed it where that is known."""

    time_ns: int
    rule: RuleRef
    text: str = ""


@dataclass(slots=True)
class _Rise:
    """Tries refused at one side: of the source's policies, or of the destination's."""

    tries: deque[tuple[int, Actor, bool, str]] = field(
        default_factory=lambda: deque(maxlen=MOST_TRIES)
    )
    begun_ns: int = 0
    older: int = 0
    first_ns: int = 0
    last_ns: int = 0
    count: int = 0
    broken: set[str] = field(default_factory=set)
    words: str = ""
    sample: Seen | None = None
    samples: Samples = field(default_factory=Samples)


class DropRise:
    """Watches what is refused, by the namespace whose policies refuse it."""

    kind = "drop-rise"

    def __init__(self) -> None:
        self._rises: dict[str, _Rise] = {}
        self._changes: deque[PolicyChange] = deque(maxlen=MOST_CHANGES)

    def note_change(self, change: PolicyChange) -> None:
        """Take over that a policy was changed."""
        self._changes.append(change)

    def see(self, seen: Seen, scene: Scene) -> None:
        """Look at a try that is refused by policy."""
        sight = seen.sight
        if not seen.refused_anew:
            return
        if sight.flow.drop_reason not in _REASONS and not is_message(sight.flow):
            return
        at_client = sight.flow.direction != "INGRESS"
        namespace = (sight.client if at_client else sight.server).namespace
        one = self._rises.setdefault(namespace, _Rise(begun_ns=scene.first_ns))
        path = f"{sight.client.text} → {sight.server.text}:{sight.port}"
        one.tries.append((sight.time_ns, seen.actor, seen.pair.worked >= WORKED, path))
        self._look(one, seen)

    def _look(self, one: _Rise, seen: Seen) -> None:
        now_ns = seen.sight.time_ns
        while one.tries and now_ns - one.tries[0][0] > WINDOW_NS:
            one.tries.popleft()
            one.older += 1
        broken = [path for _, _, was_open, path in one.tries if was_open]
        words = ""
        if len(broken) >= BROKEN:
            words = f"{len(broken)} tries of connections that worked before"
            one.broken.update(broken[:8])
        elif self._has_risen(one, now_ns):
            words = f"{len(one.tries)} tries within 10 min"
        if not words:
            return
        one.first_ns = one.first_ns or one.tries[0][0]
        one.last_ns, one.words = now_ns, words
        one.count = max(one.count, len(broken) or len(one.tries))
        one.sample = one.sample or seen
        one.samples.take(seen.sight)

    def _has_risen(self, one: _Rise, now_ns: int) -> bool:
        windows = (now_ns - WINDOW_NS - one.begun_ns) / WINDOW_NS
        if len(one.tries) < RISEN or windows < 1:
            return False
        by_actor = Counter(actor for _, actor, _, _ in one.tries)
        (_, most), *_ = by_actor.most_common(1)
        spread = len(by_actor) >= CLIENTS and most <= SHARE * len(one.tries)
        return spread and len(one.tries) >= TIMES * one.older / windows

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give the namespaces in which drops rose."""
        for namespace, one in self._rises.items():
            if one.sample is not None:
                yield self._pattern(namespace, one, one.sample)

    def _pattern(self, namespace: str, one: _Rise, sample: Seen) -> Pattern:
        change = self._change_before(one.first_ns, namespace)
        cause = f"after {change.text or change.rule.policy}" if change else "no change is known"
        paths = "; ".join(sorted(one.broken)[:4])
        return Pattern(
            kind=self.kind,
            actor=sample.actor,
            server=sample.sight.server,
            to=namespace or sample.sight.server.text,
            port=None,
            protocol="",
            severity=AlertSeverity.HIGH if one.broken else AlertSeverity.MEDIUM,
            summary=f"policies of {namespace or 'the cluster'} refuse {one.words} ({cause})",
            evidence=tuple(
                filter(
                    None,
                    (
                        f"worked before: {paths}" if paths else "",
                        (
                            f"threshold within 10 min: {BROKEN} tries of what worked, or {RISEN} "
                            f"of {CLIENTS} workloads and {TIMES} times as many as before"
                        ),
                    ),
                )
            ),
            first_ns=one.first_ns,
            last_ns=one.last_ns,
            count=one.count,
            samples=one.samples,
            rule=change.rule if change else None,
        )

    def _change_before(self, time_ns: int, namespace: str) -> PolicyChange | None:
        near = [
            one
            for one in self._changes
            if 0 <= time_ns - one.time_ns <= BEFORE_NS
            and one.rule.policy.namespace in ("", namespace)
        ]
        return max(near, key=lambda one: one.time_ns, default=None)

    def forget_before(self, time_ns: int) -> None:
        """Let go of rises that are older."""
        self._rises = {
            key: one
            for key, one in self._rises.items()
            if max(one.last_ns, one.tries[-1][0] if one.tries else 0) >= time_ns
        }
