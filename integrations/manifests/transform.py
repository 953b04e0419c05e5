"""What a kustomization's transformers do to one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.model.kinds import KNP
from app.core.model.provenance import Manifest
from integrations.manifests.found import CLUSTER_KINDS, make_ref
from integrations.manifests.kustomize import LabelRule, Transform

_UNRENAMED = frozenset({"Namespace", "CustomResourceDefinition", "APIService"})
"""Source: kustomize `api/internal/builtins/PrefixTransformer.go` (`prefixFieldSpecsToSkip`)."""

_TEMPLATES = ("spec.template", "spec.jobTemplate.spec.template")
_SELECTORS = {
    "Service": ("spec.selector",),
    "ReplicationController": ("spec.selector",),
    "Deployment": ("spec.selector.matchLabels",),
    "ReplicaSet": ("spec.selector.matchLabels",),
    "StatefulSet": ("spec.selector.matchLabels",),
    "DaemonSet": ("spec.selector.matchLabels",),
    KNP: ("spec.podSelector.matchLabels",),
}
"""Source: kustomize `api/internal/konfig/builtinpluginconsts/commonlabels.go`."""


def apply(transform: Transform, manifest: Manifest) -> Manifest:
    """Give the object as kustomize would write it; Cilium policies keep their selectors.

    The selectors of a NetworkPolicy's own rules (`from`, `to`) get common labels as well.
    """
    ref = manifest.ref
    namespace = transform.namespace or ref.namespace
    name = ref.name
    if ref.kind not in _UNRENAMED:
        name = f"{transform.prefix}{name}{transform.suffix}"
    ref = make_ref(ref.kind, namespace, name)
    body = _with(manifest.body, "metadata.name", name)
    if ref.kind not in CLUSTER_KINDS and namespace:
        body = _with(body, "metadata.namespace", namespace)
    for rule in transform.labels:
        body = _label(body, ref.kind, rule)
    return Manifest(ref, manifest.api_version, body, manifest.source)


def _label(body: Mapping[str, Any], kind: str, rule: LabelRule) -> Mapping[str, Any]:
    body = _add(body, "metadata.labels", rule, create=True)
    if rule.templates:
        for template in _TEMPLATES:
            if isinstance(_get(body, template), Mapping):
                body = _add(body, f"{template}.metadata.labels", rule, create=True)
    if not rule.selectors:
        return body
    for path in _SELECTORS.get(kind, ()):
        body = _add(body, path, rule, create=kind != KNP)
    return _label_peers(body, rule) if kind == KNP else body


def _label_peers(body: Mapping[str, Any], rule: LabelRule) -> Mapping[str, Any]:
    spec = dict(body.get("spec") or {})
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        if not isinstance(spec.get(direction), list):
            continue
        spec[direction] = [_label_rule(item, peers, rule) for item in spec[direction]]
    return {**body, "spec": spec}


def _label_rule(item: Any, peers: str, rule: LabelRule) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get(peers), list):
        return item
    labelled = [
        _add(peer, "podSelector.matchLabels", rule, create=False)
        if isinstance(peer, Mapping)
        else peer
        for peer in item[peers]
    ]
    return {**item, peers: labelled}


def _add(body: Mapping[str, Any], path: str, rule: LabelRule, *, create: bool) -> Mapping[str, Any]:
    present = _get(body, path)
    if not isinstance(present, Mapping):
        if not create:
            return body
        present = {}
    return _with(body, path, {**present, **dict(rule.pairs)})


def _get(body: Mapping[str, Any], path: str) -> Any:
    value: Any = body
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _with(body: Mapping[str, Any], path: str, value: Any) -> Mapping[str, Any]:
    key, _, rest = path.partition(".")
    if rest:
        inner = body.get(key)
        value = _with(inner if isinstance(inner, Mapping) else {}, rest, value)
    return {**body, key: value}
