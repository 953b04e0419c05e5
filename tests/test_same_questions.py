"""The stories of the demo, asked on every face: one verdict, cause and citation for each."""

import asyncio
import re
import shlex
from typing import Any

import msgspec
import pytest
from textual.widgets import Input

from app.bootstrap.chat import build_local_desk
from app.bootstrap.sources import Sources, SystemClock
from app.bootstrap.workspace import build_workspace
from app.cli import main
from app.config import Settings
from app.core.model.answer import CauseCode
from app.core.model.verdict import Verdict
from app.ports import FlowRequest
from app.tui.app import K8treApp
from integrations.slack.chat import SlackAccess, SlackChat
from integrations.slack.limits import texts_of
from integrations.slack.local_server import APP_TOKEN, BOT_TOKEN, SlackServer
from tests.integrations.test_demo import STORIES
from tests.tui.lab import press, shown, until

DEMO = Sources(demo=True)
AT_ONCE = 5
SSH = ("project-gene/jupyter-carol", "keycloak/keycloak-0", "22")
DATABASE = ("project-lung/jupyter-alice", "keycloak/keycloak-db-1", "5432")
MORE = (
    (SSH, Verdict.DENIED, CauseCode.EGRESS_DEFAULT_DENY),
    (DATABASE, Verdict.DENIED, CauseCode.EGRESS_DEFAULT_DENY),
)
QUESTIONS = [
    *((tuple(filter(None, asked)), verdict, code) for asked, verdict, code, _ in STORIES),
    *MORE,
]
PARTS = [QUESTIONS[at : at + AT_ONCE] for at in range(0, len(QUESTIONS), AT_ONCE)]
Story = tuple[tuple[str, ...], Verdict, CauseCode]


def test_there_are_enough_of_them() -> None:
    assert len(QUESTIONS) >= 25


async def by_command_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> Any:
    await asyncio.to_thread(main, ["why", *words, "--demo", "-o", "json"])
    return msgspec.json.decode(capsys.readouterr().out)


async def by_chat(part: list[Story]) -> list[str]:
    """What Slack is sent for each question, as text."""
    workspace = build_workspace(DEMO, Settings())
    await workspace.load()
    await workspace.load_flows(FlowRequest(follow=False))
    told = []
    async with SlackServer() as server:
        access = SlackAccess(
            BOT_TOKEN, APP_TOKEN, server.api, frozenset({server.host}), patience_s=120
        )
        chat = SlackChat(access, build_local_desk(workspace, "demo"), lambda _line: None)
        serving = asyncio.ensure_future(chat.run())
        await server.connected()
        for words, _, _ in part:
            exchange = await server.command(f"why-blocked {shlex.join(words)}")
            message = await exchange.answer(within_s=60)
            told.append(" ".join(texts_of(message["blocks"])))
        chat.stop()
        await serving
    return told


async def by_keys(part: list[Story]) -> list[str]:
    """What the screen shows for each question."""
    workspace = build_workspace(DEMO, Settings())
    app = K8treApp(workspace, Settings(), clock=SystemClock(), context="demo")
    told = []
    async with app.run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: app.session.picture.revision > 0)
        for words, _, code in part:
            await press(pilot, ":")
            app.screen.query_one(Input).value = f"why {shlex.join(words)}"
            await press(pilot, "enter")
            wanted = "" if code is CauseCode.NONE else code.value
            await until(pilot, lambda wanted=wanted: "Cause" in shown(app) and wanted in shown(app))  # type: ignore[misc]  # a closure over the loop's value
            told.append(shown(app))
            await press(pilot, "escape")
    return told


@pytest.mark.parametrize("part", PARTS, ids=range(len(PARTS)))
async def test_one_question_has_one_answer_on_every_face(
    part: list[Story], capsys: pytest.CaptureFixture[str]
) -> None:
    chat, screen = await by_chat(part), await by_keys(part)
    for (words, verdict, code), in_chat, on_screen in zip(part, chat, screen, strict=True):
        form = await by_command_line(words, capsys)
        assert form["verdict"] == verdict.value
        assert form["cause"]["code"] == code.value
        for face in (in_chat, on_screen):
            plain = re.sub(r"\s+", " ", face)
            assert verdict.value.upper() in plain
            assert code is CauseCode.NONE or code.value in plain
            if form["cause"]["file"]:
                assert f"{form['cause']['file']}:{form['cause']['line']}" in plain
        assert timeless(form["cause"]["summary"]) in timeless(in_chat)
        assert [one for one in cited(form) if one not in in_chat] == []


def timeless(text: str) -> str:
    """A text without its numbers: counts and times of flows go on while it is asked."""
    return re.sub(r"\d+", "#", re.sub(r"\s+", " ", text))


def cited(form: Any) -> list[str]:
    """The place of every rule that decides, in both directions."""
    rules = [rule for side in ("egress", "ingress") for rule in form[side]["matched"]]
    return [f"{one['file']}:{one['line']}" for one in rules if one.get("file")]
