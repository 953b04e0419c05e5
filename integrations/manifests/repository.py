"""A checkout as it is deployed: who writes what into the cluster, and what comes of it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.core.model.provenance import Manifest, ObjectRef
from app.core.text import clean
from integrations.manifests.checkout import Checkout
from integrations.manifests.deploy import argocd, flux
from integrations.manifests.deploy.deployment import FLUX, Chart, Deployment
from integrations.manifests.deploy.tags import cluster_of, env_of
from integrations.manifests.files import SUFFIXES, is_file, is_folder
from integrations.manifests.found import CLUSTER_KINDS, make_ref
from integrations.manifests.kustomize.kustomization import Built, Kustomization, is_remote
from integrations.manifests.kustomize.resource import plain
from integrations.manifests.kustomize.tree import Map, Seq, placed, text_of
from integrations.manifests.placeholders import Placeholders, fill_values

_ROUNDS = 4
"""How often what was built may change who deploys what: apps of apps of apps."""

_LIST_EDITS = ("patches", "components", "replicas", "labels")
_NAMING = ("resources", "bases", "components")


@dataclass(slots=True)
class Plan:
    """All deployments of a checkout, of every environment, each with what it gives.

    `unknown` are controllers' objects whose source cannot be told from this checkout.
    """

    deployments: list[Deployment] = field(default_factory=list)
    built: dict[int, Built] = field(default_factory=dict)
    charts: list[Chart] = field(default_factory=list)
    unknown: list[tuple[Manifest, str]] = field(default_factory=list)

    def of(self, deployment: Deployment) -> Built:
        """What a deployment gives."""
        return self.built[id(deployment)]

    def reach(self, shown: Mapping[Path, str]) -> Mapping[str, tuple[str, ...]]:
        """The deployments of each file that is part of several, by the file's name in output."""
        by_file: dict[Path, set[str]] = {}
        for deployment in self.deployments:
            for path in self.of(deployment).files:
                by_file.setdefault(path, set()).add(deployment.shown)
        return {
            shown[path]: tuple(sorted(names))
            for path, names in by_file.items()
            if len(names) > 1 and path in shown
        }

    @property
    def is_controlled(self) -> bool:
        """Whether Argo CD or Flux deploys anything of this checkout."""
        return any(one.controller for one in self.deployments)


