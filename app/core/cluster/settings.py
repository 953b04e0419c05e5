"""The agent's configuration and version, from what the cluster says of them.

Source: ConfigMap `kube-system/cilium-config`; a missing key means the agent's own default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from app.core.cluster.tree import Tree, blocks_of, items, section, word
from app.core.model.cluster import ClusterConfig, EnforcementMode

AGENT_DAEMONSET = "cilium"
AGENT_CONTAINER = "cilium-agent"
CONFIG_MAP = "cilium-config"

_TAG = re.compile(r":v?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?=[-+@]|\Z)")
_TRUE = frozenset({"true", "1", "t"})


def apply_settings(config: ClusterConfig, settings: Mapping[str, str]) -> ClusterConfig:
    """Give the configuration with the `cilium-config` keys that are set."""

    def flag(key: str, *, default: bool) -> bool:
        value = settings.get(key)
        return default if value is None else value.strip().lower() in _TRUE

    modes = {part.strip() for part in settings.get("policy-cidr-match-mode", "").split(",")}
    mode = settings.get("enable-policy", config.enforcement.value).lower()
    local = settings.get("policy-default-local-cluster")
    ipv4, ipv6 = flag("enable-ipv4", default=True), flag("enable-ipv6", default=config.dual_stack)
    return ClusterConfig(
        cilium_version=config.cilium_version,
        cluster_name=settings.get("cluster-name") or config.cluster_name,
        dual_stack=ipv4 and ipv6,
        enforcement=EnforcementMode(mode) if mode in set(EnforcementMode) else config.enforcement,
        host_firewall=flag("enable-host-firewall", default=config.host_firewall),
        cidr_match_nodes="nodes" in modes or config.cidr_match_nodes,
        cidr_match_pods="pods" in modes or config.cidr_match_pods,
        policy_default_local_cluster=config.policy_default_local_cluster
        if local is None
        else local.strip().lower() in _TRUE,
        label_filter=tuple(settings.get("labels", "").split()) or config.label_filter,
        allow_localhost=settings.get(
            "allow-localhost", "auto" if config.allow_localhost else "policy"
        )
        != "policy",
        l7_proxy=flag("enable-l7-proxy", default=config.l7_proxy),
        icmp_rules=flag("enable-icmp-rules", default=config.icmp_rules),
        node_selector_labels=flag(
            "enable-node-selector-labels", default=config.node_selector_labels
        ),
        node_label_filter=_listed(settings.get("node-labels")) or config.node_label_filter,
        excluded_local=blocks_of(_listed(settings.get("exclude-local-address")))
        or config.excluded_local,
        extended_ip_protocols=flag(
            "enable-extended-ip-protocols", default=config.extended_ip_protocols
        ),
        non_default_deny_policies=flag(
            "enable-non-default-deny-policies", default=config.non_default_deny_policies
        ),
        audit_mode=flag("policy-audit-mode", default=config.audit_mode),
        gateway_api=flag("enable-gateway-api", default=config.gateway_api),
        kube_proxy_replacement=flag(
            "kube-proxy-replacement", default=config.kube_proxy_replacement
        ),
        routing_mode=_routing_mode(settings) or config.routing_mode,
        lb_mode=settings.get("bpf-lb-mode", config.lb_mode).lower(),
        local_redirect=flag("enable-local-redirect-policy", default=False) if settings else None,
        cluster_network_policy=flag("enable-k8s-cluster-network-policy", default=False)
        if settings
        else None,
        enable_k8s_policy=flag("enable-k8s-networkpolicy", default=config.enable_k8s_policy),
        enable_cilium_policy=flag(
            "enable-cilium-network-policy", default=config.enable_cilium_policy
        ),
        enable_cilium_clusterwide_policy=flag(
            "enable-cilium-clusterwide-network-policy",
            default=config.enable_cilium_clusterwide_policy,
        ),
    )


def _routing_mode(settings: Mapping[str, str]) -> str:
    """Read how packets go between nodes; a tunnel is the agent's default.

    Source: Cilium `pkg/option/config.go` `RoutingMode`; `tunnel: disabled` up to 1.14.
    """
    if not settings:
        return ""
    if settings.get("tunnel", "").lower() == "disabled":
        return "native"
    return settings.get("routing-mode", "tunnel").lower()


def _listed(value: str | None) -> tuple[str, ...]:
    return tuple((value or "").replace(",", " ").split())


def version_of_daemonset(body: Tree) -> tuple[int, int, int] | None:
    """Read the agent's version from the image tag of the DaemonSet `cilium`."""
    containers = list(items(section(body, "spec", "template", "spec"), "containers"))
    named = [item for item in containers if word(item, "name") == AGENT_CONTAINER]
    for container in named or containers:
        match = _TAG.search(word(container, "image"))
        if match:
            major, minor, patch = (int(part) for part in match.groups())
            return major, minor, patch
    return None
