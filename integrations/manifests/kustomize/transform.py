"""What a kustomization does to every object: namespace, names, labels, annotations, replicas.

Source: kustomize `api/internal/builtins/` and `api/filters/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.fields import FieldSpec, Gvk, Slot, set_fields
from integrations.manifests.kustomize.resource import Id, Resource, Resources, Shared, show
from integrations.manifests.kustomize.tree import Map, Place, Seq, text_of

_NOT_RENAMED = (
    Gvk(kind="CustomResourceDefinition"),
    Gvk(group="apiregistration.k8s.io", kind="APIService"),
    Gvk(kind="Namespace"),
)
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_SUBJECTS = "subjects"

Written = Mapping[str, tuple[str, Place | None]]
"""Labels or annotations to set: key → value and where it is written."""


def set_namespace(
    resources: Resources, namespace: str, specs: Iterable[FieldSpec], place: Place | None
) -> None:
    """Put every object that may have a namespace into one; Namespaces are renamed to it.

    Source: `filters/namespace/namespace.go`.
    """
    specs = tuple(specs)
    for resource in resources:
        resource.remember()
        used = [
            spec
            for spec in specs
            if spec.path != "metadata/namespace"
            and (spec.path != "metadata/name" or resource.body.get("apiVersion") == "v1")
        ]
        if not resource.cluster_scoped:
            resource.set_namespace(namespace, place)
        if resource.kind in _BINDINGS:
            _set_default_subjects(resource, namespace, place)
        set_fields(resource, used, partial(_put, namespace, place), new=str)
    resources.changed()
    _check_unique(resources)


def _check_unique(resources: Resources) -> None:
    seen = set()
    for resource in resources:
        if resource.id in seen:
            raise Refused(f"`namespace` makes two of {show(resource.id)}")
        seen.add(resource.id)


def _set_default_subjects(resource: Resource, namespace: str, place: Place | None) -> None:
    subjects = resource.tree().get(_SUBJECTS)
    for subject in subjects if isinstance(subjects, Seq) else ():
        if isinstance(subject, Map) and subject.get("name") == "default":
            subject.put("namespace", namespace, place)


def _put(value: Any, place: Place | None, slot: Slot) -> None:
    if slot.value != value:
        slot.set(value, place)


def add_prefix(
    resources: Resources, prefix: str, specs: Iterable[FieldSpec], place: Place | None
) -> None:
    """Put a prefix before names. Source: `internal/builtins/PrefixTransformer.go`."""
    _rename(resources, specs, (lambda r: r.prefixes.append(prefix)), lambda n: prefix + n, place)


def add_suffix(
    resources: Resources, suffix: str, specs: Iterable[FieldSpec], place: Place | None
) -> None:
    """Put a suffix behind names. Source: `internal/builtins/SuffixTransformer.go`."""
    _rename(resources, specs, (lambda r: r.suffixes.append(suffix)), lambda n: n + suffix, place)


def _rename(
    resources: Resources,
    specs: Iterable[FieldSpec],
    note: Callable[[Resource], None],
    change: Callable[[str], str],
    place: Place | None,
) -> None:
    specs = tuple(specs)

    def write(slot: Slot) -> None:
        slot.set(change(text_of(slot.value)), place)

    for resource in resources:
        first = resource.original_id
        if any(gvk.selects(first.group, first.version, first.kind) for gvk in _NOT_RENAMED):
            continue
        for spec in specs:
            if not spec.gvk.selects(first.group, first.version, first.kind):
                continue
            if spec.path == "metadata/name":
                note(resource)
                resource.remember()
            set_fields(resource, (spec,), write)
    resources.changed()


def set_marks(resources: Resources, marks: Written, specs: Iterable[FieldSpec]) -> None:
    """Set labels or annotations. Source: `filters/labels`, `filters/annotations`."""
    specs = tuple(specs)
    for resource in resources:
        for key in sorted(marks):
            setter = _MarkSetter(key, *marks[key])
            set_fields(resource, specs, setter.put, new=Map)
            resource.settle()
            if len(setter.added) > 1:
                resource.shared.append(Shared(key, marks[key][0], setter.added))


class _MarkSetter:
    """Sets one label or annotation; `added` are the mappings that did not have it."""

    def __init__(self, key: str, value: str, place: Place | None) -> None:
        self._key = key
        self._value = value
        self._place = place
        self.added: list[Map] = []

    def put(self, slot: Slot) -> None:
        marks = slot.value
        if not isinstance(marks, Map):
            raise Refused(f"labels or annotations stand in `{slot.key}`, which is no mapping")
        if self._key not in marks:
            self.added.append(marks)
        if marks.get(self._key) != self._value:
            marks.put(self._key, self._value, self._place)


def _is_called(name: str, gvk: Gvk, one: Id) -> bool:
    return one.name == name and gvk.selects(one.group, one.version, one.kind)


def set_replicas(
    resources: Resources, name: str, count: int, specs: Iterable[FieldSpec], place: Place | None
) -> None:
    """Set how many pods a workload has. Source: `internal/builtins/ReplicaCountTransformer.go`."""
    found = False
    for spec in specs:
        for resource in resources.by_any_id(partial(_is_called, name, spec.gvk)):
            found = True
            set_fields(resource, (spec,), partial(_put, count, place), new=int)
    if not found:
        raise Refused(f"`replicas` names `{name}`, and there is no such workload")
