"""Requests for changes: who asked for what, who decided, what became of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from app.bot.command import AboutConnection
from app.bot.grammar import parse_command
from app.bot.shelf import Record, Shelf
from app.bot.words import split_words
from app.core.errors import NotFound
from app.core.model.chat import Caller

KIND = "request"
_KEY_DIGITS = 8


class ChangeState(StrEnum):
    """Where a request stands. `SUBMITTED`: its pull request is open; `ALLOWED`: it works now."""

    ASKED = "asked"
    SUBMITTED = "submitted"
    REFUSED = "refused"
    CLOSED = "closed"
    MERGED = "merged"
    ALLOWED = "allowed"


OPEN = frozenset({ChangeState.ASKED, ChangeState.SUBMITTED, ChangeState.MERGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """One request. `command` asks its question again; `digest` is of the change that was shown.

    `message` names what operators were shown, in their channel. Times are UTC nanoseconds.
    """

    key: str
    user: str
    channel: str
    team: str
    groups: tuple[str, ...]
    command: str
    reason: str
    asked_ns: int
    ticket: str = ""
    state: ChangeState = ChangeState.ASKED
    message: str = ""
    digest: str = ""
    decided_by: str = ""
    words: str = ""
    expires: str = ""
    branch: str = ""
    url: str = ""
    merged_ns: int = 0
    told_denied: bool = False

    @property
    def caller(self) -> Caller:
        """Who asked, with the groups that they were in then."""
        return Caller(self.user, self.channel, self.team, frozenset(self.groups))

    @property
    def question(self) -> AboutConnection:
        """What is to be allowed."""
        command = parse_command(split_words(self.command))
        if not isinstance(command, AboutConnection):
            raise TypeError(self.command)
        return command

    @property
    def title(self) -> str:
        """The connection, as it was asked for."""
        asked = self.question
        port = f" {asked.given['port']}" if asked.given.get("port") else ""
        return f"{asked.given['from']} → {asked.given['to']}{port}"


class ChangeRequests:
    """Every request, on a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @staticmethod
    def key_of(caller: Caller, command: str, asked_ns: int) -> str:
        """The name of a new request: a number would tell how many others asked for."""
        text = f"{caller.team} {caller.user} {command} {asked_ns}"
        return f"r{hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]}"

    def keep(self, wish: ChangeRequest) -> ChangeRequest:
        """Remember a request as it is now."""
        self._shelf.put(KIND, wish.key, dataclasses.asdict(wish))
        return wish

    def one(self, key: str) -> ChangeRequest:
        """The request of this name. Raises `NotFound`."""
        record = self._shelf.get(KIND, key.lower())
        if record is None:
            raise NotFound(f"there is no request `{key}`", hint="/netpol pr list")
        return _read(record)

    def all(self) -> tuple[ChangeRequest, ...]:
        """Every request, the newest first."""
        return tuple(sorted(map(_read, self._shelf.all(KIND)), key=lambda one: -one.asked_ns))

    def open(self) -> Iterable[ChangeRequest]:
        """Those of which something is still to come."""
        return (one for one in self.all() if one.state in OPEN)


def _read(record: Record) -> ChangeRequest:
    known = {field.name for field in dataclasses.fields(ChangeRequest)}
    values = {name: value for name, value in record.items() if name in known}
    groups, state = tuple(values["groups"]), ChangeState(values["state"])
    return ChangeRequest(**{**values, "groups": groups, "state": state})
