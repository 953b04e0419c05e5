import pytest

from app.core.cluster.tree import BrokenObject, items, pairs, section, whole, word, words
from app.core.model.provenance import Manifest
from tests.core.cluster.objects import Tree, at, build, manifest, pod


def test_build_when_an_object_is_broken_then_says_where_and_uses_the_rest() -> None:
    broken = pod("broken", spec={"containers": "none"}, source=at(4, spec_containers=7))

    cluster = build(broken, pod("fine"), manifest("Namespace", "a"))

    assert [endpoint.name for endpoint in cluster.endpoints] == ["fine"]
    (notice,) = cluster.notices
    assert notice.text == "Pod/a/broken is left out: `spec.containers` is not a list"
    assert (notice.file, notice.line, notice.severity) == ("objects.yaml", 7, "error")


@pytest.mark.parametrize(
    "broken",
    [
        manifest("Namespace", "n", labels=[]),
        manifest("Service", "n", "a", spec=[]),
        manifest(
            "EndpointSlice", "n", "a", endpoints=1, labels={"kubernetes.io/service-name": "s"}
        ),
        manifest("Endpoints", "n", "a", subsets=[1]),
        manifest("Node", "n", status=1),
        manifest("CiliumNode", "n", spec=1),
        manifest("CiliumCIDRGroup", "n", spec={"externalCIDRs": [1]}),
        manifest("Gateway", "n", "a", spec={"listeners": [{"port": "x"}]}),
        manifest("HTTPRoute", "n", "a", spec={"parentRefs": [1]}),
        manifest("Ingress", "n", "a", spec={"rules": 1}),
        manifest("ReplicaSet", "n", "a", owners=1),
        manifest("CiliumIdentity", "word", **{"security-labels": {}}),
        manifest("CiliumEndpoint", "n", "a", status=1),
        manifest("CiliumEndpointSlice", "n", endpoints=1),
        manifest("Deployment", "n", "a", spec=1),
        manifest("ConfigMap", "cilium-config", "kube-system", data=1),
        manifest("DaemonSet", "cilium", "kube-system", spec={"template": 1}),
    ],
    ids=lambda item: item.ref.kind,
)
def test_build_when_any_kind_is_broken_then_it_is_named(broken: Manifest) -> None:
    notices = [notice for notice in build(broken).notices if notice.severity == "error"]

    assert {notice.ref for notice in notices} == {broken.ref}


def test_namespaces_when_only_referenced_then_are_made_with_one_notice() -> None:
    cluster = build(pod("p", "b"), pod("q", "a"), pod("r", "known"), manifest("Namespace", "known"))

    assert sorted(cluster.namespaces) == ["a", "b", "known"]
    assert cluster.namespaces["b"].labels == {"kubernetes.io/metadata.name": "b"}
    (notice,) = cluster.notices
    assert notice.text == "no Namespace object for a, b: only the name is known of its labels"
    assert notice.severity == "info"


def test_policies_when_built_then_stay_raw() -> None:
    kinds = ("CiliumClusterwideNetworkPolicy", "CiliumNetworkPolicy", "NetworkPolicy")
    written = [manifest(kind, "p", "", spec={"x": 1}) for kind in reversed(kinds)]

    cluster = build(*written)

    assert [policy.ref.kind for policy in cluster.policies] == list(kinds)
    assert cluster.policies[0].body["spec"] == {"x": 1}


def test_section_when_a_part_is_missing_then_is_empty() -> None:
    assert section({"a": None}, "a", "b") == {}
    with pytest.raises(BrokenObject, match=r"`a\.b` is not an object"):
        section({"a": {"b": 1}}, "a", "b", "c")


@pytest.mark.parametrize(
    ("tree", "said"),
    [({"x": 1}, "`x` is not a list"), ({"x": [{}, 1]}, r"`x\[1\]` is not an object")],
)
def test_items_when_no_list_of_objects_then_raises(tree: Tree, said: str) -> None:
    with pytest.raises(BrokenObject, match=said):
        list(items(tree, "x"))


@pytest.mark.parametrize("value", ["x", [1]])
def test_words_when_no_list_of_text_then_raises(value: object) -> None:
    with pytest.raises(BrokenObject, match="a list of text"):
        words({"x": value}, "x")


def test_word_when_no_text_then_raises() -> None:
    with pytest.raises(BrokenObject, match="is not text"):
        word({"x": 1}, "x")


@pytest.mark.parametrize("value", [True, "1", 1.5])
def test_whole_when_no_number_then_raises(value: object) -> None:
    with pytest.raises(BrokenObject, match="a whole number"):
        whole({"x": value}, "x")


def test_pairs_when_quotes_were_forgotten_then_are_text() -> None:
    written = {"a": "x", "b": True, "c": False, "d": None, "e": 1, "f": 1.5}

    assert pairs({"m": written}, "m") == {
        "a": "x",
        "b": "true",
        "c": "false",
        "d": "",
        "e": "1",
        "f": "1.5",
    }
    with pytest.raises(BrokenObject, match=r"`m\.g` is not text"):
        pairs({"m": {"g": []}}, "m")
