"""What the meaning of a policy depends on besides its own text."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from app.core.model.cluster import Cluster, ClusterConfig, Network, Service
from app.core.model.labels import ANY_SOURCE, K8S_SOURCE
from app.core.policy.selectors import CLUSTER_KEY, SelectorDraft, Version, delimiter_of


@dataclass(frozen=True, slots=True)
class ParseContext:
    """The agent's version and settings, and the Services that toServices refers to."""

    config: ClusterConfig = ClusterConfig()
    services: tuple[Service, ...] = ()

    @classmethod
    def of(cls, cluster: Cluster) -> ParseContext:
        """Take from a cluster what parsing needs."""
        return cls(cluster.config, cluster.services)

    @property
    def version(self) -> Version:
        """The agent's version, down to the patch release."""
        return self.config.cilium_version

    @property
    def delimiter(self) -> str:
        """What joins a label's source and name inside this version."""
        return delimiter_of(self.version)

    @property
    def peer_cluster(self) -> str:
        """The cluster that peers are confined to; empty when they are not (before 1.19)."""
        return self.config.cluster_name if self.config.default_local_cluster else ""

    def confine_to_cluster(self, draft: SelectorDraft) -> None:
        """Add the own cluster to a peer selector that names none.

        Source: Cilium `pkg/k8s/apis/cilium.io/utils/utils.go` `addClusterFilterByDefault`.
        """
        named = draft.has_key(K8S_SOURCE, CLUSTER_KEY) or draft.has_key(ANY_SOURCE, CLUSTER_KEY)
        if self.peer_cluster and not named:
            draft.imply(CLUSTER_KEY, self.peer_cluster)

    def world_key(self, block: Network) -> str:
        """Name the world label that stands for a block of length 0.

        Source: Cilium `pkg/labels/cidr.go` `getWorldLabel`: one family alone has plain `world`.
        """
        if isinstance(block, IPv4Network):
            return "world-ipv4" if self.config.dual_stack else "world"
        return "world-ipv6"