class Repository:
    """Finds deployments and builds them, each folder once."""

    def __init__(
        self,
        checkout: Checkout,
        sets: Mapping[str, str],
        build: Callable[[Kustomization], Built],
    ) -> None:
        self._checkout = checkout
        self._built = build
        self._sets = sets
        self._root = checkout.root
        self._raw: dict[tuple[Path, str], Built] = {}

    def plan(self) -> Plan:
        """Find everything that is deployed, and build it."""
        plan = self._controlled()
        taken = {one.folder for one in plan.deployments}
        if not plan.is_controlled or plan.unknown:
            for root in self._uncontrolled_roots(taken):
                plan.deployments.append(self._own(root))
            self._build_all(plan)
            self._add_circles(plan)
        return plan

    def _add_circles(self, plan: Plan) -> None:
        """Build what no root leads to: kustomizations that include each other."""
        while True:
            reached = {folder for one in plan.built.values() for folder in one.folders}
            left = [
                one
                for one in self._checkout.kustomizations
                if one.folder not in reached and not one.is_component
            ]
            if not left or plan.is_controlled:
                return
            plan.deployments.append(self._own(left[0]))
            self._build_all(plan)

    def _build_all(self, plan: Plan) -> None:
        for deployment in plan.deployments:
            if id(deployment) not in plan.built:
                plan.built[id(deployment)] = self._finished(deployment, self._build(deployment))

    def _controlled(self) -> Plan:
        objects = {_key(one): one for one in self._checkout.found.manifests if _is_controller(one)}
        tags: dict[ObjectRef, tuple[str, str]] = {}
        plan = Plan()
        for _ in range(_ROUNDS):
            plan = self._deployments(objects, tags)
            self._build_all(plan)
            if not self._take_built(plan, objects, tags):
                break
        return plan

    def _take_built(
        self,
        plan: Plan,
        objects: dict[tuple[str, ObjectRef], Manifest],
        tags: dict[ObjectRef, tuple[str, str]],
    ) -> bool:
        """Let controllers' objects be what builds make of them; say whether one has changed."""
        changed = False
        for deployment in plan.deployments:
            for manifest in filter(_is_controller, plan.of(deployment).manifests):
                tag = (deployment.env, deployment.cluster)
                before = objects.get(_key(manifest))
                if before is None and (before := objects.pop(_bare(manifest), None)) is None:
                    continue
                if plain(before.body) != plain(manifest.body) or tags.get(manifest.ref) != tag:
                    changed = True
                objects[_key(manifest)] = manifest
                tags[manifest.ref] = tag
        return changed

    def _deployments(
        self,
        objects: Mapping[tuple[str, ObjectRef], Manifest],
        tags: Mapping[ObjectRef, tuple[str, str]],
    ) -> Plan:
        plan = Plan()
        argo = [one for one in objects.values() if one.api_version.startswith(argocd.GROUP)]
        found = argocd.read_applications(argo, self._argo_place())
        plan.charts, plan.unknown = found.charts, found.unknown
        plan.deployments += [self._shown(one) for one in found.deployments]
        for manifest in objects.values():
            if manifest.api_version.startswith(flux.KUSTOMIZE_GROUP):
                self._add_flux(manifest, plan, tags.get(manifest.ref, ("", "")))
        releases = [one for one in objects.values() if one.api_version.startswith(flux.HELM_GROUP)]
        for manifest, chart in flux.read_releases(releases, self._inside, self._data):
            if chart.folder is None:
                plan.charts.append(chart)
            else:
                plan.deployments.append(self._release(manifest, chart, chart.folder, tags))
        return plan

    def _release(
        self,
        manifest: Manifest,
        chart: Chart,
        folder: Path,
        tags: Mapping[ObjectRef, tuple[str, str]],
    ) -> Deployment:
        """The deployment of a HelmRelease whose chart lies in this checkout."""
        env, cluster = tags.get(manifest.ref, ("", ""))
        own = (manifest.file or "").split("/")
        made = Deployment(folder, self._name(folder), manifest, FLUX, chart=chart)
        made = replace(made, default_namespace=chart.namespace)
        return made.tagged(env=env or env_of(own[:-1]), cluster=cluster or cluster_of(own))

    def _argo_place(self) -> argocd.Place:
        return argocd.Place(self._root, self._folders, self._documents)

    def _folders(self) -> list[Path]:
        folders: set[Path] = set()
        for file in self._checkout.files.shown:
            for folder in file.parents:
                if folder in folders or not folder.is_relative_to(self._root):
                    break
                folders.add(folder)
        return sorted(folders - {self._root})

    def _documents(self, file: Path) -> Iterable[Mapping[str, Any]]:
        roots = self._checkout.roots(file) or ()
        return [plain(root) for root in roots if isinstance(root, Map)]

    def _shown(self, deployment: Deployment) -> Deployment:
        by = deployment.by
        own = (by.file or "").split("/") if by else []
        return deployment.tagged(cluster=cluster_of(own))

    def _add_flux(self, manifest: Manifest, plan: Plan, tag: tuple[str, str]) -> None:
        path = manifest.body.get("spec", {}).get("path", "./")
        folder = self._flux_folder(path) if isinstance(path, str) else None
        if folder is None:
            text = clean(str(path))
            plan.unknown.append((manifest, f"`{text}` is not in this checkout"))
            return
        shown = self._name(folder)
        found = flux.read_kustomization(manifest, folder, shown, self._data)
        plan.deployments.append(found.tagged(env=tag[0], cluster=tag[1]))

    def _flux_folder(self, path: str) -> Path | None:
        """Source: Flux takes `path` from the root of the GitRepository."""
        folder = Path(os.path.normpath(self._root / path.lstrip("/")))
        if is_folder(folder) and folder.is_relative_to(self._root):
            return folder
        parts = Path(path.strip("./")).parts
        for skip in range(1, len(parts)):  # the snapshot may be a part of the repository
            inner = self._root.joinpath(*parts[skip:])
            if is_folder(inner):
                return inner
        return None

    def _data(self, kind: str, namespace: str, name: str) -> Mapping[str, str] | None:
        for manifest in self._checkout.found.manifests:
            ref = manifest.ref
            if ref.kind == kind == "ConfigMap" and ref.name == name:
                if ref.namespace not in ("", namespace):
                    continue
                data = manifest.body.get("data")
                pairs = data.items() if isinstance(data, Mapping) else ()
                return {key: text_of(value) for key, value in pairs}
        return None

    def _inside(self, name: str) -> Path | None:
        path = Path(os.path.normpath(self._root / name))
        return (
            path if path.is_relative_to(self._root) and (is_file(path) or is_folder(path)) else None
        )

    def _name(self, folder: Path) -> str:
        if folder == self._root:
            return clean(self._root.name)
        inside = folder.is_relative_to(self._root)
        return clean(folder.relative_to(self._root).as_posix() if inside else str(folder))

    def _own(self, root: Kustomization) -> Deployment:
        shown = self._name(root.folder)
        segments = shown.split("/")
        return Deployment(root.folder, shown, env=env_of(segments), cluster=cluster_of(segments))

    def _uncontrolled_roots(self, taken: Iterable[Path]) -> list[Kustomization]:
        inner = set(taken)
        for one in self._checkout.kustomizations:
            for key in _NAMING:
                for entry, _ in one.texts(key):
                    if not is_remote(entry) and one.path(entry) != one.folder:
                        inner.add(one.path(entry))
        for built in self._raw.values():
            inner |= built.folders
        return [
            one
            for one in self._checkout.kustomizations
            if one.folder not in inner and not one.is_component
        ]

    def _build(self, deployment: Deployment) -> Built:
        if deployment.chart is not None:
            return self._checkout.chart(deployment.chart)
        own = self._checkout.kustomization(deployment.folder)
        if own is None:
            own = self._generated(deployment)
        key = (deployment.folder, repr(sorted(plain_edits(deployment.edits).items())))
        if key not in self._raw:
            self._raw[key] = self._built(_edited(own, deployment))
        return self._raw[key]

    def _generated(self, deployment: Deployment) -> Kustomization:
        """The kustomization of a folder that has none: its files, as the controller takes them.

        Source: fluxcd/pkg `kustomize/kustomize_generator.go` (`generateKustomization`); Argo CD
        `reposerver/repository/repository.go` (`findManifests`).
        """
        entries = Seq()
        for entry in sorted(self._entries(deployment)):
            entries.add(entry, (deployment.shown, 1))
        body = Map()
        body["resources"] = entries
        return Kustomization(deployment.folder, deployment.shown, body)

    def _entries(self, deployment: Deployment) -> set[str]:
        entries: set[str] = set()
        for file in self._checkout.files.shown:
            if not file.is_relative_to(deployment.folder) or not file.name.endswith(SUFFIXES):
                continue
            inside = file.relative_to(deployment.folder)
            nested = self._nested(deployment, inside)
            if nested is not None:
                entries.add(nested)
            elif self._wants(deployment, inside) and self._checkout.of_file(file):
                entries.add(inside.as_posix())
        return entries

    def _nested(self, deployment: Deployment, inside: Path) -> str | None:
        """The outermost folder above a file that has a kustomization; Flux builds it whole."""
        if deployment.controller != FLUX:
            return None
        for folder in reversed(inside.parents[:-1]):
            if self._checkout.kustomization(deployment.folder / folder):
                return folder.as_posix()
        return None

    @staticmethod
    def _wants(deployment: Deployment, inside: Path) -> bool:
        name = inside.as_posix()
        if len(inside.parts) > 1 and not deployment.recurse:
            return False
        if deployment.include and not _globbed(name, deployment.include):
            return False
        return not (deployment.exclude and _globbed(name, deployment.exclude))

    def _finished(self, deployment: Deployment, built: Built) -> Built:
        fill = self._filler(deployment)
        return replace(
            built, manifests=[_deployed(one, deployment, fill) for one in built.manifests]
        )

    def _filler(self, deployment: Deployment) -> Callable[[Any], Any] | None:
        if deployment.values is None:
            return None
        values = {**deployment.values, **self._sets}
        whole = not deployment.open_values
        return lambda body: fill_values(body, values, whole=whole)


