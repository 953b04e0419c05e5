"""Policies of all kinds to the normal form, checked as the agent checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.core.model.cluster import ClusterConfig
from app.core.model.kinds import CCNP, CNP, KNP
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.core.policy.cilium import read_cilium_policy
from app.core.policy.context import ParseContext
from app.core.policy.decode import Reader, Refused
from app.core.policy.kubernetes import read_network_policy
from app.core.policy.rules import Entry, LabelSelector, ParsedPolicy, RejectedPolicy
from app.core.policy.unfilled import STANDS_FOR, at_least, at_most, is_nobody, placeholders
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

    One wrong rule voids the object: the agent stops at the first. Placeholders are no such wrong:
    of a policy with some, the entries are the least it does (see `app.core.policy.unfilled`).
    Source: Cilium `pkg/policy/k8s/cilium_network_policy.go`.
    """
    found = _parse(manifest, context)
    names = placeholders([manifest.body.get("spec"), manifest.body.get("specs")])
    return found if not names else _unfilled(found, manifest, context, names)


def _unfilled(
    found: ParsedPolicy | RejectedPolicy,
    manifest: Manifest,
    context: ParseContext,
    names: tuple[str, ...],
) -> ParsedPolicy | RejectedPolicy:
    """The least that a policy with placeholders does, and beside it the most."""
    kind = manifest.ref.kind
    if isinstance(found, RejectedPolicy):
        least = _parse_as(at_least(manifest.body, kind), manifest, context)
        if isinstance(least, RejectedPolicy):
            return found  # something else in it is wrong, too
        found = replace(least, entries=tuple(map(_in_words, least.entries)))
    most = _parse_as(at_most(manifest.body, kind), manifest, context)
    entries = most.entries if isinstance(most, ParsedPolicy) else ()
    said = ", ".join(f"${{{name}}}" for name in names)
    text = f"{found.ref}: {said} has no value; what it stands for is not known"
    notice = Notice(text, manifest.file, manifest.line_of("spec"), found.ref)
    return replace(found, warnings=(*found.warnings, notice), unfilled=entries, open_names=names)


def _in_words(entry: Entry) -> Entry:
    """Call the peers that stand for nobody what they stand for."""
    if not any(isinstance(one, LabelSelector) and is_nobody(one) for one in entry.peers or ()):
        return entry
    peers = tuple(
        replace(one, text=STANDS_FOR) if isinstance(one, LabelSelector) and is_nobody(one) else one
        for one in entry.peers or ()
    )
    return replace(entry, peers=peers)


def _parse_as(
    body: Mapping[str, Any], manifest: Manifest, context: ParseContext
) -> ParsedPolicy | RejectedPolicy:
    """Parse another body of a manifest, under its own lines."""
    selects_nobody = body.get("spec") is None and not body.get("specs")
    if selects_nobody:
        return ParsedPolicy(policy_ref(manifest), (), manifest)
    parsed = _parse(replace(manifest, body=body), context)
    return replace(parsed, manifest=manifest)


def _parse(manifest: Manifest, context: ParseContext) -> ParsedPolicy | RejectedPolicy:
    ref = policy_ref(manifest)
    reader = Reader(manifest)
    try:
        entries = _entries(reader, ref, context)
    except Refused as refused:
        file, line = manifest.place_of(refused.path)
        return RejectedPolicy(
            ref=ref,
            reason=refused.reason,
            path=refused.path,
            file=file,
            line=line,
            refused_by=refused.refused_by,
            manifest=manifest,
            names_services=reader.names_services,
            dropped=tuple(reader.dropped),
        )
    if (said := _said_invalid(manifest)) is not None:
        reason = f"its status says that it is not valid: {said}"
        return RejectedPolicy(
            ref, reason, "status", manifest.file, manifest.line_of("status"), manifest=manifest
        )
    warnings = tuple(reader.warnings)
    dropped = tuple(reader.dropped)
    return ParsedPolicy(
        ref=ref,
        entries=entries,
        manifest=manifest,
        warnings=warnings,
        names_services=reader.names_services,
        dropped=dropped,
    )


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
