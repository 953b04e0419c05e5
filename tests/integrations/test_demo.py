"""The demo cluster: what it consists of, and the stories it promises."""

import asyncio
from collections import Counter
from ipaddress import ip_address, ip_network

import pytest

from app.core.cluster.build import build_cluster
from app.core.diagnose.evidence import FlowEvidence
from app.core.model.answer import CauseCode
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow, FlowBatch
from app.core.model.provenance import Manifest
from app.core.model.verdict import Outcome, Verdict
from app.ports import ClusterPicture, FlowRequest
from app.services.ask import make_question, why
from app.services.names import NameBook
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.clock import START_NS
from integrations.demo.cluster import DemoCluster
from integrations.demo.flows import DemoFlows
from integrations.demo.reading import GITOPS, KEPT, read_tree, written
from integrations.demo.topology import read_topology

DOCUMENTATION = [ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
LINK_LOCAL = ip_network("169.254.0.0/16")
PRIVATE = ip_network("10.0.0.0/8")
EXAMPLE_DOMAINS = ("example.org", "example.net", "example.com")


@pytest.fixture(scope="module")
def read() -> ClusterPicture:
    return asyncio.run(DemoCluster(lambda: START_NS).read())


@pytest.fixture(scope="module")
def cluster(read: ClusterPicture) -> Cluster:
    return build_cluster(read.manifests, settings=read.settings)


async def history() -> list[Flow]:
    items = DemoFlows(now_ns=lambda: START_NS).flows(FlowRequest(follow=False))
    return [flow async for item in items if isinstance(item, FlowBatch) for flow in item.flows]


@pytest.fixture(scope="module")
def told(read: ClusterPicture) -> tuple[Picture, FlowEvidence]:
    flows, names = tuple(asyncio.run(history())), NameBook()
    names.learn(flows)
    version = (1, 19, 3)
    picture = make_picture(Ingredients(read.manifests, read.settings, version, names.names()))
    return picture, FlowEvidence(flows, policies_as_of_ns=START_NS)


def policies(read: ClusterPicture) -> list[Manifest]:
    return [one for one in read.manifests if one.ref.kind.endswith("NetworkPolicy")]


def test_demo_is_a_small_tre_over_three_nodes(cluster: Cluster) -> None:
    assert len(cluster.nodes) == 3
    assert 12 <= len(cluster.namespaces) <= 15
    assert 55 <= len(cluster.endpoints) <= 65
    assert 25 <= len(cluster.policies) <= 40
    assert {one.node for one in cluster.endpoints} == {node.name for node in cluster.nodes}


def test_policies_are_of_all_three_kinds(read: ClusterPicture) -> None:
    kinds = Counter(one.ref.kind for one in policies(read))
    assert min(kinds.values()) >= 3
    assert len(kinds) == 3


def test_every_object_occurs_once(read: ClusterPicture) -> None:
    assert max(Counter(one.ref for one in read.manifests).values()) == 1


def test_running_pods_have_addresses_of_their_own(cluster: Cluster) -> None:
    own = [
        address
        for one in cluster.endpoints
        if not one.host_network and one.phase == "Running"
        for address in one.addresses
    ]
    assert len(own) == len(set(own))
    assert all(address in PRIVATE for address in own)


def test_identity_labels_are_those_that_cilium_would_give(
    read: ClusterPicture, cluster: Cluster
) -> None:
    without = [one for one in read.manifests if one.ref.kind != "CiliumEndpoint"]
    from_pods = {one.key: one.labels for one in build_cluster(without).endpoints}
    assert {one.key: one.labels for one in cluster.endpoints} == from_pods


def test_names_and_addresses_outside_are_reserved_for_examples() -> None:
    for name, text in read_topology().outside.items():
        address = ip_address(text)
        assert name.endswith(EXAMPLE_DOMAINS)
        assert address in LINK_LOCAL or any(address in block for block in DOCUMENTATION)


def test_policies_come_with_the_file_and_line_of_the_packaged_tree(read: ClusterPicture) -> None:
    for one in policies(read):
        assert one.source is not None
        assert one.source.file.startswith("gitops/")
        lines = (GITOPS.parent / one.source.file).read_text(encoding="utf-8").splitlines()
        assert one.ref.name in lines[(one.line_of("metadata.name") or 0) - 1]


def test_policies_are_those_of_one_environment(read: ClusterPicture) -> None:
    roots = {root for one in policies(read) if one.source for root in one.source.deployed_by}
    assert {root for root in roots if "envs" in root} == {
        root for root in roots if root.endswith("envs/prd")
    }
    assert "kc-console" not in {one.ref.name for one in policies(read)}


def test_one_file_is_in_no_kustomization_and_said_so(read: ClusterPicture) -> None:
    orphans = [one for one in read.shadowed if one.source and one.source.orphan]
    assert [one.ref.name for one in orphans] == ["runner-egress"]
    assert [(one.file, one.ref) for one in read.notices] == [
        (orphans[0].file, orphans[0].ref),
    ]


def test_cilium_would_refuse_exactly_one_policy(told: tuple[Picture, FlowEvidence]) -> None:
    rejected = told[0].engine.rejected
    assert [(one.ref.name, one.file) for one in rejected] == [
        ("guac-recordings", "gitops/apps/guacamole/base/guac-recordings.yaml")
    ]


def test_objects_give_no_notices(cluster: Cluster) -> None:
    assert cluster.notices == ()


def test_demo_when_its_tree_is_read_anew_then_it_is_what_is_kept() -> None:
    assert written(read_tree()) == KEPT.read_bytes(), "run python -m integrations.demo.reading"


async def test_demo_never_changes() -> None:
    cluster = DemoCluster(lambda: START_NS)
    assert [change async for change in cluster.watch()] == []
    assert await cluster.read() == await cluster.read()


LUNG = "gitops/projects/lung/workspace.yaml"

STORIES = [
    (
        ("project-lung/jupyter-alice", "svc:mirror/mirror:80", ""),
        Verdict.DENIED,
        CauseCode.SERVICE_PORT_NOT_TARGET_PORT,
        (LUNG, 23),
    ),
    (
        ("project-lung/jupyter-alice", "packages.example.org", "443"),
        Verdict.DENIED,
        CauseCode.FQDN_NOT_LEARNED,
        (LUNG, 14),
    ),
    (
        ("project-heart/jupyter-bob", "project-lung/jupyter-alice", "8888"),
        Verdict.DENIED,
        CauseCode.INGRESS_DEFAULT_DENY,
        (LUNG, None),
    ),
    (
        ("gitea/gitea-0", "keycloak.tre.example.org", "443"),
        Verdict.DENIED,
        CauseCode.INGRESS_ENTITY,
        ("gitops/apps/keycloak/base/kc-in.yaml", None),
    ),
    (
        ("keycloak/keycloak-0", "keycloak/keycloak-db-1", "5432"),
        Verdict.ALLOWED,
        CauseCode.NONE,
        (None, None),
    ),
    (
        ("project-heart/jupyter-bob", "mirror/mirror-1", "8080"),
        Verdict.REDIRECTED,
        CauseCode.FLOWS_DISAGREE,
        (None, None),
    ),
    (
        ("guacamole/guacd", "project-heart/desktop-0", "3389"),
        Verdict.DENIED,
        CauseCode.NAMESPACE_LABEL_ON_POD_SELECTOR,
        ("gitops/projects/heart/desktop-in.yaml", 14),
    ),
    (
        ("argocd/argocd-repo-server", "gitea/gitea-0", "3000"),
        Verdict.DENIED,
        CauseCode.PEER_IN_OTHER_NAMESPACE,
        ("gitops/apps/gitea/base/gitea-in.yaml", 20),
    ),
    (
        ("mirror/mirror-1", "telemetry.example.net", "443"),
        Verdict.DENIED,
        CauseCode.DNS_NAME_REFUSED,
        ("gitops/projects/mirror/mirror-egress.yaml", None),
    ),
    (
        ("project-heart/jupyter-frank", "ip:169.254.169.254", "80"),
        Verdict.DENIED,
        CauseCode.EGRESS_EXPLICIT_DENY,
        ("gitops/apps/platform/base/no-metadata.yaml", 15),
    ),
    (
        ("project-heart/jupyter-bob", "svc:gitea/gitea-ssh:22", ""),
        Verdict.UNKNOWN,
        CauseCode.SERVICE_WITHOUT_BACKENDS,
        (None, None),
    ),
    (
        ("project-lung/jupyter-alice", "pypi.example.org", "443"),
        Verdict.DENIED,
        CauseCode.EGRESS_DEFAULT_DENY,
        (None, None),
    ),
    (
        ("entity:world", "project-lung/jupyter-erin", "8888"),
        Verdict.DENIED,
        CauseCode.INGRESS_EXPLICIT_DENY,
        ("gitops/apps/platform/base/no-world-in.yaml", 14),
    ),
    (
        ("project-heart/cohort-db-0", "genomes.example.org", "443"),
        Verdict.DENIED,
        CauseCode.DNS_BLOCKED,
        (None, None),
    ),
    (
        ("deploy:guacamole/guacamole-web", "keycloak.tre.example.org", "443"),
        Verdict.DENIED,
        CauseCode.FQDN_IN_CLUSTER,
        ("gitops/apps/guacamole/base/guac-web.yaml", 31),
    ),
    (
        ("kube-system/metrics-server", "ip:10.7.0.12", "10250"),
        Verdict.DENIED,
        CauseCode.CIDR_IN_CLUSTER,
        ("gitops/apps/platform/base/metrics-server.yaml", 13),
    ),
    (
        ("project-heart/jupyter-bob", "object-storage/objstore-volume-2", "8444"),
        Verdict.ALLOWED,
        CauseCode.BACKEND_NOT_READY,
        (None, None),
    ),
    (
        ("project-heart/desktop-0", "project-heart/cohort-db-0", "5432"),
        Verdict.DENIED,
        CauseCode.LABEL_NOT_IN_IDENTITY,
        ("gitops/projects/heart/cohort-db-in.yaml", 17),
    ),
    (
        ("deploy:guacamole/guacamole-web", "svc:guacamole/guacamole-db:5432", ""),
        Verdict.DENIED,
        CauseCode.NAMED_PORT_UNRESOLVED,
        ("gitops/apps/guacamole/base/guac-web.yaml", 48),
    ),
    (
        ("deploy:guacamole/guacamole-web", "svc:object-storage/s3:8333", ""),
        Verdict.DENIED,
        CauseCode.POLICY_REJECTED,
        ("gitops/apps/guacamole/base/guac-recordings.yaml", 12),
    ),
    (
        ("deploy:guacamole/guacamole-web", "deploy:gateway/error-pages", "8080"),
        Verdict.DENIED,
        CauseCode.UNMANAGED_ENDPOINT,
        ("gitops/apps/guacamole/base/guac-web.yaml", 52),
    ),
    (
        ("deploy:cert-manager/cert-manager", "ip:10.7.0.11", "6443"),
        Verdict.DENIED,
        CauseCode.KUBE_APISERVER_ENTITY,
        ("gitops/apps/cert-manager/base/cm-egress.yaml", None),
    ),
    (
        ("keycloak/keycloak-1", "keycloak/keycloak-db-2", "5432"),
        Verdict.ALLOWED,
        CauseCode.NOT_A_POLICY_DROP,
        (None, None),
    ),
]


@pytest.mark.parametrize(("asked", "verdict", "code", "at"), STORIES)
def test_story_has_its_verdict_cause_and_place(
    told: tuple[Picture, FlowEvidence],
    asked: tuple[str, str, str],
    verdict: Verdict,
    code: CauseCode,
    at: tuple[str | None, int | None],
) -> None:
    answer = why(*told, make_question(*asked))
    assert (answer.verdict, answer.cause.code) == (verdict, code)
    file, line = at
    assert file is None or answer.cause.file == file
    assert line is None or answer.cause.line == line


@pytest.mark.parametrize("with_flows", [True, False])
def test_upload_is_refused_by_the_http_rule_alone(
    told: tuple[Picture, FlowEvidence], *, with_flows: bool
) -> None:
    picture, flows = told
    asked = make_question(
        "project-gene/jupyter-carol", "mirror/mirror-1", "8080", http="POST /upload"
    )
    answer = why(picture, flows if with_flows else None, asked)
    assert (answer.verdict, answer.cause.code) == (Verdict.DENIED, CauseCode.L7_REQUEST_REFUSED)
    assert answer.ingress.l4 is Outcome.REDIRECTED
    assert answer.cause.file == "gitops/projects/mirror/mirror-in.yaml"


def test_there_is_a_story_for_every_cause() -> None:
    told = {code for _, _, code, _ in STORIES} | {CauseCode.L7_REQUEST_REFUSED}
    assert set(CauseCode) - told == {CauseCode.UNKNOWN}
