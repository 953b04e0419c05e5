"""A new policy lies beside the app's others, or the workload, and in its kustomization."""

from pathlib import Path

import pytest

from app.bootstrap.drafts import Checkout, build_drafter, placing
from app.bootstrap.sources import Sources
from app.config import Settings
from app.services.ask import make_question
from app.services.drafting import Draft
from app.services.picture import Ingredients, make_picture
from integrations.git.local import LocalGit
from integrations.manifests.reader import Selected, load
from tests.integrations.git_repository import commit, git

ASKED = make_question("deploy:desk/desk", "wheels.example.net", "443")
NEW = "netpol-allow-desk-to-wheels-example-net-443.yaml"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: desk}
spec:
  selector: {matchLabels: {role: desk}}
  template:
    metadata: {labels: {role: desk}}
    spec: {containers: [{name: c, image: example.test/x}]}
"""
BASELINE = """\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: baseline}
spec:
  endpointSelector: {}
  egress: [{toEntities: [cluster]}]
"""


def _policy(name: str, selector: str, namespace: str = "desk") -> str:
    return (
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n"
        f"metadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec:\n  endpointSelector: {selector}\n  ingress: [{{}}]\n"
    )


REPOSITORY = {
    "net/base.yaml": BASELINE,
    "net/kustomization.yaml": "resources: [base.yaml]\n",
    "apps/desk/base/deployment.yaml": DEPLOYMENT,
    "apps/desk/base/kustomization.yaml": "resources:\n- deployment.yaml\n",
    "apps/desk/envs/dev/kustomization.yaml": "namespace: desk\nresources: [../../base]\n",
}
FAR = {
    "bootstrap/desk.yaml": _policy("far", "{}"),
    "bootstrap/kustomization.yaml": "resources: [desk.yaml]\n",
}


async def _draft(
    root: Path, files: dict[str, str], *, env: str = "", rendered: tuple[str, ...] = ()
) -> Draft:
    root.mkdir(exist_ok=True)
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root, files)
    git(root, "checkout", "--quiet", "--force", "main")
    loaded = load([str(root)], {}, Selected(env=env, rendered=rendered))
    picture = make_picture(Ingredients(loaded.manifests))
    sources = Sources(snapshots=(str(root),), env=env, rendered=rendered)
    place = placing(root.resolve())
    checkout = Checkout(LocalGit(root, "main"), place, writable=True, root=root.resolve())
    drafter = build_drafter(checkout, sources, Settings())
    inquiry = await drafter.ask(picture, None, ASKED)
    return await drafter.draft(inquiry, inquiry.ways.numbered(1))


async def _files(root: Path, files: dict[str, str]) -> dict[str, str | None]:
    draft = await _draft(root, files)
    return {one.path: one.after for one in draft.change.files}


@pytest.mark.parametrize("besides", [{}, FAR], ids=["no policy", "a policy far off"])
async def test_draft_when_the_app_has_no_policy_then_beside_its_workload(
    tmp_path: Path, besides: dict[str, str]
) -> None:
    files = await _files(tmp_path / "repo", {**REPOSITORY, **besides})
    assert list(files) == [f"apps/desk/base/{NEW}", "apps/desk/base/kustomization.yaml"]
    assert files["apps/desk/base/kustomization.yaml"] == (
        f"resources:\n- deployment.yaml\n- {NEW}\n"
    )


async def test_draft_when_the_apps_policies_have_a_folder_then_there(tmp_path: Path) -> None:
    network = {
        "apps/desk/base/network/in.yaml": _policy("in", "{matchLabels: {role: other}}"),
        "apps/desk/base/network/kustomization.yaml": "resources: [in.yaml]\n",
        "apps/desk/base/kustomization.yaml": "resources: [deployment.yaml, network]\n",
    }
    files = await _files(tmp_path / "repo", {**REPOSITORY, **FAR, **network})
    folder = "apps/desk/base/network"
    assert list(files) == [f"{folder}/{NEW}", f"{folder}/kustomization.yaml"]


async def test_draft_when_a_policy_of_the_workload_lies_elsewhere_then_there(
    tmp_path: Path,
) -> None:
    policies = {
        "policies/desk/own.yaml": _policy("own", "{matchLabels: {role: desk}}"),
        "policies/desk/kustomization.yaml": "resources: [own.yaml]\n",
    }
    files = await _files(tmp_path / "repo", {**REPOSITORY, **FAR, **policies})
    assert list(files) == [f"policies/desk/{NEW}", "policies/desk/kustomization.yaml"]


async def test_draft_when_a_base_feeds_two_environments_then_both_are_named(
    tmp_path: Path,
) -> None:
    prd = {"apps/desk/envs/prd/kustomization.yaml": "namespace: desk\nresources: [../../base]\n"}
    draft = await _draft(tmp_path / "repo", {**REPOSITORY, **prd}, env="dev")
    reach = "changes what is deployed by apps/desk/envs/dev, apps/desk/envs/prd"
    assert reach in draft.effect
    assert "judged as apps/desk/envs/dev deploys it; not judged for apps/desk/envs/prd" in (
        draft.effect
    )
    assert "| Applies to | `apps/desk/envs/dev`, `apps/desk/envs/prd` |" in draft.change.body


CHARTED = {
    "net/base.yaml": BASELINE,
    "net/kustomization.yaml": "resources: [base.yaml]\n",
    "apps/desk/release.yaml": """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: desk, namespace: desk}
spec:
  chart:
    spec: {chart: workbench, sourceRef: {kind: HelmRepository, name: charts}}
""",
    "apps/desk/kustomization.yaml": "resources:\n  - release.yaml\n",
}
OUTPUT = f"""\
---
# Source: workbench/templates/deployment.yaml
{DEPLOYMENT.replace("{name: desk}", "{name: desk, namespace: desk}")}---
# Source: workbench/templates/policy.yaml
{_policy("charted", "{matchLabels: {role: desk}}").replace("ingress: [{}]", "egress: [{}]")}
"""


@pytest.mark.parametrize("inside", [True, False], ids=["in the checkout", "elsewhere"])
async def test_draft_when_a_chart_renders_app_and_policy_then_beside_what_deploys_it(
    tmp_path: Path, *, inside: bool
) -> None:
    root = tmp_path / "repo"
    rendered = (root if inside else tmp_path) / "rendered"
    rendered.mkdir(parents=True)
    (rendered / "desk.yaml").write_text(OUTPUT)
    draft = await _draft(root, CHARTED, rendered=(str(rendered),))
    files = {one.path: one.after for one in draft.change.files}
    assert list(files) == [f"apps/desk/{NEW}", "apps/desk/kustomization.yaml"]
    assert files["apps/desk/kustomization.yaml"] == f"resources:\n  - release.yaml\n  - {NEW}\n"
