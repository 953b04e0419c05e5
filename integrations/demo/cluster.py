"""The demo cluster as a source of Kubernetes objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.ports import ClusterChange, ClusterPicture
from integrations.demo.objects import write_objects
from integrations.demo.topology import Topology, read_topology
from integrations.manifests.found import CLUSTER_KINDS
from integrations.manifests.reader import Selected, load

GITOPS = Path(__file__).with_name("gitops")
"""The packaged GitOps tree that the demo's policies come from."""
BOUNDARIES = Path(__file__).with_name("boundaries.toml")
"""What the demo's policies must keep."""

_ENVIRONMENT = "prd"


class DemoCluster:
    """A small TRE with real mistakes in it; it never changes."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns

    @property
    def name(self) -> str:
        """What it is called on screen."""
        return "demo"

    async def read(self) -> ClusterPicture:
        """Give every object; policies with the file and line of the packaged tree."""
        return await asyncio.to_thread(self._read)

    async def watch(self) -> AsyncIterator[ClusterChange]:
        """End at once: the demo cluster is as it is."""
        return
        yield

    def _read(self) -> ClusterPicture:
        topology = read_topology()
        policies, undeployed, notices = _read_policies(topology)
        objects = tuple(_manifest(body) for body in write_objects(topology))
        settings = next(one for one in objects if one.ref.name == "cilium-config").body["data"]
        return ClusterPicture(
            objects + policies,
            self._now_ns(),
            notices,
            settings=settings,
            cilium_version=topology.cilium_version,
            shadowed=undeployed,
        )


def _manifest(body: dict[str, Any]) -> Manifest:
    meta, kind = body["metadata"], body["kind"]
    namespace = "" if kind in CLUSTER_KINDS else meta["namespace"]
    return Manifest(ObjectRef(kind, namespace, meta["name"]), body["apiVersion"], body)


def _read_policies(
    topology: Topology,
) -> tuple[tuple[Manifest, ...], tuple[Manifest, ...], tuple[Notice, ...]]:
    """Read what the environment `prd` runs, and the file that nobody noticed is in none."""
    loaded = load([str(GITOPS)], {"DOMAIN": topology.domain}, Selected(env=_ENVIRONMENT))
    notices = tuple(
        replace(notice, file=_inside(notice.file))
        for notice in loaded.notices
        if notice.file and notice.ref
    )
    return tuple(_placed(loaded.manifests)), tuple(_placed(loaded.undeployed)), notices


def _placed(manifests: tuple[Manifest, ...]) -> Iterator[Manifest]:
    for manifest in manifests:
        if source := manifest.source:
            roots = tuple(_inside(root) for root in source.deployed_by)
            placed = replace(source, file=_inside(source.file), deployed_by=roots)
            yield replace(manifest, source=placed)


def _inside(path: str) -> str:
    """A path as it reads inside the tree, wherever the package is installed."""
    return f"{GITOPS.name}/{path.rpartition(f'{GITOPS.name}/')[2]}"
