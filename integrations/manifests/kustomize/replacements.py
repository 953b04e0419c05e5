"""Values copied from one object into others.

Source: kustomize `api/filters/replacement/replacement.go`; paths as kyaml `yaml/match.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import re2

from app.core.documents.scalars import resolve_plain
from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.fields import Gvk, Slot
from integrations.manifests.kustomize.resource import Resource, Resources
from integrations.manifests.kustomize.select import Selector, written_namespace
from integrations.manifests.kustomize.tree import Map, Place, Seq, copied, text_of

_DOT = re.compile(r"(?<!\\)\.")
_NAME = "metadata.name"


def replace_values(resources: Resources, replacement: Map, place: Place | None) -> None:
    """Apply one entry of `replacements`; `Refused` as kustomize would refuse it."""
    targets = replacement.get("targets")
    if not isinstance(targets, Seq) or not (
        "source" in replacement or "sourceValue" in replacement
    ):
        raise Refused("`replacements` need a source and targets")
    if "sourceValue" in replacement:
        value, origin = text_of(replacement["sourceValue"]), place
    else:
        value, origin = _source_value(resources, replacement["source"])
    for target in targets:
        if not isinstance(target, Map) or not isinstance(target.get("select"), Map):
            raise Refused("a target of `replacements` selects nothing")
        _Target(target, value, origin or place).apply(resources)
    resources.changed()


def _source_value(resources: Resources, source: Any) -> tuple[Any, Place | None]:
    if not isinstance(source, Map):
        raise Refused("the source of `replacements` is no mapping")
    found = [one for one in resources if _is_source(one, source)]
    if len(found) != 1:
        how = "more than one object" if found else "no object"
        raise Refused(f"the source of `replacements` selects {how}")
    path = text_of(source.get("fieldPath") or _NAME)
    slots = list(_lookup(found[0].tree(), split_path(path)))
    value = slots[0].value if slots else None
    if value is None or value in ("", {}, []):
        raise Refused(f"the source of `replacements` has no `{path}`")
    return _refined(value, _options(source), path), _place_of(slots[0])


def _place_of(slot: Slot) -> Place | None:
    places = slot.parent.places
    return places.get(slot.key) if isinstance(places, dict) else places[slot.key]


def _is_source(resource: Resource, source: Mapping[str, Any]) -> bool:
    gvk = Gvk(*(text_of(source.get(key) or "") for key in ("group", "version", "kind")))
    name, namespace = text_of(source.get("name") or ""), text_of(source.get("namespace") or "")
    return any(
        gvk.selects(one.group, one.version, one.kind)
        and name in ("", one.name)
        and namespace in ("", written_namespace(resource, one) or "default")
        for one in (resource.id, *resource.previous)
    )


def _options(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    options = holder.get("options")
    return options if isinstance(options, Mapping) else {}


def _refined(value: Any, options: Mapping[str, Any], path: str) -> Any:
    delimiter = text_of(options.get("delimiter") or "")
    if not delimiter:
        return value
    if isinstance(value, (Map, Seq)):
        raise Refused(f"`delimiter` for `{path}`, which is no text")
    parts, index = text_of(value).split(delimiter), int(options.get("index") or 0)
    if not 0 <= index < len(parts):
        raise Refused(f"`index` {index} is out of bounds for `{path}`")
    return parts[index]


class _Target:
    def __init__(self, target: Map, value: Any, place: Place | None) -> None:
        self._value = value
        self._place = place
        self._options = _options(target)
        self._select = Selector(target["select"])
        rejects = target.get("reject")
        self._reject = [
            Selector(one)
            for one in (rejects if isinstance(rejects, Seq) else ())
            if isinstance(one, Map)
        ]
        paths = target.get("fieldPaths")
        self._paths = [text_of(path) for path in paths] if isinstance(paths, Seq) else [_NAME]

    def apply(self, resources: Resources) -> None:
        """Write the value into every object that is selected and not rejected."""
        for resource in resources:
            if self._selects(resource):
                for path in self._paths:
                    self._write(resource, path)
                    resource.settle()

    def _selects(self, resource: Resource) -> bool:
        ids = [(one, written_namespace(resource, one)) for one in (resource.id, *resource.previous)]
        if not self._select.selects_marks(resource):
            return False
        for reject in self._reject:
            if reject.has_marks and reject.selects_marks(resource):
                return False
            if not reject.is_empty and any(reject.selects_id(*one) for one in ids):
                return False
        return any(self._select.selects_id(*one) for one in ids)

    def _write(self, resource: Resource, path: str) -> None:
        create = self._options.get("create") is True
        steps = split_path(path)
        slots = list(_lookup(resource.tree(), steps, self._empty() if create else None))
        if not slots:
            raise Refused(f"a target of `replacements` has no `{path}`")
        for slot in slots:
            slot.set(self._placed_value(slot), self._place)

    def _empty(self) -> Any:
        if isinstance(self._value, (Map, Seq)):
            return type(self._value)()
        return _Untyped()

    def _placed_value(self, slot: Slot) -> Any:
        old, delimiter = slot.value, text_of(self._options.get("delimiter") or "")
        if delimiter and isinstance(old, (Map, Seq)):
            raise Refused("`delimiter` for a target that is no text")
        if isinstance(old, (Map, Seq)):
            return copied(self._value)
        text = "" if isinstance(self._value, (Map, Seq)) else text_of(self._value)
        if delimiter:
            text = _joined(text_of(old), text, delimiter, self._options)
        if isinstance(old, str) and not isinstance(old, _Untyped):
            return text
        try:
            return resolve_plain(text)
        except ValueError:
            return text


class _Untyped(str):
    """A scalar that was made just now and has no type yet."""

    __slots__ = ()


def _joined(old: str, text: str, delimiter: str, options: Mapping[str, Any]) -> str:
    parts, index = old.split(delimiter), int(options.get("index") or 0)
    if index < 0:
        parts.insert(0, text)
    elif index >= len(parts):
        parts.append(text)
    else:
        parts[index] = text
    return delimiter.join(parts)


def split_path(path: str) -> list[str]:
    """Cut a path at dots: `a.[b.c].d` keeps `b.c`, `[name=a.b]` stays whole.

    Source: kyaml `utils/pathsplitter.go` (`SmarterPathSplitter`).
    """
    parts = [part.replace("\\.", ".") for part in _DOT.split(path.removeprefix("."))]
    steps: list[str] = []
    while parts:
        step = parts.pop(0)
        if step.startswith("[") and not step.endswith("]"):
            bracketed = [step]
            while parts:
                bracketed.append(parts.pop(0))
                if bracketed[-1].endswith("]"):
                    break
            whole = ".".join(bracketed)
            step = whole if "=" in whole else whole.strip("[]")
        steps.append(step)
    return steps


def _lookup(root: Map, steps: list[str], empty: Any = None) -> Iterator[Slot]:
    """Give the slots that a path leads to. Source: kyaml `yaml/match.go` (`PathMatcher`)."""
    yield from _match(Slot(_boxed(root), 0), steps, empty)


def _boxed(root: Map) -> Seq:
    box = Seq()
    box.add(root, None)
    return box


def _match(slot: Slot, steps: list[str], empty: Any) -> Iterator[Slot]:
    if not steps:
        yield slot
        return
    step, value = steps[0], slot.value
    if step.isdecimal() and isinstance(value, Seq):
        yield from _at_index(value, steps, empty)
    elif step.startswith("[") and step.endswith("]"):
        yield from _matching(value, steps, empty)
    elif step == "*":
        if not isinstance(value, Seq):
            raise Refused("`*` in a path leads into something that is no list")
        for index in range(len(value)):
            yield from _match(Slot(value, index), steps[1:], empty)
    else:
        yield from _in_field(value, steps, empty)


def _in_field(value: Any, steps: list[str], empty: Any) -> Iterator[Slot]:
    if value is None:
        return
    if not isinstance(value, Map):
        raise Refused(f"`{steps[0]}` in a path leads into something that is no mapping")
    if steps[0] not in value:
        if empty is None:
            return
        value[steps[0]] = _new_for(steps[1:], empty)
    yield from _match(Slot(value, steps[0]), steps[1:], empty)


def _new_for(rest: list[str], empty: Any) -> Any:
    if not rest:
        return copied(empty)
    return Seq() if rest[0].startswith("[") or rest[0].isdecimal() else Map()


def _at_index(value: Seq, steps: list[str], empty: Any) -> Iterator[Slot]:
    index = int(steps[0])
    if index == len(value) and empty is not None:
        value.add(_new_for(steps[1:], empty), None)
    if index >= len(value):
        raise Refused(f"index {index} in a path is not in the list")
    yield from _match(Slot(value, index), steps[1:], empty)


def _matching(value: Any, steps: list[str], empty: Any) -> Iterator[Slot]:
    field, equals, wanted = steps[0][1:-1].partition("=")
    if not equals or not isinstance(value, Seq):
        raise Refused(f"`{steps[0]}` in a path leads into something that is no list")
    found = False
    for index, item in enumerate(value):
        have = item.get(field) if field and isinstance(item, Map) else item
        if isinstance(have, (Map, Seq)) or have is None or not re2.search(wanted, text_of(have)):
            continue
        for slot in _match(Slot(value, index), steps[1:] if field else [], empty):
            found = True
            yield slot
    if found or empty is None:
        return
    made: Any = wanted
    if field:
        made = Map()
        made[field] = wanted
    value.add(made, None)
    yield from _match(Slot(value, len(value) - 1), steps[1:] if field else [], empty)
