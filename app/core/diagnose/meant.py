"""What the author of a rule that does not match may have meant: the right key, group or field.

Only where exactly one thing fits is it named; everything here is said beside the cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.core.diagnose.look import Look
from app.core.diagnose.services import services_before
from app.core.diagnose.written import at_path
from app.core.model.cluster import Endpoint, Service
from app.core.model.labels import LabelSet
from app.core.model.provenance import Manifest
from app.core.model.verdict import Effect, Miss
from app.core.policy.engine import Engine
from app.core.policy.rules import GroupSelector, LabelSelector, Operator, PeerSelector, Requirement
from app.core.policy.selectors import CLUSTER_KEY, NAMESPACE_KEY, NAMESPACE_LABELS_KEY

WRONG_PREFIX = f"{NAMESPACE_KEY}.labels."
"""How labels of namespaces are often, and wrongly, written."""
_SILENT = frozenset({NAMESPACE_KEY, CLUSTER_KEY})


def say_meant(miss: Miss, look: Look, engine: Engine) -> str:
    """Say what the nearest rule should have named; empty where nothing or too much fits."""
    selector = _selector_of(miss, engine)
    if isinstance(selector, GroupSelector):
        return _missing_group(miss, engine)
    if isinstance(selector, LabelSelector) and look.peer_end is not None:
        of_service = _labels_of_service(selector, look, look.peer_end)
        return of_service or _right_labels(selector, look, look.peer_end)
    return ""


def is_about_others(miss: Miss, look: Look, engine: Engine) -> bool:
    """Whether the nearest rule's peer has nothing in common with the other end: it means others."""
    selector = _selector_of(miss, engine)
    if not isinstance(selector, LabelSelector) or look.peer_end is None:
        return False
    asked = [one for one in selector.requirements if one.key != CLUSTER_KEY]
    return len(asked) > 1 and not any(one.fits(look.identity.labels) for one in asked)


def _labels_of_service(selector: LabelSelector, look: Look, end: Endpoint) -> str:
    """Labels that a Service in front of the pod has, and the pod has not."""
    failing = _failing(selector, look.identity.labels)
    for service in services_before(end, look.cluster):
        if failing and all(_is_on(service.labels, one) for one in failing):
            return _of_service(failing, service, end)
    return ""


def say_service_subject(look: Look) -> Iterator[str]:
    """Policies that would allow this, and select pods by labels that only their Service has."""
    subject = look.subject
    if subject is None:
        return
    services = services_before(subject, look.cluster)
    for policy in look.engine.policies if services else ():
        for entry in policy.entries:
            allows = entry.direction is look.direction and entry.effect is Effect.ALLOW
            here = entry.namespace in ("", subject.namespace)
            if not (allows and here and look.peer_fits(entry)) or look.selects_subject(entry):
                continue
            failing = _failing(entry.subject, subject.labels)
            for service in services:
                if failing and all(_is_on(service.labels, one) for one in failing):
                    said = _of_service(failing, service, subject)
                    yield f"`{policy.ref.name}` does not select {subject.key}: {said}"
                    return


def _failing(selector: LabelSelector, labels: LabelSet) -> list[Requirement]:
    return [one for one in selector.requirements if one.key not in _SILENT and not one.fits(labels)]


def _is_on(labels: Mapping[str, str], wanted: Requirement) -> bool:
    """Whether labels hold what a requirement asks for; absence is nothing that could be meant."""
    return wanted.operator is Operator.IN and labels.get(wanted.key) in wanted.values


def _of_service(failing: Sequence[Requirement], service: Service, end: Endpoint) -> str:
    """Say whose label it is. Source: Cilium `pkg/k8s/utils/utils.go` (`GetPodMetadata`)."""
    asked = " and ".join(str(one).removeprefix("k8s:") for one in failing)
    own = {one.key: end.pod_labels[one.key] for one in failing if one.key in end.pod_labels}
    has = " and ".join(f"{key}={value}" for key, value in own.items())
    said = f"{asked} is a label of Service {service.key}, and policies see labels of pods only"
    return f"{said}; {end.key} has {has}" if has else f"{said}; {end.key} has none such"


