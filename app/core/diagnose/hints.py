"""Why a rule that was meant for a connection does not match it.

Each hint answers "if this one thing meant what its author thought, would the rule match?" for one
entry of the engine's normal form: a selector without its silent namespace, a label that Cilium
leaves out of identities, a Service's port. A hint is `complete` when everything else of the entry
fits, so that changing the one thing is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.core.diagnose.look import Look
from app.core.diagnose.meant import wrong_key
from app.core.diagnose.written import (
    at_path,
    labels_of_requirement,
    silent_namespace,
)
from app.core.model.answer import CauseCode
from app.core.model.cluster import Endpoint, IdentityKind
from app.core.model.labels import ANY_SOURCE, K8S_SOURCE
from app.core.model.verdict import Effect
from app.core.model.workloads import stable_labels
from app.core.policy.rules import (
    CidrSelector,
    Entry,
    FqdnSelector,
    GroupSelector,
    LabelSelector,
    ParsedPolicy,
    PeerSelector,
    PortSpec,
    Requirement,
)
from app.core.policy.selectors import CLUSTER_KEY, NAMESPACE_KEY, NAMESPACE_LABELS_KEY

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
_NAMESPACE_WORDS = frozenset({NAMESPACE_NAME_LABEL, "name", "namespace"})
_SILENT_KEYS = frozenset({NAMESPACE_KEY, CLUSTER_KEY})
_PLAIN_SOURCES = frozenset({ANY_SOURCE, K8S_SOURCE})


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing about a rule that keeps it from matching; `path` points at what to change.

    `wanted` is what the rule says and `got` what the connection has, both ready to show. `subject`
    says that it is about whom the policy selects, not about the other end.
    """

    code: CauseCode
    entry: Entry
    path: str
    wanted: str
    got: str
    complete: bool
    subject: bool = False


def hints_for(look: Look) -> tuple[Hint, ...]:
    """Every hint of the policies for one direction: complete ones first, then specific ones."""
    hints = [hint for policy in look.engine.policies for hint in _of_policy(policy, look)]
    return tuple(sorted(hints, key=_rank))


ORDER = (
    CauseCode.SERVICE_PORT_NOT_TARGET_PORT,
    CauseCode.NAMED_PORT_UNRESOLVED,
    CauseCode.NAMESPACE_LABEL_ON_POD_SELECTOR,
    CauseCode.LABEL_NOT_IN_IDENTITY,
    CauseCode.PEER_IN_OTHER_NAMESPACE,
    CauseCode.FQDN_IN_CLUSTER,
    CauseCode.UNMANAGED_ENDPOINT,
    CauseCode.KUBE_APISERVER_ENTITY,
    CauseCode.CIDR_IN_CLUSTER,
)
"""Most specific first, among hints that are equally complete."""


def _rank(hint: Hint) -> tuple[bool, bool, int]:
    return (not hint.complete, hint.subject, ORDER.index(hint.code))


def _of_policy(policy: ParsedPolicy, look: Look) -> Iterator[Hint]:
    for entry in policy.entries:
        if entry.direction is not look.direction or entry.effect is not Effect.ALLOW:
            continue
        if look.selects_subject(entry):
            yield from _of_entry(entry, policy, look)
        elif look.subject is not None and look.peer_fits(entry) and look.port_fits(entry):
            yield from _of_subject(entry, policy, look, look.subject)


def _of_entry(entry: Entry, policy: ParsedPolicy, look: Look) -> Iterator[Hint]:
    port_fits = look.port_fits(entry)
    if look.peer_fits(entry):
        if not port_fits:
            yield from _of_ports(entry, look)
        return
    for selector in entry.peers or ():
        hint = _of_peer(selector, entry, policy, look)
        if hint is not None:
            yield replace(hint, complete=port_fits)


def _of_ports(entry: Entry, look: Look) -> Iterator[Hint]:
    for rule in entry.ports:
        for spec in rule.ports:
            if look.protocol.value in spec.protocols:
                yield from _of_port(spec, entry, look)


def _of_port(spec: PortSpec, entry: Entry, look: Look) -> Iterator[Hint]:
    got = f"{look.port}/{look.protocol.value}"
    if spec.name:
        numbers = look.engine.numbers_of(spec, entry, look.subject, look.protocol.value)
        if not numbers:
            code = CauseCode.NAMED_PORT_UNRESOLVED
            yield Hint(code, entry, spec.path, spec.name, got, complete=True)
        return
    last = max(spec.number, spec.end)
    if any(spec.number <= port <= last for port in look.service_ports):
        code = CauseCode.SERVICE_PORT_NOT_TARGET_PORT
        yield Hint(code, entry, spec.path, spec.text, got, complete=True)


