"""Namespaces whose labels are not known, and the policies that select by those labels.

A GitOps checkout often has no Namespace objects: what creates them labels them, too. Their labels
are then unknown, not absent.
Source: Cilium `pkg/k8s/utils/utils.go` (`io.cilium.k8s.namespace.labels.*` of an identity).
"""

from __future__ import annotations

from collections.abc import Iterator

from app.core.diagnose.question import Leg
from app.core.model.cluster import Endpoint
from app.core.model.labels import LabelSet
from app.core.model.verdict import Direction
from app.core.policy.engine import Engine
from app.core.policy.rules import Entry, LabelSelector, ParsedPolicy, PeerSelector
from app.core.policy.selectors import NAMESPACE_LABELS_KEY

_NAME_LABEL = f"{NAMESPACE_LABELS_KEY}.kubernetes.io/metadata.name"
_PREFIX = f"{NAMESPACE_LABELS_KEY}."


def unread_namespaces(leg: Leg, engine: Engine) -> dict[str, tuple[str, ...]]:
    """Namespaces of both ends whose unknown labels could turn the answer, with the policies."""
    found: dict[str, dict[str, None]] = {}
    for direction in Direction:
        own, other = leg.subject(direction).endpoint, leg.other(direction).endpoint
        if own is None:
            continue
        for policy in engine.policies:
            if is_unread(own, engine) and _may_select(policy, direction, own):
                found.setdefault(own.namespace, {})[policy.ref.name] = None
            if other is None or not is_unread(other, engine):
                continue
            if any(_may_fit(one, direction, own, other, leg, engine) for one in policy.entries):
                found.setdefault(other.namespace, {})[policy.ref.name] = None
    return {name: tuple(policies) for name, policies in found.items()}


def is_unread(endpoint: Endpoint, engine: Engine) -> bool:
    """Whether nothing tells the labels of a pod's namespace: no object, and no identity."""
    if not endpoint.namespace:  # a node, or an entity with a policy of its own
        return False
    namespace = engine.cluster.namespaces.get(endpoint.namespace)
    if namespace is not None and namespace.is_read:
        return False
    return not any(_is_namespace_label(key) for key in endpoint.labels)


def selects_by_namespace_labels(policy: ParsedPolicy) -> bool:
    """Whether a policy looks at labels of a namespace other than its name."""
    selectors = (
        one for entry in policy.entries for one in (entry.subject, *_labelled(entry.peers or ()))
    )
    return any(_is_namespace_label(asked.key) for one in selectors for asked in one.requirements)


def _is_namespace_label(key: str) -> bool:
    return key.startswith(_PREFIX) and key != _NAME_LABEL


def _may_select(policy: ParsedPolicy, direction: Direction, own: Endpoint) -> bool:
    """Whether a policy has the pod as its subject for some labels of the namespace."""
    return any(
        entry.direction is direction
        and entry.namespace in ("", own.namespace)
        and _hinges(entry.subject, own.labels)
        for entry in policy.entries
    )


def _may_fit(
    entry: Entry, direction: Direction, own: Endpoint, other: Endpoint, leg: Leg, engine: Engine
) -> bool:
    """Whether a rule about the subject has the other end as a peer for some of its labels."""
    question = leg.question
    return (
        entry.direction is direction
        and entry.selects_subject(own.labels, own.namespace)
        and engine.fits_port(entry, own, question.port, question.protocol)
        and any(_hinges(one, other.labels) for one in _labelled(entry.peers or ()))
    )


def _labelled(peers: tuple[PeerSelector, ...]) -> Iterator[LabelSelector]:
    return (one for one in peers if isinstance(one, LabelSelector))


def _hinges(selector: LabelSelector, labels: LabelSet) -> bool:
    """Whether only labels of the namespace decide if a selector holds."""
    open_ones = [one for one in selector.requirements if _is_namespace_label(one.key)]
    rest = (one for one in selector.requirements if one not in open_ones)
    return bool(open_ones) and all(one.fits(labels) for one in rest)
