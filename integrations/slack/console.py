"""Trying the bot without a workspace: a prompt in front of a local Slack-like server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.services.tasks import Tasks
from integrations.slack.chat import Answer, SlackAccess, SlackChat
from integrations.slack.listener import Host
from integrations.slack.local_server import APP_TOKEN, BOT_TOKEN, COMMAND, Exchange, SlackServer

WELCOME = (
    "A local stand-in for Slack. Type what you would type there, as",
    f"  {COMMAND} help",
    f"  {COMMAND} why-blocked project-lung/jupyter-alice svc:mirror/mirror:80",
    "`form` opens the form that `/netpol` alone opens there. A number presses the button of that",
    "number. An empty line or Ctrl-D leaves.",
)
PROMPT = "> "
FORM = "form"
WITHIN_S = 60.0
SETTLE_S = 0.15


@asynccontextmanager
async def local_chat(
    answer: Answer | Host, write: Callable[[str], None]
) -> AsyncIterator[tuple[SlackServer, SlackChat]]:
    """A server of its own, and the chat that connects to it once it runs."""
    async with SlackServer() as server:
        access = SlackAccess(BOT_TOKEN, APP_TOKEN, server.api, frozenset({server.host}))
        yield server, SlackChat(access, answer, write)


async def try_out(
    answer: Answer | Host, read_line: Callable[[str], str], write: Callable[[str], None]
) -> None:
    """Run the bot against a server of its own, and let a person talk to it."""
    talk = local_chat(answer, write)
    async with talk as (server, chat), Tasks(lambda caught: write(str(caught))) as tasks:
        tasks.start("slack", chat.run())
        await server.connected()
        await converse(server, read_line, write)


async def converse(
    server: SlackServer, read_line: Callable[[str], str], write: Callable[[str], None]
) -> None:
    """Take lines from a person until an empty one; `read_line` raises `EOFError` at the end."""
    for line in WELCOME:
        write(line)
    talk = _Talk(server, read_line, write)
    while line := (await _next(read_line, PROMPT)).strip():
        if line.isdecimal() and 0 < int(line) <= len(talk.buttons):
            await talk.follow(await server.click(talk.buttons[int(line) - 1]))
        else:
            typed = line.removeprefix(COMMAND).strip()
            await talk.follow(await server.command("" if typed == FORM else typed))


@dataclass
class _Talk:
    """What is on screen: the buttons that can be pressed, and how much of the rest was shown."""

    server: SlackServer
    read_line: Callable[[str], str]
    write: Callable[[str], None]
    buttons: list[Mapping[str, Any]] = field(default_factory=list)
    posted: int = 0

    async def follow(self, exchange: Exchange) -> None:
        """Show what comes of something that was done, forms included."""
        if exchange.acknowledged is None:
            self.write("operation_timeout: the command was not acknowledged within 3 s")
            return
        self.buttons = []
        shown = 0
        while (came := await _what_comes(exchange)) == "form":
            view, exchange.view = exchange.view or {}, None
            exchange.opened.clear()
            await self._fill_in(view)
        if not came:
            self.write("no answer came")
        while len(exchange.messages) > shown or _is_late(exchange.messages):
            await _settled(exchange)
            for message in exchange.messages[shown:]:
                self._show(message)
            shown = len(exchange.messages)
        for message in self.server.posted[self.posted :]:
            self._show(message)
        self.posted = len(self.server.posted)

    def _show(self, message: Mapping[str, Any]) -> None:
        for line in show(message, len(self.buttons)):
            self.write(line)
        self.buttons += _buttons(message)

    async def _fill_in(self, view: Mapping[str, Any]) -> None:
        """Ask for each field of a form, and send it; what is looked up is the first that fits."""
        self.write(f"\u2501\u2501 {view['title']['text']}")
        values: dict[str, str] = {}
        for block in view["blocks"]:
            name = block["block_id"]
            hint = f" ({block['hint']['text']})" if "hint" in block else ""
            typed = (await _next(self.read_line, f"  {block['label']['text']}{hint}: ")).strip()
            if typed and "external" in block["element"]["type"]:
                found = await self.server.look_up(view, name, typed, values)
                options = (found.acknowledged or {}).get("options") or []
                typed = options[0]["value"] if options else typed
            if typed:
                values[name] = typed
        await self.server.submit(view, values)


async def _what_comes(exchange: Exchange) -> str:
    """Wait for a form or a message: `form`, `message`, or nothing."""
    waits = {
        asyncio.ensure_future(exchange.opened.wait()),
        asyncio.ensure_future(exchange.answered.wait()),
    }
    try:
        done, _ = await asyncio.wait(waits, timeout=WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    if not done:
        return ""
    return "form" if exchange.view is not None else "message"


def _is_late(messages: Sequence[Mapping[str, Any]]) -> bool:
    return bool(messages) and "takes longer" in messages[-1]["text"]


async def _settled(exchange: Exchange) -> None:
    """A moment for what belongs to an answer; longer where it was said to take longer."""
    await asyncio.sleep(1.0 if _is_late(exchange.messages) else SETTLE_S)


async def _next(read_line: Callable[[str], str], prompt: str) -> str:
    """Read in a thread that holds nobody up when the program is told to stop."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def give(text: str) -> None:
        if not line.done():
            line.set_result(text)

    def read() -> None:
        try:
            text = read_line(prompt)
        except EOFError:
            text = ""
        loop.call_soon_threadsafe(give, text)

    threading.Thread(target=read, daemon=True).start()
    return await line


def show(message: Mapping[str, Any], number: int = 0) -> Iterator[str]:
    """The blocks of a message as lines of text; its buttons are numbered after `number`."""
    blocks = message.get("blocks") or [{"type": "header", "text": {"text": message["text"]}}]
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
    parts = (part for section in block["elements"] for part in section["elements"])
    text = "".join(part.get("text") or part.get("url", "") for part in parts)
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