def _of_peer(selector: PeerSelector, entry: Entry, policy: ParsedPolicy, look: Look) -> Hint | None:
    if isinstance(selector, FqdnSelector):
        return _of_name(selector, entry, look)
    if isinstance(selector, CidrSelector | GroupSelector):
        return _of_block(selector, entry, look)
    if look.peer_end is None or not selector.requirements:
        return None
    return _of_labels(selector, entry, policy, look, look.peer_end)


def _of_name(selector: FqdnSelector, entry: Entry, look: Look) -> Hint | None:
    """A toFQDNs rule for something inside, which never matches it.

    Source: Cilium `pkg/ipcache/metadata.go`: only addresses outside carry `fqdn:` labels.
    """
    if look.peer.kind is IdentityKind.WORLD:
        return None
    asked = look.leg.destination.name
    names = {asked} if set(selector.pattern) == {"*"} else look.names
    named = sorted(name for name in names if name and selector.selects_name(name))
    if not named:
        return None
    return Hint(
        CauseCode.FQDN_IN_CLUSTER, entry, selector.path, named[0], look.peer.text, complete=False
    )


def _of_block(selector: CidrSelector | GroupSelector, entry: Entry, look: Look) -> Hint | None:
    """A CIDR rule for something inside, or for a Service's own address before what is outside.

    A block of everything may mean the Internet only: it counts when nothing else comes nearer.
    Source: Cilium `pkg/ipcache/metadata.go`: pods and nodes carry no `cidr:` labels; `bpf/lib/lb.h`
    translates the address of a Service before policy is asked.
    """
    everything = isinstance(selector, CidrSelector) and not selector.block.prefixlen
    if everything and (not look.port_fits(entry) or _is_outdone(entry, look)):
        return None
    held = sorted(str(address) for address in look.addresses if look.outside_at(address, selector))
    if not held:
        return None
    code = CauseCode.CIDR_IN_CLUSTER
    if look.is_apiserver:
        code = CauseCode.KUBE_APISERVER_ENTITY
    return Hint(code, entry, selector.path, selector.text, held[0], complete=False)


def _is_outdone(entry: Entry, look: Look) -> bool:
    """Whether the engine finds another rule nearer to the connection."""
    nearest = look.leg.direction(look.direction).nearest
    own = next((miss.nearness for miss in nearest if miss.rule == entry.rule), 0)
    return nearest[0].nearness > own


def _of_labels(
    selector: LabelSelector, entry: Entry, policy: ParsedPolicy, look: Look, end: Endpoint
) -> Hint | None:
    if end.host_network or not end.managed:
        return _of_unmanaged(selector, entry, look, end)
    failing = [one for one in selector.requirements if not one.fits(look.identity.labels)]
    silent = silent_namespace(entry, selector, policy.manifest)
    rest = [one for one in failing if one is not silent]
    if not rest:
        return _of_other_namespace(selector, entry, look, end, silent)
    code = _misread(rest, look, end)
    if code is CauseCode.LABEL_NOT_IN_IDENTITY and silent in failing:
        return None
    if code is None:
        return None
    wanted = " and ".join(str(one) for one in rest)
    return Hint(code, entry, selector.path, wanted, end.key, complete=False)


def _misread(failing: Sequence[Requirement], look: Look, end: Endpoint) -> CauseCode | None:
    """Say which misreading of labels would explain all requirements that fail."""
    if any(one.source not in _PLAIN_SOURCES for one in failing):
        return None
    if all(_is_namespace_label(one, look, end) for one in failing):
        return CauseCode.NAMESPACE_LABEL_ON_POD_SELECTOR
    if all(_is_left_out(one, end) for one in failing):
        return CauseCode.LABEL_NOT_IN_IDENTITY
    return None


def _is_namespace_label(requirement: Requirement, look: Look, end: Endpoint) -> bool:
    if requirement.key in _SILENT_KEYS or requirement.key in end.pod_labels:
        return False
    if (written := wrong_key(requirement)) and labels_of_requirement(
        replace(requirement, key=written), end_labels(look, end)
    ):
        return True
    if requirement.key in _NAMESPACE_WORDS and end.namespace in requirement.values:
        return True
    namespace = look.cluster.namespaces.get(end.namespace)
    return namespace is not None and labels_of_requirement(requirement, namespace.labels)


