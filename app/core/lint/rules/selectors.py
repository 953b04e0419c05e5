"""Labels, selectors and namespaces: whom a policy means, and whom it reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from app.core.diagnose.written import silent_namespace
from app.core.lint.cover import is_negative
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import Node, View, bare_key, keys_of, mapping, nodes
from app.core.model.cluster import Endpoint
from app.core.model.labels import RESERVED_SOURCE
from app.core.model.verdict import Direction, Effect
from app.core.policy.rules import Entry, LabelSelector, Requirement
from app.core.policy.selectors import (
    CLUSTER_KEY,
    NAMESPACE_KEY,
    SERVICE_ACCOUNT_KEY,
)

BOOK = Book()

NAME_LABEL = "kubernetes.io/metadata.name"
_WRONG_LABELS_KEY = "io.kubernetes.pod.namespace.labels"
CILIUM_PREFIX = "io.cilium.k8s."
AGENT_KEYS = frozenset({NAMESPACE_KEY, CLUSTER_KEY, SERVICE_ACCOUNT_KEY})
_EVERYBODY = re.compile(
    r"\b(all|any|every)\b[a-z ]{0,20}\b(pods?|namespaces?|workloads?|cluster|sources?)\b"
)
_AT_HOME = re.compile(r"\b(same|own|this|within|inside|intra|its)\b.{0,20}\bnamespace\b")
_LONG_KEY = 60


@BOOK.check(
    "NP017",
    "own-namespace-only",
    Severity.WARNING,
    why="""In a CiliumNetworkPolicy `{}` as a peer means every pod of the policy's own namespace, not
    of the cluster (Cilium pkg/k8s/apis/cilium.io/utils; issue 3415).""",
    bad="""
    description: allow all pods of the cluster
    ingress:
    - fromEndpoints: [{}]
    """,
    good="""
    description: allow all pods of the same namespace
    ingress:
    - fromEndpoints: [{}]
    """,
)
def own_namespace_only(view: View, _scope: Scope) -> Iterator[Hit]:
    """`{}` where the words say everybody."""
    if not view.is_namespaced or _AT_HOME.search(view.words):
        return
    if not _EVERYBODY.search(view.words):
        return
    for item in view.items:
        if item.effect is Effect.DENY:
            continue
        for selector, path in item.peers("Endpoints"):
            if not any(True for _ in keys_of(selector, path)):
                yield Hit(
                    path,
                    f"`{{}}` is every pod of namespace {view.ref.namespace}, not of the cluster",
                    f"ask for `{NAMESPACE_KEY}` with operator Exists",
                )


@BOOK.check(
    "NP018",
    "peer-in-another-namespace",
    Severity.ERROR,
    needs=Knowledge.REPOSITORY,
    why="""A peer selector without a namespace looks in the policy's own namespace only. Pods with
    these labels exist, but in another one.""",
    bad="""
    # with pods app=hub in namespace jupyterhub and others in a
    ingress:
    - fromEndpoints: [{matchLabels: {app: hub}}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchLabels: {app: hub, k8s:io.kubernetes.pod.namespace: jupyterhub}}]
    """,
)
def peer_in_another_namespace(view: View, scope: Scope) -> Iterator[Hit]:
    """The selector finds nobody at home and somebody elsewhere."""
    for entry in view.entries:
        for peer in entry.peers or ():
            if not isinstance(peer, LabelSelector) or not scope.endpoints_in.get(entry.namespace):
                continue
            silent = silent_namespace(entry, peer, view.manifest)
            rest = [one for one in peer.requirements if one is not silent]
            if silent is None or not any(one.key not in AGENT_KEYS for one in rest):
                continue
            if is_negative([one for one in rest if one.key not in AGENT_KEYS]):
                continue
            found = [one for one in scope.cluster.endpoints if fits_all(rest, one)]
            away = sorted({one.namespace for one in found})
            if found and entry.namespace not in away and not _twin(entry, view, away):
                yield Hit(
                    peer.path,
                    f"no pod of {entry.namespace} fits `{peer.text.partition(' in namespace')[0]}`;"
                    f" {', '.join(away[:3])} has them",
                    "name the namespace in the selector",
                )


def fits_all(requirements: list[Requirement], endpoint: Endpoint) -> bool:
    """Say whether a pod with an identity of its own fulfils every requirement."""
    return not endpoint.host_network and all(one.fits(endpoint.labels) for one in requirements)


def _twin(entry: Entry, view: View, away: list[str]) -> bool:
    """Whether another peer of the policy already names the other namespace."""
    return any(
        requirement.key == NAMESPACE_KEY and set(away) & requirement.values
        for other in view.entries
        if other.direction is entry.direction
        for peer in other.peers or ()
        if isinstance(peer, LabelSelector)
        for requirement in peer.requirements
    )


@BOOK.check(
    "NP019",
    "subject-in-another-namespace",
    Severity.ERROR,
    why="""A CiliumNetworkPolicy selects pods of its own namespace only. A `k8s:` namespace in its
    endpointSelector is replaced by the policy's own; written any other way, both are asked for and
    nothing is selected (Cilium pkg/k8s/apis/cilium.io/utils, ParseToCiliumRule).""",
    bad="""
    endpointSelector: {matchLabels: {app: web, k8s:io.kubernetes.pod.namespace: b}}
    ingress: [{}]
    """,
    good="""
    endpointSelector: {matchLabels: {app: web, k8s:io.kubernetes.pod.namespace: a}}
    ingress: [{}]
    """,
)
def subject_in_another_namespace(view: View, _scope: Scope) -> Iterator[Hit]:
    """The subject names a namespace that is not the policy's."""
    if view.is_clusterwide:
        return
    for selector, path in view.subjects():
        for key, operator, values, where in keys_of(selector, path):
            if bare_key(key) != NAMESPACE_KEY or operator not in ("In", "NotIn"):
                continue
            own = view.ref.namespace in values
            if own is (operator == "In"):
                continue
            replaced = view.is_kubernetes or (key.startswith("k8s:") and ".matchLabels." in where)
            said = (
                f"the policy selects pods of {view.ref.namespace} all the same"
                if replaced
                else "it selects nothing"
            )
            yield Hit(where, f"`{key}` names another namespace: {said}", "move the policy there")


