"""Slack over signed HTTP: who is let in, and that the same request does nothing twice."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from app.core.errors import ConfigError
from app.core.model.chat import Incoming, Reply, ReplyKind
from integrations.slack.chat import SlackAccess, SlackChat
from integrations.slack.http import PATH, parse_listen
from integrations.slack.local_server import BOT_TOKEN, CHANNEL, TEAM, USER, Exchange, SlackServer

SECRET = "signing-secret"


@dataclass
class Door:
    """The bot's own address, and the server of Slack that its answers go to."""

    url: str
    server: SlackServer
    came: list[str]
    session: aiohttp.ClientSession

    async def knock(self, body: str, *, stamp: str = "", secret: str = SECRET) -> int:
        stamp = stamp or str(int(time.time()))
        signed = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256)
        headers = {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={signed.hexdigest()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self.session.post(self.url, data=body, headers=headers) as answer:
            return answer.status

    def command(self, text: str) -> tuple[str, Exchange]:
        exchange = self.server.open_exchange()
        fields = {
            "command": "/netpol",
            "text": text,
            "user_id": USER,
            "channel_id": CHANNEL,
            "team_id": TEAM,
            "trigger_id": f"{exchange.envelope_id}.t",
            "response_url": exchange.url,
        }
        return urlencode(fields), exchange


@asynccontextmanager
async def open_door() -> AsyncIterator[Door]:
    came: list[str] = []
    said: list[str] = []

    async def answer(incoming: Incoming) -> Reply:
        came.append(incoming.text)
        return Reply(ReplyKind.ANSWER, f"answer to {incoming.text}")

    async with SlackServer() as server, aiohttp.ClientSession() as session:
        access = SlackAccess(
            BOT_TOKEN,
            api=server.api,
            hosts=frozenset({server.host}),
            signing_secret=SECRET,
            listen="127.0.0.1:0",
        )
        chat = SlackChat(access, answer, said.append)
        serving = asyncio.ensure_future(chat.run())
        async with asyncio.timeout(10):
            while not chat.is_connected():
                await asyncio.sleep(0.01)
        url = next(one for one in said if "listening" in one).rpartition(" ")[2]
        assert url.endswith(PATH)
        yield Door(url, server, came, session)
        chat.stop()
        await serving


async def test_signed_command_is_answered() -> None:
    async with open_door() as door:
        body, exchange = door.command("ping")
        assert await door.knock(body) == 200
        assert (await exchange.answer())["text"] == "answer to ping"


@pytest.mark.parametrize(
    ("stamp", "secret"),
    [
        ("", "another-secret"),
        (str(int(time.time()) - 3600), SECRET),
        (str(int(time.time()) + 3600), SECRET),
        ("yesterday", SECRET),
        ("\u0661\u0662", SECRET),
        ("1e9", SECRET),
    ],
    ids=["other secret", "old", "early", "word", "foreign digits", "exponent"],
)
async def test_unsigned_old_or_garbled_is_refused(stamp: str, secret: str) -> None:
    async with open_door() as door:
        body, _ = door.command("ping")
        if stamp.isascii():
            assert await door.knock(body, stamp=stamp, secret=secret) == 401
        else:
            assert await door.knock(body, stamp=stamp.encode().decode("latin-1")) == 401
        assert door.came == []


async def test_request_without_signature_is_refused() -> None:
    async with open_door() as door, door.session.post(door.url, data="x=1") as answer:
        assert answer.status == 401


async def test_replayed_request_does_nothing() -> None:
    async with open_door() as door:
        body, exchange = door.command("ping")
        stamp = str(int(time.time()))
        assert await door.knock(body, stamp=stamp) == 200
        await exchange.answer()
        assert await door.knock(body, stamp=stamp) == 200
        other, second = door.command("again")
        assert await door.knock(other) == 200
        await second.answer()
        assert door.came == ["ping", "again"]


async def test_button_comes_as_a_form_too() -> None:
    async with open_door() as door:
        exchange = door.server.open_exchange()
        payload: dict[str, Any] = {
            "type": "block_actions",
            "user": {"id": USER, "team_id": TEAM},
            "team": {"id": TEAM},
            "channel": {"id": CHANNEL},
            "trigger_id": "9.t",
            "response_url": exchange.url,
            "actions": [{"type": "button", "action_id": "ask.0", "block_id": "b", "value": "c1.x"}],
        }
        assert await door.knock(urlencode({"payload": json.dumps(payload)})) == 200
        assert "is gone or not yours" in (await exchange.answer())["text"]


@pytest.mark.parametrize("text", ["", "3000", ":3000", "127.0.0.1", "h:99999", "h:-1"])
def test_address_that_is_none_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_listen(text, "bot.http")
