"""Bytes of the API server to `Manifest`s: lenient where only a part is read, whole for policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from app.core.model.provenance import Manifest, ObjectRef
from app.core.text import clean, clean_tree, may_hold_controls
from integrations.kubernetes.resources import Resource
from integrations.kubernetes.wire import TRIMMED


class _Decoder(Protocol):
    def decode(self, raw: msgspec.Raw | bytes) -> Any: ...


_WHOLE: _Decoder = msgspec.json.Decoder(dict[str, Any])
_TRIMMED: Mapping[str, _Decoder] = {
    kind: msgspec.json.Decoder(shape) for kind, shape in TRIMMED.items()
}
"""Made here, once: two threads that describe one type first at the same time crash msgspec."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One object with its `resourceVersion` (empty when the server gave none)."""

    manifest: Manifest
    resource_version: str


class ObjectDecoder:
    """Decodes objects of one kind, in any thread.

    `decode` raises `msgspec.MsgspecError` for an object that does not fit.
    """

    __slots__ = ("_api_version", "_decoder", "_kind", "_trimmed")

    def __init__(self, resource: Resource, version: str) -> None:
        self._kind = resource.kind
        self._api_version = resource.api_version(version)
        self._trimmed = resource.kind in _TRIMMED
        self._decoder = _TRIMMED.get(resource.kind, _WHOLE)

    def decode(self, raw: msgspec.Raw | bytes) -> Decoded:
        """Give the object; names and texts are cleaned."""
        value = self._decoder.decode(raw)
        tree: dict[str, Any] = msgspec.to_builtins(value) if self._trimmed else value
        if may_hold_controls(bytes(raw)):
            tree = clean_tree(tree)
        meta = tree.get("metadata")
        if not isinstance(meta, Mapping) or not isinstance(name := meta.get("name"), str):
            raise msgspec.ValidationError("`metadata.name` is missing")
        meta.pop("managedFields", None) if isinstance(meta, dict) else None
        namespace = meta.get("namespace") or ""
        tree["kind"], tree["apiVersion"] = self._kind, self._api_version
        ref = ObjectRef(self._kind, clean(str(namespace)), clean(name))
        version = meta.get("resourceVersion") or ""
        return Decoded(Manifest(ref, self._api_version, tree), str(version))
