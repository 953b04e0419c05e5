from __future__ import annotations

from collections.abc import Iterable

from app.core.insights.party import Directory
from app.core.insights.refusals import (
    MANY_PORTS,
    MOST_GROUPS,
    MOST_OUTSIDE,
    MOST_PORTS,
    RefusalBook,
)
from app.core.insights.sight import arrives, sight_of
from app.core.model.flow import Flow, HttpInfo, L7Info
from tests.core.insights.sights import START_NS, Outside, Pod, answered, flow, refused

ALICE = Pod("project-lung", "jupyter-alice", "10.0.1.1")
BOB = Pod("project-heart", "jupyter-bob", "10.0.1.2")


def book_of(flows: Iterable[Flow]) -> RefusalBook:
    book, directory = RefusalBook(), Directory()
    for one in flows:
        if (sight := sight_of(one, directory)) is not None:
            book.add(sight)
    return book


def test_refusals_when_a_packet_shows_twice_then_it_counts_once_and_the_verdict_is_kept() -> None:
    verdict, drop = refused(ALICE, BOB, 8888)
    for flows in ((verdict, drop), (drop, verdict)):
        (group,) = book_of(flows)
        assert (group.count, group.attempts) == (1, 1)
        assert group.sample is verdict


def test_refusals_when_tcp_tries_again_then_it_is_one_attempt() -> None:
    again = [one for at in (0, 1, 3, 7) for one in refused(ALICE, BOB, 8888, at)]
    (group,) = book_of([*again, *refused(ALICE, BOB, 8888, 9, source_port=40_001)])
    assert (group.count, group.attempts) == (5, 2)


def test_refusals_when_what_passes_is_added_then_there_are_none() -> None:
    assert len(book_of(answered(ALICE, BOB, 8888))) == 0


def test_refusals_when_an_answer_is_dropped_then_the_port_is_the_servers() -> None:
    """A drop does not say that it is an answer; SYN and ACK together do."""
    drop = flow(
        BOB, ALICE, 40_000, verdict="DROPPED", drop_reason="CT_INVALID_HEADER",
        event=1, is_reply=None, source_port=8888, tcp_flags="SYN,ACK",
    )  # fmt: skip
    (group,) = book_of([drop])
    assert (group.client.text, group.port) == ("project-lung/jupyter-alice", 8888)


def test_refusals_when_a_request_is_refused_then_messages_count() -> None:
    request = L7Info("REQUEST", http=HttpInfo("POST", "http://mirror/upload"))
    denied = flow(ALICE, BOB, 8080, verdict="DROPPED", event=129, l7=request, tcp_flags="")
    (group,) = book_of([denied, denied])
    assert (group.count, group.reason) == (2, "http")


def test_refusals_when_every_port_is_tried_then_the_groups_have_an_end() -> None:
    book = book_of(one for port in range(1, 5000) for one in refused(ALICE, BOB, port))
    assert len(book) == MOST_PORTS + 1
    rest = [group for group in book if group.port == MANY_PORTS]
    assert rest[0].count == 5000 - 1 - MOST_PORTS


def test_refusals_when_the_whole_outside_is_tried_then_the_groups_have_an_end() -> None:
    hosts = (Outside(f"203.0.{high}.{low}") for high in range(4) for low in range(250))
    assert len(book_of(one for host in hosts for one in refused(ALICE, host, 443))) == (
        MOST_OUTSIDE + 1
    )


def test_refusals_when_there_are_too_many_then_the_quietest_go_and_are_counted() -> None:
    pods = (Pod("prj", f"p{n}", "10.0.0.1") for n in range(MOST_GROUPS + 1))
    book = book_of(refused(one, BOB, 1, at)[0] for at, one in enumerate(pods))
    assert book.forgotten == MOST_GROUPS // 10
    assert "prj/p0" not in {group.client.text for group in book}


def test_refusals_when_told_to_forget_then_only_what_is_old_goes() -> None:
    book = book_of([*refused(ALICE, BOB, 1, 0), *refused(ALICE, BOB, 2, 50)])
    book.forget_before(START_NS + 10_000_000_000)
    assert [group.port for group in book] == [2]


def test_sight_when_a_packet_only_left_its_pod_then_nothing_let_it_through_yet() -> None:
    """As a running Cilium 1.19.3 shows a refused connection: sent, and then the twins."""
    sent = flow(ALICE, BOB, 80, event=4, is_reply=None, trace_point="FROM_ENDPOINT")
    let_in = flow(ALICE, BOB, 80, event=4, trace_point="TO_ENDPOINT", direction="EGRESS")
    seen = [sight_of(one, Directory()) for one in (sent, let_in)]
    assert [one.shows.value for one in seen if one] == ["sent", "passed"]
    assert [arrives(one) for one in seen if one] == [False, True]


def test_sight_when_neighbours_discover_each_other_then_it_is_nobodys_connection() -> None:
    hello = flow(ALICE, BOB, 133, protocol="ICMPv6", verdict="DROPPED", event=1)
    assert sight_of(hello, Directory()) is None
    assert sight_of(flow(ALICE, BOB, 128, protocol="ICMPv6"), Directory()) is not None
