"""What `helm template`, `argocd app manifests` or `flux build` printed, tied back to its charts.

Helm writes `# Source: CHART/templates/FILE` before each object; kustomize writes the annotation
`config.kubernetes.io/origin` where a kustomization asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from app.core.errors import BadInput
from app.core.model.provenance import Maker, Manifest, Notice
from app.core.text import clean
from integrations.manifests.chart_output import made_by, sources_of
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.files import find_files, read_bytes
from integrations.manifests.found import Found
from integrations.manifests.one_file import read_file
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.repository import in_namespace

_ORIGIN = "config.kubernetes.io/origin"
_HELM_CHART = "helm.sh/chart"
_INSTANCE = "app.kubernetes.io/instance"
_PATH = re.compile(r"^path: (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Objects that were rendered elsewhere, each with the template or file it came from.

    `charts` are the names of the charts they came from.
    """

    objects: tuple[tuple[Manifest, str], ...] = ()
    notices: tuple[Notice, ...] = ()
    charts: frozenset[str] = field(default_factory=frozenset)

    def covers(self, chart: Chart) -> bool:
        """Say whether objects of a chart are here."""
        return bool(self.charts & {chart.name, chart.release} - {""})

    def placed(self, charts: Iterable[Chart]) -> list[Manifest]:
        """Give the objects; those without a namespace go where their chart is deployed to."""
        charts = list(charts)
        placed = []
        for manifest, origin in self.objects:
            found = _charts_of(manifest, origin.partition("/")[0], charts)
            namespace = found[-1].namespace if found else ""
            chart = found[0] if len(found) == 1 else None
            placed.append(_from(in_namespace(manifest, namespace or "default"), origin, chart))
        return placed


def read_rendered(paths: Sequence[str]) -> Rendered:
    """Read rendered objects. Raises BadInput when a path does not exist."""
    if not paths:
        return Rendered()
    files = find_files(paths)
    found = Found(notices=files.notices)
    reader = partial(read_file, placeholders=Placeholders({}), found=found)
    objects: list[tuple[Manifest, str]] = []
    for path, shown in files.shown.items():
        before = len(found.manifests)
        reader(path, shown)
        sources = _sources(path, shown)
        objects += [(one, _origin_of(one, sources)) for one in found.manifests[before:]]
    names = {origin.partition("/")[0] for _, origin in objects}
    return Rendered(tuple(objects), tuple(found.notices), frozenset(names - {""}))


def _sources(path: Path, shown: str) -> Mapping[int, str]:
    try:
        return sources_of(read_bytes(path, shown).decode("utf-8-sig", errors="replace"))
    except BadInput:  # it has been reported when it was read for its objects
        return {}


def _origin_of(manifest: Manifest, sources: Mapping[int, str]) -> str:
    index = manifest.source.document if manifest.source else 0
    if index in sources:
        return sources[index]
    metadata = manifest.body.get("metadata", {})
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if path := _PATH.search(str(annotations.get(_ORIGIN, ""))):
        return clean(path[1])
    return clean(re.sub(r"-v?\d[\w.+-]*$", "", str(labels.get(_HELM_CHART, ""))))


def _charts_of(manifest: Manifest, name: str, charts: Sequence[Chart]) -> Sequence[Chart]:
    """The deployed charts that an object may be of; of several, those of its own release."""
    found = [one for one in charts if name and name in (one.name, one.release, one.chart)]
    labels = manifest.body.get("metadata", {}).get("labels") or {}
    release = labels.get(_INSTANCE) or ""
    own = [one for one in found if release in (one.release, one.name)]
    return own or found


def _from(manifest: Manifest, origin: str, chart: Chart | None) -> Manifest:
    if manifest.source is None:
        return manifest
    maker = made_by(chart) if chart else Maker(f"`{origin or 'what was rendered'}`")
    by = (origin,) if origin else manifest.source.deployed_by
    return replace(manifest, source=replace(manifest.source, deployed_by=by, made_by=maker))
