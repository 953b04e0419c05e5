"""One question, three faces: command line, keys in the terminal, and chat give one answer."""

import asyncio
import re

import msgspec
import pytest

from app.bootstrap.chat import build_local_desk
from app.bootstrap.sources import Sources, SystemClock
from app.bootstrap.workspace import build_workspace
from app.cli import main
from app.config import Settings
from app.core.model.chat import Caller, Incoming
from app.tui.app import K8treApp
from integrations.slack.local_server import CHANNEL
from tests.tui.lab import press, shown, typed, until

DEMO = Sources(demo=True)

QUESTIONS = (
    ("project-lung/jupyter-alice", "svc:mirror/mirror:80", "service-port-not-target-port"),
    ("gitea/gitea-0", "keycloak.tre.example.org", "ingress-entity"),
    ("keycloak/keycloak-0", "keycloak/keycloak-db-1", "none"),
)
PORTS = {"keycloak.tre.example.org": "443", "keycloak/keycloak-db-1": "5432"}


def words_of(source: str, destination: str) -> list[str]:
    return [source, destination, PORTS.get(destination, "")]


async def by_command_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> tuple[str, str, str]:
    argv = ["why", *filter(None, words), "--demo", "-o", "json"]
    await asyncio.to_thread(main, argv)  # a command has an event loop of its own
    form = msgspec.json.decode(capsys.readouterr().out)
    cause = form["cause"]
    citation = f"{cause['file']}:{cause['line']}" if cause["file"] else ""
    return form["verdict"].upper(), cause["code"], citation


async def by_keys(words: list[str]) -> str:
    workspace = build_workspace(DEMO, Settings())
    app = K8treApp(workspace, Settings(), clock=SystemClock(), context="demo")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.session.picture.revision > 0)
        await press(pilot, *typed(f":why {' '.join(filter(None, words))}"), "enter")
        await until(pilot, lambda: "Cause" in shown(app))
        return shown(app)


async def by_chat(words: list[str]) -> str:
    workspace = build_workspace(DEMO, Settings())
    await workspace.load()
    desk = build_local_desk(workspace, "demo")
    text = f"why-blocked {' '.join(filter(None, words))}"
    reply = await desk.answer(Incoming(text, Caller("U1", CHANNEL)))
    return "\n".join([reply.summary, *(f"{fact.label}: {fact.text}" for fact in reply.facts)])


@pytest.mark.parametrize(("source", "destination", "code"), QUESTIONS)
async def test_one_question_has_one_answer_on_every_face(
    source: str, destination: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_of(source, destination)
    verdict, found, citation = await by_command_line(words, capsys)
    assert found == code
    for face in (await by_keys(words), await by_chat(words)):
        plain = re.sub(r"\s+", " ", face)
        assert verdict in plain
        assert found in plain or code == "none"
        assert citation in plain
