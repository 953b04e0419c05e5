"""Writes what `--snapshot` reads: the objects of a picture, without anything secret.

Only kinds that this program reads are written, ConfigMaps only Cilium's own, and of pods and
workloads only what verdicts need, wherever they came from: no Secret, no environment variable and
no Helm value can reach the file.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.core.errors import BadInput
from app.core.model.provenance import Manifest
from app.core.redaction.redactor import ABOUT, Redactor
from integrations.kubernetes.resources import RESOURCES
from integrations.kubernetes.wire import TRIMMED

_KINDS = {resource.kind: resource for resource in RESOURCES}
_NOISE = ("managedFields", "resourceVersion", "selfLink", "generation", "creationTimestamp")


def write_snapshot(
    manifests: Iterable[Manifest],
    file: Path,
    *,
    redact_key: bytes | None = None,
    keep_addresses: bool = False,
) -> int:
    """Write the objects to `file` as one `kind: List` and give how many there are.

    The name decides the form: `.json` or YAML, with `.gz` compressed. The file is readable by its
    owner only. With `redact_key` only what decides is written, by stand-ins (`app.core.redaction`);
    `keep_addresses` leaves addresses as they are. Raises `BadInput` when it cannot be written.
    """
    kept = [one for one in map(_public, manifests) if one is not None]
    if redact_key is not None:
        kept = [one for one in kept if one.ref.kind != "Application"]
        redactor = Redactor(redact_key, kept, keep_addresses=keep_addresses)
        kept = [redactor.manifest(one) for one in kept]
    kept.sort(key=lambda one: one.ref)
    document: dict[str, Any] = {"apiVersion": "v1", "kind": "List"}
    if redact_key is not None:
        document["metadata"] = {"annotations": {"k8tre-tui/about": ABOUT}}
    document["items"] = [_tree(one) for one in kept]
    _write(file, _encoded(document, file))
    return len(kept)


def _public(manifest: Manifest) -> Manifest | None:
    resource = _KINDS.get(manifest.ref.kind)
    if resource is None or (resource.name and resource.name != manifest.ref.name):
        return None
    shape = TRIMMED.get(manifest.ref.kind)
    if shape is None:
        return manifest
    try:
        body = msgspec.to_builtins(msgspec.convert(manifest.body, shape))
    except msgspec.ValidationError:
        return None  # it was not usable here either, and says so in the notices
    _hide_credentials(body)
    return Manifest(manifest.ref, manifest.api_version, body)


def _hide_credentials(body: Mapping[str, Any]) -> None:
    """Cut `user:password@` out of an application's repository address."""
    spec = body.get("spec") or {}
    for source in (spec.get("source"), *(spec.get("sources") or ())):
        if source and (address := urlsplit(source.get("repoURL", ""))).username is not None:
            host = address.netloc.rpartition("@")[2]
            source["repoURL"] = address._replace(netloc=host).geturl()


def _tree(manifest: Manifest) -> dict[str, Any]:
    metadata = {key: value for key, value in manifest.body["metadata"].items() if key not in _NOISE}
    head = {"apiVersion": manifest.api_version, "kind": manifest.ref.kind, "metadata": metadata}
    rest = {key: value for key, value in manifest.body.items() if key not in head}
    return {**head, **rest}


def _encoded(document: Mapping[str, Any], file: Path) -> bytes:
    stem = file.name.removesuffix(".gz")
    if stem.endswith(".json"):
        data = msgspec.json.format(msgspec.json.encode(document), indent=1)
    else:
        data = msgspec.yaml.encode(document)
    return gzip.compress(data, mtime=0) if file.name.endswith(".gz") else data


def _write(file: Path, data: bytes) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            file.chmod(0o600)  # one that was there before keeps its mode otherwise
            out.write(data)
    except OSError as error:
        raise BadInput(
            f"the snapshot cannot be written: {error.strerror}", file=str(file)
        ) from error