def _is_controller(manifest: Manifest) -> bool:
    version, kind = manifest.api_version, manifest.ref.kind
    return (
        (version.startswith(argocd.GROUP) and kind in argocd.KINDS)
        or (version.startswith(flux.KUSTOMIZE_GROUP) and kind == "Kustomization")
        or (version.startswith(flux.HELM_GROUP) and kind == "HelmRelease")
    )


def _key(manifest: Manifest) -> tuple[str, ObjectRef]:
    return manifest.file or "", manifest.ref


def _bare(manifest: Manifest) -> tuple[str, ObjectRef]:
    return manifest.file or "", replace(manifest.ref, namespace="")


def _globbed(name: str, pattern: str) -> bool:
    """Source: Argo CD takes `{a,b}` of globs."""
    if pattern.startswith("{") and pattern.endswith("}"):
        return any(fnmatch.fnmatchcase(name, one) for one in pattern[1:-1].split(","))
    return fnmatch.fnmatchcase(name, pattern)


def plain_edits(edits: Mapping[str, Any]) -> dict[str, Any]:
    """Edits as they can be compared."""
    return {key: plain(value) for key, value in edits.items()}


def _edited(own: Kustomization, deployment: Deployment) -> Kustomization:
    """Give a kustomization with what its controller puts in before it builds."""
    if not deployment.edits:
        return own
    body = Map()
    for key, value in own.body.items():
        body.put(key, value, own.body.places.get(key))
    by = deployment.by
    for key, value in deployment.edits.items():
        spec = f"spec.{'targetNamespace' if key == 'namespace' else key}"
        place = by.place_of(spec) if by else (None, None)
        where = (place[0], place[1]) if place[0] and place[1] else (own.shown, 1)
        if key in _LIST_EDITS and isinstance(value, list):
            items = Seq()
            items.become([*own.items(key)])
            for item in value:
                items.add(placed(plain(item), where), where)
            body.put(key, items, where)
        elif isinstance(value, Mapping):
            both = {**plain(own.mapping(key)), **plain(value)}
            body.put(key, placed(both, where), where)
        else:
            body.put(key, plain(value), where)
    return replace(own, body=body)


