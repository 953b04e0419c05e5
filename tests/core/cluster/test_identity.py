import pytest

from app.core.cluster.identity import identity_labels, is_identity_label
from app.core.model.cluster import Cluster, ClusterConfig
from tests.core.cluster.objects import build, endpoint, manifest, pod

V118, V119 = (1, 18, 9), (1, 19, 0)


@pytest.mark.parametrize(
    "key",
    [
        "app",
        "app.kubernetes.io/name",
        "io.kubernetes.pod.namespace",
        "my.kubernetes.io/arch",
        "my-annotation",
    ],
)
def test_label_when_of_the_user_then_is_kept(key: str) -> None:
    assert is_identity_label(key)


@pytest.mark.parametrize(
    "key",
    [
        "io.kubernetes.pod.name",
        "kubernetes.io/arch",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-completion-index",
        "batch.kubernetes.io/controller-uid",
        "beta.kubernetes.io/arch",
        "any.beta.kubernetes.io/arch",
        "pod-template-hash",
        "controller-revision-hash",
        "k8s.io/x",
        "annotation-of-mine",
    ],
)
def test_label_when_of_the_machinery_then_is_left_out(key: str) -> None:
    assert not is_identity_label(key)


def test_topology_label_when_since_1_19_then_is_left_out() -> None:
    assert is_identity_label("topology.kubernetes.io/zone", version=V118)
    assert not is_identity_label("topology.kubernetes.io/zone", version=V119)


@pytest.mark.parametrize(
    ("filters", "key"),
    [
        (("app",), "app"),
        (("k8s:app",), "app"),
        (("!app",), "tier"),
        (("container:app",), "tier"),
        (("kubernetes.io/arch",), "kubernetes.io/arch"),
    ],
)
def test_label_when_operators_filter_includes_it_then_is_kept(
    filters: tuple[str, ...], key: str
) -> None:
    assert is_identity_label(key, filters)


@pytest.mark.parametrize(
    ("filters", "key"),
    [
        (("app",), "tier"),
        ((":app",), "tier"),
        (("!app",), "app"),
        (("k8s:!app",), "app"),
        (("(", "!tier"), "tier"),
    ],
)
def test_label_when_operators_filter_excludes_it_then_is_left_out(
    filters: tuple[str, ...], key: str
) -> None:
    assert not is_identity_label(key, filters)


def test_labels_when_of_a_pod_then_hold_namespace_cluster_and_account() -> None:
    namespace = manifest("Namespace", "a", labels={"team": "x"})

    found = endpoint(
        namespace, pod("p", labels={"app": "web", "io.cilium.k8s.policy.cluster": "forged"})
    )

    assert set(found.labels.texts()) == {
        "k8s:app=web",
        "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=a",
        "k8s:io.cilium.k8s.namespace.labels.team=x",
        "k8s:io.cilium.k8s.policy.cluster=default",
        "k8s:io.cilium.k8s.policy.serviceaccount=default",
        "k8s:io.kubernetes.pod.namespace=a",
    }


def test_labels_when_pod_names_another_namespace_then_its_own_wins() -> None:
    found = endpoint(pod("p", labels={"io.kubernetes.pod.namespace": "b"}))

    assert "k8s:io.kubernetes.pod.namespace=a" in found.labels.texts()


def test_labels_when_before_1_18_then_hold_no_account() -> None:
    cluster = build(pod("p"), config=ClusterConfig(cilium_version=(1, 17, 9)))

    texts = cluster.endpoints[0].labels.texts()

    assert not any("serviceaccount" in text for text in texts)


def test_identity_labels_when_namespace_is_unknown_then_only_its_name_is() -> None:
    found = identity_labels({"app": "x"}, "new", Cluster(), "web")

    assert set(found.texts()) == {
        "k8s:app=x",
        "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=new",
        "k8s:io.cilium.k8s.policy.cluster=default",
        "k8s:io.cilium.k8s.policy.serviceaccount=web",
        "k8s:io.kubernetes.pod.namespace=new",
    }
