"""The guided path as data: what an expert asks, in that order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.core.diagnose.case import Case
from app.core.diagnose.finding import Finding
from app.core.diagnose.step_flows import look_at_agreement, look_at_drops
from app.core.diagnose.step_names import look_at_name
from app.core.diagnose.step_objects import look_at_ends, look_at_service
from app.core.diagnose.step_policies import (
    look_at_egress,
    look_at_gateway,
    look_at_ingress,
    look_at_layer7,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One question of the path. `overrules`: its cause wins over those of earlier steps."""

    key: str
    asks: str
    look: Callable[[Case], Finding]
    overrules: bool = False


STEPS = (
    Step("ends", "are both ends known and ready?", look_at_ends),
    Step("names", "is the name asked for, answered and learned?", look_at_name),
    Step("service", "does the Service lead to ready backends, on which port?", look_at_service),
    Step("egress", "does the source's egress policy allow it?", look_at_egress),
    Step("gateway", "does every hop through the own gateway allow it?", look_at_gateway),
    Step("ingress", "does the destination's ingress policy allow it?", look_at_ingress),
    Step("layer7", "do layer 7 rules let the request through?", look_at_layer7),
    Step("drops", "does Hubble report a drop that is not policy?", look_at_drops),
    Step("agreement", "do flows and policies agree?", look_at_agreement, overrules=True),
)
