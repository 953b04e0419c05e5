"""What a cluster itself uses of the address space, so that nothing of it counts as outside."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.core.model.cluster import Address, Cluster, Network


@dataclass(frozen=True, slots=True)
class Inside:
    """The blocks that pods get their addresses from, and every address in use.

    `versions` are the families of pods and nodes, `made_of` the parts of the cluster that say so.
    """

    blocks: frozenset[Network]
    addresses: frozenset[Address]
    versions: frozenset[int]
    made_of: tuple[object, ...] = field(compare=False, repr=False)

    @classmethod
    def of(cls, cluster: Cluster) -> Inside:
        """Collect them."""
        blocks: set[Network] = set()
        addresses: set[Address] = {*cluster.apiserver_addresses, *cluster.local_addresses}
        for endpoint in cluster.endpoints:
            addresses.update(endpoint.addresses)
        spoken = {one for node in cluster.nodes for one in node.addresses} | {
            one for endpoint in cluster.endpoints for one in endpoint.addresses
        }
        versions = {address.version for address in spoken}
        for node in cluster.nodes:
            blocks.update(node.pod_blocks)
            addresses.update(node.addresses, node.health_addresses, node.ingress_addresses)
        for service in cluster.services:
            addresses.update(service.cluster_ips, service.external_ips)
        return cls(frozenset(blocks), frozenset(addresses), frozenset(versions), _parts(cluster))

    def is_of(self, cluster: Cluster) -> bool:
        """Say whether a cluster has the same parts, so that nothing of it has changed."""
        return self.made_of == _parts(cluster)


def _parts(cluster: Cluster) -> tuple[object, ...]:
    return (
        cluster.endpoints,
        cluster.nodes,
        cluster.services,
        cluster.apiserver_addresses,
        cluster.local_addresses,
    )
