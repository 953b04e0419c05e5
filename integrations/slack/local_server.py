"""A local server that speaks Slack's Web API and Socket Mode, for tests and for trying the bot.

It drives the unmodified bolt app over a real WebSocket and is as strict as Slack where that
matters: commands must be acknowledged within three seconds, a response address works five times,
messages that Slack would refuse are refused, and it can limit rates and end connections.
Source: docs.slack.dev, "Socket Mode", "Handling user interaction", "Rate limits".
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import WSMsgType, web

from integrations.slack.limits import find_faults

ACK_WITHIN_S = 3.0
RESPONSE_USES = 5
TEAM, USER, CHANNEL = "T0LOCAL", "U0LOCAL", "C0LOCAL"
BOT_TOKEN, APP_TOKEN = "xoxb-local", "xapp-local"  # a server of our own
COMMAND = "/netpol"


@dataclass(slots=True)
class Exchange:
    """One command or click: its acknowledgement, and the messages sent to its address.

    `acknowledged` is None when nothing came in time, which a user sees as `operation_timeout`.
    """

    envelope_id: str
    url: str
    acknowledged: Mapping[str, Any] | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    uses: int = 0
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, within_s: float = 10.0) -> dict[str, Any]:
        """Wait for the first message, and give the newest."""
        async with asyncio.timeout(within_s):
            await self.answered.wait()
        return self.messages[-1]


class SlackServer:
    """Use as an async context manager. `calls` are the Web API calls made, by method and body."""

    def __init__(self, *, ack_within_s: float = ACK_WITHIN_S) -> None:
        self._ack_within_s = ack_within_s
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        self.connections = 0
        self._numbers = itertools.count(1)
        self._exchanges: dict[str, Exchange] = {}
        self._acks: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._limited = 0
        self._retry_after = {"Retry-After": "1"}
        self._sockets: list[web.WebSocketResponse] = []
        self._connected = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.host = ""

    @property
    def api(self) -> str:
        """The base address of the Web API; the final slash matters to the SDK."""
        return f"http://{self.host}/api/"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/api/{method}", self._on_call)
        app.router.add_get("/socket", self._on_socket)
        app.router.add_post("/response/{id}", self._on_response)
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

    async def connected(self, within_s: float = 10.0) -> None:
        """Wait until an app is connected."""
        async with asyncio.timeout(within_s):
            await self._connected.wait()

    def limit_next(self, count: int, *, retry_after_s: int = 0) -> None:
        """Answer the next requests, to the API or to a response address, with 429."""
        self._limited = count
        self._retry_after = {"Retry-After": str(retry_after_s)}

    async def disconnect(self) -> None:
        """Ask every app to connect anew, as Slack does every few hours."""
        self._connected.clear()
        for socket in self._sockets:
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
            "trigger_id": f"{next(self._numbers)}.trigger",
            "response_url": exchange.url,
        }
        await self._deliver("slash_commands", payload, exchange)
        return exchange

    async def click(
        self, button: Mapping[str, Any], *, user: str = USER, channel: str = CHANNEL
    ) -> Exchange:
        """Press a button of a message."""
        exchange = self.open_exchange()
        payload = {
            "type": "block_actions",
            "user": {"id": user, "team_id": TEAM},
            "team": {"id": TEAM, "domain": "local"},
            "channel": {"id": channel},
            "container": {"type": "message", "is_ephemeral": True},
            "api_app_id": "A0LOCAL",
            "actions": [{**button, "block_id": "choices", "type": "button"}],
            "trigger_id": f"{next(self._numbers)}.trigger",
            "response_url": exchange.url,
        }
        await self._deliver("interactive", payload, exchange)
        return exchange

    def open_exchange(self) -> Exchange:
        """A response address of its own."""
        number = f"{next(self._numbers)}"
        exchange = Exchange(f"envelope-{number}", f"http://{self.host}/response/{number}")
        self._exchanges[number] = exchange
        return exchange

    async def _deliver(self, kind: str, payload: Mapping[str, Any], exchange: Exchange) -> None:
        future = asyncio.get_running_loop().create_future()
        self._acks[exchange.envelope_id] = future
        envelope = {
            "envelope_id": exchange.envelope_id,
            "type": kind,
            "accepts_response_payload": True,
            "payload": payload,
        }
        await self._sockets[-1].send_json(envelope)
        try:
            exchange.acknowledged = await asyncio.wait_for(future, self._ack_within_s)
        except TimeoutError:
            exchange.acknowledged = None

    def _is_limited(self) -> bool:
        if self._limited <= 0:
            return False
        self._limited -= 1
        return True

    async def _on_call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        body = dict(await request.post())
        self.calls.append((method, {key: str(value) for key, value in body.items()}))
        if self._is_limited():
            return web.json_response(
                {"ok": False, "error": "ratelimited"}, status=429, headers=self._retry_after
            )
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        wanted = APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN
        if token != wanted:
            return web.json_response({"ok": False, "error": "invalid_auth"})
        return web.json_response(
            self._api_answer(method), headers={"x-oauth-scopes": "commands,chat:write"}
        )

    def _api_answer(self, method: str) -> dict[str, Any]:
        match method:
            case "apps.connections.open":
                return {"ok": True, "url": f"ws://{self.host}/socket"}
            case "auth.test":
                return {
                    "ok": True,
                    "url": f"http://{self.host}/",
                    "team": "Local",
                    "user": "netpol",
                    "team_id": TEAM,
                    "user_id": "U0BOT",
                    "bot_id": "B0BOT",
                }
            case _:
                return {"ok": False, "error": "unknown_method"}

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._sockets.append(socket)
        await socket.send_json({"type": "hello", "num_connections": len(self._sockets)})
        self._connected.set()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._on_ack(json.loads(message.data))
        finally:
            self._sockets.remove(socket)
        return socket

    def _on_ack(self, message: Mapping[str, Any]) -> None:
        future = self._acks.pop(str(message.get("envelope_id")), None)
        if future is not None and not future.done():
            future.set_result(message.get("payload") or {})

    async def _on_response(self, request: web.Request) -> web.StreamResponse:
        exchange = self._exchanges[request.match_info["id"]]
        message = await request.json()
        if self._is_limited():
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
