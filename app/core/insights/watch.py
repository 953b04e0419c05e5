"""Flows in, alerts out: what is kept of a stream of flows, bounded by workloads.

Each flow is looked at once, when it comes; what is asked later costs by groups, not by flows.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.core.flows.times import NS_PER_S
from app.core.insights.alert import Alert, Alerts
from app.core.insights.party import Directory
from app.core.insights.patterns.all import make_detectors
from app.core.insights.patterns.drop_rise import DropRise, PolicyChange
from app.core.insights.patterns.pattern import alert_of
from app.core.insights.refusals import RefusalBook
from app.core.insights.scene import Scene
from app.core.insights.sight import sight_of
from app.core.insights.violations import Judge, violations
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow, FlowBatch

KEEP_NS = 24 * 3600 * NS_PER_S
"""What was last seen longer ago is let go."""
_TIDY_NS = 600 * NS_PER_S


class Watch:
    """What a stream of flows has shown so far. Not for two threads at once."""

    def __init__(self) -> None:
        self._directory = Directory()
        self._refusals = RefusalBook()
        self._scene = Scene()
        self._rises = DropRise()
        self._detectors = make_detectors(self._rises)
        self._tidied_ns = 0
        self.first_ns = 0
        self.last_ns = 0
        self.seen = 0
        self.lost = 0

    def know(self, cluster: Cluster) -> None:
        """Take over which pods belong to which workload."""
        self._directory.learn(cluster)

    def take(self, batch: FlowBatch) -> None:
        """Look at what a source delivered, its losses included."""
        self.lost += sum(one.count for one in batch.lost) + batch.dropped
        self.add(batch.flows)

    def add(self, flows: Iterable[Flow]) -> None:
        """Look at flows, in about the order of their time."""
        directory, refusals = self._directory, self._refusals
        scene, detectors = self._scene, self._detectors
        for flow in flows:
            self.seen += 1
            self.last_ns = max(self.last_ns, flow.time_ns)
            if not self.first_ns or flow.time_ns < self.first_ns:
                self.first_ns = flow.time_ns
            sight = sight_of(flow, directory)
            if sight is None:
                continue
            refusals.add(sight)
            seen = scene.note(sight)
            for one in detectors:
                one.see(seen, scene)
            if flow.l7 is not None and flow.l7.dns is not None and flow.l7.dns.ips:
                directory.learn_names(flow.l7.dns)
        if self.last_ns - self._tidied_ns > _TIDY_NS:
            self._tidied_ns = self.last_ns
            self._forget_before(self.last_ns - KEEP_NS)

    def note_change(self, change: PolicyChange) -> None:
        """Take over that a policy was changed."""
        self._rises.note_change(change)

    def _forget_before(self, time_ns: int) -> None:
        self._refusals.forget_before(time_ns)
        self._scene.forget_before(time_ns)
        for one in self._detectors:
            one.forget_before(time_ns)

    def alerts(self, judge: Judge, now_ns: int = 0) -> Alerts:
        """Give every alert as of `now_ns`; 0 means the time of the newest flow."""
        now_ns = now_ns or self.last_ns
        found: list[Alert] = list(violations(list(self._refusals), judge, now_ns))
        found += (
            alert_of(pattern, now_ns)
            for one in self._detectors
            for pattern in list(one.found(self._scene, now_ns))
        )
        found.sort(key=lambda one: one.order)
        return Alerts(
            items=tuple(found),
            since_ns=self.first_ns,
            until_ns=max(now_ns, self.last_ns),
            seen=self.seen,
            lost=self.lost,
            forgotten=self._refusals.forgotten + self._scene.forgotten,
        )
