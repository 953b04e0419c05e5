"""Pods that were read before: of a cluster that changes, most are what they were.

A pod is read from its own object, its namespace, the owners of its owner and the settings, and
from what Cilium published of it. Where each of these is what it was, so is the pod, and it is the
same `Endpoint` object, by which the engine knows that nothing about it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.core.cluster import nodes, pods
from app.core.cluster.tree import BrokenObject
from app.core.model.cluster import Address, ClusterConfig, Endpoint, Namespace
from app.core.model.labels import LabelSet
from app.core.model.provenance import Manifest

Published = Mapping[tuple[str, str], pods.CiliumEndpoint]


@dataclass(frozen=True, slots=True)
class PodRead:
    """One pod with all that it was read from; `plain` is the pod without what Cilium published."""

    manifest: Manifest
    plain: Endpoint
    local: tuple[Address, ...]
    published: tuple[pods.CiliumEndpoint | None, LabelSet | None, bool]
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class PodBook:
    """The pods of one cluster by the identity of their objects, and what all were read from."""

    config: ClusterConfig
    owners: pods.Owners
    namespaces: Mapping[str, Namespace]
    pods: Mapping[int, PodRead] = field(default_factory=dict)


class PodReader:
    """Reads the pods of a cluster, most of them from the book of the cluster before."""

    def __init__(self, new: PodBook, before: PodBook | None) -> None:
        self.book = new
        self._read: dict[int, PodRead] = {}
        self._known: Mapping[int, PodRead] = {}
        self._same: frozenset[str] = frozenset()
        if before is not None and (before.config, before.owners) == (new.config, new.owners):
            self._known = before.pods
            self._same = frozenset(
                name for name, one in new.namespaces.items() if before.namespaces.get(name) == one
            )

    def plain(self, manifest: Manifest) -> tuple[Manifest, Endpoint, PodRead | None]:
        """Read a pod by itself, or find that it was read. Raises BrokenObject."""
        known = self._known.get(id(manifest))
        if known is not None and manifest.ref.namespace in self._same:
            return manifest, known.plain, known
        book = self.book
        found = pods.read_pod(manifest, book.namespaces, book.config, book.owners)
        return manifest, found, None

    def seen(
        self,
        found: Iterable[tuple[Manifest, Endpoint, PodRead | None]],
        published: Published,
        numbers: Mapping[int, LabelSet],
    ) -> list[Endpoint]:
        """Give the pods as Cilium sees them, and write them into the book."""
        several = []
        for manifest, plain, known in found:
            own = published.get((plain.namespace, plain.name))
            labels = numbers.get(own.identity) if own is not None and own.identity else None
            told = own, labels, bool(published)
            read = known
            if read is None or read.published != told:
                endpoint = pods.with_cilium(plain, own, numbers, known=bool(published))
                local = read.local if read is not None else _local(manifest)
                read = PodRead(manifest, plain, local, told, endpoint)
            self._read[id(manifest)] = read
            several.append(read.endpoint)
        return several

    def finished(self) -> PodBook:
        """The book of this cluster."""
        book = self.book
        return PodBook(book.config, book.owners, book.namespaces, self._read)


def _local(manifest: Manifest) -> tuple[Address, ...]:
    try:
        return tuple(nodes.local_addresses(manifest))
    except BrokenObject:  # the reader of pods says what is wrong with it
        return ()
