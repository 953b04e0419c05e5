"""Keys of labels that no pod's identity has, wherever a policy asks for them."""

from __future__ import annotations

from collections.abc import Iterator

from app.core.cluster.identity import is_identity_label
from app.core.drafts.edits import RenameKey, SetScalar, parse_path
from app.core.lint.finding import Hit, Severity
from app.core.lint.rule import Book
from app.core.lint.rules.selectors import AGENT_KEYS, CILIUM_PREFIX, NAME_LABEL
from app.core.lint.scope import Scope
from app.core.lint.view import View, bare_key, keys_of, mapping, nodes
from app.core.policy.selectors import NAMESPACE_KEY, NAMESPACE_LABELS_KEY

BOOK = Book()

_WRONG_LABELS_KEY = "io.kubernetes.pod.namespace.labels"


def _selectors(view: View) -> Iterator[tuple[object, str, bool]]:
    """Yield every pod selector as written, with its path and whether it is the subject's."""
    for selector, path in view.subjects():
        yield selector, path, True
    for selector, path in view.peer_selectors():
        yield selector, path, False


@BOOK.check(
    "NP016",
    "namespace-label-on-pod-selector",
    Severity.ERROR,
    why="""An endpoint selector asks for labels of pods. A label of the namespace is on a pod's
    identity only as `io.cilium.k8s.namespace.labels.KEY`, its name as
    `io.kubernetes.pod.namespace`; any other spelling matches nothing (issue 27930).""",
    bad="""
    ingress:
    - fromEndpoints: [{matchLabels: {kubernetes.io/metadata.name: gitea}}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: gitea}}]
    """,
)
def namespace_label_on_pod(view: View, scope: Scope) -> Iterator[Hit]:
    """A key that only namespaces have."""
    yield from _namespace_of_pods(view)
    for selector, path, subject in _selectors(view):
        for key, operator, values, where in keys_of(selector, path):
            bare = bare_key(key)
            instead = _meant(bare, operator, values, scope, view)
            if not instead:
                continue
            movable = not view.is_kubernetes and not (subject and view.is_namespaced)
            named = any(bare_key(one) == NAMESPACE_KEY for one, *_ in keys_of(selector, path))
            sure = bare == NAME_LABEL or bare.startswith(f"{_WRONG_LABELS_KEY}.")
            edits = (_renamed(key, path, where, instead),) if movable and not named else ()
            yield Hit(
                where,
                f"`{key}` is a label of namespaces, no pod's: it matches nothing",
                _instead(view, instead, subject=subject),
                edits=edits,
                certain=bool(edits) and sure and operator == "In",
            )


def _renamed(key: str, path: str, where: str, instead: str) -> RenameKey | SetScalar:
    """The edit that writes the right key, of matchLabels or of matchExpressions."""
    if where == f"{path}.matchLabels.{key}":
        return RenameKey((*parse_path(path), "matchLabels", key), instead)
    return SetScalar((*parse_path(where), "key"), instead)


def _namespace_of_pods(view: View) -> Iterator[Hit]:
    """A podSelector of a NetworkPolicy that names another namespace by the agent's key.

    Without a namespaceSelector beside it the agent writes the policy's own over it (Cilium
    pkg/k8s/network_policy.go, parseNetworkPolicyPeer).
    """
    for item in view.items if view.is_kubernetes else ():
        for element, path in nodes(item.body, item.word, item.path):
            if mapping(element).get("namespaceSelector") is not None:
                continue
            selector = mapping(element).get("podSelector")
            for key, _, values, where in keys_of(selector, f"{path}.podSelector"):
                if key != NAMESPACE_KEY or not values or view.ref.namespace in values:
                    continue
                said = "it matches nothing"
                if ".matchLabels." in where:
                    said = f"it is replaced, and pods of {view.ref.namespace} match"
                yield Hit(
                    where,
                    f"`{key}` of another namespace in a podSelector: {said}",
                    "write it as a namespaceSelector",
                )


def _meant(bare: str, operator: str, values: tuple[str, ...], scope: Scope, view: View) -> str:
    """Say which key was meant; empty when the key is a pod's."""
    if bare == NAME_LABEL:
        return f"k8s:{NAMESPACE_KEY}"
    if bare.startswith(f"{_WRONG_LABELS_KEY}."):
        return NAMESPACE_LABELS_KEY + bare[len(_WRONG_LABELS_KEY) :]
    agents = bare.startswith(CILIUM_PREFIX) or bare == NAMESPACE_KEY
    if operator != "In" or not values or agents or not scope.cluster.endpoints:
        return ""
    if any(bare in endpoint.pod_labels for endpoint in scope.cluster.endpoints):
        return ""
    return _meant_space(bare, set(values), scope, view)


