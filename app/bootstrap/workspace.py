"""The workspace over everything that was asked for: readers of objects, and their snapshot.

Every adapter is imported where it is built, so that a command loads what it uses and no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from app.bootstrap.drafts import load_boundaries
from app.bootstrap.flows import asks_relay, build_flow_sources, build_history, live_reader
from app.bootstrap.sources import Sources, SystemClock
from app.config import APP, Settings
from app.core.model.provenance import Manifest
from app.ports import ClusterReader
from app.services.contexts import Contexts
from app.services.located import LocatedReader
from app.services.picture import parse_version
from app.services.workspace import Workspace

if TYPE_CHECKING:
    from integrations.kubernetes.reader import KubernetesReader


def build_workspace(
    sources: Sources,
    settings: Settings,
    *,
    follow: bool = True,
    flows: bool = True,
    boundaries: str = "",
    judged: bool = True,
) -> Workspace:
    """The workspace over everything that was asked for; nothing is read yet.

    Without `follow` a replay is read as the recording it is, without `flows` there are none.
    `boundaries` is a file to read them from instead of that of the settings; they are left out
    where nothing is `judged` by them.
    """
    version = sources.cilium_version or settings.cluster.cilium_version
    live = live_reader(sources, settings) if sources.live_objects else None
    history = build_history(sources, settings) if flows else None
    return Workspace(
        build_readers(sources, settings, live),
        build_flow_sources(sources, settings, follow=follow, live=live, history=history)
        if flows
        else (),
        clock=SystemClock(),
        cilium_version=parse_version(version) if version else None,
        keep_flows=settings.flows.keep,
        history=history,
        boundaries=load_boundaries(sources, settings, boundaries) if judged else (),
        can_narrow=asks_relay(sources),
    )


def build_contexts(sources: Sources, settings: Settings) -> Contexts:
    """The clusters of the kubeconfig that one can switch to; none when objects come from files."""
    if not sources.live_objects:
        return Contexts()

    @cache
    def names() -> tuple[str, ...]:
        from integrations.kubernetes.client import Credentials, context_names

        return context_names(Credentials(sources.kubeconfig or settings.cluster.kubeconfig))

    return Contexts(names, lambda name: build_workspace(replace(sources, context=name), settings))


def build_readers(
    sources: Sources, settings: Settings, live: KubernetesReader | None
) -> tuple[ClusterReader, ...]:
    """Readers of objects: the demo, files, or the live cluster.

    With a cluster, files are where its policies are written, not objects of their own.
    """
    readers: list[ClusterReader] = []
    if sources.demo:
        from integrations.demo.cluster import DemoCluster

        readers.append(DemoCluster())
    if live is not None:
        readers.append(_located(live, sources, settings))
    elif sources.snapshots:
        readers.append(_files(sources.snapshots, sources, settings))
    return tuple(readers)


def _files(paths: tuple[str, ...], sources: Sources, settings: Settings) -> ClusterReader:
    from integrations.manifests.reader import ManifestReader, Selected

    selected = Selected(sources.env, sources.clusters, sources.rendered, sources.helm)
    return ManifestReader(paths, sources.sets, selected, cache=cache_folder(settings))


def cache_folder(settings: Settings) -> Path | None:
    """Where parsed files are kept; None where they are not to be."""
    if not settings.cache.enabled:
        return None
    from platformdirs import user_cache_path

    return Path(settings.cache.folder or user_cache_path(APP) / "manifests")


def _located(live: ClusterReader, sources: Sources, settings: Settings) -> ClusterReader:
    checkout = sources.snapshots or ((settings.repo.path,) if settings.repo.path else ())
    return LocatedReader(live, _files(checkout, sources, settings)) if checkout else live


def save_snapshot(
    manifests: Iterable[Manifest],
    file: str,
    *,
    redact_key: bytes | None = None,
    keep_addresses: bool = False,
) -> int:
    """Write what `--snapshot` reads; gives how many objects. Raises `BadInput`."""
    from integrations.kubernetes.snapshot import write_snapshot

    return write_snapshot(
        manifests, Path(file), redact_key=redact_key, keep_addresses=keep_addresses
    )
