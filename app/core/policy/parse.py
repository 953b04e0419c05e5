"""Policies of all kinds to the normal form, checked as the agent checks them."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.model.cluster import ClusterConfig
from app.core.model.kinds import CCNP, CNP, KNP
from app.core.model.provenance import Manifest, ObjectRef
from app.core.policy.cilium import read_cilium_policy
from app.core.policy.context import ParseContext
from app.core.policy.decode import Reader, Refused
from app.core.policy.kubernetes import read_network_policy
from app.core.policy.rules import Entry, ParsedPolicy, RejectedPolicy
from app.core.text import clean


def is_enabled(kind: str, config: ClusterConfig) -> bool:
    """Say whether the agent reads this kind of policy at all."""
    enabled = {
        KNP: config.enable_k8s_policy,
        CNP: config.enable_cilium_policy,
        CCNP: config.enable_cilium_clusterwide_policy,
    }
    return enabled.get(kind, False)


def parse_policy(manifest: Manifest, context: ParseContext) -> ParsedPolicy | RejectedPolicy:
    """Give the normal form, or the reason why the whole object is not enforced.

    One wrong rule voids the object: the agent stops at the first. Source: Cilium
    `pkg/policy/k8s/cilium_network_policy.go`.
    """
    ref = policy_ref(manifest)
    reader = Reader(manifest)
    try:
        entries = _entries(reader, ref, context)
    except Refused as refused:
        file, line = manifest.place_of(refused.path)
        return RejectedPolicy(
            ref,
            refused.reason,
            refused.path,
            file,
            line,
            refused.refused_by,
            manifest,
            reader.names_services,
            tuple(reader.dropped),
        )
    if (said := _said_invalid(manifest)) is not None:
        reason = f"its status says that it is not valid: {said}"
        return RejectedPolicy(
            ref, reason, "status", manifest.file, manifest.line_of("status"), manifest=manifest
        )
    warnings = tuple(reader.warnings)
    dropped = tuple(reader.dropped)
    return ParsedPolicy(ref, entries, manifest, warnings, reader.names_services, dropped)


def _said_invalid(manifest: Manifest) -> str | None:
    """What the cluster itself says is wrong with a policy; None when it says nothing.

    Source: Cilium `operator/pkg/networkpolicy/validator.go`, condition `Valid` of the status.
    """
    status = manifest.body.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    for one in conditions if isinstance(conditions, list) else ():
        if isinstance(one, Mapping) and (one.get("type"), one.get("status")) == ("Valid", "False"):
            return clean(str(one.get("message") or "no reason given"), 300)
    return None


def policy_ref(manifest: Manifest) -> ObjectRef:
    """Name the policy; a namespaced one without a namespace lands in `default`."""
    ref = manifest.ref
    if ref.kind == CCNP:
        return ObjectRef(ref.kind, "", ref.name)
    return ref if ref.namespace else ObjectRef(ref.kind, "default", ref.name)


def _entries(reader: Reader, ref: ObjectRef, context: ParseContext) -> tuple[Entry, ...]:
    body = reader.manifest.body
    if not ref.name:
        raise Refused("the object has no name", "metadata.name")
    if ref.kind == KNP:
        return read_network_policy(reader, body.get("spec"), ref.namespace, context)
    return read_cilium_policy(reader, body.get("spec"), body.get("specs"), ref.namespace, context)
