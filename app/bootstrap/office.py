"""What the bot does besides answering: requests for changes, their follow-up, alerts."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.bootstrap.drafts import build_checkout, build_drafter
from app.bootstrap.sources import Sources, SystemClock
from app.config import Settings
from app.core.errors import K8treError
from app.services.workspace import Workspace

if TYPE_CHECKING:
    from app.bot.alerting import Alerting
    from app.bot.desk import Desk
    from app.bot.follow_up import FollowUp
    from app.core.insights.alert import Alerts
    from app.ports import KeptDraft, PolicyRepo
    from app.services.drafting import Drafter
    from integrations.slack.chat import SlackChat

_log = logging.getLogger("k8tre_tui.bot")


@dataclass(frozen=True, slots=True)
class Backrooms:
    """What runs beside the desk: `run` each until cancelled."""

    follow_up: FollowUp
    alerting: Alerting


def open_office(
    desk: Desk,
    chat: SlackChat,
    workspace: Workspace,
    settings: Settings,
    *,
    drafts: Drafts,
    shelf: Path | None = None,
) -> Backrooms:
    """Give the desk somebody who does things. Raises `ConfigError` for settings of alerts.

    `shelf` is the file that remembers requests and watches; without it they end with the bot.
    """
    from app.bot.alerting import Alerting
    from app.bot.approvals import Approvals
    from app.bot.follow_up import FollowUp
    from app.bot.office import Office
    from app.bot.quiet import parse_quiet
    from app.bot.shelf import Shelf
    from app.bot.watches import Watches
    from app.bot.wishes import ChangeRequests
    from app.core.insights.alert import AlertSeverity

    bot, clock = settings.bot, SystemClock()
    kept = Shelf(shelf)
    known = desk.known

    def known_now() -> tuple[object, object]:
        found = known()
        return found.picture, found.flows

    approvals = Approvals(
        ChangeRequests(kept),
        desk.rules,
        clock,
        known_now,  # type: ignore[arg-type]  # a pair of both
        poster=chat,
        drafter=drafts.drafter,
        channel=bot.operators,
    )
    watches = Watches(kept, clock)
    desk.doer = Office(approvals, watches)
    collect, everything = _alerts_of(workspace)
    alerting = Alerting(
        watches,
        desk.rules,
        clock,
        chat,
        known_now,  # type: ignore[arg-type]  # a pair of both
        everything,
        collect=collect,
        views=desk.views,
        quiet=parse_quiet(bot.quiet, "bot.quiet"),
        severity=AlertSeverity(settings.alerts.severity),
    )
    return Backrooms(FollowUp(approvals, drafts.submitted), alerting)


def _alerts_of(workspace: Workspace) -> tuple[Callable[[], None], Callable[[], Alerts]]:
    """What looks at new flows, on the event loop, and what judges them, in a thread."""
    from app.services.insights import AlertBook

    book, clock = AlertBook(), SystemClock()

    def collect() -> None:
        book.know(workspace.picture)
        book.follow(workspace.ring)

    return collect, lambda: book.alerts(workspace.picture, clock.now_ns())


@dataclass(frozen=True, slots=True)
class Drafts:
    """Where changes go: nowhere where there is no repository."""

    drafter: Drafter | None = None
    repo: PolicyRepo | None = None

    @property
    def submitted(self) -> Callable[[], Awaitable[tuple[KeptDraft, ...]]] | None:
        """What gives our requests as the repository has them."""
        return self.repo.drafts if self.repo is not None else None


@asynccontextmanager
async def telling_status(desk: Desk, chat: SlackChat, listen: str) -> AsyncIterator[None]:
    """Count what the desk decides, and serve how the bot is, where the settings say so."""
    from app.bot.tally import BOUNDS_S, Tally
    from integrations.metrics.status import serving_status

    if not listen:
        yield
        return
    tally = Tally(desk.clock, desk.known, lambda: desk.pool.pending, chat.is_connected)
    desk.count = tally.count
    async with serving_status(tally, BOUNDS_S, listen) as address:
        _log.info("status served", extra={"address": address})
        yield


def build_drafts(
    sources: Sources, settings: Settings, environ: Mapping[str, str], *, pull_request: bool
) -> Drafts:
    """The same drafts as the command line's; none, and a word in the log, where there is no place.

    What is asked for here becomes what `draft --pr` makes.
    """
    try:
        checkout = build_checkout(sources, settings, environ, pull_request=pull_request)
    except K8treError as error:
        _log.warning("no changes can be asked for", extra={"said": error.message})
        return Drafts()
    return Drafts(build_drafter(checkout, sources, settings), checkout.repo)
