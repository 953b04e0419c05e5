"""The bot's desk, and the chat in front of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.bootstrap.sources import (
    SLACK_APP_TOKEN,
    SLACK_BOT_TOKEN,
    SLACK_SIGNING_SECRET,
    Sources,
    SystemClock,
)
from app.bootstrap.workspace import build_workspace
from app.config import APP, BotSettings, Settings, find_secret
from app.core.errors import ConfigError
from app.services.workspace import Workspace

if TYPE_CHECKING:
    from app.bot.access import Role
    from app.bot.desk import Desk
    from integrations.slack.chat import SlackAccess, SlackChat

_log = logging.getLogger("k8tre_tui.bot")

LOCAL_PER_MINUTE = 100_000


def audit_file(settings: Settings) -> Path:
    """Where the record of questions is kept."""
    return Path(settings.bot.audit) if settings.bot.audit else state_folder() / "audit.jsonl"


def state_folder() -> Path:
    """What the bot remembers over restarts."""
    from platformdirs import user_state_path

    return user_state_path(APP)


def build_role_workspaces(sources: Sources, settings: Settings) -> dict[Role, Workspace]:
    """The cluster as it is read for a role with rights of its own; none where there are none.

    Raises `ConfigError` for a role that reads as nobody.
    """
    from app.bot.access import Role

    found = {}
    for role in Role:
        key = f"{role}_as"
        if who := getattr(settings.bot, key):
            seen = _sources_as(who, f"bot.{key}", sources)
            found[role] = build_workspace(seen, settings, flows=False)
    return found


def _sources_as(who: str, key: str, sources: Sources) -> Sources:
    kind, _, name = who.partition(":")
    if not sources.live_objects:
        raise ConfigError("only a live cluster is read with rights", key=key, hint="leave it empty")
    if not name or kind not in ("user", "context"):
        raise ConfigError(f"`{who}` is nobody", hint="user:NAME or context:NAME", key=key)
    return replace(sources, user=name) if kind == "user" else replace(sources, context=name)


def build_desk(
    workspace: Workspace,
    settings: Settings,
    cluster: str,
    by_role: Mapping[Role, Workspace] | None = None,
) -> Desk:
    """Where the bot's questions are answered, by the rules of the settings.

    `by_role` are the pictures of roles that read the cluster with rights of their own. Raises
    `ConfigError` for a level or a role that does not exist, and where no workspace is pinned.
    """
    from app.bot.access import make_rules
    from app.bot.audit import AuditLog
    from app.bot.desk import Desk, known_as, known_in
    from app.bot.limits import RateLimit

    bot, clock = settings.bot, SystemClock()
    if not bot.team:
        raise ConfigError(
            "no workspace is pinned: anybody who installs the app could ask",
            hint="bot.team is its id, as T0123: it is in the address of Slack in a browser",
            key="bot.team",
        )
    known = known_in(workspace, cluster, clock)
    return Desk(
        known,
        make_rules(bot, settings.projects, settings.roles),
        AuditLog(audit_file(settings)),
        clock,
        RateLimit(per_user=bot.per_user, per_channel=bot.per_channel),
        known_to={role: known_as(one, known) for role, one in (by_role or {}).items()},
    )


def build_local_desk(workspace: Workspace, cluster: str) -> Desk:
    """The desk for trying the bot on this machine: everybody is an operator, and no record."""
    from app.bot.access import EVERYONE, Level, Role, RoleGrant, Rules
    from app.bot.audit import Unrecorded
    from app.bot.desk import Desk, known_in
    from app.bot.limits import RateLimit
    from integrations.slack.local_people import CHANNEL

    rules = Rules(
        EVERYONE,
        frozenset({CHANNEL}),
        level=Level.FULL,
        grants={CHANNEL: RoleGrant(Role.OPERATOR)},
    )
    clock = SystemClock()
    limit = RateLimit(per_user=LOCAL_PER_MINUTE, per_channel=LOCAL_PER_MINUTE)
    return Desk(known_in(workspace, cluster, clock), rules, Unrecorded(), clock, limit)


def slack_access(environ: Mapping[str, str], settings: BotSettings) -> SlackAccess:
    """The tokens of the environment, for a socket or, as `bot.http` says, for signed HTTP.

    Raises `ConfigError` when a token or the signing secret is missing.
    """
    from integrations.slack.chat import SlackAccess

    def secret(names: tuple[str, ...], what: str = "Slack token") -> str:
        if (found := find_secret(environ, *names)) is None:
            raise ConfigError(
                f"no {what}", hint=f"set {names[0]} or {names[0]}_FILE; to try it: bot --local"
            )
        return found.reveal()

    over_http = bool(settings.http)
    api = urlsplit(settings.api)
    is_local = api.hostname == "127.0.0.1"  # a stand-in on this machine takes answers, too
    return SlackAccess(
        secret(SLACK_BOT_TOKEN),
        "" if over_http else secret(SLACK_APP_TOKEN),
        signing_secret=secret(SLACK_SIGNING_SECRET, "signing secret") if over_http else "",
        listen=settings.http,
        api=f"{settings.api.rstrip('/')}/",
        hosts=frozenset({api.netloc}) if is_local else frozenset(),
        offers=state_folder() / "offers.sqlite",
    )


def build_slack(desk: Desk, access: SlackAccess) -> SlackChat:
    """Slack in front of a desk."""
    from integrations.slack.chat import SlackChat

    return SlackChat(replace(access, groups=desk.rules.groups), desk, say)


def say(text: str) -> None:
    """What the chat tells its operator, as a line of the log."""
    _log.info("chat", extra={"said": text})
