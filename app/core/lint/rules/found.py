"""Selectors that find nobody, everybody, or pods that no selector can find."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.core.cluster.identity import is_identity_label
from app.core.diagnose.written import silent_namespace
from app.core.lint.cover import is_negative
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.rules.selectors import AGENT_KEYS, CILIUM_PREFIX, NAME_LABEL, fits_all
from app.core.lint.scope import Scope
from app.core.lint.typo import is_typo
from app.core.lint.view import View
from app.core.model.labels import RESERVED_SOURCE
from app.core.policy.rules import Entry, GroupSelector, LabelSelector, Operator, Requirement
from app.core.policy.selectors import (
    NAMESPACE_KEY,
)

BOOK = Book()

_WRONG_LABELS_KEY = "io.kubernetes.pod.namespace.labels"
_EVERYBODY = re.compile(
    r"\b(all|any|every)\b[a-z ]{0,20}\b(pods?|namespaces?|workloads?|cluster|sources?)\b"
)
_AT_HOME = re.compile(r"\b(same|own|this|within|inside|intra|its)\b.{0,20}\bnamespace\b")
_LONG_KEY = 60


@BOOK.check(
    "NP106",
    "selects-no-endpoint",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""The policy restricts nobody and allows nothing: no pod that was read has these labels.""",
    bad="""
    # with pods app=web in namespace a
    endpointSelector: {matchLabels: {app: wbe}}
    ingress: [{}]
    """,
    good="""
    # with pods app=web in namespace a
    endpointSelector: {matchLabels: {app: web}}
    ingress: [{}]
    """,
)
def selects_no_endpoint(view: View, scope: Scope) -> Iterator[Hit]:
    """No pod is the subject; among pod templates only where a label is nearly another."""
    seen: set[str] = set()
    for entry in view.entries:
        subject = entry.subject
        if entry.node or subject.path in seen or scope.endpoints_of(entry):
            continue
        seen.add(subject.path)
        if any(fits_all(list(subject.requirements), one) for one in scope.cluster.endpoints):
            continue  # NP042: host network
        if any(one.source == RESERVED_SOURCE for one in subject.requirements):
            continue
        if _is_explained(subject.requirements, scope):
            continue
        near = _nearly(subject, entry.namespace, scope)
        known = scope.endpoints_in.get(entry.namespace) if entry.namespace else scope.has_pods
        if near or (scope.has_pods and (known or not entry.namespace)):
            hint = f"; {near}" if near else ""
            yield Hit(subject.path, f"no pod is `{subject.text}`{hint}", near and f"see {near}")


def _nearly(selector: LabelSelector, namespace: str, scope: Scope) -> str:
    """Name the pod that a selector would find if one value or key were spelt otherwise."""
    own = [one for one in selector.requirements if one.key not in AGENT_KEYS]
    for endpoint in scope.endpoints_in.get(namespace, ()) if namespace else ():
        failing = [one for one in own if not one.fits(endpoint.labels)]
        if len(failing) != 1 or failing[0].operator is not Operator.IN:
            continue
        wanted = failing[0]
        (value, *rest) = sorted(wanted.values)
        if rest:
            continue
        labels = {key: label.value for key, label in endpoint.labels.items()}
        mine = labels.get(wanted.key)
        if mine is not None and is_typo(value, mine):
            return f"{endpoint.key} has `{wanted.key}={mine}`"
        for key in (
            "app.kubernetes.io/name",
            "app",
            "name",
            "k8s-app",
            "app.kubernetes.io/instance",
        ):
            if mine is None and labels.get(key) == value and key != wanted.key:
                return f"{endpoint.key} has `{key}={value}`"
    return ""


