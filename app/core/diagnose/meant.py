"""What the author of a rule that does not match may have meant: the right key, group or field.

Only where exactly one thing fits is it named; everything here is said beside the cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.core.diagnose.look import Look
from app.core.diagnose.written import at_path
from app.core.model.cluster import Endpoint
from app.core.model.provenance import Manifest
from app.core.model.verdict import Miss
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
        return _right_labels(selector, look, look.peer_end)
    return ""


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
    failing = [
        one
        for one in selector.requirements
        if one.key not in _SILENT and not one.fits(look.identity.labels)
    ]
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
