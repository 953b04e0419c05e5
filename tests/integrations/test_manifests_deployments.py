from pathlib import Path

import pytest

from app.core.model.provenance import Manifest
from integrations.manifests.reader import Loaded, Selected, load
from tests.integrations.test_manifests_kustomize import POLICY, _load, _texts

FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: web, namespace: flux-system}
spec:
  path: ./apps/web/app
  targetNamespace: bench
"""
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: web, namespace: argocd}
spec:
  source: {repoURL: https://example.org/x.git, path: apps/web, DIRECTORY}
  destination: {namespace: landing, name: east}
"""
APPLICATION_SET = """\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: net, namespace: argocd}
spec:
  goTemplate: true
  generators:
  - matrix:
      generators:
      - git: {directories: [{path: net/*/envs/*}, {path: net/old/envs/*, exclude: true}]}
      - clusters:
          selector:
            matchLabels:
              environment: "{{index .path.segments 3}}"
              vendor: "{{index .path.segments 1}}"
  template:
    metadata: {name: "net-{{.nameNormalized}}"}
    spec:
      source:
        path: "{{.path.path}}"
        plugin: {env: [{name: DOMAIN, value: "{{index .path.segments 3}}.example.org"}]}
      destination: {namespace: "{{index .path.segments 0}}"}
"""
BARE = POLICY.replace(", namespace: lung", "")


def refs(loaded: Loaded) -> list[str]:
    kinds = ("CiliumNetworkPolicy", "Service")
    return sorted(str(one.ref) for one in loaded.manifests if one.ref.kind in kinds)


def policy(loaded: Loaded) -> Manifest:
    (one,) = (one for one in loaded.manifests if one.ref.kind == "CiliumNetworkPolicy")
    return one


def test_flux_target_namespace_overrides_that_of_every_object(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {"apps/web/ks.yaml": FLUX, "apps/web/app/web.yaml": POLICY})
    assert refs(loaded) == ["CiliumNetworkPolicy/bench/web"]
    assert policy(loaded).place_of("metadata.namespace") == (
        str(tmp_path / "apps/web/ks.yaml"),
        6,
    )


def test_flux_substitutes_after_the_build_and_numbers_become_numbers(tmp_path: Path) -> None:
    substitutes = "  postBuild: {substitute: {NAME: api, PORT: '8080'}}\n"
    service = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: '${NAME}'}\n"
        "spec: {ports: [{port: '${PORT}'}, {port: '${OTHER:=9090}'}], externalName: '${GONE}'}\n"
    )
    loaded = _load(
        tmp_path, {"apps/web/ks.yaml": FLUX + substitutes, "apps/web/app/s.yaml": service}
    )
    assert refs(loaded) == ["Service/bench/api"]
    (found,) = (one for one in loaded.manifests if one.ref.kind == "Service")
    assert found.body["spec"]["ports"] == [{"port": 8080}, {"port": 9090}]
    assert found.body["spec"]["externalName"] in ("", None)


def test_flux_patches_of_the_parent_reach_the_kustomizations_it_writes(tmp_path: Path) -> None:
    parent = (
        FLUX.replace("name: web", "name: cluster-apps")
        .replace("./apps/web/app", "./apps")
        .replace("  targetNamespace: bench\n", "")
        + "  patches:\n  - target: {kind: Kustomization}\n    patch: |\n"
        "      - {op: add, path: /spec/targetNamespace, value: patched}\n"
    )
    files = {
        "flux/apps.yaml": parent,
        "apps/kustomization.yaml": "resources: [web/ks.yaml]\n",
        "apps/web/ks.yaml": FLUX,
        "apps/web/app/web.yaml": POLICY,
    }
    assert refs(_load(tmp_path, files)) == ["CiliumNetworkPolicy/patched/web"]


def test_what_no_controller_leads_to_is_not_in_force(tmp_path: Path) -> None:
    files = {
        "apps/web/ks.yaml": FLUX,
        "apps/web/app/web.yaml": POLICY,
        "apps/old/kustomization.yaml": "resources: [old.yaml]\n",
        "apps/old/old.yaml": POLICY.replace("web", "old"),
    }
    loaded = _load(tmp_path, files)
    assert refs(loaded) == ["CiliumNetworkPolicy/bench/web"]
    assert [one.ref.name for one in loaded.undeployed] == ["old"]
    assert "nothing of Argo CD or Flux leads to the file" in _texts(loaded)


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("directory: {recurse: false}", ["top"]),
        ("directory: {recurse: true}", ["deep", "top"]),
        ("directory: {recurse: true, exclude: 'deep/*'}", ["top"]),
        ("directory: {recurse: true, include: 'deep/*'}", ["deep"]),
    ],
)
def test_argo_directory_takes_the_files_that_argo_takes(
    tmp_path: Path, directory: str, expected: list[str]
) -> None:
    files = {
        "argo/app.yaml": APPLICATION.replace("DIRECTORY", directory),
        "apps/web/top.yaml": BARE.replace("web", "top"),
        "apps/web/deep/deep.yaml": BARE.replace("web", "deep"),
    }
    loaded = _load(tmp_path, files)
    assert refs(loaded) == [f"CiliumNetworkPolicy/landing/{name}" for name in expected]


