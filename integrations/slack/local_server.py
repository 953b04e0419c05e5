"""A local server that speaks Slack's Web API and Socket Mode, for tests and for trying the bot.

It drives the unmodified bolt app over a real WebSocket and is as strict as Slack where that
matters: commands must be acknowledged within three seconds, a response address works five times, a
trigger opens one modal within three seconds, messages and modals that Slack would refuse are
refused, and it can limit rates, deliver twice and end connections. What is acknowledged with a text
stays; only the message whose button was pressed can be replaced.
Source: docs.slack.dev, "Socket Mode", "Handling user interaction", "Rate limits".
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from integrations.slack.limits import find_faults
from integrations.slack.local_api import TRIGGER_WITHIN_S, LocalApi
from integrations.slack.local_people import (
    APP_TOKEN,
    BOT_TOKEN,
    CHANNEL,
    COMMAND,
    TEAM,
    USER,
    mention_of,
    people,
)

__all__ = [
    "APP_TOKEN",
    "BOT_TOKEN",
    "CHANNEL",
    "COMMAND",
    "RESPONSE_USES",
    "TEAM",
    "USER",
    "Exchange",
    "SlackServer",
]

ACK_WITHIN_S = 3.0
RESPONSE_USES = 5


@dataclass(slots=True)
class Exchange:
    """One thing that a person did: its acknowledgement, and what was sent for it.

    `acknowledged` is None when nothing came in time, which a user sees as `operation_timeout`.
    `messages` are those sent to its address, `view` the modal it opened; `acked_after_s` is how
    long the acknowledgement took.
    """

    envelope_id: str
    url: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    acknowledged: Mapping[str, Any] | None = None
    acked_after_s: float = 0.0
    messages: list[dict[str, Any]] = field(default_factory=list)
    view: dict[str, Any] | None = None
    uses: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, within_s: float = 60.0) -> dict[str, Any]:
        """Wait for the first message, and give the newest."""
        async with asyncio.timeout(within_s):
            await self.answered.wait()
        return self.messages[-1]

    async def modal(self, within_s: float = 60.0) -> dict[str, Any]:
        """Wait for the modal."""
        async with asyncio.timeout(within_s):
            await self.opened.wait()
        return self.view or {}


class SlackServer:
    """Use as an async context manager. `calls` are the Web API calls made, by method and body.

    `posted` are the messages in channels and to persons, newest last; `refused` what was wrong with
    a message or a modal.
    """

    def __init__(
        self, *, ack_within_s: float = ACK_WITHIN_S, trigger_within_s: float = TRIGGER_WITHIN_S
    ) -> None:
        self._ack_within_s = ack_within_s
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        self.connections = 0
        self.people = people()
        self.web = LocalApi(self, trigger_within_s)
        self._numbers = itertools.count(1)
        self._exchanges: dict[str, Exchange] = {}
        self._acks: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._limited = 0
        self._retry_after = {"Retry-After": "1"}
        self._sockets: list[web.WebSocketResponse] = []
        self._turn = itertools.count()
        self._joined = asyncio.Condition()
        self._runner: web.AppRunner | None = None
        self.host = ""

    @property
    def api(self) -> str:
        """The base address of the Web API; the final slash matters to the SDK."""
        return f"http://{self.host}/api/"

    @property
    def posted(self) -> list[dict[str, Any]]:
        """Messages of the bot's own accord: `channel`, `ts`, `user` where it is for one."""
        return self.web.posted

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/api/{method}", self._on_call)
        app.router.add_get("/socket", self._on_socket)
        app.router.add_post("/response/{id}", self._on_response)
        app.router.add_post("/upload/{id}", self.web.on_upload)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.host = f"{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def connected(self, within_s: float = 10.0, *, bots: int = 1) -> None:
        """Wait until so many apps are connected."""
        async with asyncio.timeout(within_s), self._joined:
            await self._joined.wait_for(lambda: len(self._sockets) >= bots)

    def limit_next(self, count: int, *, retry_after_s: int = 0) -> None:
        """Answer the next requests, to the API or to a response address, with 429."""
        self._limited = count
        self._retry_after = {"Retry-After": str(retry_after_s)}

    async def disconnect(self) -> None:
        """Ask every app to connect anew, as Slack does every few hours."""
        leaving, self._sockets = self._sockets, []
        for socket in leaving:
            await socket.send_json({"type": "disconnect", "reason": "refresh_requested"})

    async def command(
        self, text: str, *, user: str = USER, channel: str = CHANNEL, team: str = TEAM
    ) -> Exchange:
        """Type a slash command and wait for its acknowledgement."""
        exchange = self.open_exchange()
        payload = {
            "command": COMMAND,
            "text": text,
            "user_id": user,
            "user_name": "someone",
            "channel_id": channel,
            "channel_name": "somewhere",
            "team_id": team,
            "team_domain": "local",
            "api_app_id": "A0LOCAL",
            "is_enterprise_install": "false",
            "token": "unused",
            "trigger_id": self.web.new_trigger(exchange),
            "response_url": exchange.url,
        }
        await self._deliver("slash_commands", payload, exchange)
        return exchange

    async def click(
        self, button: Mapping[str, Any], *, user: str = USER, channel: str = CHANNEL
    ) -> Exchange:
        """Press a button of a message."""
        actions = [{**button, "block_id": "choices", "type": "button"}]
        container = {"type": "message", "is_ephemeral": True}
        details = {"type": "block_actions", "actions": actions, "container": container}
        return await self.interact(details, user=user, channel=channel)

    async def interact(
        self, details: Mapping[str, Any], *, user: str = USER, channel: str = CHANNEL
    ) -> Exchange:
        """Deliver an interaction with these details."""
        exchange = self.open_exchange()
        payload = {
            "user": {"id": user, "team_id": self.people.team_of(user)},
            "team": {"id": TEAM, "domain": "local"},
            "channel": {"id": channel},
            "api_app_id": "A0LOCAL",
            "trigger_id": self.web.new_trigger(exchange),
            "response_url": exchange.url,
            **details,
        }
        await self._deliver("interactive", payload, exchange)
        return exchange

    async def submit(
        self, view: Mapping[str, Any], values: Mapping[str, str], *, user: str = USER
    ) -> Exchange:
        """Send a modal with these values by field."""
        details = {"type": "view_submission", "view": {**view, "state": state_of(view, values)}}
        return await self.interact(details, user=user)

    async def look_up(
        self,
        view: Mapping[str, Any],
        name: str,
        typed: str,
        values: Mapping[str, str] | None = None,
        *,
        user: str = USER,
    ) -> Exchange:
        """Type into a select of a modal; what is offered is in `acknowledged`."""
        element = next(b["element"] for b in view["blocks"] if b["block_id"] == name)
        details = {
            "type": "block_suggestion",
            "action_id": element["action_id"],
            "block_id": name,
            "value": typed,
            "view": {**view, "state": state_of(view, values or {})},
        }
        return await self.interact(details, user=user)

    async def shortcut(self, text: str, *, user: str = USER, callback: str) -> Exchange:
        """Choose the message shortcut on a message with this text."""
        message = {"type": "message", "text": text, "user": "U0OTHER", "ts": "1.000001"}
        details = {"type": "message_action", "callback_id": callback, "message": message}
        return await self.interact(details, user=user)

    async def mention(
        self, text: str, *, user: str = USER, channel: str = CHANNEL, shared: bool = False
    ) -> Exchange:
        """Mention the bot in a message; its answers are in `posted`."""
        exchange = self.open_exchange()
        payload = mention_of(text, user, channel, number=next(self._numbers), shared=shared)
        await self._deliver("events_api", payload, exchange)
        return exchange

    async def deliver_again(self, exchange: Exchange) -> None:
        """Deliver the same thing once more, as Slack does when an acknowledgement was lost."""
        await self._deliver(exchange.kind, exchange.payload, exchange)

    def open_exchange(self) -> Exchange:
        """A response address of its own."""
        number = f"{next(self._numbers)}"
        exchange = Exchange(f"envelope-{number}", f"http://{self.host}/response/{number}")
        self._exchanges[number] = exchange
        return exchange

    def forget(self, exchange: Exchange) -> None:
        """Let go of an exchange, so that a long run does not fill the memory."""
        self._exchanges.pop(exchange.url.rpartition("/")[2], None)
        self.web.forget(exchange)

    async def _deliver(self, kind: str, payload: Mapping[str, Any], exchange: Exchange) -> None:
        future = asyncio.get_running_loop().create_future()
        self._acks[exchange.envelope_id] = future
        exchange.kind, exchange.payload = kind, payload
        envelope = {
            "envelope_id": exchange.envelope_id,
            "type": kind,
            "accepts_response_payload": True,
            "payload": payload,
        }
        started = time.monotonic()
        await self._sockets[next(self._turn) % len(self._sockets)].send_json(envelope)
        try:
            exchange.acknowledged = await asyncio.wait_for(future, self._ack_within_s)
        except TimeoutError:
            exchange.acknowledged = None
        exchange.acked_after_s = time.monotonic() - started

    def is_limited(self) -> bool:
        """Whether this request is one too many."""
        if self._limited <= 0:
            return False
        self._limited -= 1
        return True

    async def _on_call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        body: dict[str, Any] = dict(request.query)
        if request.content_type == "application/json":
            body.update(await request.json())
        else:
            body.update({key: str(value) for key, value in (await request.post()).items()})
        self.calls.append((method, body))
        if self.is_limited():
            return web.json_response(
                {"ok": False, "error": "ratelimited"}, status=429, headers=self._retry_after
            )
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        wanted = APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN
        if token != wanted:
            return web.json_response({"ok": False, "error": "invalid_auth"})
        return web.json_response(
            self.web.answer(method, body), headers={"x-oauth-scopes": self.people.scopes}
        )

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": len(self._sockets) + 1})
        async with self._joined:
            self.connections += 1
            self._sockets.append(socket)
            self._joined.notify_all()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._on_ack(json.loads(message.data))
        finally:
            with contextlib.suppress(ValueError):
                self._sockets.remove(socket)
        return socket

    def _on_ack(self, message: Mapping[str, Any]) -> None:
        future = self._acks.pop(str(message.get("envelope_id")), None)
        if future is not None and not future.done():
            future.set_result(message.get("payload") or {})

    async def _on_response(self, request: web.Request) -> web.StreamResponse:
        exchange = self._exchanges[request.match_info["id"]]
        message = await request.json()
        if self.is_limited():
            return web.Response(status=429, headers=self._retry_after)
        if exchange.uses >= RESPONSE_USES:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        exchange.uses += 1
        if faults := find_faults(message):
            self.refused += faults
            return web.json_response({"ok": False, "error": "invalid_blocks"}, status=400)
        exchange.messages.append(message)
        exchange.answered.set()
        return web.json_response({"ok": True})


def state_of(view: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The state of a modal in which these values were typed or chosen."""
    state: dict[str, Any] = {}
    for block in view["blocks"]:
        name, element = block["block_id"], block["element"]
        filled: dict[str, Any] = {"type": element["type"]}
        value = values.get(name)
        if "select" in element["type"]:
            chosen = {"value": value} if value else element.get("initial_option")
            filled["selected_option"] = chosen
        else:
            filled["value"] = value or element.get("initial_value")
        state[name] = {element["action_id"]: filled}
    return {"values": state}
