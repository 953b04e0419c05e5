from __future__ import annotations

import pytest

from app.core.diagnose.story import condense
from app.core.model.flow import Flow

TRACE, DROP = 4, 1


@pytest.mark.parametrize("point", ["FROM_OVERLAY", "FROM_NETWORK", "TO_OVERLAY"])
def test_condense_when_a_packet_is_seen_between_nodes_then_it_has_not_arrived(point: str) -> None:
    underway = Flow(
        2_000_000_000,
        verdict="FORWARDED",
        event=TRACE,
        trace_point=point,
        direction="INGRESS",
        is_reply=False,
    )
    drop = Flow(1, verdict="DROPPED", event=DROP, direction="INGRESS", drop_reason="POLICY_DENIED")

    story = condense([drop, underway])

    assert story.last_arrived is None
    assert story.ends_denied


def test_condense_when_a_packet_gets_to_its_pod_then_it_has_arrived() -> None:
    arrival = Flow(
        1, verdict="FORWARDED", event=TRACE, trace_point="TO_ENDPOINT", direction="INGRESS"
    )

    assert condense([arrival]).last_arrived is arrival
