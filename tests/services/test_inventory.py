import pytest

from app.core.errors import Ambiguous, NotFound
from app.core.model.provenance import Source
from app.services.inventory import (
    endpoint_detail,
    endpoint_rows,
    find_endpoints,
    find_policies,
    object_yaml,
    policy_detail,
    policy_rows,
)
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.builders import manifest, manifests
from app.testing.pictures import picture_of, small_tre

POLICIES = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: lung}
spec:
  description: what a workspace may do
  endpointSelector: {matchLabels: {app: jupyter}}
  egress:
  - toFQDNs: [{matchName: pypi.org}]
    toPorts: [{ports: [{port: "443", protocol: TCP}]}]
  - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system}}]
    toPorts:
    - ports: [{port: "53", protocol: ANY}]
      rules: {dns: [{matchPattern: "*"}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: no-metadata}
spec:
  endpointSelector: {}
  egressDeny: [{toCIDR: [169.254.169.254/32]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: broken, namespace: heart}
spec:
  endpointSelector: {}
  egress: [{toFQDNs: [{matchName: pypi.org}], toEntities: [world]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: mirror-in, namespace: mirror, creationTimestamp: "2026-01-02T03:04:05Z"}
spec:
  podSelector: {matchLabels: {app: mirror}}
  ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 8080}]}]
"""


@pytest.fixture(name="picture")
def _picture() -> Picture:
    return picture_of(small_tre(), POLICIES)


def test_rows_come_by_kind_namespace_and_name(picture: Picture) -> None:
    assert [str(row.ref) for row in policy_rows(picture)] == [
        "CiliumClusterwideNetworkPolicy//no-metadata",
        "CiliumNetworkPolicy/heart/broken",
        "CiliumNetworkPolicy/lung/workspace",
        "NetworkPolicy/mirror/mirror-in",
    ]


def test_row_says_what_is_in_the_policy(picture: Picture) -> None:
    rows = {row.ref.name: row for row in policy_rows(picture)}
    workspace, deny, mirror = rows["workspace"], rows["no-metadata"], rows["mirror-in"]
    assert (workspace.directions, workspace.rules, workspace.selects) == (("egress",), 2, 1)
    assert (workspace.l7, workspace.fqdn, workspace.deny) == (True, True, False)
    assert (deny.l7, deny.fqdn, deny.deny, deny.selects) == (False, False, True, 4)
    assert (mirror.directions, mirror.selects) == (("ingress",), 1)
    assert mirror.created == "2026-01-02T03:04:05Z"
    assert workspace.file == "objects.yaml"


def test_refused_policy_is_listed_with_its_reason(picture: Picture) -> None:
    (row,) = find_policies(picture, "broken")
    assert not row.valid
    assert row.reason
    assert row.selects == 0
    assert policy_detail(picture, row).endpoints == ()
    assert policy_detail(picture, row).tree


def test_scope_leaves_other_namespaces_out(picture: Picture) -> None:
    rows = policy_rows(picture, lambda space: space == "lung")
    assert [row.ref.name for row in rows] == ["workspace"]
    pods = endpoint_rows(picture, lambda space: space == "lung")
    assert [row.endpoint.key for row in pods] == ["lung/jupyter-alice"]


def test_shadowed_object_is_listed_and_says_what_is_in_force() -> None:
    first, second = (
        manifest("CiliumNetworkPolicy", "a", "lung", source=Source(file, 3), spec={})
        for file in ("one.yaml", "two.yaml")
    )
    picture = make_picture(Ingredients((first,), shadowed=(second,)))
    rows = policy_rows(picture)
    assert [(row.file, row.shadowed) for row in rows] == [("one.yaml", False), ("two.yaml", True)]
    assert "one.yaml:3" in rows[1].reason
    assert not rows[1].valid


@pytest.mark.parametrize(
    "text",
    [
        "workspace",
        "lung/workspace",
        "CNP/lung/workspace",
        "CNP workspace",
        "CiliumNetworkPolicy/lung/workspace",
    ],
)
def test_policy_is_found_by_every_name_it_has(picture: Picture, text: str) -> None:
    found = find_policies(picture, text)
    assert ([row.ref.name for row in found] == ["workspace"]) is (text != "CNP workspace")


def test_detail_has_tree_yaml_description_and_endpoints(picture: Picture) -> None:
    (row,) = find_policies(picture, "workspace")
    detail = policy_detail(picture, row)
    assert detail.description == "what a workspace may do"
    assert [endpoint.key for endpoint in detail.endpoints] == ["lung/jupyter-alice"]
    assert "matchName: pypi.org" in detail.yaml
    assert detail.tree[0].text == "pods app=jupyter in lung"


def test_yaml_leaves_out_what_the_api_server_adds() -> None:
    (policy,) = manifests("""
apiVersion: v1
kind: Pod
metadata: {name: a, uid: x, resourceVersion: "7", managedFields: [{}], labels: {a: b}}
spec: {}
status: {phase: Running}
""")
    text = object_yaml(policy)
    assert "labels" in text
    for noise in ("uid", "resourceVersion", "managedFields", "status"):
        assert noise not in text


def test_endpoint_row_says_what_restricts_it(picture: Picture) -> None:
    rows = {row.endpoint.key: row for row in endpoint_rows(picture)}
    alice, mirror = rows["lung/jupyter-alice"], rows["mirror/mirror-0"]
    assert [ref.name for ref in alice.egress] == ["no-metadata", "workspace"]
    assert (alice.egress_default_deny, alice.ingress_default_deny) == (True, False)
    assert [ref.name for ref in mirror.ingress] == ["mirror-in"]
    assert mirror.ingress_default_deny


def test_endpoint_detail_has_the_rows_of_its_policies_and_its_services(picture: Picture) -> None:
    service = manifest(
        "Service", "mirror", "mirror", spec={"selector": {"app": "mirror"}, "ports": [{"port": 80}]}
    )
    picture = picture_of(small_tre(), POLICIES, service)
    (endpoint,) = find_endpoints(picture, "mirror/mirror-0")
    detail = endpoint_detail(picture, endpoint)
    assert [row.ref.name for row in detail.policies] == ["no-metadata", "mirror-in"]
    assert detail.services == ("mirror/mirror",)


def test_endpoints_are_found_as_ends_of_a_connection(picture: Picture) -> None:
    assert [one.key for one in find_endpoints(picture, "lung/jup")] == ["lung/jupyter-alice"]
    with pytest.raises(NotFound):
        find_endpoints(picture, "lung/nobody")


def test_ambiguous_prefix_lists_the_choices() -> None:
    twins = picture_of(small_tre(), [manifest("Pod", "jupyter-al", "lung", spec={}, status={})])
    with pytest.raises(Ambiguous) as caught:
        find_endpoints(twins, "lung/jupyter")
    assert caught.value.choices == ("lung/jupyter-al", "lung/jupyter-alice")


def test_counts_of_rows_are_those_of_the_engine(picture: Picture) -> None:
    for row in policy_rows(picture):
        assert row.selects == len(picture.engine.selected_endpoints(row.ref)), row.ref
