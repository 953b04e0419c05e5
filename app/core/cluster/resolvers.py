"""Whom pods ask for names: the addresses that pods, and kubelets, are told.

Source: Kubernetes `PodSpec.dnsPolicy`, `PodDNSConfig.nameservers` and
`KubeletConfiguration.clusterDNS` (kubeadm keeps it in ConfigMap `kube-system/kubelet-config`);
`pkg/kubelet/network/dns/dns.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.cluster.tree import Tree, addresses, pairs, section, word, words
from app.core.model.cluster import Address
from app.core.model.provenance import Manifest

KUBELET_CONFIG = "kubelet-config"
"""With a version behind it up to Kubernetes 1.23: `kubelet-config-1.23`."""
_CLUSTER_DNS = re.compile(r"^clusterDNS:((?:\s*-\s*\S+)+|\s*\[.*\])", re.MULTILINE)
_WORD = re.compile(r"[0-9a-fA-F:.]+")


def nameservers(spec: Tree) -> tuple[Address, ...]:
    """The servers that a pod asks before, or instead of, the cluster's."""
    if word(spec, "dnsPolicy", "ClusterFirst") not in ("None", "Default"):
        return ()
    return addresses(words(section(spec, "dnsConfig"), "nameservers"))


def resolves_as_node(spec: Tree) -> bool:
    """Whether a pod asks the servers of its node, which no object tells."""
    return word(spec, "dnsPolicy") == "Default" and not nameservers(spec)


def cluster_dns(manifest: Manifest) -> Iterator[Address]:
    """Yield the addresses that a kubelet's configuration names for all pods."""
    for text in pairs(manifest.body, "data").values():
        for found in _CLUSTER_DNS.findall(text):
            yield from addresses(_WORD.findall(found))


def is_kubelet_config(manifest: Manifest) -> bool:
    """Say whether a ConfigMap holds kubeadm's configuration of kubelets."""
    return manifest.ref.namespace == "kube-system" and manifest.ref.name.startswith(KUBELET_CONFIG)
