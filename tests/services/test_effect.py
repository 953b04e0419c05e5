import pytest

from app.core.diagnose.boundaries import parse_boundaries
from app.core.diagnose.evidence import FlowEvidence
from app.core.errors import NotFound, UsageError
from app.core.model.flow import Flow, FlowEndpoint
from app.core.model.provenance import Manifest, ObjectRef
from app.services.effect import EffectReport, effect_of, with_changes
from app.services.picture import Ingredients, Picture, empty_picture, make_picture
from app.testing.builders import manifests, pod
from app.testing.pictures import small_tre

MIRROR_IN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: mirror-in, namespace: mirror}
spec:
  endpointSelector: {matchLabels: {app: mirror}}
  ingress:
  - fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": lung}}]
    toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
"""
WIDER = MIRROR_IN.replace("namespace: lung", "namespace: lung").replace(
    '{matchLabels: {"k8s:io.kubernetes.pod.namespace": lung}}',
    '{matchLabels: {"k8s:io.kubernetes.pod.namespace": lung}}, '
    '{matchLabels: {"k8s:io.kubernetes.pod.namespace": heart}}',
)
REFUSED = MIRROR_IN.replace(
    "ingress:", "egress: [{toFQDNs: [{matchName: a.b}], toEntities: [all]}]\n  ingress:"
)
TO_NAME = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: out, namespace: lung}
spec:
  endpointSelector: {}
  egress: [{toFQDNs: [{matchName: pypi.org}], toPorts: [{ports: [{port: "443"}]}]}]
"""
APART = """
[[boundary]]
name = "heart-has-no-mirror"
from = "ns:heart"
to = "ns:mirror"
must = "deny"
"""
REF = ObjectRef("CiliumNetworkPolicy", "mirror", "mirror-in")


def objects(*policies: str) -> tuple[Manifest, ...]:
    return (*small_tre(), *(one for text in policies for one in manifests(text)))


def picture(found: tuple[Manifest, ...]) -> Picture:
    before = empty_picture(parse_boundaries(APART))
    return make_picture(Ingredients(found), before=before)


def effect(
    before: tuple[Manifest, ...],
    *drafts: str,
    deletes: tuple[ObjectRef, ...] = (),
    flows: FlowEvidence | None = None,
) -> EffectReport:
    old = picture(before)
    upserts = [one for text in drafts for one in manifests(text)]
    return effect_of(old, with_changes(old, before, upserts=upserts, deletes=deletes), flows=flows)


def rows(pairs: object) -> list[tuple[str, str, str, int | None]]:
    return [(one.source, one.destination, one.protocol.value, one.port) for one in pairs]  # type: ignore[attr-defined]


def test_wider_draft_opens_exactly_the_new_pair() -> None:
    report = effect(objects(MIRROR_IN), WIDER)
    assert rows(report.newly_allowed) == [("heart/jupyter-bob", "mirror/mirror-0", "TCP", 8080)]
    assert report.newly_denied == ()


def test_draft_that_breaks_a_boundary_says_so() -> None:
    report = effect(objects(MIRROR_IN), WIDER)
    assert report.checks == (("heart-has-no-mirror", False),)
    assert report.broken == ("heart-has-no-mirror",)


def test_deleting_a_policy_opens_everything_it_closed() -> None:
    report = effect(objects(MIRROR_IN), deletes=(REF,))
    allowed = rows(report.newly_allowed)
    assert ("heart/jupyter-bob", "mirror/mirror-0", "UDP", None) in allowed
    assert ("entity:world", "mirror/mirror-0", "TCP", None) in allowed
    assert ("lung/jupyter-alice", "mirror/mirror-0", "TCP", 8080) not in allowed


def test_new_policy_denies_what_was_open() -> None:
    report = effect(objects(), MIRROR_IN)
    denied = rows(report.newly_denied)
    assert ("heart/jupyter-bob", "mirror/mirror-0", "TCP", None) in denied
    assert ("lung/jupyter-alice", "mirror/mirror-0", "TCP", 8080) not in denied
    assert report.broken == ()


def test_names_outside_are_among_the_pairs() -> None:
    report = effect(objects(), TO_NAME)
    assert ("lung/jupyter-alice", "entity:world", "TCP", None) in rows(report.newly_denied)
    kept = ("lung/jupyter-alice", "fqdn:pypi.org", "TCP", 443)
    assert kept not in rows(report.newly_denied)


def test_same_draft_changes_nothing() -> None:
    report = effect(objects(MIRROR_IN), MIRROR_IN)
    assert (report.newly_allowed, report.newly_denied, report.refused) == ((), (), ())


def test_draft_that_cilium_refuses_is_reported() -> None:
    report = effect(objects(MIRROR_IN), REFUSED)
    assert [one.ref for one in report.refused] == [REF]


def test_deleting_what_is_not_there_is_an_error() -> None:
    with pytest.raises(NotFound):
        effect(objects(), deletes=(REF,))


def test_draft_of_workloads_is_refused() -> None:
    before = objects()
    old = picture(before)
    new = with_changes(old, before, upserts=[pod("lung/new", "10.9.9.9", labels={"app": "new"})])
    with pytest.raises(UsageError):
        effect_of(old, new)


def flow(source: str, destination: str, port: int, **more: object) -> Flow:
    parts = [name.partition("/") for name in (source, destination)]
    ends = [FlowEndpoint(7, space, name) for space, _, name in parts]
    fields = {"time_ns": 5_000_000_000, "protocol": "TCP", "destination_port": port, **more}
    return Flow(source=ends[0], destination=ends[1], **fields)  # type: ignore[arg-type]


def test_recorded_connections_are_asked_once_each() -> None:
    seen = (
        flow("heart/jupyter-bob", "mirror/mirror-0", 8080, time_ns=1),
        flow("heart/jupyter-bob", "mirror/mirror-0", 8080),
        flow("lung/jupyter-alice", "mirror/mirror-0", 8080),
        flow("mirror/mirror-0", "lung/jupyter-alice", 40_000, is_reply=True),
        flow("gone/pod", "mirror/mirror-0", 8080),
    )
    report = effect(objects(MIRROR_IN), WIDER, flows=FlowEvidence(seen, lost=3))
    assert report.flows is not None
    assert (report.flows.seen, report.flows.newly_allowed, report.flows.newly_denied) == (2, 1, 0)
    assert (report.flows.lost_events, report.flows.window_s) == (3, 4)


def test_flows_from_outside_and_of_nodes_are_judged_too() -> None:
    world = FlowEndpoint(2, labels=("reserved:world",))
    host = FlowEndpoint(1, labels=("reserved:host",))
    mirror = FlowEndpoint(7, "mirror", "mirror-0")
    common = {"protocol": "TCP", "destination_port": 8080, "destination": mirror}
    seen = (
        Flow(1, source=world, source_ip="203.0.113.7", **common),  # type: ignore[arg-type]
        Flow(2, source=host, source_ip="10.0.0.1", **common),  # type: ignore[arg-type]
        Flow(3, source=world, source_ip="nonsense", **common),  # type: ignore[arg-type]
    )
    report = effect(objects(), MIRROR_IN, flows=FlowEvidence(seen))
    assert report.flows is not None
    assert (report.flows.seen, report.flows.newly_denied) == (2, 1)