@BOOK.check(
    "NP107",
    "peer-matches-no-endpoint",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""No pod that was read is such a peer, so the rule allows (or denies) nothing today: a typing
    error, a label that moved, or pods that come later.""",
    bad="""
    # with pods app.kubernetes.io/name=redis in namespace a
    ingress:
    - fromEndpoints: [{matchLabels: {name: redis}}]
    """,
    good="""
    ingress:
    - fromEndpoints: [{matchLabels: {app.kubernetes.io/name: redis}}]
    """,
)
def peer_matches_no_endpoint(view: View, scope: Scope) -> Iterator[Hit]:
    """No pod fits the peer; among pod templates only where a label is nearly another."""
    for entry in view.entries:
        for peer in entry.peers or ():
            if not isinstance(peer, LabelSelector) or not peer.requirements or not peer.path:
                continue
            if ".toServices" in peer.path or "Entities[" in peer.path or "Nodes[" in peer.path:
                continue
            own = [one for one in peer.requirements if one.key not in AGENT_KEYS]
            if any(one.source == RESERVED_SOURCE for one in own) or not own:
                continue
            if any(fits_all(list(peer.requirements), one) for one in scope.cluster.endpoints):
                continue
            if any(one.host_network and peer.selects_labels(one.labels) for one in
                   scope.cluster.endpoints):  # fmt: skip
                continue  # NP042
            spaces = _spaces_of(peer)
            near = next(filter(None, (_nearly(peer, name, scope) for name in spaces)), "")
            settled = scope.has_pods and any(scope.endpoints_in.get(name) for name in spaces)
            if (near or settled) and not _known_elsewhere(peer, entry, view, scope):
                hint = f"; {near}" if near else ""
                severity = None if near else Severity.INFO
                yield Hit(peer.path, f"no pod is `{peer.text}`{hint}", severity=severity)


def _spaces_of(selector: LabelSelector) -> tuple[str, ...]:
    """The namespaces that a selector names."""
    for one in selector.requirements:
        if one.key == NAMESPACE_KEY and one.operator is Operator.IN:
            return tuple(sorted(one.values))
    return ()


def _known_elsewhere(peer: LabelSelector, entry: Entry, view: View, scope: Scope) -> bool:
    """Whether NP016, NP018 or NP021 say what is wrong."""
    silent = silent_namespace(entry, peer, view.manifest)
    rest = [one for one in peer.requirements if one is not silent]
    if silent is not None and any(fits_all(rest, one) for one in scope.cluster.endpoints):
        return True
    return _is_explained(rest, scope)


def _is_explained(requirements: Iterable[Requirement], scope: Scope) -> bool:
    """Whether NP016, NP021 or NP025 say why a label is on no pod."""
    config = scope.cluster.config
    return any(
        one.key == NAME_LABEL
        or one.key.startswith((CILIUM_PREFIX, f"{NAMESPACE_KEY}.labels."))
        or not is_identity_label(one.key, config.label_filter, config.cilium_version)
        or any(space.labels.get(one.key) in one.values for space in namespaces)
        for namespaces in (scope.cluster.namespaces.values(),)
        for one in requirements
        if one.key not in AGENT_KEYS
    )


@BOOK.survey(
    "NP113",
    "pod-label-switches-policy-off",
    Severity.ERROR,
    why="""Up to Cilium 1.20.0 a pod with a label whose key is `host` is taken for the host: no policy
    is enforced on it. A key `init` makes it default-deny without any policy (issue 48027).""",
    bad="""
    kind: Deployment
    metadata: {name: p, namespace: a}
    spec:
      selector: {matchLabels: {app: web}}
      template: {metadata: {labels: {app: web, host: blue}}, spec: {containers: [{name: c}]}}
    """,
    good="""
    kind: Deployment
    metadata: {name: p, namespace: a}
    spec:
      selector: {matchLabels: {app: web}}
      template: {metadata: {labels: {app: web, hostname: blue}}, spec: {containers: [{name: c}]}}
    """,
)
def pod_label_switches_policy(scope: Scope) -> Iterator[Hit]:
    """A workload with a pod label `host` or `init`."""
    fixed = (1, 20, 2)
    seen: set[object] = set()
    for endpoint in scope.cluster.endpoints:
        keys = [key for key in ("host", "init") if key in endpoint.pod_labels]
        if endpoint.host_network or not keys or scope.cluster.config.host_firewall:
            continue
        if keys == ["host"] and scope.version >= fixed:
            continue
        owner = (endpoint.namespace, endpoint.workload or endpoint.name)
        manifest = scope.object_of(endpoint)
        if manifest is None or owner in seen:
            continue
        seen.add(owner)
        said = (
            "no policy is enforced on it"
            if "host" in keys
            else "it is default-deny both ways without any policy"
        )
        yield Hit("metadata", f"pods carry the label `{keys[0]}`: {said}", manifest=manifest)


@BOOK.check(
    "NP114",
    "long-label-name-matches-everything",
    Severity.ERROR,
    why="""Cilium 1.19 puts a source (and for namespaces a prefix) in front of a NetworkPolicy's label
    keys and then finds them too long: no requirement is left, and the selector holds everybody,
    the world too (issue 43771).""",
    bad="""
    kind: NetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      podSelector: {}
      ingress:
      - from: [{podSelector: {matchLabels: {a-name-that-is-much-too-long-for-the-agent-to-keep-it-whole-ok: x}}}]
    """,
    good="""
    kind: NetworkPolicy
    metadata: {name: p, namespace: a}
    spec:
      podSelector: {}
      ingress:
      - from: [{podSelector: {matchLabels: {a-name-that-is-short: x}}}]
    """,
)
def long_label_name(view: View, _scope: Scope) -> Iterator[Hit]:
    """A NetworkPolicy selector that the agent cannot construct."""
    seen: set[str] = set()
    for entry in view.entries:
        for selector in (entry.subject, *(entry.peers or ())):
            if isinstance(selector, LabelSelector) and selector.broken:
                path = selector.path or entry.rule.path
                if path not in seen:
                    seen.add(path)
                    yield Hit(path, "a label key is too long for this agent: it holds everybody")


@BOOK.check(
    "NP119",
    "cidr-group-selector-selects-everyone",
    Severity.ERROR,
    why="""`cidrGroupSelector: {}` has the key of the selector of everything: every peer is held, pods
    and nodes included. One that only excludes holds, up to 1.19, whatever lacks the label (Cilium
    pkg/policy/types/selector.go).""",
    bad="""
    egress:
    - toCIDRSet: [{cidrGroupSelector: {}}]
    """,
    good="""
    egress:
    - toCIDRSet: [{cidrGroupSelector: {matchLabels: {zone: mirrors}}}]
    """,
)
def cidr_group_of_everyone(view: View, _scope: Scope) -> Iterator[Hit]:
    """An empty or purely negative selector of CIDR groups."""
    for entry in view.entries:
        for peer in entry.peers or ():
            if not isinstance(peer, GroupSelector):
                continue
            if peer.is_wildcard:
                yield Hit(peer.path, "an empty cidrGroupSelector holds everybody, pods included")
            elif is_negative(peer.requirements) and not peer.world_only:
                yield Hit(
                    peer.path,
                    "a cidrGroupSelector that only excludes holds whatever lacks the label",
                )


@BOOK.check(
    "NP042",
    "host-network-pods-by-label",
    Severity.WARNING,
    needs=Knowledge.REPOSITORY,
    why="""Pods in the host network have no identity of their own: they are the node (`host`,
    `remote-node`), and no label selector holds them (issues 10405, 37321).""",
    bad="""
    # with a DaemonSet app=exporter in the host network
    egress:
    - toEndpoints: [{matchLabels: {app: exporter}}]
    """,
    good="""
    egress:
    - toEntities: [host, remote-node]
      toPorts: [{ports: [{port: "9100", protocol: TCP}]}]
    """,
)
def host_network_by_label(view: View, scope: Scope) -> Iterator[Hit]:
    """Everything a selector finds is in the host network."""
    hosts = [one for one in scope.cluster.endpoints if one.host_network]
    seen: set[str] = set()
    for entry in view.entries if hosts else ():
        subjects = () if entry.node else (entry.subject,)
        for selector in (*subjects, *(entry.peers or ())):
            if not isinstance(selector, LabelSelector) or selector.path in seen:
                continue
            seen.add(selector.path)
            own = [one for one in selector.requirements if one.key not in AGENT_KEYS]
            if not own or is_negative(own) or any(one.source == RESERVED_SOURCE for one in own):
                continue
            found = [one for one in hosts if selector.selects_labels(one.labels)]
            others = any(
                selector.selects_labels(one.labels)
                for one in scope.cluster.endpoints
                if not one.host_network
            )
            if found and not others:
                what = "selects" if selector is entry.subject else "means"
                yield Hit(
                    selector.path,
                    f"it {what} {found[0].key} only, which is in the host network: no match",
                    "use the entities host and remote-node"
                    if selector is not entry.subject
                    else "use a nodeSelector in a clusterwide policy",
                )
