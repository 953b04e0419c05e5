"""A web application on a port of this machine that nobody else has."""

from __future__ import annotations

from aiohttp import web


async def start_on_loopback(application: web.Application) -> tuple[web.AppRunner, str]:
    """Serve an application; gives what ends it (`cleanup`) and its address."""
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"
