"""Kustomizations and HelmReleases of Flux as deployments.

Source: fluxcd/kustomize-controller `api/v1/kustomization_types.go` and fluxcd/pkg
`kustomize/kustomize_generator.go` (which fields go into the kustomization), `kustomize_varsub.go`
(`postBuild`); fluxcd/helm-controller `api/v2/helmrelease_types.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from app.core.model.provenance import Manifest
from app.core.text import clean
from integrations.manifests.deploy.deployment import CLUSTER_OPTIONS, FLUX, Chart, Deployment
from integrations.manifests.deploy.tags import cluster_of, env_of
from integrations.manifests.files import is_chart

KUSTOMIZE_GROUP = "kustomize.toolkit.fluxcd.io/"
HELM_GROUP = "helm.toolkit.fluxcd.io/"

Values = Callable[[str, str, str], Mapping[str, str] | None]
"""Gives the data of a ConfigMap or Secret by kind, namespace and name; None when it is not here."""


def read_kustomization(manifest: Manifest, folder: Path, shown: str, values: Values) -> Deployment:
    """Turn a Flux Kustomization whose `path` is `folder` into a deployment."""
    spec = _map(manifest.body.get("spec"))
    segments = shown.split("/")
    found, whole = _substitutes(spec.get("postBuild"), manifest.ref.namespace, values)
    own = (manifest.file or "").split("/")
    return Deployment(
        folder,
        clean(shown),
        manifest,
        FLUX,
        env=env_of(segments),
        cluster=cluster_of(segments) or cluster_of(own),
        edits=_edits(spec),
        values=found,
        open_values=not whole,
    )


def _edits(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    taken = {
        key: spec[key]
        for key in ("namePrefix", "nameSuffix", "patches", "components")
        if spec.get(key)
    }
    if isinstance(spec.get("targetNamespace"), str):
        taken["namespace"] = spec["targetNamespace"]
    metadata = _map(spec.get("commonMetadata"))
    if metadata.get("labels"):
        taken["labels"] = [{"pairs": metadata["labels"]}]
    if metadata.get("annotations"):
        taken["commonAnnotations"] = metadata["annotations"]
    return taken


def _substitutes(
    post_build: Any, namespace: str, values: Values
) -> tuple[Mapping[str, str] | None, bool]:
    """Give what fills placeholders, and whether all of it is known."""
    if not isinstance(post_build, Mapping):
        return None, True
    found: dict[str, str] = {}
    whole = True
    for source in post_build.get("substituteFrom") or ():
        if not isinstance(source, Mapping):
            continue
        data = values(_text(source.get("kind")), namespace, _text(source.get("name")))
        if data is None:
            whole = whole and source.get("optional") is True
        else:
            found.update(data)
    for name, value in _map(post_build.get("substitute")).items():
        found[name] = value if isinstance(value, str) else str(value)
    return found, whole


def read_releases(
    manifests: Iterable[Manifest], locate: Callable[[str], Path | None], values: Values
) -> list[tuple[Manifest, Chart]]:
    """Give the charts of HelmReleases; `locate` finds a chart's folder in this checkout."""
    charts = []
    for manifest in manifests:
        spec = _map(manifest.body.get("spec"))
        chart = _map(_map(spec.get("chart")).get("spec"))
        reference = _map(spec.get("chartRef"))
        name = _text(chart.get("chart")) or _text(reference.get("name")) or manifest.ref.name
        local = name.startswith(".") or _text(_map(chart.get("sourceRef")).get("kind")) in (
            "GitRepository",
            "Bucket",
        )
        folder = locate(name) if local else None
        target = _text(spec.get("targetNamespace"))
        found, lacks = _release_values(spec, manifest.ref.namespace, values)
        files = chart.get("valuesFiles")
        paths = [locate(one) for one in files if isinstance(one, str)] if files else []
        one = Chart(
            name=clean(manifest.ref.name),
            chart=clean(name.rstrip("/").rpartition("/")[2]),
            namespace=target or manifest.ref.namespace,
            file=manifest.file or "",
            line=manifest.line_of("") or 1,
            release=_text(spec.get("releaseName"))
            or "-".join(filter(None, (target, manifest.ref.name))),
            folder=folder if folder and is_chart(folder) else None,
            values=(*(path for path in paths if path), *found),
            options=CLUSTER_OPTIONS,
            lacks=lacks or ("values files that are not in this checkout" if None in paths else ""),
        )
        charts.append((manifest, one))
    return charts


def _release_values(
    spec: Mapping[str, Any], namespace: str, values: Values
) -> tuple[list[Any], str]:
    """Give a release's values, later ones win, and what of them is not known.

    Source: fluxcd/pkg `chartutil/values.go` (`ChartValuesFromReferences`).
    """
    found: list[Any] = []
    lacks = "its postRenderers are not run" if spec.get("postRenderers") else ""
    for source in spec.get("valuesFrom") or ():
        kind, name = (_text(_map(source).get(key)) for key in ("kind", "name"))
        data = values(kind, namespace, name)
        text = (data or {}).get(_text(_map(source).get("valuesKey")) or "values.yaml")
        if text is not None and not _map(source).get("targetPath"):
            found.append(text)
        elif _map(source).get("optional") is not True:
            lacks = f"the values of {clean(kind)} `{clean(name)}` are not known"
    return [*found, *([spec["values"]] if spec.get("values") else [])], lacks


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
