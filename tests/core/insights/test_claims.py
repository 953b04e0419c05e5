from __future__ import annotations

from dataclasses import replace

import pytest

from app.core.diagnose.boundaries import judge_boundaries, parse_boundaries
from app.core.insights.claims import (
    MOST_PROOFS,
    Claim,
    Grounds,
    Proof,
    Standing,
    configuration_checked,
    encrypted,
    internet_blocked,
    projects_apart,
)
from app.core.model.cluster import Cluster
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.core.policy.engine import Engine
from app.testing.builders import manifest, namespace, pod
from app.testing.pictures import picture_of

SHUT = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shut, namespace: NAMESPACE}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
OPEN = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: open, namespace: project-lung}
spec:
  endpointSelector: {}
  egress: [{EGRESS}]
"""


def cluster(*more: str, shut: tuple[str, ...] = ("project-lung", "project-heart")) -> Cluster:
    return picture_of(
        (
            namespace("project-lung"),
            namespace("project-heart"),
            namespace("hub"),
            pod("project-lung/jupyter-a", "10.0.1.1", labels={"app": "jupyter"}),
            pod("project-heart/jupyter-b", "10.0.1.2", labels={"app": "jupyter"}),
            pod("hub/hub-0", "10.0.1.3", labels={"app": "hub"}),
        ),
        *(SHUT.replace("NAMESPACE", name) for name in shut),
        *more,
    ).cluster


def grounds(of: Cluster, boundaries: str = "") -> Grounds:
    engine = Engine.build(of)
    return Grounds(engine, judge_boundaries(parse_boundaries(boundaries), engine), None)


def texts(claim: Claim, *, supports: bool) -> str:
    return "\n".join(one.text for one in claim.proofs if one.supports is supports)


def test_projects_when_shut_then_they_are_shown_to_be_apart() -> None:
    claim = projects_apart(grounds(cluster()))
    assert claim.standing is Standing.HOLDS
    assert "connections decided, 0 allowed" in texts(claim, supports=True)


def test_projects_when_one_admits_another_then_the_pair_and_its_reason_are_the_proof() -> None:
    claim = projects_apart(grounds(cluster(shut=())))
    assert claim.standing is Standing.FAILS
    assert "project-heart/jupyter-b → project-lung/jupyter-a" in texts(claim, supports=False)


def test_projects_when_something_was_not_read_then_nothing_is_claimed() -> None:
    unread = Notice("policies of a file", ref=None, severity="error")
    claim = projects_apart(grounds(replace(cluster(), unread=(unread,))))
    assert claim.standing is Standing.NOT_SHOWN
    assert "not read: policies of a file" in claim.not_known


def test_projects_when_audit_mode_is_on_then_nothing_is_refused_and_the_claim_fails() -> None:
    made = cluster()
    audit = replace(made, config=replace(made.config, audit_mode=True))
    claim = projects_apart(grounds(audit))
    assert claim.standing is Standing.FAILS
    assert any("audit mode" in text for text in claim.not_known)


def test_projects_when_there_is_one_then_there_is_nothing_to_show() -> None:
    one = picture_of((namespace("project-lung"), pod("project-lung/a", "10.0.1.1"))).cluster
    assert projects_apart(grounds(one)).standing is Standing.NOT_SHOWN


def test_projects_when_a_pod_is_in_the_host_network_then_it_is_said() -> None:
    host = pod("project-lung/host", "10.7.0.1")
    body = dict(host.body) | {"spec": {**host.body["spec"], "hostNetwork": True}}
    made = picture_of(
        (namespace("project-lung"), namespace("project-heart"), pod("project-heart/b", "10.0.1.2"),
         pod("project-lung/a", "10.0.1.1"), Manifest(host.ref, "v1", body)),
        SHUT.replace("NAMESPACE", "project-lung"), SHUT.replace("NAMESPACE", "project-heart"),
    ).cluster  # fmt: skip
    claim = projects_apart(grounds(made))
    assert claim.standing is not Standing.HOLDS
    assert any("project-lung/host" in text for text in claim.not_known)


@pytest.mark.parametrize(
    ("egress", "standing", "told"),
    [
        ('toFQDNs: [{matchName: pypi.org}], toPorts: [{ports: [{port: "443"}]}]',
         Standing.HOLDS, "exception: project-lung/jupyter-a may reach"),
        ("toEntities: [world]", Standing.FAILS, "project-lung/jupyter-a reaches 203.0.113.77"),
        ("toCIDR: [169.254.0.0/16]", Standing.FAILS, "reaches 169.254.169.254"),
    ],
)  # fmt: skip
def test_internet_when_a_rule_opens_some_then_it_is_an_exception_and_all_is_a_breach(
    egress: str, standing: Standing, told: str
) -> None:
    claim = internet_blocked(grounds(cluster(OPEN.replace("EGRESS", egress))))
    assert claim.standing is standing
    assert told in texts(claim, supports=standing is Standing.HOLDS)


def test_internet_when_a_pod_is_not_in_default_deny_then_it_is_named() -> None:
    claim = internet_blocked(grounds(cluster(shut=("project-lung",))))
    assert claim.standing is Standing.FAILS
    assert "project-heart/jupyter-b may send anything" in texts(claim, supports=False)


BOUNDARY = '[[boundary]]\nname = "b"\nfrom = "ns:project-lung"\nto = "ns:hub"\nmust = "MUST"\n'


@pytest.mark.parametrize(
    ("boundaries", "errors", "standing"),
    [
        ("", 0, Standing.NOT_SHOWN),
        (BOUNDARY.replace("MUST", "deny"), 0, Standing.HOLDS),
        (BOUNDARY.replace("MUST", "allow"), 0, Standing.FAILS),
        (BOUNDARY.replace("MUST", "deny"), 1, Standing.FAILS),
    ],
)
def test_configuration_when_boundaries_and_lint_speak_then_it_stands_so(
    boundaries: str, errors: int, standing: Standing
) -> None:
    claim = configuration_checked(grounds(cluster(), boundaries), (), 2, errors)
    assert claim.standing is standing


@pytest.mark.parametrize(
    ("settings", "standing"),
    [
        (None, Standing.NOT_SHOWN),
        ({"enable-hubble": "true"}, Standing.FAILS),
        ({"enable-wireguard": "true"}, Standing.HOLDS),
        ({"enable-ipsec": "true"}, Standing.HOLDS),
    ],
)
def test_encryption_when_settings_say_so_then_it_stands_so(
    settings: dict[str, str] | None, standing: Standing
) -> None:
    made = replace(grounds(cluster()), settings=settings)
    claim = encrypted(made, (3, 4))
    assert claim.standing is standing
    assert any("one node" in text for text in claim.not_known)


def test_proofs_when_there_are_very_many_then_those_against_come_first_and_the_rest_is_counted(
) -> None:  # fmt: skip
    many = [Proof(str(n), supports=n % 2 == 0) for n in range(3 * MOST_PROOFS)]
    claim = configuration_checked(grounds(cluster()), many, 1, 1)
    assert len(claim.proofs) == MOST_PROOFS + 1
    assert not claim.proofs[0].supports
    assert "more, " in claim.proofs[-1].text


def test_manifest_without_labels_is_no_project() -> None:
    extra = manifest("Namespace", "elsewhere")
    assert ObjectRef("Namespace", "", "elsewhere") == extra.ref
    assert "elsewhere" not in grounds(picture_of((extra,)).cluster).projects
