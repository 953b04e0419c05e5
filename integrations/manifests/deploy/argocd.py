"""Applications and ApplicationSets of Argo CD as deployments.

Source: Argo CD `pkg/apis/application/v1alpha1/types.go` and `applicationset_types.go`; generators
`applicationset/generators/` (list, git directories and files, clusters, matrix, merge).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from app.core.model.provenance import Manifest
from app.core.text import clean
from integrations.manifests.deploy.deployment import ARGO, CLUSTER_OPTIONS, Chart, Deployment
from integrations.manifests.deploy.tags import cluster_of, env_of
from integrations.manifests.deploy.template import Parameters, render
from integrations.manifests.files import is_chart, is_file, is_folder

GROUP = "argoproj.io/"
KINDS = ("Application", "ApplicationSet")
_ENV_LABELS = ("environment", "env", "stage")
"""Labels of cluster Secrets that name the environment."""

_PRODUCT_MAX = 2000
"""How many parameter sets an ApplicationSet may have; more is an accident."""


@dataclass(frozen=True, slots=True)
class Place:
    """What generators look at: the checkout's root, its folders, and files that may be read."""

    root: Path
    folders: Callable[[], Iterable[Path]]
    documents: Callable[[Path], Iterable[Mapping[str, Any]]]


@dataclass(slots=True)
class Applications:
    """What Argo CD deploys from this checkout; `unknown` are those that cannot be told."""

    deployments: list[Deployment]
    charts: list[Chart]
    unknown: list[tuple[Manifest, str]]


def read_applications(manifests: Iterable[Manifest], place: Place) -> Applications:
    """Turn Applications, and those that ApplicationSets make, into deployments."""
    found = Applications([], [], [])
    for manifest in manifests:
        spec = manifest.body.get("spec")
        if not isinstance(spec, Mapping):
            continue
        if manifest.ref.kind == "Application":
            _read_application(_Application(manifest, manifest.ref.name, spec), place, found)
        else:
            _read_set(manifest, spec, place, found)
    return found


def _read_set(
    manifest: Manifest, spec: Mapping[str, Any], place: Place, found: Applications
) -> None:
    template = _map(spec.get("template"))
    if not isinstance(template.get("spec"), Mapping):
        return
    made = 0
    for parameters in _generated(spec.get("generators"), {}, place):
        made += 1
        rendered = render(template, parameters)
        if isinstance(rendered, Mapping) and isinstance(rendered.get("spec"), Mapping):
            before = len(found.deployments)
            name = _text(_map(rendered.get("metadata")).get("name"))
            _read_application(_Application(manifest, name, rendered["spec"]), place, found)
            labels = _labels(parameters)
            found.deployments[before:] = [
                _labelled(one, labels) for one in found.deployments[before:]
            ]
    if not made:
        found.unknown.append((manifest, "its generators give nothing that is known here"))


def _labels(parameters: Parameters) -> Mapping[str, str]:
    """The labels that the clusters of a parameter set must have, as far as they are known."""
    labels = _map(_map(parameters.get("metadata")).get("labels"))
    return {key: value for key, value in labels.items() if isinstance(value, str)}


def _labelled(deployment: Deployment, labels: Mapping[str, str]) -> Deployment:
    env = next((labels[key] for key in _ENV_LABELS if key in labels), deployment.env)
    others = {key: value for key, value in labels.items() if key not in _ENV_LABELS}
    return replace(deployment, env=env, labels=others)


@dataclass(frozen=True, slots=True)
class _Application:
    """An Application, written or made by an ApplicationSet; `name` is empty where not known."""

    manifest: Manifest
    name: str
    spec: Mapping[str, Any]

    @property
    def destination(self) -> Mapping[str, Any]:
        return _map(self.spec.get("destination"))

    @property
    def sources(self) -> list[Mapping[str, Any]]:
        sources = self.spec.get("sources")
        listed = sources if isinstance(sources, list) else [self.spec.get("source")]
        return [one for one in listed if isinstance(one, Mapping)]

    def chart(self, source: Mapping[str, Any], name: str) -> Chart:
        """The chart of a source, with neither folder nor values."""
        release = _text(_map(source.get("helm")).get("releaseName")) or self.name
        namespace = _text(self.destination.get("namespace"))
        line = self.manifest.line_of("spec.source") or 1
        return Chart(clean(name), namespace, self.manifest.file or "", line, release)


def _read_application(one: _Application, place: Place, found: Applications) -> None:
    for source in one.sources:
        _read_source(one, source, place, found)


