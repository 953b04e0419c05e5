from __future__ import annotations

from collections.abc import Iterable

import pytest

from app.core.diagnose.boundaries import parse_boundaries
from app.core.insights.alert import Alert, AlertSeverity, AlertState, Block, Tried
from app.core.model.flow import Flow, FlowEndpoint
from app.services.insights import alerts_of
from app.services.picture import Picture
from app.testing.builders import namespace, pod
from app.testing.pictures import picture_of
from tests.core.insights.sights import HOST, Outside, Pod, flow, refused

ALICE = Pod("project-lung", "jupyter-alice", "10.0.1.1", "jupyter", labels=("k8s:app=jupyter",))
BOB = Pod("project-heart", "jupyter-bob", "10.0.1.2", "jupyter", labels=("k8s:app=jupyter",))
MIRROR = Pod("mirror", "mirror-0", "10.0.2.1", "mirror", labels=("k8s:app=mirror",))

DENY_ALL = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: workspace, namespace: project-lung}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: mirror}}
    ports: [{port: 80}]
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: mirror, namespace: mirror}
spec: {clusterIP: 10.9.0.1, selector: {app: mirror}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: mirror-a, namespace: mirror, labels: {kubernetes.io/service-name: mirror}}
addressType: IPv4
ports: [{port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.0.2.1], conditions: {ready: true},
   targetRef: {kind: Pod, name: mirror-0, namespace: mirror}}
