import os
import textwrap
import time
from pathlib import Path

import pytest

from app.core.errors import BadInput
from app.core.model.provenance import Manifest
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.helm import Helm
from integrations.manifests.reader import Loaded, Selected, load
from tests.testbed.binaries import require

HELM = """\
#!/usr/bin/env python3
# Prints a policy of the release in the namespace asked for, and what it was called with.
import json, pathlib, sys
words = sys.argv[1:]
release, chart = words[1], pathlib.Path(words[2])
namespace = next((w[12:] for w in words if w.startswith("--namespace=")), "default")
files = [w[9:] for w in words if w.startswith("--values=")]
text = "|".join(pathlib.Path(f).read_text().strip() for f in files)
rest = " ".join(w for w in words[3:] if not w.startswith(("--values=", "--api-versions=")))
print(f'''---
# Source: {chart.name}/templates/policy.yaml
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: {release}-deny
  annotations:
    values: {json.dumps(text)}
    rest: {json.dumps(rest)}
spec: {{endpointSelector: {{}}, ingress: [{{}}]}}
---
# Source: {chart.name}/charts/sub/templates/service.yaml
apiVersion: v1
kind: Service
metadata: {{name: {release}-web}}
spec: {{ports: [{{port: 80}}]}}''')
"""
TEMPLATE = """\
{{- if .Values.policies }}
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: {{ .Release.Name }}-deny
spec:
  endpointSelector: {}
  ingress: [{}]
{{- end }}
"""
CHART = {
    "charts/web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n",
    "charts/web/values.yaml": "policies: true\n",
    "charts/web/prd.yaml": "tier: prd\n",
    "charts/web/templates/policy.yaml": TEMPLATE,
}
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  source:
    repoURL: https://example.org/x.git
    path: charts/web
    helm: HELM
  destination: {namespace: landing}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: shop, namespace: apps}
spec:
  chart: {spec: {chart: ./charts/web, sourceRef: {kind: GitRepository, name: x}}}
  targetNamespace: landing
