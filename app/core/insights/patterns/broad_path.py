"""A path in use that only one broad policy allows: when that goes, so does the path.

Threshold: three connections that a verdict of Cilium lets through by exactly one policy, whose
entry allows everything in that direction; or any port of the outside or of another project, where
the entry names a port and no peer. Cilium says so itself (`policy_match_type` 4 and 3, with one
policy in `*_allowed_by`), so nothing is guessed; one alert a policy.

Source: Cilium `pkg/monitor/api/types.go` (`PolicyMatchAll`, `PolicyMatchL4Only`),
`pkg/policy/correlation/correlation.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.insights.alert import AlertSeverity
from app.core.insights.patterns.pattern import Pattern, make_room
from app.core.insights.scene import Actor, Scene, Seen
from app.core.insights.sight import Samples, Shows
from app.core.model.flow import EVENT_VERDICT
from app.core.model.provenance import ObjectRef, RuleRef

CONNECTIONS = 3
MATCH_ALL, MATCH_PORT = 4, 3
MOST_POLICIES = 5_000
MOST_PATHS = 256


@dataclass(slots=True)
class _Used:
    actor: Actor
    sample: Seen
    first_ns: int
    last_ns: int
    count: int = 0
    paths: set[str] = field(default_factory=set)
    samples: Samples = field(default_factory=Samples)


class BroadPath:
    """Watches which policy lets connections through."""

    kind = "broad-path"

    def __init__(self) -> None:
        self._used: dict[tuple[str, str, str, str], _Used] = {}

    def see(self, seen: Seen, scene: Scene) -> None:  # noqa: ARG002  # a detector's form
        """Look at a policy verdict."""
        sight, flow = seen.sight, seen.sight.flow
        if flow.event != EVENT_VERDICT or sight.shows is not Shows.PASSED:
            return
        if not _is_broad(seen):
            return
        egress = flow.direction == "EGRESS"
        by = flow.egress_allowed_by if egress else flow.ingress_allowed_by
        if len(by) != 1 or not by[0].name:
            return
        key = (by[0].kind, by[0].namespace, by[0].name, flow.direction)
        one = self._used.get(key)
        if one is None:
            make_room(self._used, MOST_POLICIES)
            one = self._used[key] = _Used(seen.actor, seen, flow.time_ns, flow.time_ns)
        one.last_ns = max(one.last_ns, flow.time_ns)
        one.count += 1
        if len(one.paths) < MOST_PATHS:
            one.paths.add(f"{sight.client.text} → {sight.server.text}:{sight.port}")
        one.samples.take(seen.sight)

    def found(self, scene: Scene, now_ns: int) -> Iterator[Pattern]:  # noqa: ARG002
        """Give the policies that paths rest on alone."""
        for (kind, namespace, name, direction), one in self._used.items():
            if one.count < CONNECTIONS:
                continue
            ref = ObjectRef(kind, namespace, name)
            shown = "; ".join(sorted(one.paths)[:5])
            yield Pattern(
                kind=self.kind,
                actor=one.actor,
                server=one.sample.sight.server,
                to=f"{direction.lower()} by {ref}",
                port=None,
                protocol="",
                severity=AlertSeverity.LOW,
                summary=(
                    f"{len(one.paths)} paths rest on {ref} alone, whose {direction.lower()} allows "
                    f"more than they need"
                ),
                evidence=(f"used: {shown}", f"threshold: {CONNECTIONS} connections"),
                first_ns=one.first_ns,
                last_ns=one.last_ns,
                count=one.count,
                samples=one.samples,
                rule=RuleRef(ref, f"spec.{direction.lower()}"),
            )

    def forget_before(self, time_ns: int) -> None:
        """Let go of policies that nothing used since."""
        self._used = {key: one for key, one in self._used.items() if one.last_ns >= time_ns}


def _is_broad(seen: Seen) -> bool:
    sight = seen.sight
    if sight.flow.match_type == MATCH_ALL:
        return True
    if sight.flow.match_type != MATCH_PORT:
        return False
    far = sight.client.project and sight.server.project not in ("", sight.client.project)
    return bool(far) or sight.client.is_outside or sight.server.is_outside
