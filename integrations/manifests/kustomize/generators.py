"""ConfigMaps and Secrets that a kustomization generates, and the hash in their names.

Source: kustomize `api/internal/generators/`, `api/kv/kv.go` and `api/hasher/hasher.go`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from integrations.manifests.kustomize.errors import Refused
from integrations.manifests.kustomize.resource import Resource, Resources, show
from integrations.manifests.kustomize.tree import Map, placed, text_of

_LETTERS = str.maketrans("013ae", "ghkmt")
_HASH_LENGTH = 10
_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_FILLED = frozenset({"merge", "replace"})

Read = Callable[[str], bytes | None]
"""Gives the content of a file beside the kustomization, None when it is not there."""


def generate(
    kind: str, arguments: Map, options: Mapping[str, Any], read: Read
) -> tuple[Map, bool, list[str]]:
    """Give the object, whether its name gets a hash, and the files that are not there.

    Without all its files the content, and so the hash, is not known: the name stays as it is.
    """
    place = next(iter(arguments.places.values()), None)
    name = arguments.get("name")
    if not isinstance(name, str) or not name:
        raise Refused("a generator has no name")
    own = arguments.get("options")
    chosen = _chosen(own if isinstance(own, Mapping) else {}, options)
    missing: list[str] = []
    pairs = dict(_pairs(arguments, read, missing))
    metadata: dict[str, Any] = {"name": name}
    if isinstance(arguments.get("namespace"), str):
        metadata["namespace"] = arguments["namespace"]
    for key in ("labels", "annotations"):
        if chosen[key]:
            metadata[key] = chosen[key]
    body = {"apiVersion": "v1", "kind": kind, "metadata": metadata, **_data(kind, arguments, pairs)}
    if chosen["immutable"]:
        body["immutable"] = True
    tree = placed(body, place)
    if not isinstance(tree, Map):
        raise TypeError(tree)
    return tree, not chosen["disableNameSuffixHash"] and not missing, missing


def _chosen(own: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        key: own.get(key) is True or shared.get(key) is True
        for key in ("disableNameSuffixHash", "immutable")
    }
    for key in ("labels", "annotations"):
        both = {**(shared.get(key) or {}), **(own.get(key) or {})}
        chosen[key] = {name: text_of(value) for name, value in both.items()}
    return chosen


def _data(kind: str, arguments: Map, pairs: Mapping[str, bytes]) -> dict[str, Any]:
    if kind == "Secret":
        data = {key: base64.b64encode(value).decode() for key, value in sorted(pairs.items())}
        return {"type": text_of(arguments.get("type") or "Opaque"), "data": data}
    parts: dict[str, dict[str, str]] = {}
    for key, value in sorted(pairs.items()):
        try:
            parts.setdefault("data", {})[key] = value.decode()
        except UnicodeDecodeError:
            parts.setdefault("binaryData", {})[key] = base64.b64encode(value).decode()
    return {key: part for key, part in parts.items() if part}


def _pairs(arguments: Map, read: Read, missing: list[str]) -> Iterator[tuple[str, bytes]]:
    envs = [*_texts(arguments.get("envs")), *_texts([arguments.get("env")])]
    for path in envs:
        content = read(path)
        if content is None:
            missing.append(path)
            continue
        yield from _env_pairs(content)
    for literal in _texts(arguments.get("literals")):
        key, equals, value = literal.partition("=")
        if not key or not equals:
            raise Refused(f"`{literal}` is no KEY=VALUE")
        yield key, _unquoted(value).encode()
    for source in _texts(arguments.get("files")):
        key, equals, path = source.partition("=")
        path = path if equals else source
        content = read(path)
        if content is None:
            missing.append(path)
            continue
        yield (key if equals else posixpath.basename(path)), content


def _env_pairs(content: bytes) -> Iterator[tuple[str, bytes]]:
    for line in content.removeprefix(b"\xef\xbb\xbf").splitlines():
        text = line.lstrip()
        if text and not text.startswith(b"#"):
            key, _, value = text.partition(b"=")
            yield key.decode(errors="replace"), value


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def absorb(resources: Resources, made: Resource) -> None:
    """Add a generated object, or let it merge with or replace the one that is there.

    Source: `api/resmap/reswrangler.go` (`appendReplaceOrMerge`).
    """
    found = resources.by_any_id(made.id.__eq__)
    if not found:
        if made.behavior in _FILLED:
            raise Refused(f"{show(made.id)} is not there to {made.behavior}")
        resources.append(made)
        return
    if len(found) > 1 or made.behavior not in _FILLED:
        raise Refused(f"{show(made.id)} stands twice")
    old = found[0]
    _inherit(made, old)
    if made.behavior == "merge":
        for key in ("data", "binaryData"):
            _fill(made.tree(), old.tree(), key)
    resources.items[resources.items.index(old)] = made
    resources.changed()


def _inherit(made: Resource, old: Resource) -> None:
    metadata, before = made.tree().get("metadata"), old.tree().get("metadata")
    if isinstance(metadata, Map) and isinstance(before, Map):
        for key in ("labels", "annotations"):
            _fill(metadata, before, key)
    made.set_name(old.name)
    made.set_namespace(old.namespace)
    made.previous, made.prefixes, made.suffixes = old.previous, old.prefixes, old.suffixes


def _fill(target: Map, source: Map, key: str) -> None:
    before = source.get(key)
    if not isinstance(before, Map):
        return
    if not isinstance(target.get(key), Map):
        target.put(key, Map(), source.places.get(key))
    for name, value in before.items():
        if name not in target[key]:
            target[key].put(name, value, before.places.get(name))


def add_hashes(resources: Resources) -> None:
    """Give generated objects the hash of their content as the end of their names."""
    for resource in resources:
        if resource.hashed:
            resource.remember()
            resource.set_name(f"{resource.name}-{content_hash(resource)}")
    resources.changed()


def content_hash(resource: Resource) -> str:
    """Source: `api/hasher/hasher.go`; the name it means to include is always empty there."""
    body = resource.body
    content: dict[str, Any] = {"kind": resource.kind, "name": "", "data": body.get("data", "")}
    more = "stringData" if resource.kind == "Secret" else "binaryData"
    if resource.kind == "Secret":
        content["type"] = body.get("type", "")
    if isinstance(body.get(more), dict):
        content[more] = body[more]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character, escape in _HTML.items():
        text = text.replace(character, escape)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH].translate(_LETTERS)
