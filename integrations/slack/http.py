"""Slack over signed HTTP: for those who let Slack's requests in instead of opening a socket.

Bolt checks the signature (`v0`, HMAC-SHA256 over time and body, five minutes). Two things are done
before it: a time that is no number is refused, on which its check fails with a traceback, and a
body that is longer than any of Slack's is not read. The same request sent again within the five
minutes is acknowledged and does nothing (`Listener`).
Source: docs.slack.dev, "Verifying requests from Slack".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from app.core.errors import ConfigError

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

PATH = "/slack/events"
BODY_MAX = 1 << 20
PORT_MAX = 65_535

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def parse_listen(text: str, key: str) -> tuple[str, int]:
    """`HOST:PORT`. Raises `ConfigError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ConfigError(f"`{text}` is not HOST:PORT", hint="as 127.0.0.1:3000", key=key)
    return host.strip("[]"), int(port)


@web.middleware
async def _signed_in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    time = request.headers.get("X-Slack-Request-Timestamp", "")
    if not (time.isascii() and time.isdigit()):
        return web.Response(status=401, text="no time of a request")
    return await handler(request)


@asynccontextmanager
async def serving(app: AsyncApp, secret: str, listen: str) -> AsyncIterator[str]:
    """Serve Slack's requests; gives the address. Raises `ConfigError`.

    A request without a right signature gets 401 from bolt and reaches nothing of ours.
    """
    if not secret:
        raise ConfigError("no signing secret: anybody could ask", hint="use Socket Mode, or set it")
    host, port = parse_listen(listen, "bot.http")
    outer = web.Application(client_max_size=BODY_MAX, middlewares=[_signed_in_time])
    server = app.server(port=port, path=PATH, host=host)
    outer.add_routes([web.post(PATH, server.handle_post_requests)])
    runner = web.AppRunner(outer, shutdown_timeout=5.0, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            raise ConfigError(f"cannot listen on {listen}: {words}", key="bot.http") from error
        bound = runner.addresses[0]
        yield f"http://{bound[0]}:{bound[1]}{PATH}"
    finally:
        await runner.cleanup()