@BOOK.check(
    "NP020",
    "selector-contradicts-itself",
    Severity.ERROR,
    why="""All conditions of a selector must hold at once, and an endpoint has either pod labels or
    one reserved label. No pod can ever fit this one.""",
    bad="""
    endpointSelector:
      matchLabels: {app: web}
      matchExpressions: [{key: app, operator: NotIn, values: [web]}]
    ingress: [{}]
    """,
    good="""
    endpointSelector:
      matchLabels: {app: web}
      matchExpressions: [{key: tier, operator: NotIn, values: [web]}]
    ingress: [{}]
    """,
)
def selector_contradicts_itself(view: View, scope: Scope) -> Iterator[Hit]:
    """No labels can fulfil the selector."""
    seen: set[str] = set()
    named = {where: key for one, path in view.subjects() for key, _, _, where in keys_of(one, path)}
    for entry in view.entries:
        subjects = () if entry.node else (entry.subject,)
        for selector in (*subjects, *(entry.peers or ())):
            if not isinstance(selector, LabelSelector) or selector.path in seen:
                continue
            seen.add(selector.path)
            if any(bare_key(key) == NAMESPACE_KEY for key in named.values()):
                continue  # NP019 says which
            if scope.facts.disjoint(selector.requirements, selector.requirements):
                yield Hit(selector.path, f"nothing can be `{selector.text}`")


