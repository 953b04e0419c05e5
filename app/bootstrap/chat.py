"""The bot's desk, and the chat in front of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from app.bootstrap.sources import SLACK_APP_TOKEN, SLACK_BOT_TOKEN, SystemClock
from app.config import APP, Settings, find_secret
from app.core.errors import ConfigError
from app.ports import Chat
from app.services.workspace import Workspace

if TYPE_CHECKING:
    from app.bot.desk import Desk


def build_desk(workspace: Workspace, settings: Settings, cluster: str) -> Desk:
    """Where the bot's questions are answered, by the rules of the settings.

    Raises `ConfigError` for a level that does not exist.
    """
    from platformdirs import user_state_path

    from app.bot.access import make_rules
    from app.bot.audit import AuditLog
    from app.bot.desk import Desk, known_in

    file = settings.bot.audit or user_state_path(APP) / "audit.jsonl"
    rules = make_rules(settings.bot, settings.projects)
    return Desk(known_in(workspace, cluster), rules, AuditLog(Path(file)), SystemClock())


def build_local_desk(workspace: Workspace, cluster: str) -> Desk:
    """The desk for trying the bot on this machine: no rules, no record."""
    from app.bot.access import Level, Rules
    from app.bot.audit import Unrecorded
    from app.bot.desk import Desk, known_in
    from integrations.slack.local_server import CHANNEL

    rules = Rules(channels=frozenset({CHANNEL}), level=Level.FULL)
    return Desk(known_in(workspace, cluster), rules, Unrecorded(), SystemClock())


def build_slack(desk: Desk, environ: Mapping[str, str], say: Callable[[str], None]) -> Chat:
    """Slack with the tokens of the environment. Raises `ConfigError` when one is missing."""
    from integrations.slack.chat import SlackAccess, SlackChat

    bot, app = (find_secret(environ, *names) for names in (SLACK_BOT_TOKEN, SLACK_APP_TOKEN))
    if bot is None or app is None:
        missing = SLACK_BOT_TOKEN if bot is None else SLACK_APP_TOKEN
        raise ConfigError(
            "no Slack token", hint=f"set {missing[0]} or {missing[0]}_FILE; to try it: bot --local"
        )
    return SlackChat(SlackAccess(bot.reveal(), app.reveal()), desk.answer, say)
