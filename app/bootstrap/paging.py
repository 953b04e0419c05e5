"""Who is told of alerts, from settings and options."""

from __future__ import annotations

import os
from collections.abc import Mapping

from app.config import Settings, find_secret
from app.ports import Pager

ALERTS_TOKEN = ("K8TRE_TUI_ALERTS_TOKEN", "ALERTS_TOKEN")


def build_pagers(
    settings: Settings,
    *,
    alertmanager: str = "",
    webhook: str = "",
    environ: Mapping[str, str] = os.environ,
) -> tuple[Pager, ...]:
    """Pagers by their addresses; what is named here goes before the settings.

    Raises `ConfigError` for an address that cannot be used.
    """
    from integrations.paging.alertmanager import Alertmanager
    from integrations.paging.post import Target
    from integrations.paging.webhook import Webhook

    secret = find_secret(environ, *ALERTS_TOKEN)
    token = secret.reveal() if secret else ""
    pagers: list[Pager] = []
    if url := alertmanager or settings.alerts.alertmanager:
        pagers.append(Alertmanager(Target(url, token)))
    if url := webhook or settings.alerts.webhook:
        pagers.append(Webhook(Target(url, token)))
    return tuple(pagers)
