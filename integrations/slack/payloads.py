"""What Slack sends, as far as it is needed: who, where, what, and how to answer.

Source: docs.slack.dev, "Interaction payloads", "Slash commands", "app_mention".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_MENTION = re.compile(r"<@[UW][A-Z0-9]+(?:\|[^>]*)?>")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a question came from, and how an answer gets there.

    `url` is the address for answers, where there is one; a mention has a thread instead. `trigger`
    opens a modal within three seconds. `has_original` says that the answer may take the place of
    the message whose button was pressed; a slash command has no such message.
    """

    user: str
    channel: str
    team: str
    url: str = ""
    trigger: str = ""
    thread: str = ""
    has_original: bool = False
    is_shared: bool = False


def place_of_command(body: Json) -> Origin:
    """Of a slash command."""
    return Origin(
        _text(body, "user_id"),
        _text(body, "channel_id"),
        _text(body, "team_id"),
        url=_text(body, "response_url"),
        trigger=_text(body, "trigger_id"),
    )


def place_of_action(body: Json, *, replaces: bool = False) -> Origin:
    """Of a button, a shortcut, a select or a modal. A user's own team is what counts."""
    user = body.get("user") or {}
    channel = _text(body.get("channel") or {}, "id")
    team = _text(user, "team_id") or _text(body.get("team") or {}, "id")
    return Origin(
        _text(user, "id"),
        channel,
        team,
        url=_text(body, "response_url"),
        trigger=_text(body, "trigger_id"),
        thread=_text(body.get("container") or {}, "thread_ts"),
        has_original=replaces,
    )


def place_of_mention(body: Json) -> Origin:
    """Of a mention of the bot: its answer goes into the thread."""
    event: Json = body.get("event") or {}
    return Origin(
        _text(event, "user"),
        _text(event, "channel"),
        _text(event, "user_team") or _text(event, "team") or _text(body, "team_id"),
        thread=_text(event, "thread_ts") or _text(event, "ts"),
        is_shared=bool(body.get("is_ext_shared_channel")),
    )


def text_of_mention(body: Json) -> str:
    """What was said to the bot, without its name."""
    return _MENTION.sub(" ", _text(body.get("event") or {}, "text"), count=1).strip()


def key_of(body: Json) -> str:
    """What is the same in two deliveries of one thing, and different in any other; may be empty."""
    if event := _text(body, "event_id"):
        return event
    view: Json = body.get("view") or {}
    if body.get("type") == "view_submission":
        return f"{_text(view, 'id')} {_text(view, 'hash')}"
    return _text(body, "trigger_id")


def _text(tree: Json, name: str) -> str:
    value = tree.get(name)
    return value if isinstance(value, str) else ""
