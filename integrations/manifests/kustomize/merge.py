"""Strategic merge patches, as kustomize applies them.

Source: kyaml `yaml/merge2/merge2.go` and `yaml/walk/`, with lists that grow at their front
(`MergeOptionsListPrepend`). Merge keys are those of the Kubernetes 1.21 schema that kustomize
carries; kinds that are not in it (all of Cilium's) have none: their lists are replaced whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.tree import Map, Place, Seq, text_of

_DIRECTIVE: Final = "$patch"


class _Absent:
    """No value at all, where null is one."""


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Schema:
    """What a schema says of one value: merge keys of a list (`None`: replaced), and its fields."""

    keys: tuple[str, ...] | None = None
    fields: Mapping[str, Schema] | None = None
    item: Schema | None = None

    def field(self, key: str) -> Schema | None:
        """The schema of a field."""
        return self.fields.get(key) if self.fields else None


def _list(*keys: str, item: Schema | None = None) -> Schema:
    return Schema(keys=keys, item=item)


_META = Schema(fields={"finalizers": _list(), "ownerReferences": _list("uid")})
_DEVICES = {
    "env": _list("name"),
    "volumeDevices": _list("devicePath"),
    "volumeMounts": _list("mountPath"),
}
_CONTAINER = Schema(fields={**_DEVICES, "ports": _list("containerPort", "protocol")})
_CONTAINERS = _list("name", item=_CONTAINER)
_POD = Schema(
    fields={
        "containers": _CONTAINERS,
        "initContainers": _CONTAINERS,
        "ephemeralContainers": _list("name", item=Schema(fields=_DEVICES)),
        "hostAliases": _list("ip"),
        "imagePullSecrets": _list("name"),
        "topologySpreadConstraints": _list("topologyKey", "whenUnsatisfiable"),
        "volumes": _list("name"),
    }
)
_CONDITIONS = Schema(fields={"conditions": _list("type")})
_TEMPLATE = Schema(fields={"metadata": _META, "spec": _POD})
_TEMPLATED = Schema(fields={"template": _TEMPLATE})
_JOB_TEMPLATE = Schema(fields={"metadata": _META, "spec": _TEMPLATED})


def _kind(**fields: Schema) -> Schema:
    return Schema(fields={"metadata": _META, "status": _CONDITIONS, **fields})


_PLAIN = _kind()
_KINDS: Mapping[str, Schema] = {
    **dict.fromkeys(
        ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"),
        _kind(spec=_TEMPLATED),
    ),
    **dict.fromkeys(
        ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"),
        _kind(webhooks=_list("name")),
    ),
    "CSINode": _kind(spec=Schema(fields={"drivers": _list("name")})),
    "CronJob": _kind(spec=Schema(fields={"jobTemplate": _JOB_TEMPLATE})),
    "Node": Schema(
        fields={
            "metadata": _META,
            "spec": Schema(fields={"podCIDRs": _list()}),
            "status": Schema(fields={"addresses": _list("type"), "conditions": _list("type")}),
        }
    ),
    "Pod": Schema(
        fields={
            "metadata": _META,
            "spec": _POD,
            "status": Schema(fields={"conditions": _list("type"), "podIPs": _list("ip")}),
        }
    ),
    "PodTemplate": _kind(template=_TEMPLATE),
    "Service": _kind(spec=Schema(fields={"ports": _list("port", "protocol")})),
    "ServiceAccount": _kind(secrets=_list("name")),
}
"""Source: kyaml `openapi/kubernetesapi/v1_21_2` (`x-kubernetes-patch-merge-key` and
`x-kubernetes-list-map-keys` where the patch strategy is `merge`)."""

_BUILTIN = frozenset(
    f"{group}/{version}" if group else version
    for group, versions in {
        "": ("v1",),
        "admissionregistration.k8s.io": ("v1", "v1beta1"),
        "apiextensions.k8s.io": ("v1", "v1beta1"),
        "apiregistration.k8s.io": ("v1", "v1beta1"),
        "apps": ("v1",),
        "autoscaling": ("v1", "v2beta1", "v2beta2"),
        "batch": ("v1", "v1beta1"),
        "certificates.k8s.io": ("v1", "v1beta1"),
        "coordination.k8s.io": ("v1", "v1beta1"),
        "discovery.k8s.io": ("v1", "v1beta1"),
        "extensions": ("v1beta1",),
        "networking.k8s.io": ("v1", "v1beta1"),
        "policy": ("v1", "v1beta1"),
        "rbac.authorization.k8s.io": ("v1", "v1beta1"),
        "scheduling.k8s.io": ("v1", "v1beta1"),
        "storage.k8s.io": ("v1", "v1beta1"),
    }.items()
    for version in versions
)


def schema_of(api_version: str, kind: str) -> Schema | None:
    """Give what kustomize's schema says of a kind; None for kinds it does not know."""
    return _KINDS.get(kind, _PLAIN) if api_version in _BUILTIN else None


