"""What a bug report needs, and nothing that names anything of the cluster or its people.

Only words of this program, of Kubernetes and of Cilium leave, and counts: no name, label, address,
path, message or value of a setting. So it can be sent as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.flows.times import NS_PER_S
from app.core.model.provenance import Manifest
from app.ports import Right, SourceState
from app.services.picture import Picture

COUNTED = frozenset(
    {
        "ConfigMap", "CronJob", "DaemonSet", "Deployment", "Endpoints", "EndpointSlice", "Gateway",
        "GRPCRoute", "HTTPRoute", "Ingress", "Job", "List", "Namespace", "NetworkPolicy", "Node",
        "Pod", "ReplicaSet", "Secret", "Service", "StatefulSet", "TCPRoute", "TLSRoute", "UDPRoute",
        "CiliumCIDRGroup", "CiliumClusterwideNetworkPolicy", "CiliumEndpoint", "CiliumIdentity",
        "CiliumLocalRedirectPolicy", "CiliumNetworkPolicy", "CiliumNode",
    }
)  # fmt: skip
"""Kinds counted by their name; another kind could be called after anything."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What runs: releases by package, the settings that were changed by key."""

    version: str
    python: str
    platform: str
    packages: Mapping[str, str]
    settings: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    """The options that say where data come from, without their values."""


def write_report(
    picture: Picture,
    installation: Installation,
    *,
    objects: Iterable[Manifest],
    flows: Mapping[str, int],
    now_ns: int,
) -> dict[str, Any]:
    """Give the report as a form. `flows` counts what is kept and what was lost."""
    cluster = picture.cluster
    return {
        "program": {
            "version": installation.version,
            "python": installation.python,
            "platform": installation.platform,
            "packages": dict(installation.packages),
        },
        "given": list(installation.given),
        "settings": sorted(installation.settings),
        "cilium": ".".join(map(str, cluster.config.cilium_version)),
        "sources": [_source(state, now_ns) for state in picture.sources.values()],
        "rights": [_right(right) for right in picture.rights],
        "objects": _by_kind(objects),
        "counts": {
            "namespaces": len(cluster.namespaces),
            "endpoints": len(cluster.endpoints),
            "services": len(cluster.services),
            "nodes": len(cluster.nodes),
            "routes": len(cluster.routes),
            "learned names": len(cluster.learned_names),
            "policies": len(cluster.policies),
            "policies refused": len(picture.engine.rejected),
        },
        "notices": dict(sorted(Counter(one.severity for one in picture.notices).items())),
        "unread": len(cluster.unread),
        "flows": dict(flows),
    }


def _by_kind(objects: Iterable[Manifest]) -> dict[str, int]:
    kinds = (one.ref.kind for one in objects)
    return dict(sorted(Counter(kind if kind in COUNTED else "other" for kind in kinds).items()))


def _source(state: SourceState, now_ns: int) -> dict[str, Any]:
    cause = str(state.detail.get("cause", ""))
    age_s = max(0, now_ns - state.since_ns) // NS_PER_S
    return {"phase": state.phase, "cause": cause or None, "for_s": age_s}


def _right(right: Right) -> dict[str, Any]:
    scope = right.scope if right.scope == "cluster" else "namespaces"
    return {"kind": right.kind, "verb": right.verb, "allowed": right.allowed, "scope": scope}


def report_lines(report: Mapping[str, Any]) -> Sequence[str]:
    """The report as a person reads it: one line for each thing, in its order."""
    lines = []
    for key, value in report.items():
        if isinstance(value, Mapping):
            lines += [f"{key}: {name}: {_word(one)}" for name, one in value.items()]
        elif value and isinstance(value, list) and isinstance(value[0], Mapping):
            lines += [f"{key}: {_word(one)}" for one in value]
        else:
            lines.append(f"{key}: {_word(value)}")
    return lines


def _word(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_word(one)}" for name, one in value.items() if one is not None)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
