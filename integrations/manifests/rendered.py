"""What `helm template`, `argocd app manifests` or `flux build` printed, tied back to its charts.

Helm writes `# Source: CHART/templates/FILE` before each object; kustomize writes the annotation
`config.kubernetes.io/origin` where a kustomization asks for it.
Source: helm.sh/helm `pkg/action/action.go` (`renderResources`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from app.core.documents.split import split_documents
from app.core.errors import BadInput
from app.core.model.provenance import Manifest, Notice
from app.core.text import clean
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.files import find_files, read_bytes
from integrations.manifests.found import Found
from integrations.manifests.one_file import read_file
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.repository import in_namespace

_SOURCE = re.compile(r"^# Source: (\S+)", re.MULTILINE)
_ORIGIN = "config.kubernetes.io/origin"
_HELM_CHART = "helm.sh/chart"
_PATH = re.compile(r"^path: (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Objects that were rendered elsewhere; `charts` are the names of the charts they came from."""

    manifests: tuple[Manifest, ...] = ()
    notices: tuple[Notice, ...] = ()
    charts: frozenset[str] = field(default_factory=frozenset)

    def covers(self, chart: Chart) -> bool:
        """Say whether objects of a chart are here."""
        return bool(self.charts & {chart.name, chart.release} - {""})


def read_rendered(paths: Sequence[str], charts: Iterable[Chart]) -> Rendered:
    """Read rendered objects; those without a namespace go where their chart is deployed to.

    Raises BadInput when a path does not exist.
    """
    if not paths:
        return Rendered()
    files = find_files(paths)
    found = Found(notices=files.notices)
    reader = partial(read_file, placeholders=Placeholders({}), found=found)
    namespaces = {name: one.namespace for one in charts for name in (one.release, one.name)}
    manifests: list[Manifest] = []
    names: set[str] = set()
    for path, shown in files.shown.items():
        before = len(found.manifests)
        reader(path, shown)
        sources = _sources(path, shown)
        for manifest in found.manifests[before:]:
            origin = _origin_of(manifest, sources)
            chart = origin.partition("/")[0]
            names.add(chart)
            placed = in_namespace(manifest, namespaces.get(chart) or "default")
            manifests.append(_from(placed, origin))
    return Rendered(tuple(manifests), tuple(found.notices), frozenset(names - {""}))


def _sources(path: Path, shown: str) -> Mapping[int, str]:
    """The `# Source:` of each document of a file."""
    try:
        text = read_bytes(path, shown).decode("utf-8-sig", errors="replace")
    except BadInput:  # it has been reported when it was read for its objects
        return {}
    matches = ((index, _SOURCE.search(one.text)) for index, one in enumerate(split_documents(text)))
    return {index: clean(match[1]) for index, match in matches if match}


def _origin_of(manifest: Manifest, sources: Mapping[int, str]) -> str:
    index = manifest.source.document if manifest.source else 0
    if index in sources:
        return sources[index]
    metadata = manifest.body.get("metadata", {})
    annotations, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if path := _PATH.search(str(annotations.get(_ORIGIN, ""))):
        return clean(path[1])
    return clean(re.sub(r"-v?\d[\w.+-]*$", "", str(labels.get(_HELM_CHART, ""))))


def _from(manifest: Manifest, origin: str) -> Manifest:
    if manifest.source is None or not origin:
        return manifest
    return replace(manifest, source=replace(manifest.source, deployed_by=(origin,)))
