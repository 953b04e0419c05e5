from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.flows.ring import Predicate, Ring, View
from app.core.model.flow import GAP, Flow, FlowBatch, LostEvents, NodeStatus


def flow(number: int) -> Flow:
    return Flow(time_ns=number, verdict="DROPPED" if number % 3 == 0 else "FORWARDED")


def is_dropped(item: Flow) -> bool:
    return item.verdict == "DROPPED"


def test_ring_when_not_full_then_everything_is_there_by_number() -> None:
    ring = Ring(4)
    ring.append(flow(0))
    ring.keep(map(flow, range(1, 3)))
    assert ring.seen == 3
    assert (ring.first_seq, ring.next_seq, len(ring), ring.evicted) == (0, 3, 3, 0)
    assert [item.time_ns for item in ring] == [0, 1, 2]
    assert ring.get(3) is None


def test_ring_when_full_then_the_oldest_go_and_numbers_stay() -> None:
    ring = Ring(4)
    ring.keep(map(flow, range(10)))
    assert (ring.first_seq, ring.next_seq, ring.evicted) == (6, 10, 6)
    assert ring.get(5) is None
    kept = ring.get(7)
    assert kept is not None
    assert kept.time_ns == 7
    assert [item.time_ns for item in ring.range(0, 99)] == [6, 7, 8, 9]
    assert ring.range(8, 8) == []


def test_ring_when_a_batch_comes_then_losses_are_counted_by_source() -> None:
    ring = Ring(4)
    lost = (LostEvents("HUBBLE_RING_BUFFER", 5), LostEvents("HUBBLE_RING_BUFFER", 2))
    batch = FlowBatch(
        flows=(flow(0), flow(1)), lost=lost, unreadable=1, unknown={"flow.x": 2}, dropped=7
    )
    ring.extend(batch)
    ring.extend(batch)
    assert ring.lost == {"HUBBLE_RING_BUFFER": 14}
    assert (ring.unreadable, ring.dropped, ring.unknown) == (2, 14, {"flow.x": 4})
    assert ring.verdicts == {"DROPPED": 2, "FORWARDED": 2}


def test_ring_when_told_of_nodes_then_it_knows_who_is_away_and_where_flows_may_be_missing() -> None:
    ring = Ring(4)
    ring.extend(FlowBatch(statuses=(NodeStatus("NODE_CONNECTED", ("a", "b", "c")),)))
    ring.extend(FlowBatch(statuses=(NodeStatus("NODE_ERROR", ("a", "b"), "no route"),)))
    assert {node: one.message for node, one in ring.away.items()} == {
        "a": "no route",
        "b": "no route",
    }
    gap = NodeStatus(GAP, (), "4 s")
    back, gone = NodeStatus("NODE_CONNECTED", ("a",)), NodeStatus("NODE_GONE", ("b",))
    ring.extend(FlowBatch(statuses=(back, gone, gap)))
    assert not ring.away
    assert list(ring.gaps) == [gap]


def test_ring_when_cleared_then_numbers_go_on() -> None:
    ring = Ring(4)
    ring.keep(map(flow, range(6)))
    ring.clear()
    assert (ring.first_seq, ring.next_seq, len(ring)) == (6, 6, 0)
    ring.keep(map(flow, range(6, 12)))
    assert [item.time_ns for item in ring] == [8, 9, 10, 11]
    assert ring.get(9) == flow(9)


def test_ring_when_it_could_hold_nothing_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="0"):
        Ring(0)


@given(
    st.integers(1, 7),
    st.lists(st.one_of(st.integers(0, 12), st.just(-1)), max_size=12),
    st.sampled_from([None, is_dropped]),
)
def test_view_when_flows_come_and_go_then_it_equals_a_scan(
    capacity: int, steps: list[int], matches: Predicate | None
) -> None:
    ring = Ring(capacity)
    view = View(ring, matches)
    number = 0
    for step in steps:
        if step < 0:
            ring.clear()
        ring.keep(map(flow, range(number, number + max(step, 0))))
        number += max(step, 0)
        view.update()
        wanted = [
            seq
            for seq in range(ring.first_seq, ring.next_seq)
            if matches is None or matches(flow(seq))
        ]
        assert [view.seq_at(index) for index in range(len(view))] == wanted
        assert view.seqs(1, 3) == wanted[1:4]
        assert [view.index_of(seq) for seq in wanted] == list(range(len(wanted)))


def test_view_when_updated_then_it_says_how_many_came() -> None:
    ring = Ring(10)
    view = View(ring, is_dropped)
    ring.keep(map(flow, range(4)))
    assert view.update() == 2
    assert view.update() == 0


def test_view_when_made_late_then_it_sees_what_is_kept() -> None:
    ring = Ring(10)
    ring.keep(map(flow, range(12)))
    view = View(ring, is_dropped)
    view.update()
    assert view.seqs(0, 9) == [3, 6, 9]
    assert view.index_of(7) == 2