@BOOK.check(
    "NP022",
    "negative-subject-selects-system",
    Severity.WARNING,
    why="""NotIn and DoesNotExist also hold where the label is missing. A clusterwide policy with
    nothing else selects kube-system, and the endpoints `reserved:ingress`, `reserved:health` and
    `reserved:init`, and makes them default-deny too.""",
    bad="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector:
        matchExpressions:
        - {key: io.cilium.k8s.namespace.labels.team, operator: NotIn, values: [blue]}
      ingress: [{fromEntities: [cluster]}]
    """,
    good="""
    kind: CiliumClusterwideNetworkPolicy
    metadata: {name: p}
    spec:
      endpointSelector:
        matchExpressions:
        - {key: io.cilium.k8s.namespace.labels.team, operator: NotIn, values: [blue]}
        - {key: k8s:io.kubernetes.pod.namespace, operator: Exists}
      ingress: [{fromEntities: [cluster]}]
    """,
)
def negative_subject(view: View, _scope: Scope) -> Iterator[Hit]:
    """A clusterwide subject of exclusions only."""
    if not view.is_clusterwide:
        return
    seen: set[str] = set()
    for entry in view.entries:
        wanted = entry.subject.requirements
        if entry.node or not entry.default_deny or entry.subject.path in seen:
            continue
        seen.add(entry.subject.path)
        if not is_negative(wanted):
            continue
        spared = {one.key for one in wanted if one.source == RESERVED_SOURCE}
        reached = [one for one in ("ingress", "health", "init") if one not in spared]
        spaces = any(one.key == NAMESPACE_KEY and "kube-system" in one.values for one in wanted)
        if {"ingress", "health"} <= spared or (spared and spaces):
            continue
        system = "" if spaces else "kube-system and "
        yield Hit(
            entry.subject.path,
            f"it also selects {system}{', '.join(f'reserved:{one}' for one in reached)}, "
            "which lack the label",
            f"add `k8s:{NAMESPACE_KEY}` with operator Exists, and leave system namespaces out",
        )


@BOOK.check(
    "NP023",
    "negative-peer-admits-world",
    Severity.ERROR,
    why="""A peer selector that only excludes holds everything that lacks the label: hosts, the
    gateway and the world as well. Naming a `reserved:` key takes away the namespace and cluster that
    Cilium adds to other selectors.""",
    bad="""
    ingress:
    - fromEndpoints: [{matchExpressions: [{key: reserved:host, operator: DoesNotExist}]}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}]
    """,
)
def negative_peer(view: View, _scope: Scope) -> Iterator[Hit]:
    """A peer of exclusions only."""
    for entry in view.entries:
        for peer in entry.peers or ():
            if isinstance(peer, LabelSelector) and is_negative(peer.requirements):
                effect = "denies" if entry.effect is Effect.DENY else "admits"
                yield Hit(
                    peer.path,
                    f"`{peer.text}` {effect} whatever lacks the label: hosts and the world too",
                    f"add `k8s:{NAMESPACE_KEY}` with operator Exists",
                )


@BOOK.check(
    "NP024",
    "peer-in-another-cluster",
    Severity.WARNING,
    needs=Knowledge.CLUSTER,
    why="""Since 1.19 a peer selector without `io.cilium.k8s.policy.cluster` means pods of the own
    cluster only (`policy-default-local-cluster`).""",
    bad="""
    # with pods app=db in the cluster east of the mesh only
    egress:
    - toEndpoints: [{matchLabels: {app: db}}]
    """,
    good="""
    egress:
    - toEndpoints: [{matchLabels: {app: db, io.cilium.k8s.policy.cluster: east}}]
    """,
)
def peer_in_another_cluster(view: View, scope: Scope) -> Iterator[Hit]:
    """The peers exist, but in another cluster of the mesh."""
    name = scope.cluster.config.cluster_name
    remote = [
        one
        for one in scope.cluster.endpoints
        if (label := one.labels.get(CLUSTER_KEY)) is not None and label.value != name
    ]
    for entry in view.entries if remote else ():
        for peer in entry.peers or ():
            if not isinstance(peer, LabelSelector):
                continue
            rest = [one for one in peer.requirements if one.key != CLUSTER_KEY]
            confined = len(rest) < len(peer.requirements)
            away = confined and any(fits_all(rest, one) for one in remote)
            if away and not any(peer.selects_labels(one.labels) for one in scope.cluster.endpoints):
                yield Hit(
                    peer.path,
                    f"`{peer.text}` exists in other clusters of the mesh only",
                    f"name `{CLUSTER_KEY}`",
                )


@BOOK.check(
    "NP026",
    "two-elements-instead-of-one",
    Severity.WARNING,
    why="""Elements of `from` and `to` are alternatives. A namespaceSelector and a podSelector with a
    dash each admit the whole namespace, and pods of the policy's own namespace besides.""",
    bad="""
    kind: NetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      podSelector: {}
      ingress:
      - from:
        - namespaceSelector: {matchLabels: {team: blue}}
        - podSelector: {matchLabels: {app: web}}
    """,
    good="""
    kind: NetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      podSelector: {}
      ingress:
      - from:
        - namespaceSelector: {matchLabels: {team: blue}}
          podSelector: {matchLabels: {app: web}}
    """,
)
def two_elements(view: View, scope: Scope) -> Iterator[Hit]:
    """A namespaceSelector alone, and right after it a podSelector alone.

    The other way round it is what many mean; it is told where the pods are elsewhere only.
    """
    for item in view.items if view.is_kubernetes else ():
        elements = list(nodes(item.body, item.word, item.path))
        for (first, path), (second, where) in pairwise(elements):
            if "podSelector" in mapping(first):
                yield from _reversed(view, (first, path), (second, where), scope)
                continue
            apart = set(mapping(first)) == {"namespaceSelector"}
            apart &= set(mapping(second)) == {"podSelector"}
            spaces = any(True for _ in keys_of(mapping(first).get("namespaceSelector"), ""))
            pods = any(True for _ in keys_of(mapping(second).get("podSelector"), ""))
            if apart and spaces and pods and not _finds_at_home(view, where, scope):
                yield Hit(
                    path,
                    "two elements: every pod of those namespaces is admitted, and the podSelector "
                    f"looks in {view.ref.namespace}",
                    "take the second dash away if both were meant together",
                )


