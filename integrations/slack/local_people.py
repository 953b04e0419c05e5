"""Who is in the workspace of the local server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TEAM, USER, CHANNEL = "T0LOCAL", "U0LOCAL", "C0LOCAL"
BOT_TOKEN, APP_TOKEN = "xoxb-local", "xapp-local"  # a server of our own
COMMAND = "/netpol"
BOT_USER = "U0BOT"


@dataclass(slots=True)
class People:
    """Accounts by what is special about them, user groups, shared channels, granted scopes."""

    guests: set[str] = field(default_factory=set)
    bots: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    groups: dict[str, list[str]] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    scopes: str = "commands,chat:write,users:read"

    def user(self, user: str) -> dict[str, Any]:
        """An account, as `users.info` tells of it."""
        return {
            "id": user,
            "team_id": self.team_of(user),
            "deleted": False,
            "is_bot": user in self.bots,
            "is_restricted": user in self.guests,
            "is_ultra_restricted": False,
            "is_stranger": user in self.strangers,
        }

    def team_of(self, user: str) -> str:
        """The workspace that an account belongs to."""
        return "T0OTHER" if user in self.strangers else TEAM


def people() -> People:
    """A workspace where everybody is a member."""
    return People()


def mention_of(text: str, user: str, channel: str, *, number: int, shared: bool) -> dict[str, Any]:
    """The event of a message that mentions the bot."""
    event = {
        "type": "app_mention",
        "user": user,
        "team": TEAM,
        "text": f"<@{BOT_USER}> {text}",
        "ts": f"{number}.000100",
        "channel": channel,
        "event_ts": f"{number}.000100",
    }
    return {
        "type": "event_callback",
        "team_id": TEAM,
        "api_app_id": "A0LOCAL",
        "event_id": f"Ev{number}",
        "event_time": number,
        "event": event,
        "is_ext_shared_channel": shared,
        "authorizations": [{"team_id": TEAM, "user_id": BOT_USER, "is_bot": True}],
    }
