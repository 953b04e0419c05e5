"""Which objects a patch or a replacement is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import re2

from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.resource import NO_NAMESPACE, Id, Resource

_REQUIREMENT = re.compile(r"(?:[^,(]|\([^)]*\))+")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^)]*)\)\s*")
_COMPARED = re.compile(r"(?P<key>[^=!<>\s]+)\s*(?P<op>==|=|!=|<|>)\s*(?P<value>.*)")


class Selector:
    """A `target` of a patch: anchored regular expressions, and label selectors.

    Source: kustomize `api/types/selector.go` and `api/resmap/reswrangler.go` (`Select`).
    """

    def __init__(self, target: Mapping[str, Any]) -> None:
        self._target = target
        self._patterns = {
            key: _anchored(text)
            for key in ("group", "version", "kind", "name", "namespace")
            if (text := _text(target, key))
        }

    @property
    def is_empty(self) -> bool:
        """Whether it names no object by kind, name or namespace."""
        return not self._patterns

    def selects(self, resource: Resource) -> bool:
        """Say whether a patch with this target applies: by the present id or the first one."""
        return (
            any(
                self._fits("namespace", one.namespace)
                for one in (resource.original_id, resource.id)
            )
            and any(self._fits("name", one.name) for one in (resource.original_id, resource.id))
            and self._fits_kind(resource)
            and self.selects_marks(resource)
        )

    def selects_id(self, one: Id, namespace: str) -> bool:
        """Say whether an id is meant; replacements compare the namespace as it is written."""
        return (
            self._fits("group", one.group)
            and self._fits("version", one.version)
            and self._fits("kind", one.kind)
            and self._fits("name", one.name)
            and self._fits("namespace", namespace)
        )

    def selects_marks(self, resource: Resource) -> bool:
        """Say whether labels and annotations fit."""
        return _fits_selector(
            _text(self._target, "labelSelector"), resource.marks("labels")
        ) and _fits_selector(
            _text(self._target, "annotationSelector"), resource.marks("annotations")
        )

    @property
    def has_marks(self) -> bool:
        """Whether it selects by labels or annotations."""
        return bool(
            _text(self._target, "labelSelector") or _text(self._target, "annotationSelector")
        )

    def _fits_kind(self, resource: Resource) -> bool:
        return all(map(self._fits, ("group", "version", "kind"), resource.gvk))

    def _fits(self, key: str, text: str) -> bool:
        pattern = self._patterns.get(key)
        return pattern is None or pattern.search(text) is not None


def written_namespace(resource: Resource, one: Id) -> str:
    """The namespace an id stands under where kustomize does not fill in `default`."""
    if one == resource.id:
        return resource.namespace
    return one.namespace if one.namespace != NO_NAMESPACE else NO_NAMESPACE


def _anchored(text: str) -> Any:
    try:
        return re2.compile(f"^(?:{text})$")
    except re2.error as error:
        raise Refused(f"`{text}` is no regular expression") from error


def _text(target: Mapping[str, Any], key: str) -> str:
    value = target.get(key)
    return value if isinstance(value, str) else "" if value is None else str(value)


def _fits_selector(selector: str, labels: Mapping[str, str]) -> bool:
    return all(_fits(part.strip(), labels) for part in _REQUIREMENT.findall(selector) if part)


def _fits(part: str, labels: Mapping[str, str]) -> bool:
    """Source: k8s.io/apimachinery `pkg/labels/selector.go` (`Parse`, `Requirement.Matches`)."""
    if not part:
        return True
    if listed := _SET.fullmatch(part):
        values = _split(listed["values"].split(","))
        inside = labels.get(listed["key"]) in values
        return inside if listed["op"] == "in" else not inside
    if compared := _COMPARED.fullmatch(part):
        value, op = labels.get(compared["key"]), compared["op"]
        if op in ("<", ">"):
            return _fits_number(value, op, compared["value"].strip())
        return (value == compared["value"].strip()) is (op != "!=")
    if part.startswith("!"):
        return part[1:].strip() not in labels
    return part in labels


def _fits_number(value: str | None, op: str, bound: str) -> bool:
    try:
        left, right = int(value or ""), int(bound)
    except ValueError:
        return False
    return left < right if op == "<" else left > right


def _split(values: Iterable[str]) -> set[str]:
    return {value.strip() for value in values}