def _reversed(view: View, pods: Node, spaces: Node, scope: Scope) -> Iterator[Hit]:
    """A podSelector alone before a namespaceSelector alone, whose pods all are in the latter."""
    alone = set(mapping(pods[0])) == {"podSelector"}
    alone &= set(mapping(spaces[0])) == {"namespaceSelector"}
    if not alone or not any(True for _ in keys_of(mapping(pods[0])["podSelector"], "")):
        return
    own = scope.endpoints_in.get(view.ref.namespace)
    if not own or _finds_at_home(view, pods[1], scope):
        return
    wanted = [
        one
        for entry in view.entries
        if entry.rule.path == pods[1]
        for peer in entry.peers or ()
        if isinstance(peer, LabelSelector)
        for one in peer.requirements
        if one.key not in AGENT_KEYS
    ]
    there = [
        endpoint
        for entry in view.entries
        if entry.rule.path == spaces[1]
        for peer in entry.peers or ()
        if isinstance(peer, LabelSelector)
        for endpoint in scope.cluster.endpoints
        if peer.selects_labels(endpoint.labels)
    ]
    if wanted and any(fits_all(wanted, endpoint) for endpoint in there):
        yield Hit(
            spaces[1],
            "two elements: every pod of those namespaces is admitted, and the podSelector "
            f"looks in {view.ref.namespace}, where no pod fits it",
            "take the dash away if both were meant together",
        )


def _finds_at_home(view: View, path: str, scope: Scope) -> bool:
    """Whether the podSelector alone finds pods at home, which then were meant."""
    return any(
        isinstance(peer, LabelSelector) and peer.selects_labels(endpoint.labels)
        for entry in view.entries
        if entry.rule.path == path
        for peer in entry.peers or ()
        for endpoint in scope.endpoints_in.get(view.ref.namespace, ())
    )


def is_egress_allow(entry: Entry) -> bool:
    """Say whether an entry allows what its subject sends."""
    return entry.direction is Direction.EGRESS and entry.effect is Effect.ALLOW