"""
APART = """\
[[boundary]]
name = "apart"
from = "ns:project-lung"
to = "ns:project-heart"
must = "deny"
"""
NEEDED = """\
[[boundary]]
name = "packages"
from = "ns:project-lung"
to = "label:mirror/app=mirror"
ports = ["8080/TCP"]
must = "allow"
"""


def picture(boundaries: str = "") -> Picture:
    from dataclasses import replace

    made = picture_of(
        (
            namespace("project-lung"),
            namespace("project-heart"),
            namespace("mirror"),
            pod("project-lung/jupyter-alice", "10.0.1.1", labels={"app": "jupyter"}),
            pod("project-heart/jupyter-bob", "10.0.1.2", labels={"app": "jupyter"}),
            pod("mirror/mirror-0", "10.0.2.1", labels={"app": "mirror"}),
        ),
        DENY_ALL,
        SERVICE,
    )
    return replace(made, boundaries=parse_boundaries(boundaries))


def only(flows: Iterable[Flow], of: Picture) -> Alert:
    (alert,) = alerts_of(of, flows).items
    return alert


def test_violation_when_a_rule_nearly_matches_then_it_is_a_fault_with_the_near_miss() -> None:
    alert = only(refused(ALICE, MIRROR, 8080), picture())
    assert alert.cause.code == "service-port-not-target-port"
    assert alert.block is Block.FAULT
    assert alert.severity is AlertSeverity.MEDIUM
    assert alert.cause.rule is not None
    assert "names 80" in alert.evidence[0]
    assert alert.boundary == ""


def test_violation_when_another_project_is_tried_then_isolation_holds_and_a_boundary_proves_it(
) -> None:  # fmt: skip
    unguarded = only(refused(ALICE, BOB, 8888), picture())
    guarded = only(refused(ALICE, BOB, 8888), picture(APART))
    for alert in (unguarded, guarded):
        assert alert.block is Block.ISOLATION
        assert alert.tried is Tried.PROJECT
        assert alert.cause.code == "egress-default-deny"
    assert (unguarded.severity, guarded.severity) == (AlertSeverity.HIGH, AlertSeverity.MEDIUM)
    assert (unguarded.boundary, guarded.boundary) == ("", "apart")


def test_violation_when_a_boundary_demands_the_connection_then_it_is_a_severe_fault() -> None:
    alert = only(refused(ALICE, MIRROR, 8080), picture(NEEDED))
    assert (alert.severity, alert.boundary) == (AlertSeverity.HIGH, "packages")
    assert alert.block is Block.FAULT


@pytest.mark.parametrize(
    ("server", "tried", "severity"),
    [
        (Outside("203.0.113.9"), Tried.INTERNET, AlertSeverity.LOW),
        (Outside("169.254.169.254"), Tried.METADATA, AlertSeverity.HIGH),
        (Outside("100.100.100.200"), Tried.METADATA, AlertSeverity.HIGH),
        (MIRROR, Tried.CLUSTER, AlertSeverity.EXPECTED),
    ],
)
def test_violation_when_isolated_then_what_was_tried_says_how_severe(
    server: Outside | Pod, tried: Tried, severity: AlertSeverity
) -> None:
    alert = only(refused(ALICE, server, 9999), picture())
    assert (alert.tried, alert.severity, alert.block) == (tried, severity, Block.ISOLATION)


def test_violation_when_a_node_is_tried_then_it_matters() -> None:
    (first, second) = refused(ALICE, Outside("10.7.0.1"), 10250, destination=HOST)
    alert = only([first, second], picture())
    assert (alert.tried, alert.severity) == (Tried.NODE, AlertSeverity.MEDIUM)


def test_violation_when_the_policies_allow_it_now_then_no_verdict_is_claimed() -> None:
    alert = only(refused(BOB, MIRROR, 8080), picture())
    assert alert.cause.code == "flows-disagree"
    assert alert.block is Block.UNKNOWN
    assert alert.severity is AlertSeverity.LOW


def test_violation_when_no_policies_were_read_then_hubble_alone_speaks_and_it_says_so() -> None:
    alert = only(refused(ALICE, MIRROR, 8080), picture_of(()))
    assert alert.cause.code == "egress-default-deny"
    assert alert.cause.confidence.value == "possible"
    assert alert.block is Block.UNKNOWN
    assert any("no policies were read" in text for text in alert.not_known)


def test_violation_when_it_is_no_policys_doing_then_it_is_told_apart() -> None:
    drop = refused(ALICE, MIRROR, 80, drop_reason="CT_MAP_INSERTION_FAILED")[1]
    alert = only([drop], picture_of(()))
    assert (alert.cause.code, alert.block) == ("not-a-policy-drop", Block.OTHER)


def test_violation_when_a_pod_is_gone_then_its_labels_are_asked_about() -> None:
    gone = Pod("project-lung", "jupyter-zoe", "10.0.1.9", "jupyter", labels=("k8s:app=jupyter",))
    alert = only(refused(gone, MIRROR, 8080), picture())
    assert alert.cause.code == "service-port-not-target-port"


def test_violation_when_in_audit_mode_then_it_says_that_it_was_let_through() -> None:
    alert = only([refused(ALICE, BOB, 1, verdict="AUDIT", drop_reason="")[0]], picture())
    assert alert.audited


def test_violation_when_time_passes_then_new_becomes_ongoing_and_ended() -> None:
    def state(now_s: int, last_s: int) -> AlertState:
        flows = [*refused(ALICE, BOB, 1, 0), *refused(ALICE, BOB, 1, last_s)]
        tick = flow(MIRROR, MIRROR, 1, now_s)
        return only([*flows, tick], picture()).state

    assert state(60, 30) is AlertState.NEW
    assert state(1200, 1100) is AlertState.ONGOING
    assert state(1200, 30) is AlertState.ENDED


def test_violations_when_replicas_try_then_they_are_one_with_one_id() -> None:
    other = Pod("project-lung", "jupyter-dora", "10.0.1.7", "jupyter", labels=ALICE.labels)
    several = [*refused(ALICE, BOB, 1), *refused(other, BOB, 1, source_port=5)]
    alert, again = only(several, picture_of(())), only(refused(other, BOB, 1), picture_of(()))
    assert (alert.id, alert.attempts, again.attempts) == (again.id, 2, 1)


def test_violation_when_text_is_hostile_then_it_is_data_and_nothing_else() -> None:
    end = FlowEndpoint(labels=("reserved:world",))
    drop = refused(ALICE, Outside("<b>&\\x1b[31m"), 1, destination=end)[0]
    assert only([drop], picture()).tried is Tried.INTERNET
