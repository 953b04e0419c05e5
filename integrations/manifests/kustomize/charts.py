"""`helmCharts` of a kustomization: which chart, with which values.

Source: kustomize 5.8 `api/internal/builtins/HelmChartInflationGenerator.go`, `api/types/
helmchartargs.go` (`AsHelmArgs`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.core.text import clean
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.kustomize.kustomization import Files, Kustomization
from integrations.manifests.kustomize.resource import plain
from integrations.manifests.kustomize.tree import Map, Place, Seq, text_of

_HOME = "charts"
_FLAGS = {"includeCRDs": "--include-crds", "skipTests": "--skip-tests", "skipHooks": "--no-hooks"}


def read_chart(
    own: Kustomization, chart: Map, namespace: str, *, place: Place, files: Files
) -> Chart:
    """Give the chart of one entry; `namespace` is the kustomization's."""
    name, release, version, repo = (
        text_of(chart.get(key) or "") for key in ("name", "releaseName", "version", "repo")
    )
    home = own.path(text_of(own.mapping("helmGlobals").get("chartHome") or _HOME))
    folder = (home / f"{name}-{version}" if version and repo else home) / name
    lacks = "" if release else "it has no releaseName, so helm would invent one"
    return Chart(
        clean(name),
        clean(text_of(chart.get("namespace") or namespace)),
        *place,
        clean(release),
        folder=folder if name and files.holds_chart(folder) else None,
        values=tuple(_values(own, chart)),
        options=tuple(_options(chart)),
        lacks=lacks,
    )


def _values(own: Kustomization, chart: Map) -> Iterator[Any]:
    file = text_of(chart.get("valuesFile") or "")
    files = [own.path(file)] if file else []
    inline = [plain(chart["valuesInline"])] if chart.get("valuesInline") else []
    merge = chart.get("valuesMerge")
    if inline and merge == "replace":
        files = []
    yield from (*inline, *files) if merge == "merge" else (*files, *inline)
    for entry in _texts(chart.get("additionalValuesFiles")):
        yield own.path(entry)


def _options(chart: Map) -> Iterator[str]:
    for version in _texts(chart.get("apiVersions")):
        yield f"--api-versions={version}"
    if version := text_of(chart.get("kubeVersion") or ""):
        yield f"--kube-version={version}"
    yield from (flag for key, flag in _FLAGS.items() if chart.get(key) is True)


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, Seq) else []
