"""The demo cluster as a source of Kubernetes objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from app.core.model.provenance import Manifest, ObjectRef
from app.ports import ClusterChange, ClusterPicture
from integrations.demo.objects import write_objects
from integrations.demo.reading import kept_reading
from integrations.demo.topology import read_topology

BOUNDARIES = Path(__file__).with_name("boundaries.toml")
"""What the demo's policies must keep."""


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
        reading = kept_reading()
        objects = tuple(_manifest(body) for body in write_objects(topology))
        settings = next(one for one in objects if one.ref.name == "cilium-config").body["data"]
        return ClusterPicture(
            objects + reading.manifests,
            self._now_ns(),
            reading.notices,
            settings=settings,
            cilium_version=topology.cilium_version,
            shadowed=reading.undeployed,
        )


def _manifest(body: dict[str, Any]) -> Manifest:
    meta = body["metadata"]
    ref = ObjectRef(body["kind"], meta.get("namespace", ""), meta["name"])
    return Manifest(ref, body["apiVersion"], body)
