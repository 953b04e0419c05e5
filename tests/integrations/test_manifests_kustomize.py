from pathlib import Path

import pytest

from app.core.errors import BadInput
from app.core.model.provenance import Manifest
from integrations.manifests.reader import Loaded, Selected, load

HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
POLICY = """\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: lung}
spec: {endpointSelector: {}}
"""


def _load(root: Path, files: dict[str, str], path: str = "") -> Loaded:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return load([str(root / path)])


def _by_file(loaded: Loaded, root: Path) -> dict[str, Manifest]:
    return {str(Path(m.file or "").relative_to(root)): m for m in loaded.manifests}


def _deployed_by(manifest: Manifest) -> tuple[str, ...]:
    assert manifest.source is not None
    return manifest.source.deployed_by


def _texts(loaded: Loaded) -> str:
    return "\n".join(str(notice) for notice in loaded.notices)


def test_load_when_overlays_share_a_base_then_deployed_by_both(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        {
            "app/base/kustomization.yaml": HEAD + "resources: [web.yaml]\n",
            "app/base/web.yaml": POLICY,
            "app/envs/dev/kustomization.yaml": HEAD + "resources: [../../base]\n",
            "app/envs/prd/kustomization.yml": HEAD + "bases: [../../base]\n",
        },
    )
    assert _deployed_by(loaded.manifests[0]) == ("app/envs/prd",)
    assert _texts(loaded) == (
        "of several environments `prd` is analysed (--env choose; also: `dev`)"
    )


def test_load_when_kustomization_says_no_kind_then_it_counts(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path, {"env/kustomization.yaml": "resources: [web.yaml]\n", "env/web.yaml": POLICY}
    )
    assert _deployed_by(loaded.manifests[0]) == ("env",)


def test_load_when_component_lists_a_file_then_deployed(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        {
            "env/kustomization.yaml": HEAD + "components: [../extra]\n",
            "extra/kustomization.yaml": HEAD.replace("Kustomization", "Component")
            + "resources: [web.yaml]\n",
            "extra/web.yaml": POLICY,
        },
    )
    assert _deployed_by(loaded.manifests[0]) == ("env",)


def test_load_when_file_is_in_no_kustomization_then_not_in_force(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        {
            "app/kustomization.yaml": HEAD + "resources: []\n",
            "app/net/web.yaml": POLICY,
            "plain/web2.yaml": POLICY.replace("web", "web2"),
        },
    )
    assert list(_by_file(loaded, tmp_path)) == ["plain/web2.yaml"]
    (orphan,) = loaded.undeployed
    assert orphan.source is not None
    assert orphan.source.orphan
    assert "CiliumNetworkPolicy/lung/web is deployed by nothing: no kustomization" in _texts(loaded)


def test_load_when_deployed_and_orphan_hold_the_same_object_then_only_the_deployed(
    tmp_path: Path,
) -> None:
    loaded = _load(
        tmp_path,
        {
            "a/dev/kustomization.yaml": HEAD + "resources: [../zbase]\n",
            "a/dev/web.yaml": POLICY,
            "a/zbase/kustomization.yaml": HEAD + "resources: [web.yaml]\n",
            "a/zbase/web.yaml": POLICY,
        },
    )
    assert list(_by_file(loaded, tmp_path)) == ["a/zbase/web.yaml"]
    assert [m.file for m in loaded.undeployed] == [str(tmp_path / "a/dev/web.yaml")]
    assert not loaded.shadowed


def test_load_when_two_overlays_deploy_variants_then_one_and_a_way_to_choose(
    tmp_path: Path,
) -> None:
    files = {
        f"{vendor}/{name}": text
        for vendor in ("aws", "k3s")
        for name, text in (
            ("kustomization.yaml", HEAD + "resources: [web.yaml]\n"),
            ("web.yaml", POLICY),
        )
    }
    loaded = _load(tmp_path, files)
    assert list(_by_file(loaded, tmp_path)) == ["aws/web.yaml"]
    assert "`aws` is analysed (--cluster choose; also: `k3s`)" in _texts(loaded)
    chosen = load([str(tmp_path)], selected=Selected(clusters=("k3s",)))
    assert list(_by_file(chosen, tmp_path)) == ["k3s/web.yaml"]
    assert not chosen.notices


