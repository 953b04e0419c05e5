"""Who may ask what, and whose names they may read.

Ids only, never names: names in a chat can be chosen by anyone. What is not allowed is refused in
words; silence is read as a defect. Cilium's Relay knows no authorisation, so it happens here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from fnmatch import fnmatchcase

from app.config import BotSettings
from app.core.errors import ConfigError
from app.core.model.chat import Caller, Standing

EVERYONE = "*"


class Level(StrEnum):
    """How much of a name is written into a chat, which is outside the TRE.

    `MINIMAL`: workloads instead of pods, no user names, no paths, address blocks. `FULL`: as is.
    """

    MINIMAL = "minimal"
    FULL = "full"


class Role(IntEnum):
    """What somebody may do: ask; ask for a change; decide on one. Each includes those before."""

    ASKER = 1
    DRAFTER = 2
    OPERATOR = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class RoleGrant:
    """A role, in the namespaces that one of the patterns fits; with none of them, in all."""

    role: Role
    namespaces: frozenset[str] = frozenset()

    def covers(self, namespace: str) -> bool:
        """Whether it counts there. What is of cluster scope is of no namespace: everybody's."""
        return not namespace or not self.namespaces or _fits(namespace, self.namespaces)


_STANDINGS = {
    Standing.BOT: "I answer people, and this is a bot",
    Standing.STRANGER: "I answer members of this workspace only, and you come from another one",
    Standing.GUEST: "I answer full members of this workspace: ask an administrator to list you",
    Standing.UNKNOWN: "I could not find out whether you are a member here: ask again in a minute",
}
_LISTABLE = frozenset({Standing.GUEST, Standing.UNKNOWN})
"""What an administrator who names a user's id has answered for."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The bot's own policy, by ids.

    `team` is the one workspace that is answered (`*`: any, for a bot on one's own machine).
    `channels` are where it answers; none means nowhere yet. `grants` maps the id of a user, a user
    group or a channel to a role; with none of them `users` may ask, and without those everyone in
    the channels. `projects` maps a namespace, or a pattern as `project-*`, to the users who may
    read its names (`*`: everyone); a namespace that no pattern fits is named to all.
    """

    team: str = ""
    channels: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    projects: Mapping[str, frozenset[str]] = field(default_factory=dict)
    level: Level = Level.MINIMAL
    grants: Mapping[str, RoleGrant] = field(default_factory=dict)

    def refusal(self, caller: Caller) -> str:
        """Why this caller gets no answer here; empty when they do."""
        return next(filter(None, self._refusals(caller)), "")

    def _refusals(self, caller: Caller) -> Iterator[str]:
        if not self.team:
            yield "no workspace is pinned yet: an administrator names it in `bot.team`"
        if self.team not in (EVERYONE, caller.team):
            yield "I answer one workspace only, and this is another one"
        if not self.channels:
            yield "no channel is allowed yet: an administrator names them in `bot.channels`"
        if caller.channel not in self.channels:
            yield "I do not answer in this channel: ask in one of those I am set up for"
        if caller.is_shared:
            yield "people of other organisations may read this channel: ask in one of your own"
        yield self._stands_outside(caller)
        if not self.role_of(caller):
            yield "you are not on the list of those who may ask me: ask an administrator"

    def _stands_outside(self, caller: Caller) -> str:
        if caller.standing is Standing.MEMBER:
            return ""
        is_listed = caller.user in self.users or caller.user in self.grants
        if is_listed and caller.standing in _LISTABLE:
            return ""
        return _STANDINGS[caller.standing]

    def grants_of(self, caller: Caller) -> Iterator[RoleGrant]:
        """Every grant of a caller: their own, their groups' and their channel's."""
        if caller.user in self.users or not (self.users or self.grants):
            yield RoleGrant(Role.ASKER)
        for key in (caller.user, caller.channel, *sorted(caller.groups)):
            if key in self.grants:
                yield self.grants[key]

    def role_of(self, caller: Caller, namespace: str = "") -> Role | None:
        """The highest role of a caller, in a namespace or at all."""
        roles = [one.role for one in self.grants_of(caller) if one.covers(namespace)]
        return max(roles, default=None)

    def may(self, caller: Caller, role: Role, namespace: str = "") -> bool:
        """Whether a caller has this role or a higher one."""
        return (self.role_of(caller, namespace) or 0) >= role

    def may_read(self, caller: Caller, namespace: str) -> bool:
        """Whether this caller may know of a namespace; of what is of cluster scope everybody may.

        Only the name counts, not whether there is such a namespace.
        """
        if namespace and self.grants and not self.may(caller, Role.ASKER, namespace):
            return False
        fitting = [who for pattern, who in self.projects.items() if fnmatchcase(namespace, pattern)]
        return not namespace or not fitting or any(_is_of(caller, who) for who in fitting)

    def closed_to(self, caller: Caller) -> frozenset[str]:
        """The patterns of projects that this caller is no member of."""
        return frozenset(
            pattern for pattern, who in self.projects.items() if not _is_of(caller, who)
        )

    def limits_of(self, caller: Caller) -> frozenset[str] | None:
        """The patterns of namespaces that a caller's roles end at; None where one has no end."""
        grants = list(self.grants_of(caller))
        if not self.grants or any(not one.namespaces for one in grants):
            return None
        return frozenset(pattern for one in grants for pattern in one.namespaces)

    def sight_of(self, caller: Caller) -> tuple[object, ...]:
        """What decides which namespaces a caller may know of; empty where that is all of them."""
        closed, limits = self.closed_to(caller), self.limits_of(caller)
        if not closed and limits is None:
            return ()
        return closed, frozenset(self.projects) - closed, limits

    @property
    def groups(self) -> frozenset[str]:
        """The user groups whose members must be known."""
        named = (*self.grants, *(one for who in self.projects.values() for one in who))
        return frozenset(one for one in named if one.startswith("S"))


