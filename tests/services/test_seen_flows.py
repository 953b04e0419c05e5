"""Flows become connections: each once, whoever saw it, of pods that are there or described."""

import msgspec
import pytest

from app.core.diagnose.evidence import FlowEvidence
from app.core.drafts.seen import Seen
from app.core.model.cluster import IdentityKind
from app.core.model.flow import EVENT_L7, Flow, FlowEndpoint
from app.services.seen_flows import seen_connections
from app.testing.builders import pod
from app.testing.pictures import picture_of

WEB = FlowEndpoint(1, "lab", "web-1", ("k8s:app=web", "k8s:io.kubernetes.pod.namespace=lab"))
DB = FlowEndpoint(2, "lab", "db-1", ("k8s:app=db", "k8s:io.kubernetes.pod.namespace=lab"))
FLOW = Flow(
    10**9,
    "FORWARDED",
    WEB,
    DB,
    source_ip="10.0.0.1",
    destination_ip="10.0.0.2",
    source_port=4000,
    destination_port=5432,
    protocol="TCP",
)
PICTURE = picture_of(
    pod("lab/web-1", "10.0.0.1", labels={"app": "web"}),
    "{apiVersion: v1, kind: Service, metadata: {name: db, namespace: lab},"
    " spec: {clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7], ports: [{port: 5432}]}}",
)


def _seen(*flows: Flow) -> tuple[Seen, ...]:
    return seen_connections(FlowEvidence(flows), PICTURE.engine)


def test_seen_when_both_ends_and_several_packets_show_it_then_one_connection() -> None:
    other = replace_flow(source_port=4001)
    (seen,) = _seen(FLOW, replace_flow(time_ns=2 * 10**9), other, replace_flow(verdict="AUDIT"))
    assert seen.count == 2
    assert (seen.question.port, seen.question.protocol.value) == (5432, "TCP")


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "DROPPED"},
        {"trace_point": "FROM_ENDPOINT"},
        {"is_reply": True},
        {"event": EVENT_L7},
        {"protocol": "VRRP"},
        {"destination": FlowEndpoint(), "destination_ip": ""},
    ],
)
def test_seen_when_it_opens_no_connection_or_did_not_pass_then_nothing(
    change: dict[str, object],
) -> None:
    assert _seen(replace_flow(**change)) == ()


def test_seen_when_dropped_further_on_then_it_did_not_pass() -> None:
    assert _seen(FLOW, replace_flow(verdict="DROPPED", direction="INGRESS")) == ()
    other = replace_flow(verdict="DROPPED", source_port=4002)
    assert len(_seen(FLOW, other)) == 1


def test_seen_when_a_pod_is_not_in_the_picture_then_it_is_what_its_labels_say() -> None:
    (seen,) = _seen(FLOW)
    end = seen.question.destination.endpoint
    assert end is not None
    assert (end.namespace, dict(end.pod_labels), end.template) == ("lab", {"app": "db"}, True)


def test_seen_when_outside_then_by_its_names_and_address() -> None:
    world = FlowEndpoint(2, labels=("reserved:world",))
    named = {"destination": world, "destination_ip": "203.0.113.7"}
    (seen,) = _seen(replace_flow(**named, destination_names=("pypi.org",)))
    peer = seen.question.destination
    assert (peer.kind, str(peer.address)) == (IdentityKind.WORLD, "203.0.113.7")
    assert peer.names == frozenset({"pypi.org"})


def test_seen_when_the_address_is_a_services_then_only_the_pod_behind_it() -> None:
    before = replace_flow(destination=FlowEndpoint(), destination_ip="10.96.0.7")
    assert [one.question.destination.text for one in _seen(before, FLOW)] == ["pod lab/(app=db)"]


def test_seen_when_a_reserved_end_then_that() -> None:
    host = FlowEndpoint(1, labels=("reserved:host",))
    (seen,) = _seen(replace_flow(source=host))
    assert seen.question.source.kind is IdentityKind.HOST


def replace_flow(**fields: object) -> Flow:
    """The flow with other fields."""
    return msgspec.structs.replace(FLOW, **fields)
