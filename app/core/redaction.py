"""Names of a snapshot replaced by others, everywhere alike, so that verdicts stay what they were.

What is replaced: names of objects, namespaces, nodes, workloads and service accounts, values of
labels and of selectors on them, and the labels of DNS names except the last. The same text always
becomes the same alias, so a selector still selects what it selected. What stays: label keys, ports,
entities, addresses, HTTP rules, Kubernetes' and Cilium's own names, and DNS labels with a star in
the middle, whose alias could not match as they did. Annotations, descriptions and images go, and so
do Argo CD's applications, which are nothing but names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from app.core.model.provenance import Manifest, ObjectRef

_KEPT = frozenset(
    {
        "",
        "cilium",
        "cilium-config",
        "cluster",
        "coredns",
        "default",
        "false",
        "hubble-relay",
        "kube-dns",
        "kube-node-lease",
        "kube-public",
        "kube-system",
        "kubernetes",
        "local",
        "svc",
        "true",
    }
)
"""Names whose meaning is Kubernetes' or Cilium's, not the site's."""

_NAMES = frozenset(
    {
        "cidrGroupRef",
        "generateName",
        "namespace",
        "nodeName",
        "serviceAccountName",
        "serviceName",
        "service-account",
    }
)
_NAMED = frozenset(
    {
        "backend",
        "backendRefs",
        "containers",
        "endpoints",
        "initContainers",
        "metadata",
        "ownerReferences",
        "parentRefs",
        "resources",
        "service",
        "subjects",
        "targetRef",
    }
)
"""Objects under these keys have a `name` that is an object's."""
_LABELS = frozenset({"labels", "matchLabels", "security-labels", "selector"})
_DNS = frozenset(
    {
        "externalName",
        "hostname",
        "hostnames",
        "hosts",
        "matchName",
        "matchPattern",
        "serverNames",
    }
)
_DROPPED = frozenset({"annotations", "description", "log"})
"""Free text and copies of the object; no verdict depends on them."""
_AGENT_IMAGE = "cilium/cilium"
"""The only image that is kept: its tag is Cilium's version."""
_DIGITS = 10


class Redactor:
    """Aliases under one key; with another key the aliases are others."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def alias(self, text: str) -> str:
        """The stand-in of one name, itself a valid name and label value."""
        if text in _KEPT:
            return text
        digest = hashlib.blake2s(text.encode(), key=self._key).hexdigest()
        return f"x{digest[:_DIGITS]}"

    def alias_dns(self, name: str) -> str:
        """The stand-in of a DNS name or pattern; stars and the last label stay."""
        *labels, last = name.split(".")
        if not last and labels:  # a final dot
            return f"{self.alias_dns('.'.join(labels))}."
        return ".".join([*(one if "*" in one else self.alias(one) for one in labels), last])

    def manifest(self, manifest: Manifest) -> Manifest:
        """The object with every name replaced, and without its file."""
        ref = manifest.ref
        ref = ObjectRef(ref.kind, self.alias(ref.namespace), self.alias(ref.name))
        return replace(manifest, ref=ref, body=self._object(manifest.body, ""), source=None)

    def _object(self, value: Mapping[str, Any], under: str) -> dict[str, Any]:
        return {
            key: self._value(key, item, under)
            for key, item in value.items()
            if key not in _DROPPED and (key != "image" or _AGENT_IMAGE in str(item))
        }

    def _value(self, key: str, value: Any, under: str) -> Any:
        if key in _LABELS:
            return self._labels(key, value)
        if key in _NAMES or key == "values" or (key == "name" and under in _NAMED):
            return _mapped(self.alias, value)
        if key in _DNS or (key == "host" and under == "rules"):  # in an HTTP rule it is a regex
            return _mapped(self.alias_dns, value)
        return self._inside(key, value)

    def _inside(self, key: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return self._object(value, key)
        if isinstance(value, list):
            return [self._inside(key, item) for item in value]
        return value

    def _labels(self, key: str, labels: Any) -> Any:
        """Values of a label map or of printed labels; `selector` may be a whole label selector."""
        if isinstance(labels, list):
            return [self._printed_label(item) for item in labels]
        if not isinstance(labels, Mapping) or any(
            not isinstance(one, str | None) for one in labels.values()
        ):
            return self._inside(key, labels)
        return {name: _mapped(self.alias, value) for name, value in labels.items()}

    def _printed_label(self, item: Any) -> Any:
        if not isinstance(item, str) or "=" not in item:
            return item
        head, _, value = item.partition("=")
        return f"{head}={self.alias(value)}"


def _mapped(change: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [change(item) if isinstance(item, str) else item for item in value]
    return value