def audience(caller: Caller) -> Caller:
    """Everyone who reads what is told to a channel: nobody's own rights, only the channel's."""
    return Caller("", caller.channel, caller.team, is_shared=caller.is_shared)


def _fits(namespace: str, patterns: frozenset[str]) -> bool:
    return any(fnmatchcase(namespace, pattern) for pattern in patterns)


def _is_of(caller: Caller, members: frozenset[str]) -> bool:
    return EVERYONE in members or caller.user in members or not members.isdisjoint(caller.groups)


def make_rules(
    settings: BotSettings, projects: Mapping[str, str], roles: Mapping[str, str] | None = None
) -> Rules:
    """The rules that the settings declare. Raises `ConfigError` for an unknown level or role."""
    if settings.level not in [level.value for level in Level]:
        raise ConfigError(
            f"`{settings.level}` is no level of detail",
            hint=f"one of {', '.join(Level)}",
            key="bot.level",
        )
    return Rules(
        settings.team,
        frozenset(filter(None, (*settings.channels, settings.operators))),
        frozenset(settings.users),
        {name: frozenset(users.replace(",", " ").split()) for name, users in projects.items()},
        Level(settings.level),
        {key: _grant(key, words) for key, words in (roles or {}).items()},
    )


def _grant(key: str, words: str) -> RoleGrant:
    """Read `ROLE [NAMESPACE …]`."""
    name, *namespaces = words.replace(",", " ").split() or [""]
    if key[:1] not in "USCGW" or not key[1:].isalnum():
        raise ConfigError(
            f"`{key}` is no id of a user, a user group or a channel",
            hint="as U0123, S0123 or C0123: names can be chosen by anyone",
            key=f"roles.{key}",
        )
    if name not in [str(role) for role in Role]:
        raise ConfigError(
            f"`{name}` is no role",
            hint=f"{', '.join(map(str, Role))}, then the namespaces it is limited to",
            key=f"roles.{key}",
        )
    return RoleGrant(Role[name.upper()], frozenset(namespaces))
