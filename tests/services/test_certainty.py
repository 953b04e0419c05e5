"""Lists of pairs, boundaries and effects are as sure as one answer about the pair would be."""

import pytest

from app.core.diagnose.boundaries import Ruling, doubted, judge_boundaries, parse_boundaries
from app.core.model.answer import Confidence, WhyAnswer
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.core.model.unread import UNREAD
from app.services.ask import make_question
from app.services.ask import why as ask_why
from app.services.effect import EffectReport, what_if, with_changes
from app.services.matrix import By, MatrixRow, matrix
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.builders import manifest, manifests, namespace, pod

PODS = (
    namespace("lung"),
    namespace("heart"),
    pod("lung/desk", "10.0.1.1", labels={"app": "desk"}),
    pod("heart/store", "10.0.1.2", labels={"app": "store"}),
)
REFUSED = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: broken, namespace: heart}
spec:
  endpointSelector: {}
  ingress: [{fromCIDR: [300.0.0.0/8]}]
"""
BY_LABELS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: tier, namespace: heart}
spec:
  podSelector: {}
  ingress: [{from: [{namespaceSelector: {matchLabels: {tier: gold}}}]}]
"""
OPEN = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: open, namespace: heart}
spec: {podSelector: {}, ingress: [{}]}
"""
BOUNDARY = """
[[boundary]]
name = "apart"
from = "pod:lung/desk"
to = "pod:heart/store"
must = "{must}"
ports = [80]
"""
CLUSTER_POLICY = manifest("ClusterNetworkPolicy", "tiers", spec={"tier": "Admin", "priority": 1})


def picture(*parts: Manifest | str, unread: str = "") -> Picture:
    objects: list[Manifest] = [*PODS]
    for part in parts:
        objects += manifests(part, file="p.yaml") if isinstance(part, str) else [part]
    ref = ObjectRef("CiliumNetworkPolicy", unread, "lost")
    notices = (Notice("cannot be read", "lost.yaml", 1, ref, UNREAD),) if unread else ()
    return make_picture(Ingredients(tuple(objects), notices=notices, cilium_version=(1, 20, 2)))


def row(found: Picture) -> MatrixRow:
    rows = matrix(
        found,
        By.WORKLOAD,
        lambda one, other: (one.name, other.name) == ("lung/desk", "heart/store"),
    )
    (only,) = rows
    return only


def ruling(found: Picture, must: str = "allow") -> Ruling:
    boundaries = parse_boundaries(BOUNDARY.format(must=must))
    (only,) = doubted(judge_boundaries(boundaries, found.engine), found.engine)
    return only


def why(found: Picture, source: str = "lung/desk", destination: str = "heart/store") -> WhyAnswer:
    return ask_why(found, None, make_question(source, destination, "80"))


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (picture(unread="heart"), "lost.yaml"),
        (picture(REFUSED), "older, valid version of `broken`"),
        (picture(CLUSTER_POLICY), "`tiers` is not modelled"),
        (picture(manifest("AuthorizationPolicy", "istio", "heart", spec={})), "Istio's"),
    ],
)
def test_what_is_open_about_a_pair_takes_certainty_in_every_list(found: Picture, word: str) -> None:
    assert why(found).cause.confidence is not Confidence.CERTAIN
    assert row(found).known.confidence is why(found).cause.confidence
    for texts in (row(found).known.not_known, ruling(found).not_known, effect(found).unknown):
        assert any(word in text for text in texts), texts


def test_labels_of_a_namespace_that_no_object_gives_are_open() -> None:
    objects = [one for one in PODS if one.ref != ObjectRef("Namespace", "", "lung")]
    found = make_picture(Ingredients((*objects, *manifests(BY_LABELS, file="p.yaml"))))
    assert row(found).known.confidence is Confidence.POSSIBLE
    assert ruling(found, "deny").holds
    assert "the labels of namespace lung" in ruling(found, "deny").not_known[0]


@pytest.mark.parametrize(
    "found", [picture(), picture(OPEN), picture(BY_LABELS), picture(unread="kidney")]
)
def test_where_nothing_is_open_about_a_pair_then_it_is_certain(found: Picture) -> None:
    assert row(found).known.confidence is Confidence.CERTAIN
    assert not ruling(found).not_known


def effect(found: Picture) -> EffectReport:
    objects = [*PODS, *(one for one in found.cluster.policies)]
    (change,) = manifests(BY_LABELS.replace("tier,", "new,"), file="p.yaml")
    return what_if(found, objects, upserts=(change,))


def test_change_keeps_what_was_not_read_and_claims_no_empty_list() -> None:
    (change,) = manifests(OPEN, file="p.yaml")
    report = what_if(picture(unread="kidney"), PODS, upserts=(change,))
    assert report.newly_allowed is None
    assert any("lost.yaml" in text for text in report.unknown)


def test_change_of_a_workload_keeps_the_settings_that_were_read() -> None:
    settings = {"enable-host-firewall": "true"}
    before = make_picture(Ingredients(PODS, settings=settings))
    after = with_changes(before, PODS, upserts=(pod("lung/other", "10.0.1.9"),))
    assert after.cluster.config.host_firewall


def test_pods_of_one_workload_are_asked_as_two() -> None:
    owner = {"app": "pair"}
    deny = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: apart, namespace: lung}
spec: {endpointSelector: {}, ingressDeny: [{fromEntities: [all]}]}
"""
    pods = (pod("lung/a-0", "10.0.2.1", labels=owner), pod("lung/a-1", "10.0.2.2", labels=owner))
    found = picture(deny, *pods)
    rows = matrix(found, By.IDENTITY, lambda one, other: one is other and one.name == "lung/a-0")
    assert [one.verdict.value for one in rows] == ["denied"]
    for ends in (("label:lung/app=pair",) * 2, ("lung/a-0", "label:lung/app=pair")):
        assert why(found, *ends).verdict.value == "denied"
    assert why(found, "lung/a-0", "lung/a-0").verdict.value == "allowed"


def test_route_kinds_that_are_not_modelled_touch_only_what_is_no_pod() -> None:
    found = picture(manifest("TCPRoute", "db", "heart", spec={}))
    assert why(found).cause.confidence is Confidence.CERTAIN
    outside = why(found, "lung/desk", "203.0.113.7")
    assert outside.cause.confidence is Confidence.POSSIBLE
    assert any("TCPRoute `db` is not modelled" in one for one in outside.not_known)


def test_entities_with_a_policy_of_their_own_are_in_no_namespace() -> None:
    everyone = """
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: by-space}
spec:
  endpointSelector:
    matchExpressions:
    - {key: io.cilium.k8s.namespace.labels.tier, operator: NotIn, values: [gold]}
  egress: [{toEntities: [all]}]
"""
    found = matrix(picture(everyone), By.WORKLOAD, lambda one, _: one.name == "entity:ingress")
    assert {row.known.confidence for row in found} == {Confidence.CERTAIN}
