"""Every detector there is."""

from __future__ import annotations

from app.core.insights.patterns.beacon import Beacon
from app.core.insights.patterns.broad_path import BroadPath
from app.core.insights.patterns.dns_tunnel import DnsTunnel
from app.core.insights.patterns.drop_rise import DropRise
from app.core.insights.patterns.first_seen import FirstSeen
from app.core.insights.patterns.nxdomain import NxdomainStorm
from app.core.insights.patterns.pattern import Detector
from app.core.insights.patterns.project_tries import ProjectTries
from app.core.insights.patterns.scan import HostSweep, PortScan
from app.core.insights.patterns.serving import WorkspaceServes
from app.core.insights.patterns.stopped import ConnectionStopped


def make_detectors(rises: DropRise) -> tuple[Detector, ...]:
    """A fresh set; `rises` is given because changes of policies are told to it."""
    return (
        FirstSeen(),
        PortScan(),
        HostSweep(),
        DnsTunnel(),
        NxdomainStorm(),
        ProjectTries(),
        Beacon(),
        rises,
        WorkspaceServes(),
        ConnectionStopped(),
        BroadPath(),
    )


KINDS = tuple(one.kind for one in make_detectors(DropRise()))
"""The names of all patterns, as alerts have them."""
