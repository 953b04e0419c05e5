"""The kustomization graph of a checkout: which overlay deploys a file, and what it changes on it.

Only what decides where an object comes from and what it is called is followed: `resources`,
`bases`, `components`, patches by path, `namespace`, `namePrefix`, `nameSuffix`, `commonLabels` and
`labels`. Patches are not applied and charts not rendered; both are reported.
Source: kustomize `api/types/kustomization.go`; order of transformers `api/internal/target`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.model.provenance import Manifest, Notice
from app.core.text import clean


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Labels a kustomization adds; to selectors and pod templates too where it says so."""

    pairs: tuple[tuple[str, str], ...]
    selectors: bool = False
    templates: bool = False


@dataclass(frozen=True, slots=True)
class Transform:
    """What the kustomizations between a root and a file do to every object of the file."""

    namespace: str = ""
    prefix: str = ""
    suffix: str = ""
    labels: tuple[LabelRule, ...] = ()

    def inside(self, outer: Transform) -> Transform:
        """Give the transform of this kustomization wrapped by `outer`, which is applied after."""
        return Transform(
            namespace=outer.namespace or self.namespace,
            prefix=outer.prefix + self.prefix,
            suffix=self.suffix + outer.suffix,
            labels=self.labels + outer.labels,
        )


@dataclass(frozen=True, slots=True)
class Kustomization:
    """One kustomization file: `shown` is its folder's name in output."""

    file: Path
    shown: str
    resources: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    generators: int = 0
    inline_patches: int = 0
    transform: Transform = Transform()

    @property
    def folder(self) -> Path:
        """The folder it speaks for."""
        return self.file.parent

    def targets(self) -> Iterator[Path]:
        """The files and folders of its resources that are in the checkout, if they exist."""
        for resource in self.resources:
            if not is_remote(resource):
                yield _join(self.folder, resource)


@dataclass(slots=True)
class Reach:
    """How a file is reached: the roots that deploy it, and what each does to it."""

    roots: set[str] = field(default_factory=set)
    transforms: set[Transform] = field(default_factory=set)


def read_kustomization(manifest: Manifest, file: Path, shown: str) -> Kustomization:
    """Take from a kustomization what the graph needs; entries of a wrong type count as absent."""
    body = manifest.body
    patches = [*_dicts(body.get("patches")), *_dicts(body.get("patchesJson6902"))]
    return Kustomization(
        file=file,
        shown=shown,
        resources=tuple(
            entry for key in ("resources", "bases", "components") for entry in _texts(body.get(key))
        ),
        patches=(
            *_texts(body.get("patchesStrategicMerge")),
            *(patch["path"] for patch in patches if isinstance(patch.get("path"), str)),
        ),
        charts=tuple(clean(str(chart.get("name"))) for chart in _dicts(body.get("helmCharts"))),
        generators=len(_texts(body.get("generators"))),
        inline_patches=sum("patch" in patch for patch in patches),
        transform=_transform(body),
    )


def _transform(body: Mapping[str, Any]) -> Transform:
    common = _pairs(body.get("commonLabels"))
    rules = [LabelRule(common, selectors=True, templates=True)] if common else []
    for entry in _dicts(body.get("labels")):
        selectors = entry.get("includeSelectors") is True
        templates = selectors or entry.get("includeTemplates") is True
        rules.append(LabelRule(_pairs(entry.get("pairs")), selectors, templates))
    return Transform(
        namespace=_text(body.get("namespace")),
        prefix=_text(body.get("namePrefix")),
        suffix=_text(body.get("nameSuffix")),
        labels=tuple(rules),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        return ()
    return tuple((key, item) for key, item in value.items() if isinstance(item, str))


class Graph:
    """Every kustomization of a snapshot and what each reaches."""

    def __init__(self, kustomizations: Iterable[Kustomization]) -> None:
        self._by_folder = {entry.folder: entry for entry in kustomizations}
        self.files: dict[Path, Reach] = {}
        self.patch_files: dict[Path, set[str]] = {}
        self.missing: dict[str, list[str]] = {}
        """Kustomization → entries that are not in the snapshot (remote ones among them)."""
        for root in self._roots():
            self._walk(root, Transform(), root.shown, frozenset())

    def __bool__(self) -> bool:
        return bool(self._by_folder)

    @property
    def kustomizations(self) -> tuple[Kustomization, ...]:
        """All of them, in the order of their folders."""
        return tuple(self._by_folder[folder] for folder in sorted(self._by_folder))

    def surrounds(self, file: Path) -> bool:
        """Say whether a kustomization stands in the file's folder or above it."""
        return any(folder in self._by_folder for folder in file.parents)

    def _roots(self) -> list[Kustomization]:
        inner = {
            target
            for entry in self._by_folder.values()
            for target in entry.targets()
            if target in self._by_folder and target != entry.folder
        }
        return [entry for entry in self.kustomizations if entry.folder not in inner]

    def _walk(
        self, entry: Kustomization, outer: Transform, root: str, above: frozenset[Path]
    ) -> None:
        if entry.folder in above:
            return  # a cycle, which kustomize refuses to build
        transform = entry.transform.inside(outer)
        for patch in entry.patches:
            path = _join(entry.folder, patch)
            self.patch_files.setdefault(path, set()).add(entry.shown)
        for resource in entry.resources:
            target = _join(entry.folder, resource)
            if inner := self._by_folder.get(target):
                self._walk(inner, transform, root, above | {entry.folder})
            elif not is_remote(resource) and target.is_file():
                reach = self.files.setdefault(target, Reach())
                reach.roots.add(root)
                reach.transforms.add(transform)
            else:
                self._miss(entry, resource)

    def _miss(self, entry: Kustomization, resource: str) -> None:
        entries = self.missing.setdefault(entry.shown, [])
        if resource not in entries:
            entries.append(clean(resource))


def is_remote(resource: str) -> bool:
    """Say whether a `resources` entry names something outside the checkout.

    Source: kustomize `api/internal/git/repospec.go` (hosts, schemes and `git@` forms).
    """
    return "://" in resource or "?ref=" in resource or resource.startswith(("git@", "github.com/"))


def _join(folder: Path, entry: str) -> Path:
    return Path(os.path.normpath(folder / entry))


def report(graph: Graph) -> list[Notice]:
    """Say what the graph holds that is not analysed, one notice a kind of thing."""
    notices = [
        Notice(
            f"{len(entries)} of the resources of `{shown}` are not in the snapshot: "
            + listing(entries)
        )
        for shown, entries in sorted(graph.missing.items())
    ]
    charts = [f"{name} ({entry.shown})" for entry in graph.kustomizations for name in entry.charts]
    if charts:
        notices.append(Notice(f"Helm charts are not rendered: {listing(charts)}", severity="info"))
    generators = [entry.shown for entry in graph.kustomizations if entry.generators]
    if generators:
        notices.append(Notice(f"generator plug-ins are not run: {listing(generators)}"))
    patched = [
        entry.shown for entry in graph.kustomizations if entry.patches or entry.inline_patches
    ]
    if patched:
        notices.append(Notice(f"patches are not applied: {listing(patched)}", severity="info"))
    return notices


def listing(names: Iterable[str], most: int = 5) -> str:
    """Write a few names out and count the rest."""
    unique = list(dict.fromkeys(names))
    rest = len(unique) - most
    return ", ".join(unique[:most]) + (f" and {rest} more" if rest > 0 else "")