"""


@pytest.fixture
def helm(tmp_path: Path) -> str:
    return _program(tmp_path / "bin/helm", HELM)


def _program(file: Path, text: str) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


def _write(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        file = folder / "repo" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "repo/.git").mkdir(exist_ok=True)
    return str(folder / "repo")


def _load(folder: Path, files: dict[str, str], helm: str) -> Loaded:
    return load([_write(folder, files)], selected=Selected(helm=helm))


def _policy(loaded: Loaded) -> Manifest:
    (one,) = (one for one in loaded.manifests if one.ref.kind == "CiliumNetworkPolicy")
    return one


def _said(loaded: Loaded) -> dict[str, str]:
    said = _policy(loaded).body["metadata"]["annotations"]
    assert isinstance(said, dict)
    return said


def _texts(loaded: Loaded) -> str:
    return "\n".join(one.text for one in loaded.notices)


def _application(helm: str) -> str:
    return APPLICATION.replace("HELM", helm)


def test_chart_of_an_application_is_rendered_and_tied_to_its_template(
    tmp_path: Path, helm: str
) -> None:
    loaded = _load(tmp_path, {**CHART, "argo/app.yaml": _application("{}")}, helm)
    policy = _policy(loaded)
    assert str(policy.ref) == "CiliumNetworkPolicy/landing/shop-deny"
    template = str(tmp_path / "repo/charts/web/templates/policy.yaml")
    assert policy.place_of("spec.ingress[0]") == (template, 3)
    assert policy.source is not None
    assert policy.source.deployed_by == ("charts/web",)
    assert [str(one.ref) for one in loaded.manifests if one.ref.kind == "Service"] == [
        "Service/landing/shop-web"
    ]
    assert not loaded.notices


def test_values_of_an_application_come_in_argos_order(tmp_path: Path, helm: str) -> None:
    options = (
        "{valueFiles: [prd.yaml], valuesObject: {a: 1}, releaseName: mine,"
        " parameters: [{name: x, value: 'a,b'}, {name: z, value: '1', forceString: true}]}"
    )
    loaded = _load(tmp_path, {**CHART, "argo/app.yaml": _application(options)}, helm)
    assert _policy(loaded).ref.name == "mine-deny"
    said = _said(loaded)
    assert said["values"] == 'tier: prd|{"a": 1}'
    assert said["rest"] == "--namespace=landing --skip-tests --set=x=a\\,b --set-string=z=1"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("{valueFiles: ['https://example.org/v.yaml']}", "values from elsewhere"),
        ("{valueFiles: [gone.yaml]}", "values file `gone.yaml` is not in this checkout"),
        ("{valueFiles: [../../../out.yaml]}", "`out.yaml` is a link out of the checkout"),
        ("{fileParameters: [{name: a, path: b}]}", "parameters that only Argo CD knows"),
        ("{releaseName: --post-renderer=sh}", "is no name that Helm takes"),
    ],
)
def test_chart_that_cannot_be_rendered_as_it_is_deployed_is_named(
    tmp_path: Path, helm: str, options: str, why: str
) -> None:
    (tmp_path / "out.yaml").write_text("a: 1\n")
    loaded = _load(tmp_path, {**CHART, "argo/app.yaml": _application(options)}, helm)
    assert not [one for one in loaded.manifests if one.ref.kind == "CiliumNetworkPolicy"]
    assert why in _texts(loaded)
    assert "not rendered in `landing`" in _texts(loaded)


def test_one_environment_of_a_chart_is_in_force(tmp_path: Path, helm: str) -> None:
    files = {
        **CHART,
        "charts/web/values-prd.yaml": "tier: prd\n",
        "charts/web/values-dev.yaml": "tier: dev\n",
        "argo/prd.yaml": _application("{valueFiles: [values-prd.yaml]}"),
        "argo/dev.yaml": _application("{valueFiles: [values-dev.yaml]}").replace("shop", "shop-d"),
    }
    assert _said(_load(tmp_path, files, helm))["values"] == "tier: prd"
    dev = load([str(tmp_path / "repo")], selected=Selected(env="dev", helm=helm))
    assert _said(dev)["values"] == "tier: dev"


def test_chart_of_a_flux_release_takes_values_from_the_checkout(tmp_path: Path, helm: str) -> None:
    config = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: v, namespace: apps}\n"
        "data: {values.yaml: 'from: map'}\n"
    )
    more = "  valuesFrom: [{kind: ConfigMap, name: v}]\n  values: {b: 2}\n"
    files = {**CHART, "flux/r.yaml": RELEASE + more, "flux/v.yaml": config}
    loaded = _load(tmp_path, files, helm)
    assert str(_policy(loaded).ref) == "CiliumNetworkPolicy/landing/landing-shop-deny"
    assert _said(loaded)["values"] == 'from: map|{"b": 2}'
    secret = {**files, "flux/r.yaml": RELEASE + "  valuesFrom: [{kind: Secret, name: s}]\n"}
    loaded = _load(tmp_path, secret, helm)
    assert "the values of Secret `s` are not known" in _texts(loaded)


def test_chart_of_a_kustomization_is_transformed_like_its_resources(
    tmp_path: Path, helm: str
) -> None:
    kustomization = textwrap.dedent("""\
        namespace: bench
        namePrefix: a-
        helmCharts:
        - {name: web, releaseName: shop, valuesInline: {a: 1}, valuesFile: v.yaml, skipTests: true}
        """)
    files = {**CHART, "kustomization.yaml": kustomization, "v.yaml": "v: 1\n"}
    loaded = _load(tmp_path, files, helm)
    assert str(_policy(loaded).ref) == "CiliumNetworkPolicy/bench/a-shop-deny"
    assert _said(loaded)["values"] == 'v: 1|{"a": 1}'
    assert _said(loaded)["rest"] == "--namespace=bench --skip-tests"
    nameless = {**files, "kustomization.yaml": "helmCharts: [{name: web}]\n"}
    assert "web (it has no releaseName" in _texts(_load(tmp_path, nameless, helm))


def test_without_helm_the_way_out_is_said(tmp_path: Path) -> None:
    loaded = _load(tmp_path, {**CHART, "argo/app.yaml": _application("{}")}, "")
    assert "install helm, or let --helm name it" in _texts(loaded)
    with pytest.raises(BadInput, match="no such program"):
        load([str(tmp_path / "repo")], selected=Selected(helm="/nowhere/helm"))


def test_what_was_rendered_elsewhere_is_not_rendered_again(tmp_path: Path, helm: str) -> None:
    folder = _write(tmp_path, {**CHART, "argo/app.yaml": _application("{}")})
    out = tmp_path / "out.yaml"
    out.write_text(
        "---\n# Source: web/templates/policy.yaml\napiVersion: cilium.io/v2\n"
        "kind: CiliumNetworkPolicy\nmetadata: {name: given}\nspec: {endpointSelector: {}}\n"
    )
    loaded = load([folder], selected=Selected(rendered=(str(out),), helm=helm))
    assert str(_policy(loaded).ref) == "CiliumNetworkPolicy/landing/given"


def test_helm_runs_with_a_home_of_its_own_and_no_kubeconfig(
    tmp_path: Path, helm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path))
    monkeypatch.setenv("HELM_PLUGINS", str(tmp_path))
    spy = '#!/bin/sh\necho "# $HOME $KUBECONFIG $HELM_PLUGINS $HTTPS_PROXY"\n'
    chart = _chart(tmp_path)
    words = Helm(_program(tmp_path / "bin/spy", spy), tmp_path / "repo").template(chart).split()
    assert words[1] not in (str(Path.home()), "")
    assert not Path(words[1]).exists()
    assert words[2:] == [os.devnull, f"{words[1]}/plugins", "http://127.0.0.1:9"]


def _chart(folder: Path) -> Chart:
    root = Path(_write(folder, CHART))
    return Chart("web", "apps", "app.yaml", 1, "shop", folder=root / "charts/web")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Error: bad template' >&2; exit 1", "helm: bad template"),
        ("exit 3", "it ended without a word"),
        ("sleep 60 & sleep 60", "helm took longer than"),
    ],
)
def test_helm_that_fails_or_hangs_is_a_reason(tmp_path: Path, script: str, why: str) -> None:
    program = _program(tmp_path / "bin/bad", f"#!/bin/sh\n{script}\n")
    started = time.monotonic()
    with pytest.raises(BadInput, match=why):
        Helm(program, tmp_path / "repo", deadline_s=0.3).template(_chart(tmp_path))
    assert time.monotonic() - started < 30  # half of what the script would take


def test_link_out_of_the_checkout_keeps_a_chart_unrendered(tmp_path: Path, helm: str) -> None:
    chart = _chart(tmp_path)
    (tmp_path / "secret").write_text("key\n")
    (tmp_path / "repo/charts/web/secret").symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match="`secret` is a link out of the checkout"):
        Helm(helm, tmp_path / "repo").template(chart)


@pytest.mark.testbed
def test_real_helm_renders_the_chart(tmp_path: Path) -> None:
    helm = str(require("helm") / "helm")
    options = "{parameters: [{name: policies, value: 'true'}]}"
    loaded = _load(tmp_path, {**CHART, "argo/app.yaml": _application(options)}, helm)
    assert str(_policy(loaded).ref) == "CiliumNetworkPolicy/landing/shop-deny"
    assert not loaded.notices
    options = "{parameters: [{name: policies, value: 'false'}]}"
    loaded = _load(tmp_path, {**CHART, "argo/app.yaml": _application(options)}, helm)
    assert "CiliumNetworkPolicy" not in {one.ref.kind for one in loaded.manifests}
