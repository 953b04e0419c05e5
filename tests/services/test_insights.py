from __future__ import annotations

from app.core.flows.ring import Ring
from app.core.flows.times import NS_PER_S
from app.core.insights.alert import AlertSeverity, AlertState
from app.core.model.flow import FlowBatch, LostEvents
from app.services.insights import AlertBook, Changes, alerts_of, at_least
from app.testing.pictures import picture_of, small_tre
from tests.core.insights.sights import START_NS, Pod, refused

ALICE = Pod("lung", "jupyter-alice", "10.0.1.1")
BOB = Pod("heart", "jupyter-bob", "10.0.1.2")


def test_book_when_it_follows_a_ring_then_each_flow_counts_once() -> None:
    ring, book, picture = Ring(100), AlertBook(), picture_of(small_tre())
    ring.keep(refused(ALICE, BOB, 1))
    assert book.follow(ring) == 2
    assert book.follow(ring) == 0
    ring.keep(refused(ALICE, BOB, 1, 1))
    book.follow(ring)
    (alert,) = book.alerts(picture).items
    assert alert.count == 2


def test_book_when_the_ring_let_flows_go_then_they_count_as_lost() -> None:
    ring, book = Ring(4), AlertBook()
    ring.keep(refused(ALICE, BOB, 1))
    book.follow(ring)
    for at in range(4):
        ring.keep(refused(ALICE, BOB, 1, at))
    book.follow(ring)
    assert book.alerts(picture_of(small_tre())).lost == 4


def test_alerts_when_events_were_lost_then_the_list_says_how_many() -> None:
    book = AlertBook()
    book.take(FlowBatch(tuple(refused(ALICE, BOB, 1)), (LostEvents("PERF", 7),), dropped=2))
    assert book.alerts(picture_of(small_tre())).lost == 9


def test_book_and_one_look_give_the_same() -> None:
    picture = picture_of(small_tre())
    flows = [one for at in range(5) for one in refused(ALICE, BOB, at + 1, at)]
    book = AlertBook()
    book.know(picture)
    for one in flows:
        book.take(FlowBatch((one,)))
    assert book.alerts(picture) == alerts_of(picture, flows)


def test_changes_when_looked_at_again_then_only_news_is_told() -> None:
    picture, changes, book = picture_of(small_tre()), Changes(), AlertBook()
    book.take(FlowBatch(tuple(refused(ALICE, BOB, 1))))
    first = book.alerts(picture, START_NS + NS_PER_S)
    assert [one.state for one in changes.of(first)] == [AlertState.NEW]
    assert not list(changes.of(first))
    later = book.alerts(picture, START_NS + 3600 * NS_PER_S)
    assert [one.state for one in changes.of(later)] == [AlertState.ENDED]


def test_at_least_when_an_alert_has_ended_then_it_is_left_out() -> None:
    picture = picture_of(small_tre())
    now = alerts_of(picture, refused(ALICE, BOB, 1))
    later = alerts_of(picture, refused(ALICE, BOB, 1), now_ns=START_NS + 3600 * NS_PER_S)
    assert at_least(now, AlertSeverity.EXPECTED)
    assert not at_least(later, AlertSeverity.EXPECTED)
