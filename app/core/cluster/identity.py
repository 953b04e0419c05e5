"""Which labels of a pod make its identity.

Source: Cilium `pkg/labelsfilter/filter.go`, `pkg/k8s/utils/utils.go` `SanitizePodLabels`,
`Documentation/operations/performance/scalability/identity-relevant-labels.rst`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import re2

from app.core.model.cluster import Cluster, ClusterConfig, Namespace
from app.core.model.labels import K8S_SOURCE, Label, LabelSet

NAMESPACE_KEY = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS_KEY = "io.cilium.k8s.namespace.labels"
CLUSTER_KEY = "io.cilium.k8s.policy.cluster"
SERVICE_ACCOUNT_KEY = "io.cilium.k8s.policy.serviceaccount"
CILIUM_PREFIX = "io.cilium.k8s"

FIRST_WITH_SERVICE_ACCOUNT = (1, 18, 0)
FIRST_WITHOUT_TOPOLOGY = (1, 19, 0)

_INCLUDED = (
    re.escape(NAMESPACE_KEY),
    re.escape(NAMESPACE_LABELS_KEY),
    r"app\.kubernetes\.io",
    re.escape(CLUSTER_KEY),
    re.escape(SERVICE_ACCOUNT_KEY),
)
_EXCLUDED = (
    r"io\.kubernetes",
    r"kubernetes\.io",
    r"statefulset\.kubernetes\.io/pod-name",
    r"apps\.kubernetes\.io/pod-index",
    r"batch\.kubernetes\.io/job-completion-index",
    r"batch\.kubernetes\.io/controller-uid",
    r".*beta\.kubernetes\.io",
    r"k8s\.io",
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "controller-uid",
    "annotation.*",
    "etcd_node",
)
_EXCLUDED_TOPOLOGY = r"topology\.kubernetes\.io"


@lru_cache(maxsize=64)
def _patterns(
    filters: tuple[str, ...], version: tuple[int, int, int]
) -> tuple[tuple[Any, ...], tuple[Any, ...], bool]:
    """Give what includes, what excludes, and whether only included labels are kept.

    The operator's patterns (`labels`, `!` excludes, an optional `source:` in front) are added to
    the default ones; one that includes turns the list into a whitelist.
    """
    included, excluded = list(_INCLUDED), list(_EXCLUDED)
    if version >= FIRST_WITHOUT_TOPOLOGY:
        excluded.append(_EXCLUDED_TOPOLOGY)
    whitelist = False
    for written in filters:
        source, colon, rest = written.partition(":")
        pattern = rest if colon else written
        if colon and source not in ("", K8S_SOURCE):
            continue
        if pattern.startswith("!"):
            excluded.append(pattern[1:])
        else:
            included.append(pattern)
            whitelist = True
    return _compiled(included), _compiled(excluded), whitelist


def _compiled(patterns: list[str]) -> tuple[Any, ...]:
    found = []
    for pattern in patterns:
        try:
            found.append(re2.compile(pattern))
        except re2.error:
            continue  # the agent would not start; what it cannot read cannot filter
    return tuple(found)


@lru_cache(maxsize=65536)
def is_identity_label(
    key: str, filters: tuple[str, ...] = (), version: tuple[int, int, int] = (1, 19, 3)
) -> bool:
    """Say whether a pod label of this key becomes part of the identity.

    The longest include wins over the shortest exclude. Source: Cilium `pkg/labelsfilter/filter.go`
    `filterLabels`; a pattern counts when its first match begins at the start of the key.
    """
    includes, excludes, whitelist = _patterns(filters, version)
    included = max(_lengths(includes, key), default=0)
    ignored = min(_lengths(excludes, key), default=0)
    return (not whitelist and not ignored) or included > ignored


@lru_cache(maxsize=4096)
def keeps_node_label(key: str, filters: tuple[str, ...] = ()) -> bool:
    """Say whether a node's label counts, where `fromNodes` and `toNodes` are enabled.

    Nothing is left out unless `node-labels` says so. Source: Cilium `pkg/labelsfilter/filter.go`
    `ParseLabelPrefixCfg`, `FilterNodeLabels`.
    """
    included = _compiled([one for one in filters if not one.startswith("!")])
    excluded = _compiled([one[1:] for one in filters if one.startswith("!")])
    kept, ignored = max(_lengths(included, key), default=0), min(_lengths(excluded, key), default=0)
    return (not included and not ignored) or kept > ignored


def _lengths(patterns: tuple[Any, ...], key: str) -> list[int]:
    found = (pattern.search(key) for pattern in patterns)
    return [match.end() for match in found if match is not None and match.start() == 0]


def make_labels(
    pod_labels: Mapping[str, str],
    namespace: Namespace,
    service_account: str,
    config: ClusterConfig,
) -> LabelSet:
    """Give the labels of a pod's identity; pods of one identity share one set."""
    filters, version = config.label_filter, config.cilium_version
    own = tuple(
        item
        for item in pod_labels.items()
        if is_identity_label(item[0], filters, version) and not item[0].startswith(CILIUM_PREFIX)
    )
    inherited = [
        (f"{NAMESPACE_LABELS_KEY}.{key}", value) for key, value in namespace.labels.items()
    ]
    inherited.append((NAMESPACE_KEY, namespace.name))
    if service_account and version >= FIRST_WITH_SERVICE_ACCOUNT:
        inherited.append((SERVICE_ACCOUNT_KEY, service_account))
    inherited.append((CLUSTER_KEY, config.cluster_name))
    return _label_set(own, tuple(inherited), filters, version)


@lru_cache(maxsize=65536)
def _label_set(
    own: tuple[tuple[str, str], ...],
    inherited: tuple[tuple[str, str], ...],
    filters: tuple[str, ...],
    version: tuple[int, int, int],
) -> LabelSet:
    """Put a pod's own labels together with those it inherits, which win."""
    labels = dict(own)
    labels.update(item for item in inherited if is_identity_label(item[0], filters, version))
    return LabelSet(Label(K8S_SOURCE, key, value) for key, value in labels.items())


def identity_labels(
    pod_labels: Mapping[str, str],
    namespace: str,
    cluster: Cluster,
    service_account: str = "default",
) -> LabelSet:
    """Give the identity labels that a pod with these labels would have in a namespace."""
    known = cluster.namespaces.get(namespace) or bare_namespace(namespace)
    return make_labels(pod_labels, known, service_account, cluster.config)


def bare_namespace(name: str) -> Namespace:
    """Give a namespace of which only the name is known; the API server labels it with that."""
    return Namespace(name, {"kubernetes.io/metadata.name": name}, is_read=False)