def end_labels(look: Look, end: Endpoint) -> dict[str, str]:
    """The labels of a pod's namespace, under the keys that Cilium gives them."""
    namespace = look.cluster.namespaces.get(end.namespace)
    labels = namespace.labels if namespace is not None else {}
    return {f"{NAMESPACE_LABELS_KEY}.{key}": value for key, value in labels.items()}


def _is_left_out(requirement: Requirement, end: Endpoint) -> bool:
    """Whether the pod carries the label, but its identity does not, or not yet.

    Source: Cilium `pkg/labelsfilter/filter.go`; `pkg/endpoint/endpoint.go` `ModifyIdentityLabels`.
    """
    return labels_of_requirement(requirement, end.pod_labels)


def _of_other_namespace(
    selector: LabelSelector,
    entry: Entry,
    look: Look,
    end: Endpoint,
    silent: Requirement | None,
) -> Hint | None:
    """A peer of another namespace that the author must have meant: nobody else fits here."""
    if silent is None or _means_home(selector, entry, look):
        return None
    code = CauseCode.PEER_IN_OTHER_NAMESPACE
    return Hint(code, entry, selector.path, entry.namespace, end.namespace, complete=False)


def _means_home(selector: LabelSelector, entry: Entry, look: Look) -> bool:
    """Whether a selector without a namespace does what its author wanted.

    `{}` without ports is how a namespace is closed to others, with a port it was meant for "every
    pod" unless another rule with that port names the peer's namespace. Any other selector that
    finds pods at home which are what the peer is keeps the two apart on purpose.
    """
    if all(one.key in _SILENT_KEYS for one in selector.requirements):
        return not entry.ports or _another_names_namespace(entry, look)
    return any(
        selector.selects_labels(pod.labels) and _is_alike(pod, look)
        for pod in look.cluster.endpoints
        if pod.namespace == entry.namespace
    )


def _is_alike(pod: Endpoint, look: Look) -> bool:
    """Whether a pod is what the peer is, but at home: then the rule keeps the two apart."""
    peer = look.peer_end
    return peer is not None and stable_labels(pod) == stable_labels(peer)


def _another_names_namespace(entry: Entry, look: Look) -> bool:
    namespace = look.peer_end.namespace if look.peer_end else ""
    return any(
        requirement.key == NAMESPACE_KEY and namespace in requirement.values
        for other in look.allowing
        if other is not entry and look.port_fits(other)
        for selector in other.peers or ()
        if isinstance(selector, LabelSelector)
        for requirement in selector.requirements
    )


def _of_unmanaged(selector: LabelSelector, entry: Entry, look: Look, end: Endpoint) -> Hint | None:
    """A rule that names by its labels a pod which has no identity of its own."""
    if not selector.selects_labels(look.engine.labels_if_managed(end)):
        return None
    code = CauseCode.UNMANAGED_ENDPOINT
    if look.is_apiserver:
        code = CauseCode.KUBE_APISERVER_ENTITY
    got = "host network" if end.host_network else "not managed by Cilium"
    return Hint(code, entry, selector.path, selector.text, got, complete=False)


def _of_subject(
    entry: Entry, policy: ParsedPolicy, look: Look, subject: Endpoint
) -> Iterator[Hint]:
    """A rule that would allow the connection, in a policy that fails to select its own subject."""
    if entry.node:
        return
    path = entry.subject.path
    failing = [one for one in entry.subject.requirements if not one.fits(subject.labels)]
    if entry.namespace and entry.namespace != subject.namespace:
        others = all(one.key == NAMESPACE_KEY for one in failing)
        if others and _names_as_subject(policy, path, subject.namespace):
            code = CauseCode.PEER_IN_OTHER_NAMESPACE
            got = subject.namespace
            yield Hint(code, entry, path, entry.namespace, got, complete=True, subject=True)
        return
    code_or_none = _misread(failing, look, subject) if failing else None
    if code_or_none is not None:
        wanted = " and ".join(str(one) for one in failing)
        yield Hint(code_or_none, entry, path, wanted, subject.key, complete=True, subject=True)


def _names_as_subject(policy: ParsedPolicy, path: str, namespace: str) -> bool:
    written = at_path(policy.manifest.body, path)
    labels = written.get("matchLabels") if isinstance(written, dict) else None
    if not isinstance(labels, dict):
        return False
    return any(labels.get(prefix + NAMESPACE_KEY) == namespace for prefix in ("k8s:", "any:", ""))
