"""Patches of a kustomization: found, read, and applied to the objects they are for.

Source: kustomize `api/internal/builtins/PatchTransformer.go`, `PatchStrategicMergeTransformer.go`
and `PatchJson6902Transformer.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.json_patch import apply_operations
from integrations.manifests.kustomize.merge import merge, schema_of
from integrations.manifests.kustomize.resource import Id, Resource, Resources, is_cluster_scoped
from integrations.manifests.kustomize.select import Selector
from integrations.manifests.kustomize.tree import Map, Seq, copied, text_of


@dataclass(frozen=True, slots=True)
class Patch:
    """One entry of `patches`: `documents` are its strategic merge patches, or else `operations`."""

    documents: tuple[Map, ...] = ()
    operations: Seq | None = None
    target: Map | None = None
    may_rename: bool = False
    may_change_kind: bool = False
    remembers: bool = True
    """Whether a JSON patch makes what the object was a previous id (`patchesJson6902` do not)."""


def read_patch(roots: Sequence[Any]) -> tuple[tuple[Map, ...], Seq | None]:
    """Tell strategic merge patches from a JSON patch; `Refused` when it is neither."""
    roots = [root for root in roots if root is not None]
    if len(roots) >= 1 and isinstance(roots[0], Seq):
        if any(not isinstance(item, Map) for item in roots[0]):
            raise Refused("a patch is a list, and not of JSON patch operations")
        return (), roots[0]
    documents = []
    for root in roots:
        metadata = root.get("metadata") if isinstance(root, Map) else None
        name = metadata.get("name") if isinstance(metadata, Map) else None
        if not isinstance(root, Map) or not root.get("kind"):
            raise Refused("a patch has no kind")
        if not name:
            raise Refused("a patch has no metadata.name")
        documents.append(root)
    return tuple(documents), None


def apply_patch(resources: Resources, patch: Patch) -> None:
    """Apply one patch; `Refused` when kustomize would not."""
    if patch.operations is not None:
        _apply_operations(resources, patch, patch.operations)
    elif patch.target is not None:
        if len(patch.documents) > 1:
            raise Refused("several strategic merge patches in one entry cannot have a target")
        selector = Selector(patch.target)
        for document in patch.documents:
            _merge_into(
                resources, [one for one in resources if selector.selects(one)], document, patch
            )
    else:
        for document in patch.documents:
            _merge_into(resources, [resources.the_one(_id_of(document))], document, patch)


def _id_of(document: Map) -> Id:
    version = text_of(document.get("apiVersion") or "")
    group, slash, rest = version.partition("/")
    group, version = (group, rest) if slash else ("", version)
    metadata, kind = document["metadata"], text_of(document["kind"])
    namespace = text_of(metadata.get("namespace") or "default")
    if is_cluster_scoped(group, version, kind):
        namespace = "_non_namespaceable_"
    return Id(group, version, kind, text_of(metadata["name"]), namespace)


def _merge_into(
    resources: Resources, targets: Iterable[Resource], document: Map, patch: Patch
) -> None:
    for resource in targets:
        if not _merge_one(resource, copied(document), patch):
            resources.items.remove(resource)
    resources.changed()


def _merge_one(resource: Resource, document: Map, patch: Patch) -> bool:
    if patch.may_rename or patch.may_change_kind:
        resource.remember()
    tree = resource.tree()
    kept = {key: (tree.get(key), tree.places.get(key)) for key in ("kind", "apiVersion")}
    metadata = tree.get("metadata")
    before = (
        {key: (metadata.get(key), metadata.places.get(key)) for key in ("name", "namespace")}
        if isinstance(metadata, Map)
        else {}
    )
    marks = _marks(tree)
    document.drop("apiVersion")
    if not patch.may_change_kind:
        document.drop("kind")
    schema = schema_of(text_of(tree.get("apiVersion") or ""), text_of(kept["kind"][0]))
    merged = merge(tree, document, schema)
    if not merged:
        return False
    for key, (value, place) in kept.items():
        if key == "apiVersion" or not patch.may_change_kind:
            merged.put(key, value, place)
    if not isinstance(merged.get("metadata"), Map):
        merged["metadata"] = Map()
    _restore(merged["metadata"], before, patch)
    resource.replace_tree(merged)
    resource.settle()
    _forget_if_wiped(resource, marks)
    return True


def _restore(metadata: Map, before: dict[str, Any], patch: Patch) -> None:
    for key, (value, place) in before.items():
        if key == "name" and patch.may_rename:
            continue
        if value is None:
            metadata.drop(key)
        else:
            metadata.put(key, value, place)


def _apply_operations(resources: Resources, patch: Patch, operations: Seq) -> None:
    if patch.target is None:
        raise Refused("a JSON patch has no target")
    selector = Selector(patch.target)
    for resource in [one for one in resources if selector.selects(one)]:
        if patch.remembers:
            resource.remember()
        marks = _marks(resource.tree(), make=bool(resource.previous or resource.prefixes))
        resource.replace_tree(apply_operations(resource.tree(), operations))
        resource.shared.clear()  # kustomize reads the object anew
        _forget_if_wiped(resource, marks)
        _drop_empty(resource.tree())
    resources.changed()


def _marks(tree: Map, *, make: bool = False) -> Map | None:
    """The annotations, where kustomize keeps what an object was called before."""
    metadata = tree.get("metadata")
    if not isinstance(metadata, Map):
        return None
    if make and metadata.get("annotations") is None:
        metadata["annotations"] = Map()
    marks = metadata.get("annotations")
    return marks if isinstance(marks, Map) else None


def _forget_if_wiped(resource: Resource, before: Map | None) -> None:
    """Annotations that are replaced as a whole take the previous names with them."""
    if before is not None and _marks(resource.tree()) is not before:
        resource.previous.clear()
        resource.prefixes.clear()
        resource.suffixes.clear()
        resource.hashed = False


def _drop_empty(tree: Map) -> None:
    metadata = tree.get("metadata")
    if isinstance(metadata, Map) and metadata.get("annotations") == {}:
        metadata.drop("annotations")
