"""Kinds beside Cilium's own that decide about connections, and are not modelled here.

What is not modelled is reported as not read, so that every answer it could change says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.core.model.cluster import ClusterConfig
from app.core.model.kinds import POLICY_KINDS
from app.core.model.provenance import Manifest, Notice
from app.core.model.unread import UNREAD

FIRST_WITH_CLUSTER_NETWORK_POLICY = (1, 20, 0)
UNMODELLED_KINDS = (
    "AdminNetworkPolicy",
    "AuthorizationPolicy",
    "BaselineAdminNetworkPolicy",
    "CiliumClusterwideEnvoyConfig",
    "CiliumEnvoyConfig",
    "ClusterNetworkPolicy",
    "GlobalNetworkPolicy",
    "TCPRoute",
    "UDPRoute",
)
_ROUTES = ("TCPRoute", "UDPRoute")
_ADMIN = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
_ENVOY = ("CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig")
_GENERATED = ("cilium-gateway-", "cilium-ingress")
_GROUPS = {
    "NetworkPolicy": ("networking.k8s.io/", "extensions/"),
    "CiliumNetworkPolicy": ("cilium.io/",),
    "CiliumClusterwideNetworkPolicy": ("cilium.io/",),
}


def is_policy(manifest: Manifest) -> bool:
    """Say whether an object is a policy that Cilium reads, not another's of the same name.

    Calico has a NetworkPolicy of its own (`crd.projectcalico.org`, `projectcalico.org`).
    """
    groups = _GROUPS.get(manifest.ref.kind, ())
    return manifest.ref.kind in POLICY_KINDS and (
        not manifest.api_version or manifest.api_version.startswith(groups)
    )


def unmodelled(manifests: Iterable[Manifest], config: ClusterConfig) -> Iterator[Notice]:
    """Yield what decides too and is not modelled, and what looks as if it did.

    Source: Cilium `Documentation/network/kubernetes/policy.rst`: AdminNetworkPolicy is not
    implemented; ClusterNetworkPolicy needs 1.20 and `enable-k8s-cluster-network-policy`.
    """
    for manifest in manifests:
        ref = manifest.ref
        text, severity = _said(manifest, config)
        if text:
            yield Notice(f"{ref.kind} `{ref.name}` {text}", manifest.file, None, ref, severity)


def _said(manifest: Manifest, config: ClusterConfig) -> tuple[str, str]:
    kind = manifest.ref.kind
    if kind in _ADMIN:
        return "has no effect: Cilium does not implement this kind", "warning"
    if kind in _ROUTES:
        return "is not modelled: where it leads from a gateway's address is not known", UNREAD
    if kind == "ClusterNetworkPolicy":
        return _cluster_network_policy(config)
    if kind in _ENVOY:
        made = manifest.ref.name.startswith(_GENERATED)
        return ("", "") if made else ("sends traffic through Envoy: it is not modelled", UNREAD)
    owner = "Istio" if kind == "AuthorizationPolicy" else "Calico"
    return f"is {owner}'s, not Cilium's: what it decides is not modelled", UNREAD


def _cluster_network_policy(config: ClusterConfig) -> tuple[str, str]:
    if config.cilium_version < FIRST_WITH_CLUSTER_NETWORK_POLICY:
        return "has no effect: Cilium knows this kind from 1.20 on", "warning"
    if config.cluster_network_policy is False:
        return "has no effect: enable-k8s-cluster-network-policy is off", "warning"
    return "is not modelled: its tiers decide before and after every other policy", UNREAD
