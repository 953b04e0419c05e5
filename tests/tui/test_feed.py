from __future__ import annotations

from app.core.flows.halves import Packet
from app.core.flows.ring import Ring
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow
from app.tui.feed import FlowFeed, LiveRows, StillRows
from widgets.spans import Line, line


def draw(packet: Packet) -> tuple[Line, ...]:
    return (line("+".join(flow.node for flow in packet.flows)),)


def flow(at_s: int, verdict: str = "FORWARDED") -> Flow:
    return Flow(at_s * NS_PER_S, verdict, node=f"n{at_s}")


def feed_of(*flows: Flow, capacity: int = 10) -> tuple[Ring, FlowFeed]:
    ring = Ring(capacity)
    ring.keep(flows)
    return ring, FlowFeed(ring, draw, 1)


def nodes(rows: LiveRows | StillRows) -> list[str]:
    return [rows.cells(at)[0][0].text for at in range(len(rows))]


def test_feed_when_flows_come_then_rows_follow_after_update() -> None:
    ring, feed = feed_of(flow(1))
    ring.append(flow(2))
    assert feed.update() == 1
    rows = feed.rows(0)
    assert nodes(rows) == ["n1", "n2"]
    assert rows.find(1) == 1
    assert rows.find(7) is None
    assert rows.find("x") is None


def test_feed_when_filtered_then_only_what_fits_by_its_own_number() -> None:
    ring, feed = feed_of(flow(1), flow(2, "DROPPED"), flow(3))
    feed.filter(lambda one: one.verdict == "DROPPED", 0)
    ring.append(flow(4, "DROPPED"))
    assert feed.update() == 1
    rows = feed.rows(0)
    assert nodes(rows) == ["n2", "n4"]
    assert [rows.key(at) for at in range(2)] == [1, 3]
    assert rows.packet(3) is not None
    assert rows.find(2) is None


def test_feed_when_stopped_then_twice_the_capacity_changes_nothing_shown() -> None:
    ring, feed = feed_of(*(flow(at) for at in range(10)))
    rows = feed.stop(0)
    before = nodes(rows)
    ring.keep(flow(100 + at) for at in range(20))
    feed.update()
    assert nodes(feed.rows(0)) == before
    assert (feed.waiting, feed.evicted) == (20, 10)
    feed.go_on()
    assert nodes(feed.rows(0))[0] == "n110"
    assert (feed.waiting, feed.evicted, feed.is_still) == (0, 0, False)


def test_feed_when_a_window_is_set_then_older_flows_are_left_out() -> None:
    _, feed = feed_of(*(flow(at) for at in range(10)))
    feed.window(3, 9 * NS_PER_S)
    assert nodes(feed.rows(9 * NS_PER_S)) == ["n6", "n7", "n8", "n9"]
    feed.window(None, 9 * NS_PER_S)
    assert len(feed.rows(9 * NS_PER_S)) == 10


def test_feed_when_cleared_then_only_what_comes_afterwards() -> None:
    ring, feed = feed_of(flow(1), flow(2))
    feed.clear()
    ring.append(flow(3))
    feed.update()
    assert nodes(feed.rows(0)) == ["n3"]


def test_feed_when_filtered_while_standing_then_it_still_stands() -> None:
    ring, feed = feed_of(flow(1, "DROPPED"), flow(2))
    feed.stop(0)
    feed.filter(lambda one: one.verdict == "DROPPED", 0)
    ring.append(flow(3, "DROPPED"))
    feed.update()
    assert feed.is_still
    assert nodes(feed.rows(0)) == ["n1"]
    feed.window(60, 2 * NS_PER_S)
    assert feed.is_still


def test_rows_when_evicted_between_counting_and_drawing_then_blank() -> None:
    ring, feed = feed_of(*(flow(at) for at in range(10)))
    feed.filter(lambda _one: True, 0)
    rows = feed.rows(0)
    ring.keep(flow(100 + at) for at in range(10))
    assert rows.cells(0) == ((),)
    assert rows.flows() == []


def half(direction: str, at_s: float) -> Flow:
    return Flow(
        round(at_s * NS_PER_S),
        "FORWARDED",
        source_ip="10.0.0.1",
        destination_ip="10.0.0.2",
        destination_port=80,
        direction=direction,
        node=direction.lower(),
    )


def test_feed_when_a_packet_is_seen_twice_then_one_row_until_unfolded() -> None:
    ring, feed = feed_of(half("EGRESS", 1), half("INGRESS", 1.1))
    assert nodes(feed.rows(0)) == ["egress+ingress"]
    assert len(feed.rows(0).flows()) == 2
    ring.keep((half("EGRESS", 2), half("INGRESS", 2.1)))
    feed.update()
    assert nodes(feed.rows(0)) == ["egress+ingress"] * 2
    feed.unfolded = True
    feed.filter(None, 0)
    assert nodes(feed.rows(0)) == ["egress", "ingress"] * 2
    assert len(feed.rows(0).flows()) == 4


def test_feed_when_the_other_half_comes_while_standing_then_the_row_stays_as_it_was() -> None:
    ring, feed = feed_of(half("EGRESS", 1))
    feed.stop(0)
    ring.append(half("INGRESS", 1.1))
    feed.update()
    assert nodes(feed.rows(0)) == ["egress"]
    feed.go_on()
    assert nodes(feed.rows(0)) == ["egress+ingress"]