def _meant_space(bare: str, values: set[str], scope: Scope, view: View) -> str:
    spaces = scope.cluster.namespaces
    if bare in ("name", "namespace") and values <= set(spaces):
        others = values - {view.ref.namespace}
        return f"k8s:{NAMESPACE_KEY}" if others and _has_pods(others, scope) else ""
    labelled = any(one.labels.get(bare) in values for one in spaces.values())
    return f"{NAMESPACE_LABELS_KEY}.{bare}" if labelled else ""


def _has_pods(namespaces: set[str], scope: Scope) -> bool:
    return any(name in scope.endpoints_in for name in namespaces)


def _instead(view: View, key: str, *, subject: bool) -> str:
    if view.is_kubernetes:
        return "write it as a namespaceSelector"
    if subject and view.is_namespaced:
        return "a CiliumNetworkPolicy selects in its own namespace only: move it, or leave it out"
    return f"write `{key}`"


@BOOK.check(
    "NP021",
    "label-not-in-identity",
    Severity.ERROR,
    why="""Cilium keeps only some labels for a pod's identity, and policies see no others: those
    excluded by default (`pod-template-hash`, `statefulset.kubernetes.io/pod-name`, most of
    `kubernetes.io`) or by the agent's `labels` setting never match, and `NotIn` or `DoesNotExist`
    always do (Cilium pkg/labelsfilter/filter.go).""",
    bad="""
    endpointSelector: {matchLabels: {statefulset.kubernetes.io/pod-name: db-0}}
    ingress: [{}]
    """,
    good="""
    endpointSelector: {matchLabels: {app.kubernetes.io/name: db}}
    ingress: [{}]
    """,
)
def label_not_in_identity(view: View, scope: Scope) -> Iterator[Hit]:
    """A key that the label filter drops."""
    config = scope.cluster.config
    for selector, path, _ in _selectors(view):
        for key, operator, _, where in keys_of(selector, path):
            bare = bare_key(key)
            if ":" in bare or bare in ("", NAME_LABEL) or bare in AGENT_KEYS:
                continue
            if bare.startswith(("reserved.", "$", CILIUM_PREFIX, f"{_WRONG_LABELS_KEY}.")):
                continue
            if not is_identity_label(bare, config.label_filter, config.cilium_version):
                effect = "always holds" if operator in ("NotIn", "DoesNotExist") else "never holds"
                yield Hit(
                    where,
                    f"`{key}` is no part of a pod's identity: the condition {effect}",
                    "use another label, or add it to the agent's `labels`",
                )


@BOOK.check(
    "NP025",
    "invented-cilium-label",
    Severity.ERROR,
    why="""Labels under `io.cilium.k8s.` are the agent's own: those written on a pod are taken off its
    identity, so a selector on one that the agent does not set never matches (Cilium
    pkg/k8s/watchers, filtered pod labels).""",
    bad="""
    endpointSelector: {matchLabels: {io.cilium.k8s.team: lung}}
    ingress: [{}]
    """,
    good="""
    endpointSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: lung}}
    ingress: [{}]
    """,
)
def invented_cilium_label(view: View, scope: Scope) -> Iterator[Hit]:
    """A key of the agent's that the agent does not have, or that pods wrote for themselves."""
    for selector, path, _ in _selectors(view):
        for key, operator, values, where in keys_of(selector, path):
            bare = bare_key(key)
            known = bare in AGENT_KEYS or bare.startswith(f"{NAMESPACE_LABELS_KEY}.")
            if not bare.startswith(CILIUM_PREFIX):
                continue
            if not known:
                yield Hit(where, f"the agent sets no label `{bare}`: it never matches")
            elif operator == "In" and (who := _written_by(bare, values, scope)):
                yield Hit(where, f"`{bare}` on {who} is taken off: the agent sets its own")


def _written_by(key: str, values: tuple[str, ...], scope: Scope) -> str:
    """Name a pod that carries an agent's label by hand, where no pod has that value in truth."""
    carrying = ""
    for endpoint in scope.cluster.endpoints:
        label = endpoint.labels.get(key)
        if label is not None and label.value in values:
            return ""
        if not carrying and endpoint.pod_labels.get(key) in values:
            carrying = endpoint.key
    return carrying
