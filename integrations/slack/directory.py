"""Who an id belongs to: member, guest, bot or stranger; in which user groups; in which channel.

Slack's commands carry ids only, so this asks (`users.info`, `usergroups.users.list`,
`conversations.info`) and keeps the answers for a while: the second of these may be asked twenty
times a minute. What cannot be asked is not assumed: the account is then of unknown standing, and
belongs to no group.
Source: docs.slack.dev, "users.info" (`is_restricted`, `is_ultra_restricted`, `is_stranger`),
"conversations.info" (`is_ext_shared`), "Rate limits".
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from app.core.model.chat import Caller, Standing

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

KEPT_S = 600.0
STALE_S = 3600.0
KEPT_MAX = 5000
ASK_WITHIN_S = 30.0
_NOT_FOR_US = frozenset({"missing_scope", "channel_not_found", "unknown_method"})
"""What says that a channel cannot be looked at; those that may be asked in are named by hand."""

T = TypeVar("T")


class Directory:
    """Fills in what rules need to know of a caller; `groups` are the user groups that matter."""

    def __init__(
        self,
        client: AsyncWebClient,
        groups: frozenset[str] = frozenset(),
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._groups = groups
        self._users: _Kept[Standing] = _Kept(Standing.UNKNOWN, monotonic, stale_s=STALE_S)
        self._members: _Kept[frozenset[str]] = _Kept(frozenset(), monotonic, stale_s=STALE_S)
        self._shared: _Kept[bool] = _Kept(True, monotonic, stale_s=STALE_S)  # noqa: FBT003  # a value

    async def caller(self, user: str, channel: str, team: str) -> Caller:
        """Give the caller with these ids; never raises."""
        standing, is_shared, groups = await asyncio.gather(
            self._users.of(user, lambda: self._standing(user, team)),
            self._shared.of(channel, lambda: self._is_shared(channel)),
            self._groups_of(user),
        )
        return Caller(user, channel, team, groups, standing, is_shared)

    async def _groups_of(self, user: str) -> frozenset[str]:
        named = sorted(self._groups)
        asked = (self._members.of(one, partial(self._members_of, one)) for one in named)
        members = await asyncio.gather(*asked)
        return frozenset(
            group for group, found in zip(named, members, strict=True) if user in found
        )

    async def _standing(self, user: str, team: str) -> Standing:
        answer = await self._client.users_info(user=user)
        return standing_of(answer["user"], team)

    async def _members_of(self, group: str) -> frozenset[str]:
        answer = await self._client.usergroups_users_list(usergroup=group)
        return frozenset(map(str, answer["users"]))

    async def _is_shared(self, channel: str) -> bool:
        from slack_sdk.errors import SlackApiError

        try:
            answer = await self._client.conversations_info(channel=channel)
        except SlackApiError as error:
            if error.response.get("error") in _NOT_FOR_US:
                return False
            raise
        found: Mapping[str, Any] = answer["channel"]
        return bool(found.get("is_ext_shared") or found.get("is_pending_ext_shared"))


def standing_of(user: Mapping[str, Any], team: str) -> Standing:
    """What Slack says of an account, the least first."""
    if user.get("is_bot") or user.get("id") == "USLACKBOT":
        return Standing.BOT
    home = user.get("team_id") or team
    enterprise = user.get("enterprise_user") or {}
    if user.get("is_stranger") or (home != team and team not in enterprise.get("teams", ())):
        return Standing.STRANGER
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return Standing.GUEST
    return Standing.UNKNOWN if user.get("deleted") else Standing.MEMBER


class _Kept(Generic[T]):
    """Answers by id, asked again when they are old; `otherwise` where nothing answers."""

    def __init__(self, otherwise: T, monotonic: Callable[[], float], *, stale_s: float) -> None:
        self._otherwise = otherwise
        self._monotonic = monotonic
        self._stale_s = stale_s
        self._found: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._asking: dict[str, asyncio.Future[T]] = {}

    async def of(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        found = self._found.get(key)
        if found is not None and self._monotonic() - found[0] < KEPT_S:
            return found[1]
        if (asking := self._asking.get(key)) is None:
            asking = self._asking[key] = asyncio.ensure_future(self._ask(key, ask))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)

    async def _ask(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        import aiohttp
        from slack_sdk.errors import SlackApiError

        try:
            async with asyncio.timeout(ASK_WITHIN_S):
                value = await ask()
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError, KeyError):
            found = self._found.get(key)
            if found is not None and self._monotonic() - found[0] < self._stale_s:
                return found[1]
            return self._otherwise
        self._found[key] = self._monotonic(), value
        while len(self._found) > KEPT_MAX:
            self._found.popitem(last=False)
        return value
