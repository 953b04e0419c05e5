"""The manifest that docs/slack.md offers for pasting."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from app.bot.command import AboutConnection
from app.bot.grammar import COMMAND, parse_command
from app.bot.words import split_words
from integrations.slack import chat, listener


@pytest.fixture
def manifest() -> dict[str, Any]:
    text = Path("docs/slack.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found is not None
    tree: dict[str, Any] = yaml.safe_load(dedent(found.group(1)))
    return tree


def test_manifest_asks_for_what_the_bot_needs_and_no_more(manifest: dict[str, Any]) -> None:
    scopes = manifest["oauth_config"]["scopes"]
    assert set(scopes["bot"]) == chat.NEEDED
    assert set(scopes["bot_optional"]) == chat.USEFUL
    (shortcut,) = manifest["features"]["shortcuts"]
    assert (shortcut["type"], shortcut["callback_id"]) == ("message", listener.SHORTCUT)
    assert len(shortcut["name"]) <= 24
    assert manifest["settings"]["socket_mode_enabled"] is True
    assert manifest["settings"]["interactivity"] == {"is_enabled": True}


def test_manifest_keeps_slacks_limits(manifest: dict[str, Any]) -> None:
    about = manifest["display_information"]
    assert len(about["name"]) <= 35
    assert len(about["description"]) <= 140


def test_command_is_the_one_that_is_served_and_its_hint_works(manifest: dict[str, Any]) -> None:
    (command,) = manifest["features"]["slash_commands"]
    assert command["command"] == COMMAND == chat.COMMAND
    assert command["should_escape"] is False
    asked = parse_command(split_words(command["usage_hint"]))
    assert isinstance(asked, AboutConnection)
