"""Slack over Socket Mode: commands come in by a socket this program opened, so nothing listens.

Slack wants a command acknowledged within three seconds and gives half an hour and five messages
for the answer. So a command is acknowledged at once, worked on by a task of our own, and answered
at the address that came with it. Bolt itself is used as it is.
Source: slack.dev/bolt-python, "Acknowledging requests", "Socket Mode".
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.model.chat import Caller, Incoming, Reply, ReplyKind
from app.core.text import clean
from app.services.tasks import Caught, Tasks, guard
from integrations.slack.blocks import CHOICE_ACTION, render

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncAck, AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

    from integrations.slack.respond import Responder

COMMAND = "/netpol"
API = "https://slack.com/api/"
WORKING = "Looking …"
ANSWER_WITHIN_S = 20.0
MOST_AT_ONCE = 50
CHOICES_KEPT = 500
_OAUTH_VARIABLES = ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET")

Answer = Callable[[Incoming], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class SlackAccess:
    """How Slack is reached; the tokens show in no `repr`.

    `hosts` replaces the hosts that answers may be posted to, for a local server.
    """

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    api: str = API
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Offer:
    """A choice that was offered to a user, and the command it stands for."""

    user: str
    command: str


class SlackChat:
    """Implements `Chat`: every command becomes one call of `answer`.

    `say` takes what the operator should hear, a line at a time.
    """

    def __init__(self, access: SlackAccess, answer: Answer, say: Callable[[str], None]) -> None:
        self._access = access
        self._answer = answer
        self._say = say
        self._offers: OrderedDict[str, _Offer] = OrderedDict()
        self._working = 0

    async def run(self) -> None:
        """Serve until cancelled.

        Raises `ConfigError` when the environment would switch bolt to its OAuth flow, and
        `SourceUnavailable` when Slack cannot be reached or refuses the tokens at the start.
        """
        import aiohttp
        from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

        from integrations.slack.respond import HOSTS, Responder

        _refuse_oauth()
        app = self._build_app()
        await self._introduce(app.client)
        async with aiohttp.ClientSession() as session, Tasks(self._report) as tasks:
            responder = Responder(session, hosts=self._access.hosts or HOSTS)
            self._listen(app, tasks, responder)
            handler = AsyncSocketModeHandler(app, self._access.app_token, logger=_quiet_logger())
            try:
                # Asked for here, because the SDK tries a refused token again for ever.
                handler.client.wss_uri = await _translated(handler.client.issue_new_wss_url())
                await handler.connect_async()  # type: ignore[no-untyped-call]  # untyped in bolt
                await asyncio.Event().wait()
            finally:
                await handler.close_async()  # type: ignore[no-untyped-call]  # untyped in bolt

    def _build_app(self) -> AsyncApp:
        from slack_bolt.async_app import AsyncApp
        from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
        from slack_sdk.web.async_client import AsyncWebClient

        client = AsyncWebClient(self._access.bot_token, base_url=self._access.api)
        client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=2))
        return AsyncApp(client=client, logger=_quiet_logger())

    async def _introduce(self, client: AsyncWebClient) -> None:
        who = await _translated(client.auth_test())
        scopes = {one.strip() for one in who.headers.get("x-oauth-scopes", "").split(",")} - {""}
        self._say(f"slack: {clean(str(who['team']))} as {clean(str(who['user']))}")
        if extra := scopes - {"commands", "chat:write"}:
            self._say(f"slack: the app may do more than it needs: {', '.join(sorted(extra))}")

    def _listen(self, app: AsyncApp, tasks: Tasks, responder: Responder) -> None:
        import re

        async def on_command(ack: AsyncAck, body: dict[str, Any]) -> None:
            await ack(text=WORKING, response_type="ephemeral")
            incoming = Incoming(str(body.get("text", "")), _caller_of_command(body))
            self._start(tasks, responder, incoming, str(body["response_url"]))

        async def on_choice(ack: AsyncAck, body: dict[str, Any]) -> None:
            await ack()
            caller = _caller_of_action(body)
            incoming = self._redeem(str(body["actions"][0].get("value", "")), caller)
            self._start(tasks, responder, incoming, str(body["response_url"]))

        app.command(COMMAND)(on_command)
        app.action(re.compile(rf"{CHOICE_ACTION}\.\d+"))(on_choice)

    def _start(
        self, tasks: Tasks, responder: Responder, incoming: Incoming | None, url: str
    ) -> None:
        tasks.start("slack command", self._serve(responder, incoming, url))

    async def _serve(self, responder: Responder, incoming: Incoming | None, url: str) -> None:
        reply = await self._reply(incoming)
        ids = self._offer(reply, incoming.caller.user) if incoming else ()
        message = render(reply, ids)
        await responder.send(
            url, {**message, "response_type": "ephemeral", "replace_original": True}
        )

    async def _reply(self, incoming: Incoming | None) -> Reply:
        if incoming is None:
            return Reply(ReplyKind.REFUSAL, "this choice is gone or not yours: ask again")
        if self._working >= MOST_AT_ONCE:
            return Reply(ReplyKind.FAILURE, "too many questions at once: ask again in a moment")
        self._working += 1
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reply = await guard("slack answer", self._answer(incoming), self._report)
            return reply or Reply(ReplyKind.FAILURE, "a defect of mine: it is in my log")
        except TimeoutError:
            return Reply(ReplyKind.FAILURE, f"no answer within {ANSWER_WITHIN_S:.0f} s")
        finally:
            self._working -= 1

    def _offer(self, reply: Reply, user: str) -> tuple[str, ...]:
        """Remember choices under names that say nothing and cannot be guessed."""
        ids = []
        for choice in reply.choices:
            token = f"c1.{secrets.token_urlsafe(16)}"
            self._offers[token] = _Offer(user, choice.command)
            ids.append(token)
        while len(self._offers) > CHOICES_KEPT:
            self._offers.popitem(last=False)
        return tuple(ids)

    def _redeem(self, token: str, caller: Caller) -> Incoming | None:
        """A choice counts once, for the user it was offered to."""
        offer = self._offers.get(token)
        if offer is None or offer.user != caller.user:
            return None
        del self._offers[token]
        return Incoming(offer.command, caller)

    def _report(self, caught: Caught) -> None:
        self._say(f"slack: {clean(str(caught))}")


def _caller_of_command(body: Mapping[str, Any]) -> Caller:
    return Caller(str(body["user_id"]), str(body["channel_id"]), str(body["team_id"]))


def _caller_of_action(body: Mapping[str, Any]) -> Caller:
    team, user, channel = body.get("team") or {}, body["user"], body.get("channel") or {}
    return Caller(str(user["id"]), str(channel.get("id", "")), str(team.get("id", "")))


def _refuse_oauth() -> None:
    if present := [name for name in _OAUTH_VARIABLES if os.environ.get(name)]:
        raise ConfigError(
            f"`{present[0]}` is set, which makes bolt start its OAuth flow",
            hint="unset it: this bot serves one workspace with its own tokens",
        )


def _quiet_logger() -> logging.Logger:
    """Bolt logs request bodies, which hold response addresses, below this level."""
    logger = logging.getLogger("k8tre_tui.slack")
    logger.setLevel(logging.CRITICAL)
    return logger


async def _translated(call: Awaitable[Any]) -> Any:
    """Await a call of the SDK; its errors become `SourceUnavailable`."""
    import aiohttp
    from slack_sdk.errors import SlackApiError

    try:
        return await call
    except SlackApiError as error:
        said = clean(str(error.response.get("error", "unknown error")))
        raise SourceUnavailable(
            f"slack refused: `{said}`", source="slack", cause=SourceCause.UNAUTHENTICATED
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SourceUnavailable(
            "slack could not be reached", source="slack", cause=SourceCause.REFUSED
        ) from error
