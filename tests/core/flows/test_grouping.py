from __future__ import annotations

from msgspec import structs

from app.core.flows.grouping import MOST_ATTEMPTS, Connections
from app.core.flows.parts import KEEP_DISTINCT
from app.core.model.flow import Flow, FlowEndpoint

ALICE = FlowEndpoint(identity=300, namespace="prj-a", pod="alice-0")
GITEA = FlowEndpoint(identity=301, namespace="gitea", pod="gitea-0")
WORLD = FlowEndpoint(identity=2, labels=("reserved:world",))

SYN = Flow(
    time_ns=10,
    verdict="DROPPED",
    drop_reason="POLICY_DENIED",
    source=ALICE,
    destination=GITEA,
    source_ip="10.0.0.1",
    destination_ip="10.0.0.2",
    protocol="TCP",
    source_port=40_000,
    destination_port=3000,
    event=1,
    node="n",
)


def change(flow: Flow, **fields: object) -> Flow:
    return structs.replace(flow, **fields)


def test_connections_when_packets_repeat_then_they_are_tries_of_one_attempt() -> None:
    (only,) = Connections([change(SYN, time_ns=ns) for ns in (10, 20, 40)]).ranked()
    assert (only.flows, only.packets, only.attempts) == (3, 3, 1)
    assert (only.first_ns, only.last_ns) == (10, 40)


def test_connections_when_client_ports_differ_then_each_is_an_attempt() -> None:
    (only,) = Connections([change(SYN, source_port=port) for port in (1, 2, 2)]).ranked()
    assert only.attempts == 2


def test_connections_when_a_packet_gives_two_events_then_it_counts_once() -> None:
    verdict = change(SYN, event=5, time_ns=9)
    for order in ([verdict, SYN], [SYN, verdict]):
        (only,) = Connections(order).ranked()
        assert (only.flows, only.packets) == (2, 1)
    assert Connections([verdict, SYN]).ranked()[0].newest is verdict


def test_connections_when_a_reply_comes_then_it_belongs_to_what_it_answers() -> None:
    request = change(SYN, verdict="FORWARDED", drop_reason="", event=4, is_reply=False)
    reply = change(
        request,
        source=GITEA,
        destination=ALICE,
        source_ip="10.0.0.2",
        destination_ip="10.0.0.1",
        source_port=3000,
        destination_port=40_000,
        is_reply=True,
    )
    (only,) = Connections([request, reply]).ranked()
    assert (only.source, only.destination, only.port) == (ALICE, GITEA, 3000)
    assert (only.flows, only.attempts) == (2, 1)


def test_connections_when_verdict_port_or_address_differ_then_they_stand_apart() -> None:
    flows = [
        SYN,
        change(SYN, verdict="AUDIT", drop_reason=""),
        change(SYN, destination_port=22),
        change(SYN, destination=WORLD, destination_ip="203.0.113.1"),
        change(SYN, destination=WORLD, destination_ip="203.0.113.2"),
    ]
    assert len(Connections(flows)) == 5


def test_connections_when_pods_are_of_one_workload_then_they_are_one() -> None:
    pods = [
        structs.replace(ALICE, pod=pod, workload="alice", workload_kind="StatefulSet")
        for pod in ("alice-0", "alice-1")
    ]
    (only,) = Connections([change(SYN, source=pod) for pod in pods]).ranked()
    assert only.source.workload == "alice"


def test_connections_when_equal_content_is_another_object_then_it_is_the_same() -> None:
    copy = structs.replace(ALICE)
    assert copy is not ALICE
    assert len(Connections([SYN, change(SYN, source=copy)])) == 1


def test_connections_when_ranked_then_the_most_frequent_is_first() -> None:
    other = change(SYN, destination_port=22, time_ns=99)
    assert [one.port for one in Connections([other, SYN, SYN]).ranked()] == [3000, 22]
    assert [one.port for one in Connections([other, SYN]).ranked()] == [22, 3000]


def test_connections_when_a_port_scan_never_ends_then_attempts_do() -> None:
    many = (change(SYN, source_port=port) for port in range(1, MOST_ATTEMPTS + 10))
    (only,) = Connections(many).ranked()
    assert only.attempts == MOST_ATTEMPTS


def test_connections_when_objects_never_repeat_then_content_still_does() -> None:
    copies = (change(SYN, source_ip=str(number)) for number in range(KEEP_DISTINCT + 1))
    (only,) = Connections(copies).ranked()
    assert only.flows == KEEP_DISTINCT + 1


def test_names_when_the_newest_flow_is_a_reply_then_they_are_turned_with_its_ends() -> None:
    reply = change(
        SYN,
        time_ns=20,
        verdict="FORWARDED",
        source=WORLD,
        destination=ALICE,
        source_ip="192.0.2.1",
        destination_ip="10.0.0.1",
        source_port=443,
        destination_port=40_000,
        source_names=("pypi.org",),
        is_reply=True,
    )
    (only,) = Connections([reply]).ranked()
    assert only.names == ((), ("pypi.org",))
    assert (only.source, only.destination, only.port) == (ALICE, WORLD, 443)
