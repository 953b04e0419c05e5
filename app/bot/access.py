"""Who may ask what, and whose names they may read.

Ids only, never names: names in a chat can be chosen by anyone. What is not allowed is refused in
words; silence is read as a defect. Cilium's Relay knows no authorisation, so it happens here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from app.config import BotSettings
from app.core.errors import ConfigError
from app.core.model.chat import Caller

EVERYONE = "*"


class Level(StrEnum):
    """How much of a name is written into a chat, which is outside the TRE.

    `MINIMAL`: workloads instead of pods, no user names, no paths, address blocks. `FULL`: as is.
    """

    MINIMAL = "minimal"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Rules:
    """The bot's own policy, by ids.

    `channels` are where it answers; none means nowhere yet. `users` may ask; none means everyone
    in those channels. `projects` maps a namespace, or a pattern as `project-*`, to the users who
    may read its names (`*`: everyone); a namespace that no pattern fits is named to all.
    """

    team: str = ""
    channels: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    projects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    level: Level = Level.MINIMAL

    def refusal(self, caller: Caller) -> str:
        """Why this caller gets no answer here; empty when they do."""
        if self.team and caller.team != self.team:
            return "I answer one workspace only, and this is another one"
        if not self.channels:
            return "no channel is allowed yet: an administrator names them in `bot.channels`"
        if caller.channel not in self.channels:
            return "I do not answer in this channel: ask in one of those I am set up for"
        if self.users and caller.user not in self.users:
            return "you are not on the list of those who may ask me: ask an administrator"
        return ""

    def may_read(self, caller: Caller, namespace: str) -> bool:
        """Whether this caller may know of a namespace; of what is of cluster scope everybody may.

        Only the name counts, not whether there is such a namespace.
        """
        fitting = [who for pattern, who in self.projects.items() if fnmatchcase(namespace, pattern)]
        return not namespace or not fitting or any(_is_of(caller, who) for who in fitting)

    def closed_to(self, caller: Caller) -> frozenset[str]:
        """The patterns that this caller is no member of; with none the whole cluster is open."""
        return frozenset(
            pattern for pattern, who in self.projects.items() if not _is_of(caller, who)
        )


def _is_of(caller: Caller, members: frozenset[str]) -> bool:
    return EVERYONE in members or caller.user in members


def make_rules(settings: BotSettings, projects: Mapping[str, str]) -> Rules:
    """The rules that the settings declare. Raises `ConfigError` for an unknown level."""
    if settings.level not in [level.value for level in Level]:
        raise ConfigError(
            f"`{settings.level}` is no level of detail",
            hint=f"one of {', '.join(Level)}",
            key="bot.level",
        )
    return Rules(
        settings.team,
        frozenset(settings.channels),
        frozenset(settings.users),
        {name: frozenset(users.replace(",", " ").split()) for name, users in projects.items()},
        Level(settings.level),
    )
