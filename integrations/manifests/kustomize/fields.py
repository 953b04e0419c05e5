"""Fields by kind and path, as kustomize's transformers name them, and setting what they lead to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.resource import Resource
from integrations.manifests.kustomize.tree import Map, Place, Seq

_UNESCAPED_SLASH = re.compile(r"(?<!\\)/")


@dataclass(frozen=True, slots=True)
class Gvk:
    """Group, version and kind; an empty one stands for any."""

    group: str = ""
    version: str = ""
    kind: str = ""

    def selects(self, group: str, version: str, kind: str) -> bool:
        """Source: kyaml `resid/gvk.go` (`IsSelected`)."""
        return (
            self.group in ("", group)
            and self.version in ("", version)
            and (self.kind in ("", kind))
        )


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A path such as `spec/template/metadata/labels` of the kinds that `gvk` selects."""

    path: str
    gvk: Gvk = Gvk()
    create: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """The path cut at slashes; one behind a backslash is part of a key.

        Source: kyaml `utils/pathsplitter.go` (`PathSplitter`).
        """
        return _steps(self.path)

    def selects(self, resource: Resource) -> bool:
        """Say whether it is about this kind of object."""
        return self.gvk.selects(*resource.gvk)


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[str, ...]:
    return tuple(step.replace("\\/", "/") for step in _UNESCAPED_SLASH.split(path.lstrip("/")))


@dataclass(frozen=True, slots=True)
class Slot:
    """One place inside a tree: a key of a mapping, or an item of a sequence."""

    parent: Map | Seq
    key: Any

    @property
    def value(self) -> Any:
        """What stands there."""
        return self.parent[self.key]

    def set(self, value: Any, place: Place | None) -> None:
        """Replace what stands there."""
        if isinstance(self.parent, Map):
            self.parent.put(self.key, value, place)
        else:
            self.parent[self.key] = value
            self.parent.places[self.key] = place or self.parent.places[self.key]


Setter = Callable[[Slot], None]


def set_fields(
    resource: Resource,
    specs: Iterable[FieldSpec],
    setter: Setter,
    *,
    new: Callable[[], Any] | None = None,
) -> None:
    """Call `setter` for every slot that the specs lead to; `new` makes what `create` asks for.

    Source: kustomize `api/filters/fieldspec/fieldspec.go`.
    """
    for spec in specs:
        if spec.selects(resource):
            maker = new if spec.create else None
            _descend(resource.tree(), spec.steps, setter, maker, spec.path)


def _descend(
    value: Any, steps: tuple[str, ...], setter: Setter, new: Callable[[], Any] | None, path: str
) -> None:
    if value is None:
        return
    if isinstance(value, Seq):
        for item in value:
            _descend(item, steps, setter, new, path)
        return
    if not isinstance(value, Map):
        raise Refused(f"`{path}` leads through a value that is neither mapping nor list")
    key = steps[0].removesuffix("[]")
    made = new if key == steps[0] else None
    if len(steps) == 1:
        _set_last(value, key, setter, made)
        return
    if key not in value:
        if made is None:
            return
        value[key] = Map()
    elif value[key] is None and made is not None:
        value[key] = Map()
    _descend(value[key], steps[1:], setter, new, path)


def _set_last(parent: Map, key: str, setter: Setter, new: Callable[[], Any] | None) -> None:
    if new is not None and parent.get(key) is None:
        parent[key] = new()
    if key in parent:
        setter(Slot(parent, key))


def merged(specs: Iterable[FieldSpec], more: Iterable[FieldSpec]) -> tuple[FieldSpec, ...]:
    """Add specs that are not there yet; one that is there keeps its `create`.

    Source: kustomize `api/types/fieldspec.go` (`FsSlice.MergeOne`), which refuses a different
    `create` for one field.
    """
    kept = list(specs)
    for spec in more:
        twin = next((one for one in kept if replace(one, create=spec.create) == spec), None)
        if twin is None:
            kept.append(spec)
        elif twin.create != spec.create:
            raise Refused(f"two configurations of `{spec.path}` disagree on `create`")
    return tuple(kept)
