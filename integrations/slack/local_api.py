"""The Web API of the local server: what each method answers, and what it refuses."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from integrations.slack.limits import find_faults, find_view_faults
from integrations.slack.local_people import BOT_USER, TEAM

if TYPE_CHECKING:
    from integrations.slack.local_server import Exchange, SlackServer

TRIGGER_WITHIN_S = 3.0

Body = dict[str, Any]


class LocalApi:
    """Answers calls; `posted` are the messages that were sent, as they are now."""

    def __init__(self, server: SlackServer, trigger_within_s: float) -> None:
        self._server = server
        self._trigger_within_s = trigger_within_s
        self._numbers = itertools.count(1)
        self._triggers: dict[str, tuple[float, Exchange]] = {}
        self.posted: list[Body] = []
        self.files: dict[str, Body] = {}
        self._methods: dict[str, Callable[[Body], Body]] = {
            "apps.connections.open": self._open_connection,
            "auth.test": self._who,
            "users.info": lambda body: {"user": server.people.user(body["user"])},
            "usergroups.users.list": self._group,
            "conversations.info": self._channel,
            "views.open": self._open_view,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._post,
            "chat.update": self._update,
            "files.getUploadURLExternal": self._upload_url,
            "files.completeUploadExternal": self._uploaded,
        }

    def answer(self, method: str, body: Body) -> Body:
        """What a call is answered with."""
        call = self._methods.get(method)
        if call is None:
            return {"ok": False, "error": "unknown_method"}
        return {"ok": True, **call(body)}

    def new_trigger(self, exchange: Exchange) -> str:
        """What opens one modal within three seconds."""
        trigger = f"{next(self._numbers)}.trigger"
        self._triggers[trigger] = time.monotonic(), exchange
        return trigger

    def forget(self, exchange: Exchange) -> None:
        """Let go of the triggers of an exchange."""
        self._triggers = {key: one for key, one in self._triggers.items() if one[1] is not exchange}

    def expire_triggers(self) -> None:
        """Make every trigger too old."""
        self._triggers = {key: (float("-inf"), one[1]) for key, one in self._triggers.items()}

    async def on_upload(self, request: web.Request) -> web.StreamResponse:
        """Take the bytes of a file."""
        self.files[request.match_info["id"]]["content"] = (await request.read()).decode()
        return web.Response(text="OK")

    def _open_connection(self, _body: Body) -> Body:
        return {"url": f"ws://{self._server.host}/socket"}

    def _who(self, _body: Body) -> Body:
        return {
            "url": f"http://{self._server.host}/",
            "team": "Local",
            "user": "netpol",
            "team_id": TEAM,
            "user_id": BOT_USER,
            "bot_id": "B0BOT",
        }

    def _group(self, body: Body) -> Body:
        return {"users": self._server.people.groups.get(body["usergroup"], [])}

    def _channel(self, body: Body) -> Body:
        shared = body["channel"] in self._server.people.shared
        return {"channel": {"id": body["channel"], "is_ext_shared": shared}}

    def _open_view(self, body: Body) -> Body:
        found = self._triggers.get(str(body.get("trigger_id")))
        if found is None:
            return {"ok": False, "error": "exchanged_trigger_id"}
        if time.monotonic() - found[0] > self._trigger_within_s:
            return {"ok": False, "error": "expired_trigger_id"}
        del self._triggers[str(body["trigger_id"])]
        view: Body = _tree(body["view"])
        if faults := find_view_faults(view):
            self._server.refused += faults
            return {"ok": False, "error": "invalid_arguments"}
        view = {**view, "id": f"V{next(self._numbers)}", "hash": "1.a"}
        found[1].view = view
        found[1].opened.set()
        return {"view": view}

    def _post(self, body: Body) -> Body:
        message = {**body, "blocks": _tree(body.get("blocks", "[]"))}
        if faults := find_faults(message):
            self._server.refused += faults
            return {"ok": False, "error": "invalid_blocks"}
        message["ts"] = f"{next(self._numbers)}.000200"
        self.posted.append(message)
        return {"ts": message["ts"], "message_ts": message["ts"], "channel": body["channel"]}

    def _update(self, body: Body) -> Body:
        message = {**body, "blocks": _tree(body.get("blocks", "[]"))}
        if faults := find_faults(message):
            self._server.refused += faults
            return {"ok": False, "error": "invalid_blocks"}
        for at, one in enumerate(self.posted):
            if (one["channel"], one["ts"]) == (body["channel"], body["ts"]):
                self.posted[at] = {**one, **message, "edited": one.get("edited", 0) + 1}
                return {"ts": body["ts"], "channel": body["channel"]}
        return {"ok": False, "error": "message_not_found"}

    def _upload_url(self, body: Body) -> Body:
        file = f"F{next(self._numbers)}"
        self.files[file] = {"name": body["filename"]}
        return {"upload_url": f"http://{self._server.host}/upload/{file}", "file_id": file}

    def _uploaded(self, body: Body) -> Body:
        files = _tree(body["files"])
        for one in files:
            place = {"channel": body.get("channel_id"), "thread_ts": body.get("thread_ts")}
            self.files[one["id"]] |= place
        return {"files": files}


def _tree(value: Any) -> Any:
    """A part of a call, which the SDK sends as JSON in a form."""
    return json.loads(value) if isinstance(value, str) else value


def posted_to(server: SlackServer, channel: str) -> list[Mapping[str, Any]]:
    """The messages of a channel that everybody there sees."""
    return [one for one in server.posted if one["channel"] == channel and "user" not in one]