def test_load_when_transformers_apply_one_way_then_object_is_as_deployed(tmp_path: Path) -> None:
    deployment = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\n"
        "spec:\n  selector: {matchLabels: {app: api}}\n"
        "  template: {metadata: {labels: {app: api}}}\n"
    )
    knp = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np}\n"
        "spec:\n  podSelector: {matchLabels: {app: api}}\n"
        "  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}, {podSelector: {}}]}]\n"
    )
    loaded = _load(
        tmp_path,
        {
            "base/kustomization.yaml": HEAD
            + "namespace: inner\nnamePrefix: in-\nresources: [all.yaml]\n",
            "base/all.yaml": f"{POLICY}---\n{deployment}---\n{knp}",
            "env/kustomization.yaml": HEAD
            + "namespace: heart\nnamePrefix: out-\nnameSuffix: -x\n"
            + "commonLabels: {tier: gold}\nresources: [../base]\n",
        },
    )
    policy, workload, network = loaded.manifests
    assert str(policy.ref) == "CiliumNetworkPolicy/heart/out-in-web-x"
    assert policy.body["metadata"]["labels"] == {"tier": "gold"}
    assert policy.body["spec"] == {"endpointSelector": {}}
    assert workload.body["spec"]["template"]["metadata"]["labels"] == {"app": "api", "tier": "gold"}
    assert workload.body["spec"]["selector"]["matchLabels"] == {"app": "api", "tier": "gold"}
    assert network.body["spec"]["podSelector"]["matchLabels"] == {"app": "api", "tier": "gold"}
    assert network.body["spec"]["ingress"][0]["from"] == [
        {"podSelector": {"matchLabels": {"app": "web", "tier": "gold"}}},
        {"podSelector": {}},
    ]


def test_load_when_labels_leave_selectors_alone_then_only_metadata(tmp_path: Path) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {selector: {app: api}}\n"
    loaded = _load(
        tmp_path,
        {
            "kustomization.yaml": HEAD + "labels: [{pairs: {a: b}}]\nresources: [s.yaml]\n",
            "s.yaml": service,
        },
    )
    body = loaded.manifests[0].body
    assert body["metadata"]["labels"] == {"a": "b"}
    assert body["spec"]["selector"] == {"app": "api"}


def test_load_when_overlays_disagree_then_one_environment(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        {
            "base/kustomization.yaml": HEAD + "resources: [web.yaml]\n",
            "base/web.yaml": POLICY,
            "dev/kustomization.yaml": HEAD + "namePrefix: dev-\nresources: [../base]\n",
            "prd/kustomization.yaml": HEAD + "namePrefix: prd-\nresources: [../base]\n",
        },
    )
    assert [m.ref.name for m in loaded.manifests] == ["prd-web"]
    dev = load([str(tmp_path)], selected=Selected(env="dev"))
    assert [m.ref.name for m in dev.manifests] == ["dev-web"]
    with pytest.raises(BadInput, match="no such environment: `stg`") as caught:
        load([str(tmp_path)], selected=Selected(env="stg"))
    assert caught.value.hint == "this checkout has: dev, prd"