def test_argo_kustomize_options_are_edits_of_the_kustomization(tmp_path: Path) -> None:
    options = "kustomize: {namePrefix: a-, namespace: forced, commonLabels: {x: z}}"
    files = {
        "argo/app.yaml": APPLICATION.replace("DIRECTORY", options),
        "apps/web/kustomization.yaml": "resources: [web.yaml]\n",
        "apps/web/web.yaml": POLICY,
    }
    loaded = _load(tmp_path, files)
    assert refs(loaded) == ["CiliumNetworkPolicy/forced/a-web"]
    assert policy(loaded).body["metadata"]["labels"] == {"x": "z"}


def _net(*folders: str) -> dict[str, str]:
    files = {"argo/set.yaml": APPLICATION_SET}
    for folder in folders:
        name = folder.replace("/", "-")
        files[f"{folder}/kustomization.yaml"] = "resources: [p.yaml]\n"
        text = BARE.replace("web", name).replace("{}", "{matchLabels: {d: '${DOMAIN}'}}")
        files[f"{folder}/p.yaml"] = text
    return files


def test_application_set_gives_one_environment_and_one_vendor(tmp_path: Path) -> None:
    folders = ("net/aws/envs/dev", "net/aws/envs/prd", "net/k3s/envs/prd", "net/old/envs/prd")
    loaded = _load(tmp_path, _net(*folders))
    assert refs(loaded) == ["CiliumNetworkPolicy/net/net-aws-envs-prd"]
    assert "`prd, aws` is analysed" in _texts(loaded)
    selector = policy(loaded).body["spec"]["endpointSelector"]
    assert selector == {"matchLabels": {"d": "prd.example.org"}}
    for env, cluster, name in (("dev", "", "aws-envs-dev"), ("prd", "k3s", "k3s-envs-prd")):
        clusters = (cluster,) if cluster else ()
        chosen = load([str(tmp_path)], selected=Selected(env=env, clusters=clusters))
        assert refs(chosen) == [f"CiliumNetworkPolicy/net/net-{name}"]
    assert [one.ref.name for one in loaded.undeployed] == ["net-old-envs-prd"]


def test_chart_is_named_until_it_is_rendered(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/gitea.yaml").write_text(
        "---\n# Source: gitea/templates/svc.yaml\napiVersion: v1\nkind: Service\n"
        "metadata: {name: gitea-http}\nspec: {ports: [{port: 3000}]}\n"
    )
    repo = {"repo/kustomization.yaml": "helmCharts: [{name: gitea, namespace: git}]\n"}
    loaded = _load(tmp_path, repo, "repo")
    (notice,) = loaded.notices
    assert "Helm charts are not rendered in `git`: gitea" in notice.text
    assert notice.severity == "error"
    assert notice.ref is not None
    assert notice.ref.namespace == "git"
    rendered = Selected(rendered=(str(tmp_path / "out"),))
    loaded = load([str(tmp_path / "repo")], selected=rendered)
    (service,) = loaded.manifests
    assert str(service.ref) == "Service/git/gitea-http"
    assert service.source is not None
    assert service.source.deployed_by == ("gitea/templates/svc.yaml",)
    assert not loaded.notices


def test_objects_beside_the_checkout_are_in_force(tmp_path: Path) -> None:
    (tmp_path / "repo/.git").mkdir(parents=True)
    files = {
        "dump/all.yaml": POLICY.replace("web", "live"),
        "repo/apps/web/ks.yaml": FLUX,
        "repo/apps/web/app/web.yaml": POLICY,
        "repo/notes/lost.yaml": POLICY.replace("web", "lost"),
    }
    _load(tmp_path, files, "dump")
    loaded = load([str(tmp_path / "dump"), str(tmp_path / "repo")])
    assert refs(loaded) == ["CiliumNetworkPolicy/bench/web", "CiliumNetworkPolicy/lung/live"]
    assert [one.ref.name for one in loaded.undeployed] == ["lost"]
