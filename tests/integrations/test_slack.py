"""The unmodified bolt app over a real WebSocket, against the local server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.model.chat import Caller, Choice, Fact, Incoming, Reply, ReplyKind
from integrations.slack.chat import SlackAccess, SlackChat
from integrations.slack.console import converse, show, try_out
from integrations.slack.local_server import (
    APP_TOKEN,
    BOT_TOKEN,
    CHANNEL,
    RESPONSE_USES,
    TEAM,
    USER,
    SlackServer,
)
from integrations.slack.respond import Responder


@dataclass
class Scripted:
    """Answers every command, and remembers what came in."""

    came: list[Incoming] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def answer(self, incoming: Incoming) -> Reply:
        self.came.append(incoming)
        if self.hold is not None:
            await self.hold.wait()
        if incoming.text == "break":
            raise RuntimeError("a defect")
        if incoming.text == "which":
            return Reply(
                ReplyKind.CHOICES,
                "which?",
                choices=(Choice("one", "why one"), Choice("two", "why two")),
            )
        return Reply(ReplyKind.ANSWER, f"answer to {incoming.text}", (Fact("Cause", "<!here>"),))


@dataclass
class Line:
    """A running bot and the server it is connected to."""

    server: SlackServer
    bot: Scripted
    said: list[str]


@asynccontextmanager
async def connected() -> AsyncIterator[Line]:
    async with SlackServer() as server:
        line = Line(server, Scripted(), [])
        access = SlackAccess(BOT_TOKEN, APP_TOKEN, server.api, frozenset({server.host}))
        serving = asyncio.ensure_future(SlackChat(access, line.bot.answer, line.said.append).run())
        await server.connected()
        yield line
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving


async def test_command_is_acknowledged_at_once_and_answered_later() -> None:
    async with connected() as line:
        line.bot.hold = asyncio.Event()
        exchange = await line.server.command("why a/b c/d")
        assert exchange.acknowledged == {}
        assert exchange.messages == []
        line.bot.hold.set()
        message = await exchange.answer()
        assert message["text"] == "answer to why a/b c/d"
        assert message["response_type"] == "ephemeral"
        assert message["replace_original"] is False
        assert line.bot.came == [Incoming("why a/b c/d", Caller(USER, CHANNEL, TEAM))]
        assert line.server.refused == []


async def test_start_says_who_we_are_and_checks_scopes() -> None:
    async with connected() as line:
        assert line.said == ["slack: Local as netpol"]


async def test_wrong_token_is_an_unavailable_source() -> None:
    async with SlackServer() as server:
        access = SlackAccess("xoxb-wrong", APP_TOKEN, server.api, frozenset({server.host}))
        with pytest.raises(SourceUnavailable, match="invalid_auth") as caught:
            await SlackChat(access, Scripted().answer, print).run()
        assert caught.value.cause is SourceCause.UNAUTHENTICATED
        assert "xoxb" not in str(caught.value)


async def test_wrong_app_token_is_an_unavailable_source() -> None:
    async with SlackServer() as server:
        access = SlackAccess(BOT_TOKEN, "xapp-wrong", server.api, frozenset({server.host}))
        with pytest.raises(SourceUnavailable, match="invalid_auth"):
            await SlackChat(access, Scripted().answer, print).run()


async def test_nobody_there_is_an_unavailable_source() -> None:
    access = SlackAccess(BOT_TOKEN, APP_TOKEN, "http://127.0.0.1:9/api/")
    with pytest.raises(SourceUnavailable, match="could not be reached"):
        await SlackChat(access, Scripted().answer, print).run()


async def test_oauth_variables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "x")
    with pytest.raises(ConfigError, match="SLACK_CLIENT_SECRET"):
        await SlackChat(SlackAccess(BOT_TOKEN, APP_TOKEN), Scripted().answer, print).run()


def test_tokens_show_in_no_repr() -> None:
    assert "xoxb" not in repr(SlackAccess("xoxb-secret", "xapp-secret"))


async def test_choice_asks_its_command_once_and_for_its_user_only() -> None:
    async with connected() as line:
        message = await (await line.server.command("which")).answer()
        first, second = message["blocks"][1]["elements"]
        stolen = await line.server.click(first, user="U0OTHER")
        assert "not yours" in (await stolen.answer())["text"]
        chosen = await line.server.click(first)
        assert (await chosen.answer())["text"] == "answer to why one"
        again = await line.server.click(first)
        assert "is gone" in (await again.answer())["text"]
        other = await line.server.click(second)
        assert (await other.answer())["text"] == "answer to why two"


async def test_defect_is_answered_and_reported() -> None:
    async with connected() as line:
        message = await (await line.server.command("break")).answer()
        assert "That did not work" in message["text"]
        assert "slack: slack answer: a defect" in line.said


async def test_rate_limited_answer_is_sent_again() -> None:
    async with connected() as line:
        line.server.limit_next(1)
        exchange = await line.server.command("ping")
        assert (await exchange.answer())["text"] == "answer to ping"


async def test_new_connection_follows_when_slack_asks_for_it() -> None:
    async with connected() as line:
        await line.server.disconnect()
        await line.server.connected()
        exchange = await line.server.command("ping")
        assert (await exchange.answer())["text"] == "answer to ping"
        assert line.server.connections == 2


async def test_unacknowledged_command_times_out_like_slack() -> None:
    async with SlackServer(ack_within_s=0.01) as server, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://{server.host}/socket"):
            await server.connected()
            exchange = await server.command("ping")
        assert exchange.acknowledged is None


@asynccontextmanager
async def responder(*, hosts: bool = True) -> AsyncIterator[tuple[SlackServer, Responder]]:
    async def no_pause(_seconds: float) -> None:
        return

    async with SlackServer() as server, aiohttp.ClientSession() as session:
        allowed = frozenset({server.host}) if hosts else frozenset({"hooks.slack.com"})
        yield server, Responder(session, hosts=allowed, sleep=no_pause)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.org/x",
        "http://hooks.slack.com/x",
        "https://hooks.slack.com.evil.example.org/x",
        "https://user@hooks.slack.com/x",
        "https://hooks.slack.com:444/x",
        "file:///etc/passwd",
        "",
    ],
)
async def test_answers_go_to_slack_and_nowhere_else(url: str) -> None:
    async with responder(hosts=False) as (_, sender):
        with pytest.raises(SourceUnavailable, match="not Slack's") as caught:
            await sender.send(url, {"text": "x"})
        assert not url or url not in str(caught.value)


async def test_message_that_slack_refuses_is_an_error() -> None:
    async with responder() as (server, sender):
        exchange = server.open_exchange()
        with pytest.raises(SourceUnavailable, match="invalid_blocks"):
            await sender.send(exchange.url, {"text": ""})


async def test_address_works_five_times() -> None:
    async with responder() as (server, sender):
        exchange = server.open_exchange()
        for _ in range(RESPONSE_USES):
            await sender.send(exchange.url, {"text": "x"})
        with pytest.raises(SourceUnavailable, match="404"):
            await sender.send(exchange.url, {"text": "x"})


async def test_server_that_is_gone_is_an_error() -> None:
    async with aiohttp.ClientSession() as session:
        sender = Responder(session, hosts=frozenset({"127.0.0.1:9"}))
        with pytest.raises(SourceUnavailable, match="could not be reached"):
            await sender.send("http://127.0.0.1:9/x", {"text": "x"})


async def test_lasting_limit_is_given_up() -> None:
    async with responder() as (server, sender):
        server.limit_next(9)
        with pytest.raises(SourceUnavailable, match="429") as caught:
            await sender.send(server.open_exchange().url, {"text": "x"})
        assert caught.value.cause is SourceCause.OVERLOADED


async def test_person_can_talk_to_it_at_a_prompt() -> None:
    lines = iter(["/netpol which", "2", "ping", ""])
    written: list[str] = []
    await try_out(Scripted().answer, lambda _: next(lines), written.append)
    text = "\n".join(written)
    assert "  [1] one\n  [2] two" in text
    assert "answer to why two" in text
    assert "answer to ping" in text


async def test_end_of_input_ends_the_talk() -> None:
    def read(_prompt: str) -> str:
        raise EOFError

    async with SlackServer() as server:
        await converse(server, read, print)


def test_blocks_are_shown_as_lines() -> None:
    cells = [
        [{"type": "raw_text", "text": text} for text in row] for row in (("A", "B"), ("long", "b"))
    ]
    section = {"elements": [{"text": "Cause  "}, {"text": "x\n"}, {"text": "y"}]}
    message = {
        "text": "t",
        "blocks": [
            {"type": "header", "text": {"text": "head"}},
            {"type": "rich_text", "elements": [section]},
            {"type": "table", "rows": cells},
            {"type": "context", "elements": [{"text": "a"}, {"text": "b"}]},
        ],
    }
    assert list(show(message)) == [
        "━━ head",
        "  Cause  x",
        "  y",
        "  A     B",
        "  long  b",
        "  a · b",
        "",
    ]