def _deployed(
    manifest: Manifest, deployment: Deployment, fill: Callable[[Any], Any] | None
) -> Manifest:
    body = fill(manifest.body) if fill else manifest.body
    source = manifest.source
    if source is not None:
        source = replace(source, deployed_by=(deployment.shown,), orphan=False)
    found = replace(manifest, body=body, source=source)
    if fill:
        metadata = body.get("metadata") if isinstance(body, Mapping) else None
        if isinstance(metadata, Mapping):
            name, namespace = (text_of(metadata.get(key) or "") for key in ("name", "namespace"))
            found = replace(found, ref=make_ref(manifest.ref.kind, namespace, name))
    return in_namespace(found, deployment.default_namespace or "default")


def in_namespace(manifest: Manifest, namespace: str) -> Manifest:
    """Put an object that names no namespace into one; cluster-wide kinds have none.

    Source: kubectl applies to the context's namespace, Argo CD to the Application's destination; a
    cluster-wide object that a kustomization gave a namespace is applied without it.
    """
    ref, body = manifest.ref, manifest.body
    metadata = body.get("metadata") or {}
    if ref.kind in CLUSTER_KINDS:
        if not metadata.get("namespace"):
            return manifest
        kept = {key: value for key, value in metadata.items() if key != "namespace"}
        return replace(manifest, body={**body, "metadata": kept})
    if ref.namespace:
        return manifest
    ref = make_ref(ref.kind, namespace, ref.name)
    return replace(
        manifest, ref=ref, body={**body, "metadata": {**metadata, "namespace": namespace}}
    )


def open_placeholders(manifests: Iterable[Manifest]) -> Placeholders:
    """Find the placeholders that are left in the objects that decide."""
    left = Placeholders({})
    for manifest in manifests:
        left.note_open(manifest.body, manifest.file or "")
    return left
