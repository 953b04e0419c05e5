"""What stands in an object at a path: the author's words, before Cilium adds to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.model.provenance import Manifest
from app.core.policy.rules import Entry, LabelSelector, Operator, Requirement
from app.core.policy.selectors import NAMESPACE_KEY

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_SOURCES = ("k8s:", "any:", "")


def at_path(body: Mapping[str, Any], path: str) -> Any:
    """Give what stands at `spec.egress[1].toPorts[0]`; None when nothing does."""
    node: Any = body
    for name, index in _STEP.findall(path):
        if name and isinstance(node, Mapping):
            node = node.get(name)
        elif index and isinstance(node, list) and int(index) < len(node):
            node = node[int(index)]
        else:
            return None
    return node


def selector_keys(node: Any) -> Iterator[str]:
    """Every label key that a selector, or a NetworkPolicy peer around it, names as written."""
    if not isinstance(node, Mapping):
        return
    labels, expressions = node.get("matchLabels"), node.get("matchExpressions")
    yield from (str(key) for key in labels) if isinstance(labels, Mapping) else ()
    for item in expressions if isinstance(expressions, list) else ():
        if isinstance(item, Mapping):
            yield str(item.get("key", ""))
    for part in ("podSelector", "namespaceSelector"):
        yield from selector_keys(node.get(part))


def names_namespace(manifest: Manifest, path: str) -> bool:
    """Say whether the peer at `path` says itself where it looks: in namespaces, or a block."""
    node = at_path(manifest.body, path)
    said = ("namespaceSelector", "ipBlock")
    if isinstance(node, Mapping) and any(node.get(name) is not None for name in said):
        return True
    return any(
        key in {source + NAMESPACE_KEY for source in _SOURCES} for key in selector_keys(node)
    )


def silent_namespace(
    entry: Entry, selector: LabelSelector, manifest: Manifest
) -> Requirement | None:
    """The requirement by which Cilium confines a peer selector to the policy's own namespace.

    Source: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go` `getEndpointSelector`,
    `pkg/k8s/network_policy.go` `parseNetworkPolicyPeer`.
    """
    if not entry.namespace or names_namespace(manifest, selector.path):
        return None
    for requirement in selector.requirements:
        own = requirement.values == {entry.namespace}
        if requirement.key == NAMESPACE_KEY and requirement.operator is Operator.IN and own:
            return requirement
    return None


def labels_of_requirement(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """Say whether plain labels (of a pod or a namespace) fulfil a requirement for a value."""
    if requirement.operator is Operator.EXISTS:
        return requirement.key in labels
    return requirement.operator is Operator.IN and labels.get(requirement.key) in requirement.values
