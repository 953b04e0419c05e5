"""The bot as a process of its own: its end, its log, its proxy."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from app.cli import main
from integrations.slack.local_server import APP_TOKEN, BOT_TOKEN, CHANNEL, TEAM, SlackServer

WHY = "why-blocked label:project-lung/app=jupyter label:mirror/app=mirror 22"
SETTINGS = """
[bot]
team = "{team}"
channels = ["{channel}"]
level = "full"
api = "{api}"
status = "127.0.0.1:0"
"""


@asynccontextmanager
async def running(server: SlackServer, folder: Path, **environ: str) -> AsyncIterator[Process]:
    settings = folder / "config.toml"
    text = SETTINGS.format(team=TEAM, channel=CHANNEL, api=server.api)
    settings.write_text(text, encoding="utf-8")
    tokens = {"bot": BOT_TOKEN, "app": APP_TOKEN}
    for name, token in tokens.items():
        (folder / name).write_text(f"{token}\n", encoding="utf-8")
        (folder / name).chmod(0o600)
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("proxy")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "bot", "--config", str(settings)),
        *("--snapshot", "integrations/demo/gitops"),
        env={
            **kept,
            "K8TRE_TUI_SLACK_BOT_TOKEN_FILE": str(folder / "bot"),
            "K8TRE_TUI_SLACK_APP_TOKEN_FILE": str(folder / "app"),
            "XDG_STATE_HOME": str(folder / "state"),
            **environ,
        },
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        await server.connected(within_s=60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_sigterm_ends_it_after_what_is_under_way(tmp_path: Path) -> None:
    async with SlackServer() as server, running(server, tmp_path) as process:
        await (await server.command("ping")).answer(within_s=30)
        exchange = await server.command(WHY)
        process.send_signal(signal.SIGTERM)
        assert "DENIED" in (await exchange.answer(within_s=30))["text"]
        stdout, stderr = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        assert stdout == b""
        events = [json.loads(line)["event"] for line in stderr.splitlines()]
        assert events[0] == "command started"
        assert events[-1] == "command ended"
        assert events.count("command answered") == 2
        assert BOT_TOKEN.encode() not in stderr
        assert exchange.url.encode() not in stderr
        assert server.refused == []
    (record,) = (tmp_path / "state").rglob("audit.jsonl")
    assert await asyncio.to_thread(main, ["bot", "audit", "verify", "--file", str(record)]) == 0
    lines = record.read_bytes().replace(b'"answered"', b'"refused"', 1)
    record.write_bytes(lines)
    assert await asyncio.to_thread(main, ["bot", "audit", "verify", "--file", str(record)]) == 1


class Proxy:
    """A forward proxy for plain HTTP that counts which paths went through it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.address = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        method, target, version = line.split()
        host, _, path = target.partition("://")[2].partition("/")
        name, _, port = host.partition(":")
        self.paths.append(f"/{path}")
        there, out = await asyncio.open_connection(name, int(port))
        out.write(f"{method} /{path} {version}\r\n".encode())
        await asyncio.gather(_pipe(reader, out), _pipe(there, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    finally:
        writer.close()


async def test_every_client_goes_through_the_proxy(tmp_path: Path) -> None:
    async with (
        SlackServer() as server,
        Proxy() as proxy,
        running(server, tmp_path, HTTPS_PROXY=proxy.address),
    ):
        assert await (await server.command("ping")).answer(within_s=30)
        whole = " ".join(proxy.paths)
        for part in ("/api/auth.test", "/api/apps.connections.open", "/socket", "/response/"):
            assert part in whole
