from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.core.flows.halves import APART_NS, MOST, Folding
from app.core.model.flow import EVENT_DROP, EVENT_VERDICT, Flow, HttpInfo, L7Info, PolicyEvidence
from app.services.flow_words import path_words

OUT = PolicyEvidence("CiliumNetworkPolicy", "lung", "workspace")
IN = PolicyEvidence("CiliumNetworkPolicy", "mirror", "mirror-in")


def seen(direction: str, **changes: object) -> Flow:
    fields: dict[str, object] = {
        "time_ns": 10_000_000_000,
        "verdict": "FORWARDED",
        "source_ip": "10.0.0.1",
        "destination_ip": "10.0.0.2",
        "source_port": 40000,
        "destination_port": 8080,
        "protocol": "TCP",
        "tcp_flags": "SYN",
        "direction": direction,
        "event": EVENT_VERDICT,
    }
    return Flow(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass
class Story:
    """Flows as they came through a folding, and the rows that were left."""

    flows: tuple[Flow, ...]

    def __post_init__(self) -> None:
        self.folding = Folding()
        self.rows = [one for one in self.flows if self.folding(one)]


def test_folding_when_a_packet_leaves_and_enters_then_one_with_both_policies() -> None:
    story = Story((
        seen("EGRESS", egress_allowed_by=(OUT,)),
        seen("INGRESS", ingress_allowed_by=(IN,), time_ns=10_400_000_000, node="node-2"),
    ))  # fmt: skip
    (row,) = story.rows
    packet = story.folding.packet(row)
    assert packet.flows == story.flows
    assert path_words(packet, "->") == "workspace -> mirror-in"


def test_folding_when_it_enters_nowhere_then_the_refusing_half_decides() -> None:
    story = Story((
        seen("EGRESS", egress_allowed_by=(OUT,)),
        seen("INGRESS", verdict="DROPPED", drop_reason="POLICY_DENIED", event=EVENT_DROP),
        seen("INGRESS", verdict="DROPPED", drop_reason="POLICY_DENIED"),
    ))  # fmt: skip
    (row,) = story.rows
    packet = story.folding.packet(row)
    assert packet.deciding is story.flows[2]
    assert path_words(packet, "->") == "workspace -> default deny"


@pytest.mark.parametrize(
    "changes",
    [
        {"time_ns": 10_000_000_001 + APART_NS},
        {"source_port": 40001},
        {"tcp_flags": "SYN,ACK"},
        {"direction": "EGRESS"},
        {"l7": L7Info("REQUEST", http=HttpInfo("GET", "/"))},
        {"verdict": "TRANSLATED"},
        {"source_ip": ""},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_folding_when_it_is_another_packet_then_another_row(changes: dict[str, object]) -> None:
    second = seen("INGRESS", **changes) if "direction" not in changes else seen("EGRESS")
    story = Story((seen("EGRESS"), second))
    assert len(story.rows) == 2
    assert [story.folding.packet(row).flows for row in story.rows] == [(one,) for one in story.rows]


def test_folding_when_filtered_then_only_halves_that_fit_are_folded() -> None:
    folding = Folding(lambda flow: flow.direction == "INGRESS")
    rows = [one for one in (seen("EGRESS"), seen("INGRESS")) if folding(one)]
    assert [one.direction for one in rows] == ["INGRESS"]
    assert folding.folded == 0


def test_folding_when_it_never_ends_then_what_is_remembered_is_bounded() -> None:
    folding = Folding()
    for at in range(MOST + 10):
        folding(seen("EGRESS", source_port=at))
        folding(seen("INGRESS", source_port=at))
    assert folding.folded == MOST + 10
    assert len(folding._packets) == MOST
    assert len(folding._open) <= MOST


def test_path_words_when_nothing_is_known_then_empty() -> None:
    assert path_words(Folding().packet(seen("EGRESS")), "->") == ""
