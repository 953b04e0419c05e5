from ipaddress import ip_address

import pytest

from app.core.model.cluster import ContainerPort, Workload
from app.core.model.provenance import Manifest, ObjectRef
from tests.core.cluster.objects import Tree, build, endpoint, manifest, pod

DEPLOYMENT = {"kind": "Deployment", "name": "web", "controller": True}
REPLICA_SET = {"kind": "ReplicaSet", "name": "web-5d9", "controller": True}


def _template(kind: str, spec: Tree | None = None, **body: Tree) -> Manifest:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": spec or {"serviceAccountName": "web"},
    }
    wrapped: Tree = {"template": template}
    if kind == "CronJob":
        wrapped = {"jobTemplate": {"spec": wrapped}}
    return manifest(kind, "web", "a", spec=wrapped, **body)


def _published(name: str = "p", /, **status: object) -> Manifest:
    return manifest("CiliumEndpoint", name, "a", status=status)


def test_pod_when_read_then_has_both_addresses_ports_and_account() -> None:
    found = endpoint(
        pod(
            "p",
            spec={
                "nodeName": "n1",
                "serviceAccountName": "web",
                "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}, {}],
                "initContainers": [{"ports": [{"name": "no", "containerPort": 1}]}],
            },
            status={"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        )
    )

    assert found.addresses == (ip_address("10.0.0.1"), ip_address("fd00::1"))
    assert found.ports == (ContainerPort("http", 8080),)
    assert (found.node, found.service_account, found.managed) == ("n1", "web", True)


@pytest.mark.parametrize(
    "conditions",
    [
        [],
        [{"type": "Initialized", "status": "False"}],
        [{"type": "Ready", "status": "True"}],
    ],
)
def test_pod_when_no_condition_denies_it_then_is_ready(conditions: list[Tree]) -> None:
    assert endpoint(pod("p", status={"conditions": conditions})).ready


def test_pod_when_condition_says_so_then_is_not_ready() -> None:
    conditions = [{"type": "Ready", "status": "False"}]

    assert not endpoint(pod("p", status={"conditions": conditions})).ready


def test_pod_when_finished_then_has_no_address_and_no_policy() -> None:
    found = endpoint(pod("p", status={"phase": "Succeeded"}))

    assert (found.addresses, found.managed) == ((), False)


def test_workload_when_replica_set_was_read_then_is_its_deployment() -> None:
    owner = manifest("ReplicaSet", "web-5d9", "a", owners=[DEPLOYMENT])

    found = endpoint(owner, pod("web-5d9-x", owners=[REPLICA_SET]))

    assert found.workload == Workload("Deployment", "web")


def test_workload_when_hash_ends_the_name_then_is_the_deployment() -> None:
    found = endpoint(pod("p", owners=[REPLICA_SET], labels={"pod-template-hash": "5d9"}))

    assert found.workload == Workload("Deployment", "web")


@pytest.mark.parametrize("labels", [{}, {"pod-template-hash": "other"}])
def test_workload_when_replica_set_is_alone_then_is_the_replica_set(labels: Tree) -> None:
    found = endpoint(
        manifest("ReplicaSet", "other", "a"), pod("p", owners=[REPLICA_SET], labels=labels)
    )

    assert found.workload == Workload("ReplicaSet", "web-5d9")


def test_workload_when_several_owners_then_the_controller_counts() -> None:
    found = endpoint(pod("p", owners=[{"kind": "X", "name": "x"}, DEPLOYMENT]))

    assert found.workload == Workload("Deployment", "web")


def test_workload_when_job_belongs_to_a_cron_job_then_is_the_cron_job() -> None:
    job = manifest("Job", "nightly-1", "a", owners=[{"kind": "CronJob", "name": "nightly"}])
    owner = {"kind": "Job", "name": "nightly-1"}

    assert endpoint(job, pod("p", owners=[owner])).workload == Workload("CronJob", "nightly")
    assert endpoint(pod("p", owners=[owner])).workload == Workload("Job", "nightly-1")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"])
def test_template_when_no_pod_of_it_is_present_then_is_an_endpoint(kind: str) -> None:
    found = endpoint(_template(kind))

    assert (found.key, found.template, found.addresses) == ("a/web", True, ())
    assert found.workload == Workload(kind, "web")
    assert "k8s:app=web" in found.labels.texts()
    assert "k8s:io.cilium.k8s.policy.serviceaccount=web" in found.labels.texts()


def test_template_when_account_is_written_the_old_way_then_is_read() -> None:
    assert endpoint(_template("Deployment", {"serviceAccount": "old"})).service_account == "old"
    assert endpoint(_template("Deployment", {"x": 1})).service_account == "default"


def test_template_when_a_pod_of_it_is_present_then_is_left_out() -> None:
    found = endpoint(
        _template("StatefulSet"), pod("web-0", owners=[{**DEPLOYMENT, "kind": "StatefulSet"}])
    )

    assert found.name == "web-0"


def test_template_when_job_is_owned_then_the_cron_job_stands_for_it() -> None:
    job = manifest("Job", "web-1", "a", spec={}, owners=[{"kind": "CronJob", "name": "web"}])

    assert endpoint(_template("CronJob"), job).workload == Workload("CronJob", "web")


def test_cilium_endpoint_when_published_then_its_identity_wins() -> None:
    found = endpoint(
        pod("p", labels={"app": "new"}),
        _published(
            identity={"id": 77, "labels": ["k8s:app=old"]},
            networking={"addressing": [{"ipv4": "10.9.9.9"}]},
            **{"named-ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        ),
    )

    assert found.labels.texts() == ("k8s:app=old",)
    assert found.identity == 77
    assert found.addresses == (ip_address("10.9.9.9"),)
    assert found.ports == (ContainerPort("http", 80),)


def test_cilium_endpoint_when_without_labels_then_the_identity_object_gives_them() -> None:
    identity = manifest(
        "CiliumIdentity", "77", **{"security-labels": {"k8s:app": "known", "bare": "x"}}
    )

    found = endpoint(pod("p"), identity, _published(identity={"id": 77}))

    assert set(found.labels.texts()) == {"k8s:app=known", "unspec:bare=x"}


def test_cilium_endpoint_when_without_identity_then_the_pods_labels_stay() -> None:
    found = endpoint(pod("p", labels={"app": "x"}), _published())

    assert "k8s:app=x" in found.labels.texts()
    assert found.identity is None


def test_endpoint_slice_when_read_then_gives_identity_and_addresses() -> None:
    listed = {
        "name": "p",
        "id": 77,
        "networking": {"addressing": [{"ipv4": "10.9.9.9", "ipv6": "fd00::9"}]},
    }

    body = {"namespace": "a", "endpoints": [listed]}

    found = endpoint(pod("p"), Manifest(ObjectRef("CiliumEndpointSlice", "", "s"), "", body))

    assert found.identity == 77
    assert found.addresses == (ip_address("10.9.9.9"), ip_address("fd00::9"))


def test_pod_when_cilium_knows_others_only_then_is_not_managed_yet() -> None:
    cluster = build(
        pod("known"),
        pod("old", address="10.0.0.2"),
        pod("host", address="10.0.0.3", spec={"hostNetwork": True}),
        pod("starting", address="", status={"phase": "Pending"}),
        _published("known", identity={"id": 1}),
    )

    managed = {found.name: found.managed for found in cluster.endpoints}

    assert managed == {"known": True, "old": False, "host": True, "starting": True}
