"""The transformers of a kustomization, in the order kustomize runs them.

Source: kustomize 5.8 `api/internal/target/kusttarget_configplugin.go`
(`configureBuiltinTransformers`). Images are left alone: no answer depends on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from app.core.text import clean
from integrations.manifests.kustomize.configuration import field_specs
from integrations.manifests.kustomize.defaults import METADATA_LABELS, Config
from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.fields import merged
from integrations.manifests.kustomize.kustomization import (
    Built,
    Files,
    Kustomization,
    Problem,
)
from integrations.manifests.kustomize.patches import Patch, apply_patch, read_patch
from integrations.manifests.kustomize.replacements import replace_values
from integrations.manifests.kustomize.resource import Resources
from integrations.manifests.kustomize.transform import (
    Written,
    add_prefix,
    add_suffix,
    set_marks,
    set_namespace,
    set_replicas,
)
from integrations.manifests.kustomize.tree import Map, Place, Seq, text_of

Step = tuple[Place, Callable[[], object]]


def steps(
    own: Kustomization, resources: Resources, config: Config, files: Files, built: Built
) -> Iterator[Step]:
    """Give each transformer with the place that asks for it."""
    reader = _Patches(own, resources, files, built)
    yield from reader.strategic()
    yield from reader.patches()
    yield from _names(own, resources, config)
    yield from _marks(own, resources, config)
    yield from reader.json()
    for entry, place in own.maps("replicas"):
        yield place, partial(_replicas, resources, config, entry, place)
    for entry, place in own.maps("replacements"):
        yield place, partial(reader.replace, entry, place)


def _names(own: Kustomization, resources: Resources, config: Config) -> Iterator[Step]:
    if namespace := own.text("namespace"):
        place = own.place("namespace")
        yield place, partial(set_namespace, resources, namespace, config.namespace, place)
    if prefix := own.text("namePrefix"):
        place = own.place("namePrefix")
        yield place, partial(add_prefix, resources, prefix, config.prefix, place)
    if suffix := own.text("nameSuffix"):
        place = own.place("nameSuffix")
        yield place, partial(add_suffix, resources, suffix, config.suffix, place)


def _marks(own: Kustomization, resources: Resources, config: Config) -> Iterator[Step]:
    for entry, place in own.maps("labels"):
        yield place, partial(_labels, resources, config, entry)
    for key, specs in (
        ("commonLabels", config.common_labels),
        ("commonAnnotations", config.annotations),
    ):
        if marks := _written(own.body.get(key)):
            yield own.place(key), partial(set_marks, resources, marks, specs)


def _written(value: Any) -> Written:
    if not isinstance(value, Map):
        return {}
    return {
        key: ("" if item is None else text_of(item), value.places.get(key))
        for key, item in value.items()
    }


def _labels(resources: Resources, config: Config, entry: Map) -> None:
    specs = merged(field_specs(entry.get("fields")), config.labels)
    if entry.get("includeSelectors") is True:
        specs = merged(specs, config.common_labels)
    else:
        if entry.get("includeTemplates") is True:
            specs = merged(specs, config.template_labels)
        specs = merged(specs, (METADATA_LABELS,))
    if marks := _written(entry.get("pairs")):
        set_marks(resources, marks, specs)


def _replicas(resources: Resources, config: Config, entry: Map, place: Place) -> None:
    count = entry.get("count")
    set_replicas(
        resources,
        text_of(entry.get("name") or ""),
        count if isinstance(count, int) else 0,
        config.replicas,
        entry.places.get("count") or place,
    )


@dataclass(frozen=True, slots=True)
class _Patches:
    own: Kustomization
    resources: Resources
    files: Files
    built: Built

    def strategic(self) -> Iterator[Step]:
        """`patchesStrategicMerge`: each entry a file, or the patch itself."""
        for entry, place in self.own.texts("patchesStrategicMerge"):
            yield place, partial(self._strategic, entry, place)

    def _strategic(self, entry: str, place: Place) -> None:
        if "\n" in entry or entry.lstrip().startswith("{"):
            roots = self.files.inline(entry, place)
        else:
            roots = self._roots(entry, place)
        documents, operations = read_patch(roots)
        if operations is not None:
            raise Refused("`patchesStrategicMerge` names a JSON patch")
        apply_patch(self.resources, Patch(documents))

    def patches(self) -> Iterator[Step]:
        """`patches`, of both kinds."""
        for entry, place in self.own.maps("patches"):
            yield place, partial(self._patch, entry, place, remembers=True)

    def json(self) -> Iterator[Step]:
        """`patchesJson6902`."""
        for entry, place in self.own.maps("patchesJson6902"):
            yield place, partial(self._patch, entry, place, remembers=False)

    def _patch(self, entry: Map, place: Place, *, remembers: bool) -> None:
        documents, operations = read_patch(self._patch_roots(entry, place))
        target, options = entry.get("target"), entry.get("options")
        chosen: Mapping[str, Any] = options if isinstance(options, Map) else {}
        patch = Patch(
            documents,
            operations,
            target if isinstance(target, Map) else None,
            may_rename=chosen.get("allowNameChange") is True,
            may_change_kind=chosen.get("allowKindChange") is True,
        )
        apply_patch(self.resources, replace(patch, remembers=remembers))

    def _patch_roots(self, entry: Map, place: Place) -> Any:
        text, path = entry.get("patch"), entry.get("path")
        if isinstance(text, str) and text.strip():
            if path:
                raise Refused("a patch has both `patch` and `path`")
            return self.files.inline(text, entry.places.get("patch") or place)
        if not isinstance(path, str) or not path:
            raise Refused("a patch has neither `patch` nor `path`")
        return self._roots(path, place)

    def _roots(self, entry: str, place: Place) -> Any:
        path = self.own.path(entry)
        self.built.patches.add(path)
        roots = self.files.roots(path)
        if roots is None:
            self.built.missing.append(Problem(clean(entry), *place))
        return roots or ()

    def replace(self, entry: Map, place: Place) -> None:
        """One entry of `replacements`, or those of the file that it names."""
        path = entry.get("path")
        if not isinstance(path, str) or not path:
            replace_values(self.resources, entry, place)
            return
        for root in self._roots(path, place):
            for one in root if isinstance(root, Seq) else [root]:
                if isinstance(one, Map):
                    where = next(iter(one.places.values()), place)
                    replace_values(self.resources, one, where)
