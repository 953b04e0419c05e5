"""What may stand in a kustomization file: kustomize ends with an error for anything else.

A field that it does not know, or of another type, stops the whole build, so nothing is deployed of
what the file names; `commonLabels: {public: yes}` is such a file, as `yes` is no text there.
Source: kustomize `api/types/kustomization.go` (`Kustomization.Unmarshal` forbids unknown fields)
and its neighbours, v5.8.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from app.core.text import clean
from integrations.manifests.kustomize.tree import Map, Place, Seq


class Scalar(StrEnum):
    """One value, by what it is called in an error."""

    TEXT = "text"
    FLAG = "true or false"
    NUMBER = "a whole number"
    ANYTHING = "anything"


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping of these fields and no others."""

    known: Mapping[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Items:
    """A list of one shape."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Pairs:
    """A mapping of any keys to one shape."""

    of: Shape


Shape: TypeAlias = Scalar | Fields | Items | Pairs

TEXT, FLAG, NUMBER, ANYTHING = Scalar.TEXT, Scalar.FLAG, Scalar.NUMBER, Scalar.ANYTHING
TEXTS, MARKS = Items(TEXT), Pairs(TEXT)


def _texts(*names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, TEXT)


def _flags(*names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, FLAG)


_GVK = _texts("group", "version", "kind")
_ID = _GVK | _texts("name", "namespace")
_SELECTOR = Fields(_ID | _texts("annotationSelector", "labelSelector"))
_FIELD_SPECS = Items(Fields(_GVK | {"path": TEXT, "create": FLAG}))
_PATCHES = Items(
    Fields(
        _texts("path", "patch")
        | {"target": _SELECTOR, "options": Fields(_flags("allowNameChange", "allowKindChange"))}
    )
)
_FIELD_OPTIONS = Fields(
    {"delimiter": TEXT, "index": NUMBER, "encoding": TEXT, "create": FLAG},
)
_OPTIONS = Fields(
    {"labels": MARKS, "annotations": MARKS} | _flags("disableNameSuffixHash", "immutable")
)
_GENERATOR: dict[str, Shape] = {
    **_texts("namespace", "name", "behavior", "env"),
    **dict.fromkeys(("literals", "files", "envs"), TEXTS),
    "options": _OPTIONS,
}
_CHART: dict[str, Shape] = {
    **_texts("name", "version", "repo", "releaseName", "namespace", "valuesFile", "valuesMerge"),
    **_texts("kubeVersion", "nameTemplate"),
    **_flags("includeCRDs", "skipHooks", "skipTests", "debug", "devel"),
    "additionalValuesFiles": TEXTS,
    "apiVersions": TEXTS,
    "valuesInline": Pairs(ANYTHING),
}
_OLD_CHART: dict[str, Shape] = {
    **_texts("chartName", "chartVersion", "chartRepoUrl", "chartHome", "chartRepoName"),
    **_texts("helmBin", "helmHome", "values", "valuesMerge", "releaseName", "releaseNamespace"),
    "valuesLocal": Pairs(ANYTHING),
    "extraArgs": TEXTS,
}
_REPLACEMENT: dict[str, Shape] = {
    "path": TEXT,
    "sourceValue": TEXT,
    "source": Fields(_ID | {"fieldPath": TEXT, "options": _FIELD_OPTIONS}),
    "targets": Items(
        Fields(
            {
                "select": _SELECTOR,
                "reject": Items(_SELECTOR),
                "fieldPaths": TEXTS,
                "options": _FIELD_OPTIONS,
            }
        )
    ),
}
_VAR = Fields(
    {
        "name": TEXT,
        "objref": Fields(_ID | {"apiVersion": TEXT}),
        "fieldref": Fields({"fieldPath": TEXT}),
    }
)
_IMAGES = Items(Fields(_texts("name", "newName", "tagSuffix", "newTag", "digest")))
_LISTS = (
    *("resources", "components", "crds", "bases", "configurations", "generators"),
    *("transformers", "validators", "buildMetadata", "patchesStrategicMerge"),
)

_KUSTOMIZATION: dict[str, Shape] = {
    **_texts("apiVersion", "kind", "namePrefix", "nameSuffix", "namespace"),
    **dict.fromkeys(_LISTS, TEXTS),
    "metadata": Fields({**_texts("name", "namespace"), "labels": MARKS, "annotations": MARKS}),
    "openapi": MARKS,
    "commonLabels": MARKS,
    "commonAnnotations": MARKS,
    "labels": Items(
        Fields(
            {
                "pairs": MARKS,
                "fields": _FIELD_SPECS,
                **_flags("includeSelectors", "includeTemplates"),
            }
        )
    ),
    "patchesJson6902": _PATCHES,
    "patches": _PATCHES,
    "images": _IMAGES,
    "imageTags": _IMAGES,
    "replacements": Items(Fields(_REPLACEMENT)),
    "replicas": Items(Fields({"name": TEXT, "count": NUMBER})),
    "vars": Items(_VAR),
    "sortOptions": Fields(
        {"order": TEXT, "legacySortOptions": Fields({"orderFirst": TEXTS, "orderLast": TEXTS})}
    ),
    "configMapGenerator": Items(Fields(_GENERATOR)),
    "secretGenerator": Items(Fields(_GENERATOR | {"type": TEXT})),
    "helmGlobals": Fields(_texts("chartHome", "configHome")),
    "helmCharts": Items(Fields(_CHART)),
    "helmChartInflationGenerator": Items(Fields(_OLD_CHART)),
    "generatorOptions": _OPTIONS,
}

KUSTOMIZATION = Fields(_KUSTOMIZATION)


def wrong_fields(body: Map, place: Place) -> Iterator[tuple[str, Place]]:
    """Say of each field of a kustomization file what kustomize would not take, with its place."""
    yield from _wrong(body, KUSTOMIZATION, "", place)


def _wrong(value: object, shape: Shape, path: str, place: Place) -> Iterator[tuple[str, Place]]:
    if value is None or shape is ANYTHING:
        return
    if isinstance(shape, Scalar):
        if not _is_a(value, shape):
            yield f"`{clean(path)}` is not {shape.value}", place
    elif isinstance(shape, Items):
        if not isinstance(value, Seq):
            yield f"`{clean(path)}` is no list", place
            return
        for at, (item, where) in enumerate(value.pairs()):
            yield from _wrong(item, shape.of, f"{path}[{at}]", where or place)
    elif not isinstance(value, Map):
        yield f"`{clean(path)}` is no mapping", place
    else:
        yield from _wrong_keys(value, shape, path, place)


def _wrong_keys(
    value: Map, shape: Fields | Pairs, path: str, place: Place
) -> Iterator[tuple[str, Place]]:
    known = shape.known if isinstance(shape, Fields) else {}
    folded = {name.lower(): one for name, one in known.items()}
    for key, item in value.items():
        where, child = value.places.get(key) or place, f"{path}.{key}" if path else key
        inner = shape.of if isinstance(shape, Pairs) else known.get(key) or folded.get(key.lower())
        if inner is None:
            yield f"there is no field `{clean(child)}`", where
        else:
            yield from _wrong(item, inner, child, where)


def _is_a(value: object, shape: Scalar) -> bool:
    if shape is NUMBER:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, bool if shape is FLAG else str)
