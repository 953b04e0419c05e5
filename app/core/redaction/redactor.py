"""A snapshot or a recording without names: only what decides is written, and that by stand-ins.

The same text becomes the same stand-in everywhere, so that every verdict and cause stays what it
was; `app.core.redaction.fields` says which fields are written and as what.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from app.core.model.provenance import Manifest, ObjectRef
from app.core.redaction.addresses import AddressMap
from app.core.redaction.aliases import Aliases
from app.core.redaction.fields import FIELDS, SETTING_WORDS, SETTINGS, WORDS, Treatment

_NUMERIC = re.compile(r"[0-9]{1,5}|0[xXoObB]?[0-9a-fA-F]{1,8}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_VERSION = re.compile(r":v?(\d{1,3}\.\d{1,3}\.\d{1,3})(?=[-+@]|\Z)")
_LOCAL_IP = re.compile(r"(--?localip=?)(.*)", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_IDENTITY = re.compile(r"[0-9]{1,10}", re.ASCII)
_AGENT_CONFIG = "cilium-config"
_SELECTING = frozenset({"matchLabels", "matchExpressions"})

ABOUT = (
    "redacted: names, label keys and values, DNS names, paths and addresses are stand-ins; only "
    "fields that decide a verdict are here; no annotation, message, secret or free text"
)
"""What a file says of itself."""


class Redactor:
    """Stand-ins under one key; with another key they are others.

    `manifests` are everything that will be written: patterns and the agent's settings among them
    decide what stand-ins look like. `keep_addresses` leaves addresses as they are.
    """

    def __init__(
        self, key: bytes, manifests: Iterable[Manifest] = (), *, keep_addresses: bool = False
    ) -> None:
        objects = tuple(manifests)
        self._aliases = Aliases(
            key,
            patterns=(text for one in objects for text in _patterns(one.body)),
            label_filter=_label_filter(objects),
        )
        self._addresses = None if keep_addresses else AddressMap(key)
        self._treat = {
            Treatment.INSIDE: self._word,
            Treatment.NAME: self._aliases.name,
            Treatment.WORD: self._word,
            Treatment.LABELS: self._aliases.printed_label,
            Treatment.KEY: self._aliases.key,
            Treatment.DNS: self._dns,
            Treatment.ADDRESS: self._address,
            Treatment.PORT: self._port,
            Treatment.PATH: self._aliases.path,
            Treatment.HOST: self._host,
            Treatment.TIME: self._time,
            Treatment.UUID: self._uuid,
            Treatment.URL: self._url,
            Treatment.NODE: self._node,
            Treatment.HEADER: self._header,
        }

    def alias(self, text: str) -> str:
        """The stand-in of one name."""
        return self._aliases.name(text)

    def alias_dns(self, name: str) -> str:
        """The stand-in of a DNS name or pattern."""
        return self._aliases.dns(name)

    def manifest(self, manifest: Manifest) -> Manifest:
        """The object by stand-ins, and without its file."""
        ref = manifest.ref
        name = ref.name if ref.kind == "CiliumIdentity" and _IDENTITY.fullmatch(ref.name) else ""
        ref = ObjectRef(ref.kind, self.alias(ref.namespace), name or self.alias(ref.name))
        body = self._object(manifest.body, "")
        metadata = {**body.get("metadata", {}), "name": ref.name}
        if ref.namespace:
            metadata["namespace"] = ref.namespace
        api_version = self._word(manifest.api_version)
        head = {"apiVersion": api_version, "kind": ref.kind, "metadata": metadata}
        return Manifest(ref, api_version, {**body, **head})

    def flow(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """A flow, or a line about lost flows, in Hubble's JSON form by stand-ins."""
        return self._object(tree, "")

    # Trees

    def _object(self, tree: Mapping[str, Any], under: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in tree.items():
            treatment = FIELDS.get(key)
            if treatment is None or (key == "labels" and under in ("spec", "specs")):
                continue
            if (kept := self._field(key, value, treatment, under)) is not None or value is None:
                found[key] = kept
        return found

    def _field(self, key: str, value: Any, treatment: Treatment, under: str) -> Any:
        """What a field becomes; None where it is not written."""
        if treatment is Treatment.SETTINGS:
            return self._settings(value)
        if treatment is Treatment.IMAGE:
            return _agent_image(value)
        if treatment is Treatment.ARGUMENTS:
            return self._arguments(value)
        if treatment is Treatment.LABELS:
            return self._labels(value)
        if key == "value" and under == "addresses":
            treatment = Treatment.ADDRESS
        elif key == "value" and under == "path":
            treatment = Treatment.PATH
        elif key == "host" and under == "rules":  # of an Ingress
            treatment = Treatment.DNS
        return self._value(key, value, treatment)

    def _value(self, key: str, value: Any, treatment: Treatment) -> Any:
        if isinstance(value, Mapping):
            return self._object(value, key)
        if isinstance(value, list | tuple):
            return [self._value(key, item, treatment) for item in value]
        return self._treat[treatment](value) if isinstance(value, str) else _plain(value)

    def _labels(self, value: Any) -> Any:
        """Labels, printed labels, or selectors on them."""
        if isinstance(value, list | tuple):
            return [self._labels(item) for item in value]
        if isinstance(value, str):
            return self._aliases.printed_label(value)
        if not isinstance(value, Mapping):
            return _plain(value)
        if not _SELECTING & set(value):
            return self._label_map(value)
        found: dict[str, Any] = {}
        for key in _SELECTING & set(value):
            inner = value[key]
            if isinstance(inner, list | tuple):
                found[key] = [self._requirement(item) for item in inner]
            else:
                found[key] = self._label_map(inner)
        return found

    def _label_map(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return self._leaf(value, self._aliases.name)
        return {
            self._aliases.key(str(key)): self._leaf(item, self._aliases.name)
            for key, item in value.items()
        }

    def _requirement(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return self._leaf(value, self._aliases.name)
        found: dict[str, Any] = {}
        if "key" in value:
            found["key"] = self._leaf(value["key"], self._aliases.key)
        if "operator" in value:
            found["operator"] = self._leaf(value["operator"], self._word)
        if "values" in value:
            found["values"] = self._leaf(value["values"], self._aliases.name)
        return found

    def _leaf(self, value: Any, change: Any) -> Any:
        """A text changed, a list of them, or something that is no text as it is; nothing nested."""
        if isinstance(value, str):
            return change(value)
        if isinstance(value, list | tuple):
            return [self._leaf(item, change) for item in value]
        return {} if isinstance(value, Mapping) else _plain(value)

    # Texts

    def _word(self, text: str) -> str:
        return text if text in WORDS else self._aliases.name(text)

    def _address(self, text: str) -> str:
        if text in WORDS:  # a source of lost events has the name of a flow's address
            return text
        if self._addresses is None:
            return text if _is_address(text) else self._aliases.name(text)
        return self._addresses.replace(text) or self._aliases.name(text)

    def _dns(self, text: str) -> str:
        return self._aliases.dns(text)

    def _port(self, text: str) -> str:
        return text if _NUMERIC.fullmatch(text) else self._aliases.name(text)

    def _host(self, text: str) -> str:
        return self._aliases.host(text)

    def _time(self, text: str) -> str:
        return text if _TIME.fullmatch(text) else ""

    def _uuid(self, text: str) -> str:
        return text if _UUID.fullmatch(text) else self._aliases.name(text)

    def _header(self, text: str) -> str:
        name, colon, value = text.partition(":")
        if not colon:
            return self._aliases.name(text)
        return f"{self._aliases.name(name).strip('!')}: {self._aliases.name(value.strip())}"

    def _node(self, text: str) -> str:
        return "/".join(map(self._aliases.name, text.split("/")))

    def _url(self, text: str) -> str:
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            return self._aliases.path(text)
        name = parts.hostname or ""
        host = self._address(name) if _is_address(name) else self._aliases.dns(name)
        scheme = f"{parts.scheme}://" if parts.scheme in ("http", "https") else ""
        return f"{scheme}{host}{f':{port}' if port else ''}{self._aliases.path(parts.path)}"

    def _settings(self, value: Any) -> Any:
        """The agent's settings that decide; the label filter's work is done by the stand-ins."""
        if not isinstance(value, Mapping):
            return {}
        found: dict[str, Any] = {}
        for key, text in value.items():
            if key == "cluster-name" and isinstance(text, str):
                found[key] = self._aliases.name(text)
            elif key in SETTINGS and isinstance(text, str) and _is_setting(text):
                found[key] = text
            elif key in SETTINGS and isinstance(text, str):
                found[key] = ",".join(map(self._address, re.split(r"[,\s]+", text)))
        return found

    def _arguments(self, value: Any) -> list[str]:
        """What node-local-dns is told to take as its own addresses."""
        found: list[str] = []
        for text in value if isinstance(value, list | tuple) else ():
            if not isinstance(text, str):
                continue
            if told := _LOCAL_IP.fullmatch(text):
                found.append(told[1] + self._listed(told[2]))
            elif found and found[-1] in ("-localip", "--localip"):
                found.append(self._listed(text))
        return found

    def _listed(self, text: str) -> str:
        return ",".join(self._address(one) for one in text.split(",") if one)


def _plain(value: Any) -> Any:
    """A number or a flag; nothing else passes without a treatment."""
    return value if isinstance(value, bool | int | float) else None


def _is_setting(text: str) -> bool:
    return all(part.strip().lower() in SETTING_WORDS for part in text.split(",") if part.strip())


def _is_address(text: str) -> bool:
    return AddressMap(b"").replace(text) is not None


def _agent_image(value: Any) -> str | None:
    if not isinstance(value, str) or "cilium/cilium" not in value:
        return None
    version = _VERSION.search(value)
    return f"quay.io/cilium/cilium:v{version[1]}" if version else None


def _patterns(tree: Any) -> Iterator[str]:
    """Every DNS pattern of an object."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if isinstance(value, str):
                if "*" in value and key in ("matchPattern", "hostname", "host"):
                    yield value
            elif key in ("hostnames", "serverNames") and isinstance(value, list | tuple):
                yield from (one for one in value if isinstance(one, str) and "*" in one)
            else:
                yield from _patterns(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _patterns(item)


def _label_filter(manifests: Iterable[Manifest]) -> tuple[str, ...]:
    for manifest in manifests:
        data = manifest.body.get("data")
        if manifest.ref.name == _AGENT_CONFIG and isinstance(data, Mapping):
            written = data.get("labels")
            return tuple(written.split()) if isinstance(written, str) else ()
    return ()