def _selector_of(miss: Miss, engine: Engine) -> PeerSelector | None:
    for policy in engine.policies:
        for entry in policy.entries if policy.ref == miss.rule.policy else ():
            for selector in entry.peers or () if entry.rule == miss.rule else ():
                if selector.path == miss.path:
                    return selector
    return None


def _missing_group(miss: Miss, engine: Engine) -> str:
    """A CIDR group that is not there selects nobody.

    Source: Cilium `pkg/policy/k8s/watcher.go`, `pkg/ipcache/cidr_groups`.
    """
    written = None
    for policy in engine.policies:
        if policy.ref == miss.rule.policy:
            written = at_path(policy.manifest.body, miss.path)
    name = written.get("cidrGroupRef") if isinstance(written, Mapping) else None
    if not isinstance(name, str) or any(one.name == name for one in engine.cluster.cidr_groups):
        return ""
    return f"there is no CiliumCIDRGroup `{name}` among the objects, so it selects nobody"


def _right_labels(selector: LabelSelector, look: Look, end: Endpoint) -> str:
    """Every label that fails, with the one that the pod has in its place."""
    failing = _failing(selector, look.identity.labels)
    meant = [tuple(_instead(one, look, end)) for one in failing]
    if not meant or any(len(one) != 1 for one in meant):
        return ""
    asked = " and ".join(str(one) for one in failing)
    return f"instead of {asked} it could name {' and '.join(one[0] for one in meant)}"


def _instead(wanted: Requirement, look: Look, end: Endpoint) -> Iterator[str]:
    """The labels of the pod, or of its namespace, that a requirement may mean."""
    if wanted.operator is not Operator.IN or len(wanted.values) != 1:
        return
    value = next(iter(wanted.values))
    namespace = look.cluster.namespaces.get(end.namespace)
    spaces = namespace.labels if namespace is not None else {}
    if wanted.key.startswith(WRONG_PREFIX):
        rest = wanted.key.removeprefix(WRONG_PREFIX)
        if spaces.get(rest) == value:
            yield f"{NAMESPACE_LABELS_KEY}.{rest}={value}"
        return
    if wanted.key.startswith(f"{NAMESPACE_LABELS_KEY}."):
        rest = wanted.key.removeprefix(f"{NAMESPACE_LABELS_KEY}.")
        if end.pod_labels.get(rest) == value:
            yield f"{rest}={value} in a podSelector, for it is a label of the pod"
        return
    yield from _alike(wanted.key, value, end.pod_labels)


def _alike(key: str, value: str, labels: Mapping[str, str]) -> Iterator[str]:
    """Labels that say the same under another key, or nearly the same under this one."""
    own = labels.get(key)
    if own is not None:
        if _is_same_word(own, value):
            yield f"{key}={own}"
        return
    for other, held in labels.items():
        if held == value or (_is_same_word(other, key) and _is_same_word(held, value)):
            yield f"{other}={held}"


def _is_same_word(one: str, other: str) -> bool:
    """Singular and plural, or the same but for case."""
    shorter, longer = sorted((one.lower(), other.lower()), key=len)
    return shorter == longer or longer in (f"{shorter}s", f"{shorter}es")


def wrong_key(wanted: Requirement) -> str:
    """The key under which Cilium keeps a namespace's label that was written with another prefix.

    Source: Cilium `pkg/k8s/apis/cilium.io/const.go` (`PodNamespaceMetaLabels`).
    """
    if not wanted.key.startswith(WRONG_PREFIX):
        return ""
    return f"{NAMESPACE_LABELS_KEY}.{wanted.key.removeprefix(WRONG_PREFIX)}"


def say_dropped(manifest: Manifest, dropped: tuple[str, ...], rule_path: str) -> Iterator[str]:
    """Say which fields of a rule the API server drops: what its author wrote has no effect."""
    for path in dropped:
        if path == rule_path or path.startswith(f"{rule_path}."):
            place, _, name = path.rpartition(".")
            line = manifest.line_of(path)
            at = f" ({manifest.file}:{line})" if manifest.file and line else ""
            yield (
                f"`{name}` at {place.removeprefix('spec.')} of `{manifest.ref.name}`{at} is no "
                f"field there: the API server drops it"
            )
