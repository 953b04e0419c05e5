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


SHAPE: dict[str, Any] = {
    "display_information": {"name", "description", "background_color", "long_description"},
    "features": {"app_home", "bot_user", "shortcuts", "slash_commands", "unfurl_domains"},
    "oauth_config": {"redirect_urls", "scopes", "token_management_enabled", "pkce_enabled"},
    "settings": {
        *("allowed_ip_address_ranges", "event_subscriptions", "interactivity"),
        *("org_deploy_enabled", "socket_mode_enabled", "is_hosted", "token_rotation_enabled"),
    },
}
"""What each part may hold. Source: github.com/slackapi/manifest-schema, version 2."""


def test_manifest_holds_nothing_that_slacks_schema_does_not_know(manifest: dict[str, Any]) -> None:
    assert set(manifest) <= set(SHAPE)
    for part, known in SHAPE.items():
        assert set(manifest[part]) <= known
    (command,) = manifest["features"]["slash_commands"]
    assert set(command) <= {"command", "url", "description", "usage_hint", "should_escape"}
    assert 2 <= len(command["command"]) <= 32
    assert len(command["description"]) <= 2000
    assert len(command["usage_hint"]) <= 1000
    (shortcut,) = manifest["features"]["shortcuts"]
    assert set(shortcut) == {"name", "type", "callback_id", "description"}
    assert len(shortcut["description"]) <= 150
    assert len(manifest["features"]["bot_user"]["display_name"]) <= 80
    for scopes in manifest["oauth_config"]["scopes"].values():
        assert all(len(one) <= 50 for one in scopes)
    assert manifest["settings"]["event_subscriptions"] == {"bot_events": ["app_mention"]}
