"""What a headless recorder is made of: a workspace whose flows go on where its history ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.bootstrap.drafts import load_boundaries
from app.bootstrap.flows import build_history, flow_source_of, live_reader
from app.bootstrap.sources import Sources, SystemClock
from app.bootstrap.workspace import build_readers
from app.config import Settings
from app.services.kept import Kept
from app.services.picture import parse_version
from app.services.recorder import Reading
from app.services.resuming import Resuming
from app.services.workspace import Workspace


class Closable(Protocol):
    """Something that serves until it is closed."""

    @property
    def address(self) -> str:
        """Where it listens."""
        ...

    def close(self) -> None:
        """Stop serving."""
        ...


def build_recorder(sources: Sources, settings: Settings) -> tuple[Workspace, Resuming] | None:
    """The workspace of a recorder, and its source; None where the settings keep no history."""
    live = live_reader(sources, settings) if sources.live_objects else None
    history = build_history(sources, settings, demo=True)
    source = flow_source_of(sources, settings, follow=True, live=live)
    if history is None or source is None:
        return None
    resuming = Resuming(source, history)
    version = sources.cilium_version or settings.cluster.cilium_version
    workspace = Workspace(
        build_readers(sources, settings, live),
        (Kept(resuming, history),),
        clock=SystemClock(),
        cilium_version=parse_version(version) if version else None,
        keep_flows=settings.flows.keep,
        history=history,
        boundaries=load_boundaries(sources, settings),
    )
    return workspace, resuming


def build_metrics_server(host: str, port: int, read: Callable[[], Reading]) -> Closable:
    """Serve metrics. Raises `SourceUnavailable` for an address that is in use."""
    from integrations.metrics.server import MetricsServer

    return MetricsServer(host, port, read)
