"""Sources of flows: recordings, the demo's traffic, Relay, and the history on disk.

Every adapter is imported where it is built, so that a command loads what it uses and no more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.bootstrap.sources import Sources, SystemClock, redaction_key
from app.config import APP, Settings, find_secret
from app.ports import FlowHistory, FlowSource
from app.services.flows import Sifted
from app.services.kept import Kept

if TYPE_CHECKING:
    from integrations.kubernetes.forward import RelayForward
    from integrations.kubernetes.reader import KubernetesReader

TLS_PREFIX = "tls://"
HUBBLE_NAMESPACE = "kube-system"
CLICKHOUSE_PASSWORD = "CLICKHOUSE_PASSWORD"  # noqa: S105  # the variable's name


def build_flow_sources(
    sources: Sources,
    settings: Settings,
    *,
    follow: bool,
    live: KubernetesReader | None = None,
    history: FlowHistory | None = None,
) -> tuple[FlowSource, ...]:
    """Sources of flows: a recording, else the demo's traffic, else the cluster's own Relay.

    A snapshot without a recording has none. What passes is kept in `history`, and with `record`
    also written down.
    """
    found = flow_source_of(sources, settings, follow=follow, live=live)
    if found is None:
        return ()
    if history is not None:
        found = Kept(found, history)
    if not sources.record:
        return (found,)
    from integrations.hubble.recording import Recorded

    return (Recorded(found, sources.record, redact=flow_redaction(sources)),)


def flow_redaction(
    sources: Sources, environ: Mapping[str, str] = os.environ
) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    """What turns a flow in Hubble's form into stand-ins; None where nobody asked for it."""
    if not sources.redact:
        return None
    from app.core.redaction.redactor import Redactor

    return Redactor(redaction_key(environ)).flow


def build_history(
    sources: Sources,
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
    *,
    demo: bool = False,
) -> FlowHistory | None:
    """The history of a cluster, in ClickHouse or on disk; it keeps only what Relay gives.

    None where the settings want none, or nothing comes from Relay; `demo` keeps the demo's too.
    """
    flows = settings.flows
    made_up = demo and sources.demo
    if not flows.history or not (asks_relay(sources) or made_up):
        return None
    context = "demo" if made_up else sources.context or settings.cluster.context or "current"
    cluster = context if made_up else sources.hubble_address or settings.hubble.address or context
    if flows.clickhouse:
        from integrations.history.clickhouse import ClickHouseHistory, Server

        password = find_secret(environ, CLICKHOUSE_PASSWORD)
        return ClickHouseHistory(
            Server(
                flows.clickhouse,
                user=flows.clickhouse_user,
                password=password.reveal() if password else "",
                database=flows.clickhouse_database,
                table="flows_" + re.sub(r"[^A-Za-z0-9]+", "_", cluster),
                days=flows.history_days,
            )
        )
    from platformdirs import user_state_path

    from integrations.history.sqlite import Limits, SqliteHistory

    root = Path(flows.history_folder) if flows.history_folder else user_state_path(APP) / "flows"
    folder = root / re.sub(r"[^A-Za-z0-9.-]+", "_", cluster)
    limits = Limits(flows.history_days, flows.history_mib << 20)
    return SqliteHistory(folder, clock=SystemClock(), limits=limits)


def asks_relay(sources: Sources) -> bool:
    """Whether flows come from Hubble Relay, neither recorded nor made up."""
    recorded = sources.flows or sources.replay or sources.demo
    return not recorded and bool(sources.hubble_address or sources.live_objects)


def flow_source_of(
    sources: Sources, settings: Settings, *, follow: bool, live: KubernetesReader | None
) -> FlowSource | None:
    """The one source of flows that was asked for; None where there is none."""
    if path := sources.flows or sources.replay:
        from integrations.hubble.files import FlowFile
        from integrations.hubble.recording import Replay

        file = FlowFile(path)
        played = follow and not sources.flows
        return Replay(file, clock=SystemClock()) if played else file
    if sources.demo:
        from integrations.demo.flows import DemoFlows

        return Sifted(DemoFlows())
    return _relay(sources, settings, live) if asks_relay(sources) else None


def _relay(sources: Sources, settings: Settings, live: KubernetesReader | None) -> FlowSource:
    """Relay at its address, else through the API server's port-forward."""
    from integrations.hubble.live import RelayFlows
    from integrations.hubble.relay import Relay, Tls

    hubble = settings.hubble
    address = sources.hubble_address or hubble.address
    secure = hubble.tls or address.startswith(TLS_PREFIX)
    tls = Tls(hubble.ca_file, hubble.cert_file, hubble.key_file, hubble.server_name)
    plain = address.removeprefix(TLS_PREFIX)
    target = (lambda: plain) if plain else _forwarding(live or live_reader(sources, settings))
    return RelayFlows(Relay(target, tls if secure else None), clock=SystemClock())


def _forwarding(live: KubernetesReader) -> Callable[[], str]:
    """Opens one port-forward, on first use, over the reader's own connection."""

    @cache
    def forward() -> RelayForward:
        from integrations.kubernetes.forward import RelayForward

        return RelayForward(live.api_server(), HUBBLE_NAMESPACE)

    return lambda: forward().open()


def live_reader(sources: Sources, settings: Settings) -> KubernetesReader:
    """The reader of the live cluster; nothing is connected yet."""
    from integrations.kubernetes.client import Credentials
    from integrations.kubernetes.reader import KubernetesReader

    cluster = settings.cluster
    credentials = Credentials(
        sources.kubeconfig or cluster.kubeconfig,
        sources.context or cluster.context,
        sources.user,
    )
    return KubernetesReader(credentials, clock=SystemClock(), namespaces=cluster.namespaces)
