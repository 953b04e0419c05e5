"""The whole bot over the local server: desk, rules, adapter, and bolt as it is."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.bootstrap.chat import build_local_desk
from app.bootstrap.sources import Sources
from app.bootstrap.workspace import build_workspace
from app.bot.access import Level, Role, RoleGrant, Rules
from app.bot.audit import Entry
from app.bot.desk import Desk
from app.config import Settings
from app.ports import FlowRequest
from app.services.workspace import Workspace
from integrations.slack.chat import SlackAccess, SlackChat
from integrations.slack.limits import texts_of
from integrations.slack.listener import SHORTCUT
from integrations.slack.local_server import (
    APP_TOKEN,
    BOT_TOKEN,
    CHANNEL,
    TEAM,
    USER,
    Exchange,
    SlackServer,
)

WHY = "why-blocked project-lung/jupyter-alice svc:mirror/mirror:80"
RULES = Rules(TEAM, frozenset({CHANNEL}), level=Level.FULL)


class Notebook(list[Entry]):
    def record(self, entry: Entry) -> None:
        self.append(entry)


@dataclass
class Office:
    """A bot at work, and the workspace of people around it."""

    server: SlackServer
    desk: Desk
    notebook: Notebook
    chat: SlackChat
    said: list[str] = field(default_factory=list)

    async def ask(self, text: str, **who: str) -> dict[str, Any]:
        return await (await self.server.command(text, **who)).answer(within_s=120)


@pytest.fixture(name="workspace", scope="module")
def _workspace() -> Workspace:
    workspace = build_workspace(Sources(demo=True), Settings())

    async def read() -> None:
        await workspace.load()
        await workspace.load_flows(FlowRequest(follow=False))

    asyncio.run(read())
    return workspace


Open = Callable[..., Any]


@pytest.fixture(name="office")
def _office(workspace: Workspace) -> Open:
    @asynccontextmanager
    async def opened(rules: Rules = RULES) -> AsyncIterator[Office]:
        async with SlackServer(ack_within_s=60, trigger_within_s=60) as server:
            notebook = Notebook()
            desk = dataclasses.replace(
                build_local_desk(workspace, "demo"), rules=rules, audit=notebook
            )
            access = SlackAccess(
                BOT_TOKEN,
                APP_TOKEN,
                server.api,
                frozenset({server.host}),
                rules.groups,
                patience_s=120,
            )
            said: list[str] = []
            chat = SlackChat(access, desk, said.append)
            serving = asyncio.ensure_future(chat.run())
            await server.connected()
            yield Office(server, desk, notebook, chat, said)
            chat.stop()
            await serving
            assert server.refused == []

    return opened


def shown(message: dict[str, Any]) -> str:
    return " ".join(texts_of(message["blocks"]))


def buttons(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        one["text"]["text"]: one
        for block in message["blocks"]
        if block["type"] == "actions"
        for one in block["elements"]
    }


async def test_question_is_answered_to_the_one_who_asked(office: Open) -> None:
    async with office() as bot:
        message = await bot.ask(WHY)
        assert message["response_type"] == "ephemeral"
        assert "✗ DENIED" in message["text"]
        assert "gitops/projects/lung/workspace.yaml:23" in shown(message)
        assert [one.decision for one in bot.notebook] == ["answered"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("can project-lung/jupyter-alice svc:mirror/mirror:80", "flows were not looked at"),
        ("flows project-lung --limit 2", "Verdict"),
        ("inventory keycloak", "keycloak:"),
        ("lint guacamole", "guacamole:"),
        ("what-if delete mirror/mirror-in", "Without"),
        ("whoami", "What you may ask"),
        ("help what-if", "what-if delete POLICY"),
        ("ping", "I am here"),
    ],
)
async def test_every_question_has_its_answer(office: Open, command: str, words: str) -> None:
    async with office() as bot:
        assert words in shown(await bot.ask(command))


async def test_mention_is_answered_in_its_thread(office: Open) -> None:
    async with office() as bot:
        exchange = await bot.server.mention(f"why-blocked {WHY.partition(' ')[2]}")
        assert exchange.acknowledged is not None
        async with asyncio.timeout(60):
            while not bot.server.posted:
                await asyncio.sleep(0.01)
        (message,) = bot.server.posted
        assert (message["channel"], message["user"]) == (CHANNEL, USER)
        assert message["thread_ts"] == exchange.payload["event"]["ts"]
        assert "DENIED" in message["text"]


async def test_buttons_ask_on(office: Open) -> None:
    async with office(dataclasses.replace(RULES, grants={CHANNEL: RoleGrant(Role.DRAFTER)})) as bot:
        message = await bot.ask("why project-lung/jupyter-alice mirror/mirror-1 22")
        offered = buttons(message)
        assert list(offered) == [
            "Ask for this change",
            "Flows",
            "What if?",
            "Share",
            "Copy the command",
        ]
        told = await (await bot.server.click(offered["Copy the command"])).answer()
        assert "k8tre-tui why project-lung/jupyter-alice mirror/mirror-1 22" in shown(told)
        assert told["replace_original"] is False
        await (await bot.server.click(offered["Flows"])).answer()
        assert "Opens" in shown(await (await bot.server.click(offered["What if?"])).answer())
        await bot.server.click(offered["Share"])
        async with asyncio.timeout(60):
            while not bot.server.posted:
                await asyncio.sleep(0.01)
        assert "user" not in bot.server.posted[0]


async def test_asker_is_not_offered_to_ask_for_changes(office: Open) -> None:
    async with office() as bot:
        message = await bot.ask("why project-lung/jupyter-alice mirror/mirror-1 22")
        assert "Ask for this change" not in buttons(message)


async def test_nothing_typed_opens_the_form_and_its_look_ups_answer(office: Open) -> None:
    async with office() as bot:
        view = await (await bot.server.command("")).modal(within_s=60)
        found = await bot.server.look_up(view, "in", "lung")
        assert [one["value"] for one in options(found)] == ["project-lung"]
        found = await bot.server.look_up(view, "from", "ali", {"in": "project-lung"})
        assert [one["value"] for one in options(found)] == ["project-lung/jupyter-alice"]
        values = {"from": "project-lung/jupyter-alice", "to": "svc:mirror/mirror:80"}
        asked = await bot.server.submit(view, values)
        assert asked.acknowledged is not None
        message = await (bot.server._exchanges[address_of(bot, view)]).answer()
        assert "✗ DENIED" in message["text"]


def options(exchange: Exchange) -> list[dict[str, Any]]:
    assert exchange.acknowledged is not None
    found: list[dict[str, Any]] = exchange.acknowledged["options"]
    return found


def address_of(bot: Office, view: dict[str, Any]) -> str:
    (number,) = [n for n, one in bot.server._exchanges.items() if one.view is not None]
    assert "response" not in json.dumps(view)
    return number


async def test_look_up_at_the_least_level_says_no_name_of_a_researcher(office: Open) -> None:
    async with office(dataclasses.replace(RULES, level=Level.MINIMAL)) as bot:
        view = await (await bot.server.command("")).modal(within_s=60)
        found = options(await bot.server.look_up(view, "from", "alice", {"in": "project-lung"}))
        assert len(found) == 1
        assert "alice" not in json.dumps(found)
        values = {"from": found[0]["value"], "to": "svc:mirror/mirror:80"}
        await bot.server.submit(view, values)
        message = await (bot.server._exchanges[address_of(bot, view)]).answer()
        assert "DENIED" in message["text"]
        assert "alice" not in json.dumps(message)


async def test_form_that_is_too_late_becomes_help(office: Open) -> None:
    async with office() as bot:
        original = bot.server.web._open_view
        bot.server.web._methods["views.open"] = lambda body: (
            bot.server.web.expire_triggers() or original(body)
        )
        exchange = await bot.server.command("")
        assert "What I can tell" in shown(await exchange.answer())


@pytest.mark.parametrize(
    ("text", "to", "port"),
    [
        ("curl: (28) Failed to connect to pypi.org port 443 after 1 ms", "pypi.org", "443"),
        ("HTTPSConnectionPool(host='pypi.org', port=443): Max retries", "pypi.org", "443"),
        ("Nov 25: project-lung/jupyter-alice:4000 (ID:7) -> 10.0.2.1:80 (world)", "10.0.2.1", "80"),
    ],
)
async def test_shortcut_fills_the_form_from_an_error(
    office: Open, text: str, to: str, port: str
) -> None:
    async with office() as bot:
        view = await (await bot.server.shortcut(text, callback=SHORTCUT)).modal(within_s=60)
        filled = {one["block_id"]: one["element"].get("initial_value") for one in view["blocks"]}
        assert (filled["to"], filled["port"]) == (to, port)


@pytest.mark.parametrize(("kind", "words"), [("guests", "full members"), ("bots", "a bot")])
async def test_guests_and_bots_are_refused_with_a_word(office: Open, kind: str, words: str) -> None:
    async with office() as bot:
        getattr(bot.server.people, kind).add(USER)
        assert words in (await bot.ask("ping"))["text"]
        assert [one.decision for one in bot.notebook] == ["refused"]


async def test_strangers_and_shared_channels_are_refused(office: Open) -> None:
    async with office() as bot:
        bot.server.people.strangers.add("U0FAR")
        assert "another one" in (await bot.ask("ping", user="U0FAR"))["text"]
    async with office() as bot:
        bot.server.people.shared.add(CHANNEL)
        assert "other organisations" in (await bot.ask("ping"))["text"]


async def test_member_of_a_user_group_has_its_role(office: Open) -> None:
    grants = {"S0OPS": RoleGrant(Role.OPERATOR, frozenset({"mirror"}))}
    async with office(dataclasses.replace(RULES, grants=grants)) as bot:
        bot.server.people.groups["S0OPS"] = [USER]
        assert "operator" in shown(await bot.ask("whoami"))
        assert "not on the list" in (await bot.ask("whoami", user="U0ELSE"))["text"]
        assert "mirror" in shown(await bot.ask("whoami"))


async def test_refused_person_gets_no_form(office: Open) -> None:
    async with office() as bot:
        exchange = await bot.server.command("", channel="C0ELSE")
        assert "I do not answer in this channel" in (await exchange.answer())["text"]
        assert exchange.view is None


async def test_same_envelope_twice_is_answered_once(office: Open) -> None:
    async with office() as bot:
        exchange = await bot.server.command("ping")
        await exchange.answer()
        await bot.server.deliver_again(exchange)
        assert exchange.acknowledged is not None
        await bot.ask("whoami")
        assert len(exchange.messages) == 1
        assert [one.command for one in bot.notebook] == ["ping", "whoami"]


async def test_three_limits_in_a_row_lose_nothing(office: Open) -> None:
    async with office() as bot:
        await bot.ask("ping")
        bot.server.limit_next(3)
        assert "DENIED" in (await bot.ask(WHY))["text"]
        view_limit = await bot.server.command("whoami")
        await view_limit.answer()


async def test_two_bots_know_each_others_buttons(
    workspace: Workspace, tmp_path: Any, office: Open
) -> None:
    async with SlackServer(ack_within_s=60, trigger_within_s=60) as server:
        desks = [dataclasses.replace(build_local_desk(workspace, "demo")) for _ in range(2)]
        access = SlackAccess(
            BOT_TOKEN,
            APP_TOKEN,
            server.api,
            frozenset({server.host}),
            offers=tmp_path / "offers.sqlite",
        )
        chats = [SlackChat(access, desk, lambda _line: None) for desk in desks]
        serving = [asyncio.ensure_future(chat.run()) for chat in chats]
        await server.connected(bots=2)
        message = await (
            await server.command("why project-lung/jupyter mirror/mirror-1 80")
        ).answer()
        first, *_ = buttons(message).values()
        assert "mirror" in (await (await server.click(first)).answer())["text"]
        assert "is gone" in (await (await server.click(first)).answer())["text"]
        for chat in chats:
            chat.stop()
        await asyncio.gather(*serving)


async def test_told_to_stop_it_finishes_what_is_under_way(office: Open) -> None:
    async with office() as bot:
        exchange = await bot.server.command(WHY)
        bot.chat.stop()
        assert "DENIED" in (await exchange.answer())["text"]
