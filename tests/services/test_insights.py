from __future__ import annotations

from app.core.flows.ring import Ring
from app.core.flows.times import NS_PER_S
from app.core.insights.alert import AlertSeverity, AlertState
from app.core.model.flow import FlowBatch, LostEvents
from app.services.insights import AlertBook, Changes, alerts_of, at_least, policy_changes
from app.testing.pictures import picture_of, small_tre
from tests.core.insights.sights import START_NS, Pod, answered, refused

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


def policy(rules: str) -> str:
    return (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        "metadata: {name: mirror-in, namespace: mirror, "
        "annotations: {argocd.argoproj.io/tracking-id: 'mirror:x'}}\n"
        f"spec: {{podSelector: {{}}, {rules}}}\n"
    )


def test_book_when_a_policy_changed_before_drops_rose_then_the_rise_names_it() -> None:
    from dataclasses import replace

    mirror = Pod("mirror", "mirror-0", "10.0.2.1")
    open_to_all = picture_of(small_tre(), policy("ingress: [{}]"))
    shut = replace(
        picture_of(small_tre(), policy("ingress: []")), as_of_ns=START_NS + 600 * NS_PER_S
    )
    book = AlertBook()
    book.know(open_to_all)
    before = [
        one
        for at in range(0, 600, 60)
        for one in answered(ALICE, mirror, 80, at, source_port=at + 1)
    ]
    book.take(FlowBatch(tuple(before)))
    book.know(shut)
    after = [
        one
        for at in range(610, 900, 30)
        for one in refused(ALICE, mirror, 80, at, source_port=at, direction="INGRESS")
    ]
    book.take(FlowBatch(tuple(after)))
    (rise,) = [one for one in book.alerts(shut).items if one.kind == "drop-rise"]
    assert "NetworkPolicy/mirror/mirror-in was changed" in rise.cause.summary
    assert "by Argo CD mirror:x" in rise.cause.summary
    assert rise.cause.rule is not None


def test_changes_of_policies_when_the_picture_is_the_first_then_only_known_times_are_told() -> None:
    made = picture_of(small_tre(), policy("ingress: []")).cluster.policies
    assert not list(policy_changes({}, made, 5, first=True))
    (came,) = policy_changes({}, made, 5)
    (went,) = policy_changes({one.ref: one for one in made}, (), 7)
    assert (came.time_ns, went.time_ns) == (5, 7)
    assert "deleted" in went.text