def _read_source(
    one: _Application, source: Mapping[str, Any], place: Place, found: Applications
) -> None:
    if chart := _text(source.get("chart")):
        found.charts.append(one.chart(source, chart))
        return
    if source.get("ref") and not source.get("path"):
        return  # a source of values for another one
    path = source.get("path")
    if not isinstance(path, str):
        found.unknown.append((one.manifest, "its path is not known here"))
        return
    folder = place.root / path.strip("/")
    if not is_folder(folder):
        found.unknown.append((one.manifest, f"`{clean(path)}` is not in this checkout"))
        return
    deployment = _deployment(one.manifest, source, one.destination, folder, place)
    if is_chart(folder):
        deployment = _of_chart(deployment, one, source, place)
    found.deployments.append(deployment)


def _of_chart(
    deployment: Deployment, one: _Application, source: Mapping[str, Any], place: Place
) -> Deployment:
    """Source: Argo CD `reposerver/repository/repository.go` (`helmTemplate`).

    Value files, then values of the Application, then parameters; later ones win.
    """
    folder, helm = deployment.folder, _map(source.get("helm"))
    names = _texts(helm.get("valueFiles"))
    files = [_value_file(name, folder, one, place) for name in names]
    if helm.get("ignoreMissingValueFiles") is True:
        files = [file for file in files if file is None or is_file(file)]
    inline = helm.get("valuesObject") or helm.get("values")
    lacks = "" if None not in files else "values from elsewhere"
    if helm.get("fileParameters") or "$ARGOCD_" in str(helm):
        lacks = "parameters that only Argo CD knows"
    chart = replace(
        one.chart(source, folder.name),
        folder=folder,
        values=(*(file for file in files if file), *([inline] if inline else [])),
        options=(*CLUSTER_OPTIONS, *_parameters(helm.get("parameters"))),
        lacks=lacks,
    )
    words = [word for name in names for word in re.split(r"[/.-]", name)]
    return replace(deployment, chart=chart, env=deployment.env or env_of(words))


def _value_file(name: str, folder: Path, one: _Application, place: Place) -> Path | None:
    """Where a file of values lies; None when that is not in this checkout.

    Source: Argo CD `docs/user-guide/multiple_sources.md`: `$REF/…` is a path in another source.
    """
    if "://" in name or "*" in name:
        return None
    if not name.startswith("$"):
        return place.root / name.lstrip("/") if name.startswith("/") else folder / name
    reference, _, path = name[1:].partition("/")
    urls = {_text(source.get("ref")): source.get("repoURL") for source in one.sources}
    own = [source.get("repoURL") for source in one.sources if not source.get("ref")]
    file = place.root / path
    return file if urls.get(reference) in own or is_file(file) else None


def _parameters(parameters: Any) -> Iterator[str]:
    """Source: Argo CD `util/helm/cmd.go` (`cleanSetParameters`): a comma is part of the value."""
    for one in parameters if isinstance(parameters, list) else ():
        if isinstance(one, Mapping) and (name := _text(one.get("name"))):
            value = re.sub(r"(?<!\\),", r"\\,", _text(one.get("value")))
            flag = "--set-string" if one.get("forceString") is True else "--set"
            yield f"{flag}={name}={value}"


def _deployment(
    manifest: Manifest,
    source: Mapping[str, Any],
    destination: Mapping[str, Any],
    folder: Path,
    place: Place,
) -> Deployment:
    shown = folder.relative_to(place.root).as_posix()
    directory = _map(source.get("directory"))
    segments = shown.split("/")
    cluster = _text(destination.get("name")) or cluster_of(segments)
    return Deployment(
        folder,
        clean(shown),
        manifest,
        ARGO,
        env=env_of(segments),
        cluster="" if cluster == "in-cluster" else cluster,
        edits=_edits(_map(source.get("kustomize"))),
        default_namespace=_text(destination.get("namespace")),
        values=_plugin_values(source),
        open_values=source.get("plugin") is not None,
        recurse=directory.get("recurse") is True,
        include=_text(directory.get("include")),
        exclude=_text(directory.get("exclude")),
    )