def merge(target: Map, patch: Map, schema: Schema | None) -> Map | None:
    """Merge `patch`, which is used up, into `target`; None when the patch deletes the object."""
    merged = _walk(target, patch, schema, "")
    return merged if isinstance(merged, Map) else None


def _walk(target: Any, patch: Any, schema: Schema | None, path: str) -> Any:
    first = next((one for one in (target, patch) if one is not ABSENT and one is not None), None)
    if first is None or isinstance(first, Map):
        _check(Map, path, target, patch)
        return _walk_map(target, patch, schema, path)
    if isinstance(first, Seq):
        _check(Seq, path, target, patch)
        if schema is not None and schema.keys is not None:
            return _walk_list(target, patch, schema, path)
        return target if patch is ABSENT else patch
    if any(isinstance(one, (Map, Seq)) for one in (target, patch)):
        raise Refused(f"a patch has another type at `{path}`")
    return target if patch is ABSENT else patch


def _check(shape: type, path: str, *values: Any) -> None:
    if any(not isinstance(one, shape) for one in values if one is not ABSENT and one is not None):
        raise Refused(f"a patch has another type at `{path}`")


def _walk_map(target: Any, patch: Any, schema: Schema | None, path: str) -> Any:
    into = _visit_map(target, patch, path)
    if not isinstance(into, Map):
        return into
    other = patch if isinstance(patch, Map) else Map()
    for key in sorted({*into, *other}):
        place = other.places.get(key, into.places.get(key))
        before = into.get(key, ABSENT)
        child = f"{path}.{key}" if path else key
        field_schema = schema.field(key) if schema else None
        value = _walk(before, other.get(key, ABSENT), field_schema, child)
        if value is ABSENT or value is None:
            into.drop(key)
        else:
            kept = value is before and isinstance(value, (Map, Seq))
            into.put(key, value, into.places.get(key) if kept else place)
    return into


def _visit_map(target: Any, patch: Any, path: str) -> Any:
    if target is ABSENT or target is None:
        if isinstance(patch, Map) and _directive(patch, path) == "delete":
            return ABSENT
        return patch
    if patch is None:
        return ABSENT
    order = _directive(patch, path) if isinstance(patch, Map) else "merge"
    return {"delete": ABSENT, "replace": patch}.get(order, target)


def _directive(patch: Map, path: str) -> str:
    if patch.get(_DIRECTIVE) is None:
        return "merge"
    order = text_of(patch[_DIRECTIVE])
    if order not in ("delete", "replace", "merge"):
        raise Refused(f"unknown `$patch: {order}` at `{path}`")
    patch.drop(_DIRECTIVE)
    return order


def _list_directive(patch: Seq, path: str) -> str:
    for index, item in enumerate(patch):
        if isinstance(item, Map) and len(item) == 1 and item.get(_DIRECTIVE) is not None:
            order = _directive(item, path)
            patch.drop_at(index)
            return order
    return "merge"


def _walk_list(target: Any, patch: Any, schema: Schema, path: str) -> Any:
    if target is ABSENT or target is None:
        into = patch
    elif patch is None:
        return ABSENT
    else:
        order = _list_directive(patch, path) if isinstance(patch, Seq) else "merge"
        into = {"delete": ABSENT, "replace": patch}.get(order, target)
    if not isinstance(into, Seq):
        return into
    return _ListMerge(schema, path).merged(into, patch if isinstance(patch, Seq) else None)


Element = tuple[Any, Place | None]


