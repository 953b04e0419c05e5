"""Trying the bot without a workspace: a prompt in front of a local Slack-like server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.services.tasks import Tasks
from integrations.slack.chat import Answer, SlackAccess, SlackChat
from integrations.slack.listener import Host
from integrations.slack.local_server import APP_TOKEN, BOT_TOKEN, COMMAND, Exchange, SlackServer

WELCOME = (
    "A local stand-in for Slack. Type what you would type there, as",
    f"  {COMMAND} help",
    f"  {COMMAND} why-blocked project-lung/jupyter-alice svc:mirror/mirror:80",
    "A number presses the button of that number. An empty line or Ctrl-D leaves.",
)
PROMPT = "> "


async def try_out(
    answer: Answer | Host, read_line: Callable[[str], str], write: Callable[[str], None]
) -> None:
    """Run the bot against a server of its own, and let a person talk to it."""
    async with SlackServer() as server:
        access = SlackAccess(BOT_TOKEN, APP_TOKEN, server.api, frozenset({server.host}))
        chat = SlackChat(access, answer, write)
        async with Tasks(lambda caught: write(str(caught))) as tasks:
            tasks.start("slack", chat.run())
            await server.connected()
            await converse(server, read_line, write)


async def converse(
    server: SlackServer, read_line: Callable[[str], str], write: Callable[[str], None]
) -> None:
    """Take lines from a person until an empty one; `read_line` raises `EOFError` at the end."""
    for line in WELCOME:
        write(line)
    buttons: list[Mapping[str, Any]] = []
    while line := (await _next(read_line)).strip():
        if line.isdecimal() and 0 < int(line) <= len(buttons):
            exchange = await server.click(buttons[int(line) - 1])
        else:
            exchange = await server.command(line.removeprefix(COMMAND).strip())
        message = await _message(exchange)
        for shown in show(message):
            write(shown)
        buttons = list(_buttons(message))


async def _next(read_line: Callable[[str], str]) -> str:
    """Read in a thread that holds nobody up when the program is told to stop."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def give(text: str) -> None:
        if not line.done():
            line.set_result(text)

    def read() -> None:
        try:
            text = read_line(PROMPT)
        except EOFError:
            text = ""
        loop.call_soon_threadsafe(give, text)

    threading.Thread(target=read, daemon=True).start()
    return await line


async def _message(exchange: Exchange) -> Mapping[str, Any]:
    if exchange.acknowledged is None:
        return {"text": "operation_timeout: the command was not acknowledged within 3 s"}
    try:
        return await exchange.answer()
    except TimeoutError:
        return {"text": "no answer came"}


def show(message: Mapping[str, Any]) -> Iterator[str]:
    """The blocks of a message as lines of text."""
    blocks = message.get("blocks") or [{"type": "header", "text": {"text": message["text"]}}]
    number = 0
    for block in blocks:
        match block["type"]:
            case "header":
                yield f"\u2501\u2501 {block['text']['text']}"
            case "rich_text":
                yield from _rich(block)
            case "table":
                yield from _table(block)
            case "context":
                yield "  " + " \u00b7 ".join(one["text"] for one in block["elements"])
            case "actions":
                for button in block["elements"]:
                    number += 1
                    yield f"  [{number}] {button['text']['text']}"
    yield ""


def _rich(block: Mapping[str, Any]) -> Iterator[str]:
    text = "".join(part["text"] for section in block["elements"] for part in section["elements"])
    yield from (f"  {line}" for line in text.splitlines())


def _table(block: Mapping[str, Any]) -> Iterator[str]:
    rows = [[cell["text"] for cell in row] for row in block["rows"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells).rstrip()}"


def _buttons(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for block in message.get("blocks", ()):
        if block["type"] == "actions":
            yield from block["elements"]
