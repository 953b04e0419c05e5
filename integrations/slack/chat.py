"""Slack over Socket Mode: commands come in by a socket this program opened, so nothing listens.

Slack wants a command acknowledged within three seconds and gives half an hour and five messages
for the answer. So a command is acknowledged at once, worked on by a task of our own, and answered
at the address that came with it. Bolt itself is used as it is. Signed HTTP is the other way in
(`integrations.slack.http`), for those who may not open sockets to the outside.
Source: slack.dev/bolt-python, "Acknowledging requests", "Socket Mode".
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.model.chat import Caller, Choice, Form, Incoming, Reply, ReplyKind
from app.core.text import clean
from app.services.tasks import Caught, Tasks
from integrations.slack.deliver import Delivery, translated
from integrations.slack.listener import COMMAND, PATIENCE_S, Host, Listener
from integrations.slack.offers import Offers

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp
    from slack_sdk.web.async_client import AsyncWebClient

__all__ = ["COMMAND", "Answer", "SlackAccess", "SlackChat"]

API = "https://slack.com/api/"
GRACE_S = 20.0
"""Seconds that answers under way have to end; Kubernetes gives 30 in all."""
RETRIES = 5
"""How often a limit of rates is waited out: three in a row lose nothing."""
NEEDED = frozenset({"commands", "chat:write", "users:read"})
USEFUL = frozenset(
    {"app_mentions:read", "files:write", "usergroups:read", "channels:read", "groups:read"}
)
_OAUTH_VARIABLES = ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET")

Answer = Callable[[Incoming], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class SlackAccess:
    """How Slack is reached; the tokens show in no `repr`.

    `hosts` replaces the hosts that answers may be posted to, for a local server. `groups` are the
    user groups whose members must be known. With a `signing_secret` Slack calls `listen` instead.
    Who waits longer than `patience_s` is told so. `offers` is the file that remembers what buttons
    stand for; without it they end with the bot.
    """

    bot_token: str = field(repr=False)
    app_token: str = field(default="", repr=False)
    api: str = API
    hosts: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    signing_secret: str = field(default="", repr=False)
    listen: str = "127.0.0.1:3000"
    offers: Path | None = None
    patience_s: float = PATIENCE_S


class _Plain:
    """A host that only answers."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def answer(self, incoming: Incoming) -> Reply:
        if incoming.refused:
            return Reply(ReplyKind.REFUSAL, incoming.refused)
        return await self._answer(incoming)

    async def suggest(
        self, _caller: Caller, _name: str, _typed: str, _given: Mapping[str, str]
    ) -> tuple[Choice, ...]:
        return ()

    def refuses(self, _caller: Caller) -> bool:
        return True

    def form(self, pasted: str = "") -> Form:
        return Form("", pasted, ())  # never shown: it refuses everybody


