from app.services.picture import Ingredients, make_picture
from app.testing.builders import manifests, namespace, pod
from app.testing.pictures import small_tre

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: closed, namespace: lung}
spec: {endpointSelector: {}, ingress: [{}]}
"""
ELSEWHERE = POLICY.replace("namespace: lung", "namespace: new")


def test_change_of_policies_shares_everything_else() -> None:
    before = make_picture(Ingredients(small_tre()))
    after = make_picture(
        Ingredients((*small_tre(), *manifests(POLICY))), before=before, only_policies=True
    )
    assert after.cluster.endpoints is before.cluster.endpoints
    assert [one.ref.name for one in after.engine.policies] == ["closed"]
    assert after.revision == before.revision + 1


def test_change_of_policies_gives_the_same_cluster_as_a_full_build() -> None:
    objects = (*small_tre(), *manifests(POLICY))
    before = make_picture(Ingredients(small_tre()))
    quick = make_picture(Ingredients(objects), before=before, only_policies=True)
    full = make_picture(Ingredients(objects), before=before)
    assert quick.cluster == full.cluster


def test_policy_of_an_unknown_namespace_builds_the_cluster_anew() -> None:
    before = make_picture(Ingredients(small_tre()))
    objects = (*small_tre(), *manifests(ELSEWHERE))
    after = make_picture(Ingredients(objects), before=before, only_policies=True)
    assert "new" in after.cluster.namespaces


def test_other_changes_build_the_cluster_anew() -> None:
    before = make_picture(Ingredients(small_tre()))
    objects = (*small_tre(), namespace("new"), pod("new/a", "10.9.9.9"))
    after = make_picture(Ingredients(objects), before=before)
    assert len(after.cluster.endpoints) == len(before.cluster.endpoints) + 1


def test_version_that_was_given_reaches_the_labels_of_identities() -> None:
    topology = "topology.kubernetes.io/zone"
    objects = (namespace("lab"), pod("lab/desk", "10.0.0.1", labels={topology: "a"}))
    old, new = (
        make_picture(Ingredients(objects, cilium_version=version)).cluster.endpoints[0]
        for version in ((1, 18, 0), (1, 19, 0))
    )
    assert topology in old.labels
    assert topology not in new.labels