def _edits(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Source: Argo CD `util/kustomize/kustomize.go` (`Build`), which edits the kustomization."""
    taken = {
        key: options[key]
        for key in ("namePrefix", "nameSuffix", "namespace", "patches", "components", "replicas")
        if options.get(key)
    }
    labels = options.get("commonLabels")
    if labels and options.get("labelWithoutSelector"):
        templates = options.get("labelIncludeTemplates") is True
        taken["labels"] = [{"pairs": labels, "includeTemplates": templates}]
    elif labels:
        taken["commonLabels"] = labels
    if options.get("commonAnnotations"):
        taken["commonAnnotations"] = options["commonAnnotations"]
    return taken


def _plugin_values(source: Mapping[str, Any]) -> Mapping[str, str] | None:
    """What a plug-in that runs envsubst is given; also under the name Argo CD hands it down by.

    Source: Argo CD `docs/operator-manual/config-management-plugins.md` (`ARGOCD_ENV_` prefix).
    """
    plugin = source.get("plugin")
    if not isinstance(plugin, Mapping):
        return None
    values: dict[str, str] = {}
    for entry in plugin.get("env") or ():
        if isinstance(entry, Mapping) and isinstance(entry.get("value"), str):
            name = _text(entry.get("name"))
            values[name] = values[f"ARGOCD_ENV_{name}"] = entry["value"]
    return values


def _generated(generators: Any, outer: Parameters, place: Place) -> Iterator[Parameters]:
    for generator in generators if isinstance(generators, list) else ():
        if isinstance(generator, Mapping):
            for parameters in _one(generator, outer, place):
                yield {**outer, **parameters}


def _one(generator: Mapping[str, Any], outer: Parameters, place: Place) -> Iterator[Parameters]:
    if isinstance(generator.get("list"), Mapping):
        elements = generator["list"].get("elements")
        yield from (one for one in elements or () if isinstance(one, Mapping))
    elif isinstance(generator.get("git"), Mapping):
        yield from _git(render(generator["git"], outer), place)
    elif isinstance(generator.get("matrix"), Mapping):
        yield from _matrix(generator["matrix"].get("generators"), outer, place)
    elif isinstance(generator.get("merge"), Mapping):
        yield from _merge(generator["merge"], outer, place)
    elif "clusters" in generator:
        yield _cluster(_map(generator["clusters"]), outer)


def _cluster(generator: Mapping[str, Any], outer: Parameters) -> Parameters:
    """One cluster that fits: its name is not in Git, its labels as far as they are selected by."""
    labels = render(_map(_map(generator.get("selector")).get("matchLabels")), outer)
    values = render(_map(generator.get("values")), outer)
    return {"metadata": {"labels": labels}, "values": values}


def _matrix(generators: Any, outer: Parameters, place: Place) -> Iterator[Parameters]:
    products: list[dict[str, Any]] = [{}]
    for generator in generators if isinstance(generators, list) else ():
        products = [
            {**product, **more}
            for product in products
            for more in _generated([generator], {**outer, **product}, place)
        ][:_PRODUCT_MAX]
    yield from products


def _merge(merge: Mapping[str, Any], outer: Parameters, place: Place) -> Iterator[Parameters]:
    keys = _texts(merge.get("mergeKeys"))
    generators = merge.get("generators")
    lists = [
        list(_generated([one], outer, place))
        for one in (generators if isinstance(generators, list) else ())
    ]
    for base in lists[0] if lists else ():
        merged = dict(base)
        for others in lists[1:]:
            for other in others:
                if all(other.get(key) == base.get(key) for key in keys):
                    merged.update(other)
        yield merged


def _git(generator: Any, place: Place) -> Iterator[Parameters]:
    if not isinstance(generator, Mapping):
        return
    patterns = [one for one in generator.get("directories") or () if isinstance(one, Mapping)]
    if patterns:
        yield from _directories(patterns, place)
    for one in generator.get("files") or ():
        if isinstance(one, Mapping) and isinstance(one.get("path"), str):
            for file in sorted(place.root.glob(one["path"].lstrip("/"))):
                for document in place.documents(file):
                    yield {**document, **_path_parameters(file.parent, place.root)}


def _directories(patterns: list[Mapping[str, Any]], place: Place) -> Iterator[Parameters]:
    wanted = [_text(one.get("path")) for one in patterns if one.get("exclude") is not True]
    unwanted = [_text(one.get("path")) for one in patterns if one.get("exclude") is True]
    for folder in sorted(place.folders()):
        shown = folder.relative_to(place.root).as_posix()
        if _matches(shown, wanted) and not _matches(shown, unwanted):
            yield _path_parameters(folder, place.root)


def _matches(shown: str, patterns: Iterable[str]) -> bool:
    """Source: Go's `path.Match`: `*` does not cross a slash."""
    parts = shown.split("/")
    for pattern in patterns:
        wanted = pattern.strip("/").split("/")
        if len(wanted) == len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted)):
            return True
    return False


def _path_parameters(folder: Path, root: Path) -> Parameters:
    shown = folder.relative_to(root).as_posix()
    segments = shown.split("/")
    path = {
        "path": shown,
        "basename": folder.name,
        "basenameNormalized": folder.name.replace("_", "-").lower(),
        "segments": segments,
    }
    flat = {f"path.{key}": value for key, value in path.items() if key != "path"}
    numbered = {f"path[{index}]": segment for index, segment in enumerate(segments)}
    return {**flat, **numbered, "path": _Path(shown, path)}


class _Path(str):  # noqa: SLOT000  # it has a field
    """`{{path}}` of the old templates, and `.path.…` of the new ones."""

    fields: Mapping[str, Any]

    def __new__(cls, text: str, fields: Mapping[str, Any]) -> Self:
        """Be the path, with its parts."""
        made = super().__new__(cls, text)
        made.fields = fields
        return made


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