class SlackChat:
    """Implements `Chat`: every command becomes one call of `answer`, or of the host.

    `say` takes what the operator should hear, a line at a time. While it runs, `post`, `edit` and
    `tell` send messages of our own accord.
    """

    def __init__(
        self, access: SlackAccess, answer: Answer | Host, say: Callable[[str], None]
    ) -> None:
        self._access = access
        self._host: Host = answer if isinstance(answer, Host) else _Plain(answer)
        self._say = say
        self._offers = Offers(access.offers)
        self._delivery: Delivery | None = None
        self._stopping = asyncio.Event()
        self._connection: Callable[[], bool] = lambda: False

    async def run(self) -> None:
        """Serve until cancelled, or until `stop`: then what is under way is finished first.

        Raises `ConfigError` when the environment would switch bolt to its OAuth flow, and
        `SourceUnavailable` when Slack cannot be reached or refuses the tokens at the start.
        """
        import aiohttp

        from integrations.slack.directory import Directory
        from integrations.slack.respond import HOSTS, Responder

        _refuse_oauth()
        app = self._build_app()
        client = app.client
        await self._introduce(client)
        async with aiohttp.ClientSession() as session, Tasks(self._report) as tasks:
            hosts = self._access.hosts or HOSTS
            responder = Responder(session, hosts=hosts, proxy=client.proxy)
            self._delivery = Delivery(client, responder, self._offers)
            listener = Listener(
                self._host,
                self._delivery,
                Directory(client, self._access.groups),
                client,
                self._offers,
                lambda work: void(tasks.start("slack command", work)),
                self._report,
                patience_s=self._access.patience_s,
            )
            listener.listen(app)
            async with self._connected(app):
                await self._stopping.wait()
            await listener.finish(GRACE_S)

    def is_connected(self) -> bool:
        """Whether Slack reaches this program now."""
        return self._connection()

    def stop(self) -> None:
        """Take nothing more in, finish what is under way, and end `run`."""
        self._stopping.set()

    async def post(self, channel: str, reply: Reply, *, thread: str = "") -> str:
        """Tell a channel, or a thread in it; gives the message's own name. Raises as `Delivery`."""
        return await self._sender().post(channel, reply, thread=thread)

    async def edit(self, channel: str, message: str, reply: Reply) -> None:
        """Put another text in the place of a message of ours. Raises `SourceUnavailable`."""
        await self._sender().edit(channel, message, reply)

    async def tell(self, channel: str, user: str, reply: Reply) -> None:
        """Tell one person in a channel. Raises `SourceUnavailable`."""
        await self._sender().tell(channel, user, reply)

    def _sender(self) -> Delivery:
        if self._delivery is None:
            raise SourceUnavailable(
                "slack is not connected yet", source="slack", cause=SourceCause.REFUSED
            )
        return self._delivery

    @asynccontextmanager
    async def _connected(self, app: AsyncApp) -> AsyncIterator[None]:
        """Take what Slack sends, over a socket of ours or, with a signing secret, as its server."""
        if self._access.signing_secret:
            from integrations.slack.http import serving

            async with serving(app, self._access.signing_secret, self._access.listen) as address:
                self._connection = lambda: True
                self._say(f"slack: listening on {address}")
                yield
            return
        from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

        handler = AsyncSocketModeHandler(app, self._access.app_token, logger=_quiet_logger())
        try:
            # Asked for here, because the SDK tries a refused token again for ever.
            handler.client.wss_uri = await translated(handler.client.issue_new_wss_url())
            await handler.connect_async()  # type: ignore[no-untyped-call]  # untyped in bolt
            session = handler.client
            self._connection = lambda: bool(
                session.current_session and not session.current_session.closed
            )
            yield
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]  # untyped in bolt

    def _build_app(self) -> AsyncApp:
        from slack_bolt.async_app import AsyncApp
        from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
        from slack_sdk.web.async_client import AsyncWebClient

        client = AsyncWebClient(self._access.bot_token, base_url=self._access.api)
        client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=RETRIES))
        return AsyncApp(
            client=client,
            logger=_quiet_logger(),
            signing_secret=self._access.signing_secret or None,
        )

    async def _introduce(self, client: AsyncWebClient) -> None:
        who = await translated(client.auth_test())
        scopes = {one.strip() for one in who.headers.get("x-oauth-scopes", "").split(",")} - {""}
        self._say(f"slack: {clean(str(who['team']))} as {clean(str(who['user']))}")
        if extra := scopes - NEEDED - USEFUL:
            self._say(f"slack: the app may do more than it needs: {', '.join(sorted(extra))}")
        if scopes and "users:read" not in scopes:
            self._say(
                "slack: without the scope users:read nobody is answered but users named by their "
                "ids: guests and strangers cannot be told from members"
            )

    def _report(self, caught: Caught) -> None:
        self._say(f"slack: {clean(str(caught))}")


def void(_value: object) -> None:
    """Take a value that nobody needs."""


def _refuse_oauth() -> None:
    if present := [name for name in _OAUTH_VARIABLES if os.environ.get(name)]:
        raise ConfigError(
            f"`{present[0]}` is set, which makes bolt start its OAuth flow",
            hint="unset it: this bot serves one workspace with its own tokens",
        )


def _quiet_logger() -> logging.Logger:
    """Bolt logs request bodies, which hold response addresses, below this level."""
    logger = logging.getLogger("k8tre_tui.slack.bolt")
    logger.setLevel(logging.CRITICAL)
    return logger