def test_load_when_overlay_alone_is_named_then_its_bases_are_read_too(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    loaded = _load(
        tmp_path,
        {
            "base/kustomization.yaml": HEAD + "resources: [web.yaml]\n",
            "base/web.yaml": POLICY,
            "dev/kustomization.yaml": HEAD + "namePrefix: dev-\nresources: [../base]\n",
            "prd/kustomization.yaml": HEAD + "namePrefix: prd-\nresources: [../base]\n",
        },
        "dev",
    )
    assert [m.ref.name for m in loaded.manifests] == ["dev-web"]
    assert _deployed_by(loaded.manifests[0]) == ("dev",)


def test_load_when_base_lies_outside_and_there_is_no_checkout_then_not_followed(
    tmp_path: Path,
) -> None:
    loaded = _load(
        tmp_path,
        {
            "base/kustomization.yaml": HEAD + "resources: [web.yaml]\n",
            "base/web.yaml": POLICY,
            "dev/kustomization.yaml": HEAD + "resources: [../base]\n",
        },
        "dev",
    )
    assert not loaded.manifests
    assert (
        f"{tmp_path}/dev/kustomization.yaml: not in the snapshot: "
        "a resource of this kustomization: ../base" in _texts(loaded)
    )


def test_load_when_patched_then_as_patched_with_the_line_of_the_patch(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        {
            "kustomization.yaml": HEAD
            + "resources: [web.yaml]\npatches:\n- path: fix.yaml\n"
            + "- target: {kind: CiliumNetworkPolicy}\n  patch: |-\n"
            + "    - op: add\n      path: /spec/egress\n      value: [{toEntities: [world]}]\n",
            "web.yaml": POLICY,
            "fix.yaml": POLICY.replace("{endpointSelector: {}}", "")
            + "  description: fixed\n  ingress:\n  - fromEntities: [cluster]\n",
        },
    )
    (policy,) = loaded.manifests
    assert policy.file == str(tmp_path / "web.yaml")
    assert policy.body["spec"] == {
        "endpointSelector": {},
        "description": "fixed",
        "ingress": [{"fromEntities": ["cluster"]}],
        "egress": [{"toEntities": ["world"]}],
    }
    fix, overlay = str(tmp_path / "fix.yaml"), str(tmp_path / "kustomization.yaml")
    assert policy.place_of("spec.endpointSelector") == (policy.file, 4)
    assert policy.place_of("spec.description") == (fix, 5)
    assert policy.place_of("spec.ingress[0].fromEntities[0]") == (fix, 7)
    assert policy.place_of("spec.egress[0]") == (overlay, 10)
    assert not loaded.notices


def test_load_when_charts_generators_and_remote_bases_then_each_is_named(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        {
            "kustomization.yaml": HEAD
            + "helmCharts: [{name: jupyterhub, repo: x}]\ngenerators: [g.yaml]\n"
            + "resources: ['https://example.org/x?ref=1', gone.yaml]\n",
        },
    )
    texts = _texts(loaded)
    assert "Helm charts are not rendered: jupyterhub" in texts
    assert "`generators` is not carried out" in texts
    assert "2 resources of this kustomization: https://example.org/x?ref=1, gone.yaml" in texts
    assert {notice.severity for notice in loaded.notices} == {"error"}


def test_load_when_kustomizations_form_a_cycle_then_it_ends(tmp_path: Path) -> None:
    loaded = _load(
        tmp_path,
        {
            "a/kustomization.yaml": HEAD + "resources: [../b, web.yaml]\n",
            "a/web.yaml": POLICY,
            "b/kustomization.yaml": HEAD + "resources: [../a]\n",
        },
    )
    assert [m.ref.name for m in loaded.manifests] == ["web"]
    assert "kustomizations include each other" in _texts(loaded)


def test_words_of_yaml_1_1_are_text_through_kustomize_and_none_where_a_file_is_applied(
    tmp_path: Path,
) -> None:
    policy = POLICY.replace("{}}", "{matchLabels: {public: yes}}}")
    files = {"env/kustomization.yaml": "resources: [web.yaml]\n", "env/web.yaml": policy}
    (built,) = _load(tmp_path / "a", files).manifests
    (applied,) = _load(tmp_path / "b", {"web.yaml": policy}).manifests
    assert built.body["spec"]["endpointSelector"]["matchLabels"] == {"public": "yes"}
    assert applied.body["spec"]["endpointSelector"]["matchLabels"] == {"public": True}


def test_kustomization_that_is_refused_or_not_all_carried_out_says_so_with_its_line(
    tmp_path: Path,
) -> None:
    text = (
        "resources: [web.yaml]\nresorces: [b.yaml]\ncommonLabels:\n  public: yes\n"
        "vars: [{name: X}]\nbuildMetadata: [managedByLabel]\nvalidators: [v.yaml]\n"
    )
    said = _texts(_load(tmp_path, {"kustomization.yaml": text, "web.yaml": POLICY}))
    for words in (
        "kustomization.yaml:2: kustomize would not build this: there is no field `resorces`",
        "kustomization.yaml:4: kustomize would not build this: `commonLabels.public` is not text",
        "kustomization.yaml:5: `vars` is not carried out",
        "kustomization.yaml:6: `buildMetadata: managedByLabel` is not carried out",
        "kustomization.yaml:7: `validators` is not carried out",
    ):
        assert words in said
