from __future__ import annotations

import pytest

from app.core.insights.party import Directory, network_of
from app.core.model.cluster import IdentityKind
from app.core.model.flow import FlowEndpoint
from app.services.picture import Picture
from app.testing.builders import pod
from app.testing.pictures import picture_of, small_tre


@pytest.mark.parametrize(
    ("name", "workload"),
    [
        ("gitea-7c9fd5f5b-x2m8q", "gitea"),
        ("postgres-0", "postgres"),
        ("cilium-node-exporter-zk2xq", "cilium-node-exporter"),
        ("backup-29012345-bn7xk", "backup"),
        ("jupyter-alice", "jupyter-alice"),
        ("web-2024", "web"),
    ],
)
def test_party_of_a_pod_seen_from_afar_is_its_workload(name: str, workload: str) -> None:
    party = Directory().party(FlowEndpoint(namespace="prj", pod=name), "10.0.0.1")
    assert (party.kind, party.text) == (IdentityKind.POD, f"prj/{workload}")


def test_party_when_local_and_remote_then_it_is_the_same() -> None:
    local = FlowEndpoint(1, "prj", "web-7c9fd5f5b-x2m8q", (), "Deployment", "web")
    remote = FlowEndpoint(1, "prj", "web-7c9fd5f5b-x2m8q")
    directory = Directory()
    assert directory.party(local, "10.0.0.1") == directory.party(remote, "10.0.0.1")


def test_party_when_the_cluster_knows_the_pod_then_its_labels_say_and_no_person_is_named() -> None:
    directory = Directory(picture_of(small_tre()).cluster)
    party = directory.party(FlowEndpoint(namespace="lung", pod="jupyter-alice"), "10.0.1.1")
    assert party.text == "lung/jupyter"
    assert party.is_workspace


def test_party_when_a_pod_is_gone_then_it_keeps_its_workload() -> None:
    directory = Directory(picture_of(small_tre()).cluster)
    rest: Picture = picture_of(pod("mirror/mirror-0", "10.0.2.1", labels={"app": "mirror"}))
    directory.learn(rest.cluster)
    party = directory.party(FlowEndpoint(namespace="lung", pod="jupyter-alice"), "10.0.1.1")
    assert party.text == "lung/jupyter"


@pytest.mark.parametrize(
    ("labels", "names", "text"),
    [
        (("reserved:world",), (), "203.0.113.9"),
        (("reserved:world",), ("pypi.org",), "pypi.org"),
        (("cidr:203.0.113.9/32", "fqdn:pypi.org.", "reserved:world"), (), "pypi.org"),
        (("fqdn:*.example.org.", "reserved:world"), (), "203.0.113.9"),
        (("reserved:world-ipv4",), (), "203.0.113.9"),
        (("reserved:kube-apiserver", "reserved:remote-node"), (), "kube-apiserver"),
        (("reserved:host",), (), "host"),
        ((), (), "203.0.113.9"),
    ],
)
def test_party_of_what_is_no_pod_is_named_by_what_is_known(
    labels: tuple[str, ...], names: tuple[str, ...], text: str
) -> None:
    assert Directory().party(FlowEndpoint(labels=labels), "203.0.113.9", names).text == text


def test_project_when_only_flows_say_it_then_it_is_the_label_of_the_namespace() -> None:
    label = "k8s:io.cilium.k8s.namespace.labels.k8tre.io/resource-type=project-namespace"
    directory = Directory()
    told = directory.party(FlowEndpoint(namespace="aurora", pod="db-0", labels=(label,)), "")
    named = directory.party(FlowEndpoint(namespace="project-x", pod="db-0"), "")
    neither = directory.party(FlowEndpoint(namespace="gitea", pod="gitea-0"), "")
    assert (told.project, named.project, neither.project) == ("aurora", "x", "")


def test_project_when_pods_are_labelled_then_other_pods_of_the_namespace_are_of_the_same() -> None:
    directory = Directory()
    label = "k8s:tre.k8tre.io/project=aurora"
    labelled = directory.party(
        FlowEndpoint(namespace="project-aurora", pod="a", labels=(label,)), ""
    )
    plain = directory.party(FlowEndpoint(namespace="project-aurora", pod="db-0"), "")
    assert labelled.project == plain.project == "aurora"


def test_party_when_its_own_node_says_the_workload_then_it_holds_for_what_others_see() -> None:
    directory = Directory()
    seen = FlowEndpoint(namespace="prj", pod="odd-name")
    assert directory.party(seen, "").text == "prj/odd-name"
    directory.party(FlowEndpoint(1, "prj", "odd-name", (), "StatefulSet", "odd"), "")
    assert directory.party(seen, "").text == "prj/odd"


def test_network_of_addresses_of_one_service_is_the_same() -> None:
    assert network_of("203.0.113.7") == network_of("203.0.113.200") == "203.0.113.0/24"
    assert network_of("2001:db8:1::1") == "2001:db8:1::/48"
    assert network_of("pypi.org") == "pypi.org"
