"""What a chart renders to, as objects that point at the templates they came from.

Helm writes `# Source: CHART/templates/FILE` before each object.
Source: helm.sh/helm `pkg/action/action.go` (`renderResources`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from app.core.documents.split import split_documents
from app.core.model.provenance import Maker, Manifest, Source
from app.core.text import clean
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.found import Found
from integrations.manifests.kustomize.kustomization import Built
from integrations.manifests.placeholders import Placeholders
from integrations.manifests.yaml_file import YamlFile

_SOURCE = re.compile(r"^# Source: (\S+)", re.MULTILINE)


def sources_of(text: str) -> Mapping[int, str]:
    """The `# Source:` of each document of what Helm printed, by its number."""
    matches = ((index, _SOURCE.search(one.text)) for index, one in enumerate(split_documents(text)))
    return {index: clean(match[1]) for index, match in matches if match}


def made_by(chart: Chart) -> Maker:
    """Who renders the objects of a chart, for whoever would change them."""
    return Maker(f"the Helm chart `{chart.name}`", chart.file, chart.line)


def read_output(
    chart: Chart, text: str, shown: Mapping[Path, str], fill: Callable[[str], str]
) -> Built:
    """Turn what Helm printed for a chart into objects; `shown` are the names of files in output."""
    if chart.folder is None:
        return Built(charts=[chart])
    folder = chart.folder.resolve()
    named = Path(shown.get(folder / "Chart.yaml") or folder / "Chart.yaml").parent
    found = Found()
    YamlFile(fill(text), clean(str(named)), Placeholders({}), found).read()
    origins = sources_of(text)
    built = Built(patches={path for path in shown if path.is_relative_to(folder)})
    built.notices = [replace(one, line=None) for one in found.notices]
    for manifest in found.manifests:
        origin = origins.get(manifest.source.document, "") if manifest.source else ""
        inside = origin.partition("/")[2]
        template = folder / inside
        if not inside or not template.is_file():
            source = Source(clean(str(named)), 1, made_by=made_by(chart))
        else:
            line = _line_of(manifest, template)
            source = Source(clean(str(named / inside)), line, made_by=made_by(chart))
        built.manifests.append(replace(manifest, source=source))
    return built


def _line_of(manifest: Manifest, template: Path) -> int:
    """The line where a template begins an object: that of its `kind`, where one is of it."""
    try:
        lines = template.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return 1
    kind = re.compile(rf"""kind:\s*["']?{re.escape(manifest.ref.kind)}["']?\s*""")
    found = [number for number, line in enumerate(lines, start=1) if kind.fullmatch(line)]
    return found[0] if len(found) == 1 else 1