class _ListMerge:
    """Merging of one list by keys. Source: kyaml `yaml/walk/associative_sequence.go`."""

    def __init__(self, schema: Schema, path: str) -> None:
        self._keys = schema.keys or ("",)
        self._item = schema.item
        self._path = path

    def merged(self, into: Seq, patch: Seq | None) -> Any:
        """Give `into` with the elements of the patch in front of its own."""
        wanted = self._wanted(into, patch)
        keys: tuple[str, ...] = self._keys
        made: list[Element] = []
        for values in wanted:
            keys, valid = _valid(wanted, values, self._keys)
            self._merge_one(made, into, patch, (keys, valid))
        if not wanted:
            return into
        for element in into.pairs():
            _append(made, element, keys)
        into.become(made)
        return into

    def _wanted(self, into: Seq, patch: Seq | None) -> list[tuple[str, ...]]:
        wanted: list[tuple[str, ...]] = []
        for source in (patch, into):
            for item in source or ():
                values = _values(item, self._keys)
                if values not in wanted:
                    wanted.append(values)
        if len(self._keys) > 1:
            _align(wanted)
        return wanted

    def _merge_one(
        self,
        made: list[Element],
        into: Seq,
        patch: Seq | None,
        match: tuple[tuple[str, ...], tuple[str, ...]],
    ) -> None:
        narrow = _valid([match[1]], match[1], match[0])
        old, new = _find(into, *narrow), _find(patch, *narrow)
        place = (old if patch is None or new[0] is ABSENT else new)[1]
        if old[0] is not ABSENT and isinstance(old[0], Map):
            place = old[1]
        value = _walk(old[0], new[0], self._item, self._path)
        if value is ABSENT or value is None or (isinstance(value, Map) and not value):
            into.become(_replaced(into.pairs(), None, *match)[0])
            return
        if isinstance(value, Map):
            for key, text in zip(*match, strict=False):
                if key not in value and text:
                    value.put(key, text, place)
        _put(made, (value, place), *match)


def _values(item: Any, keys: tuple[str, ...]) -> tuple[str, ...]:
    if keys == ("",):
        return (text_of(item),)
    if not isinstance(item, Map):
        return tuple("" for _ in keys)
    return tuple("" if item.get(key) is None else text_of(item[key]) for key in keys)


def _valid(
    wanted: list[tuple[str, ...]], values: tuple[str, ...], keys: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    used = {keys[at] for one in wanted for at, value in enumerate(one) if value}
    if not used:
        return keys, values
    return (
        tuple(key for key in keys if key in used),
        tuple(value for at, value in enumerate(values) if value or keys[at] in used),
    )


def _align(wanted: list[tuple[str, ...]]) -> None:
    """Let values with a missing key take it from others that agree in the rest."""
    for left, one in enumerate(wanted):
        for right, other in enumerate(wanted):
            if both := _agreed(one, other):
                wanted[left] = wanted[right] = both


def _agreed(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    if len(one) != len(other):
        return None
    pairs = list(zip(one, other, strict=True))
    if any(left and right and left != right for left, right in pairs):
        return None
    return tuple(left or right for left, right in pairs) if any(a == b for a, b in pairs) else None


def _matches(item: Any, key: str, text: str) -> bool:
    if not key:
        return not isinstance(item, (Map, Seq)) and text_of(item) == text
    return isinstance(item, Map) and key in item and text_of(item[key]) == text


def _find(items: Seq | None, keys: tuple[str, ...], values: tuple[str, ...]) -> Element:
    for item, place in items.pairs() if items is not None else ():
        if all(_matches(item, key, text) for key, text in zip(keys, values, strict=True)):
            return item, place
    return ABSENT, None


def _replaced(
    items: list[Element],
    element: Element | None,
    keys: tuple[str, ...],
    values: tuple[str, ...],
) -> tuple[list[Element], bool]:
    """Source: kyaml `yaml/fns.go` (`ElementSetter`); an empty value matches any that is there."""
    kept: list[Element] = []
    found = False
    for item, place in items:
        if item is None or (isinstance(item, Map) and not item):
            continue
        same = _set_matches(item, keys, values)
        if not same:
            kept.append((item, place))
            continue
        found = True
        if element is not None:
            kept.append(element)
    return kept, found


def _set_matches(item: Any, keys: tuple[str, ...], values: tuple[str, ...]) -> bool:
    for key, text in zip(keys, values, strict=False):
        if not key:
            if not _matches(item, key, text):
                return False
        elif not isinstance(item, Map) or key not in item or (text and text_of(item[key]) != text):
            return False
    return True


def _put(
    items: list[Element], element: Element, keys: tuple[str, ...], values: tuple[str, ...]
) -> None:
    kept, found = _replaced(items, element, keys, values)
    items[:] = kept if found else [*kept, element]


def _append(made: list[Element], element: Element, keys: tuple[str, ...]) -> None:
    """Source: kyaml `yaml/walk/associative_sequence.go` (`appendListNode`)."""
    item = element[0]
    if keys == ("",):
        _put(made, element, keys, (text_of(item),))
        return
    values = []
    for key in keys:
        if not isinstance(item, Map) or item.get(key) is None:
            made.append(element)
            continue
        values.append(text_of(item[key]))
    if len(keys) > 1:
        made[:] = _replaced(made, None, keys, tuple(values))[0]
    _put(made, element, keys, tuple(values))
