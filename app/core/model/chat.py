"""What comes in from a chat and what goes back, as plain data.

The bot makes replies, the chat's adapter renders them; neither knows the other. Every string of a
reply is shown literally, never as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and where, by the chat's own ids: names can be chosen by anyone."""

    user: str
    channel: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A command as typed, without the name of the command itself."""

    text: str
    caller: Caller


class ReplyKind(StrEnum):
    """What sort of reply it is; refusals and mistakes are said, never met with silence."""

    ANSWER = "answer"
    CHOICES = "choices"
    HELP = "help"
    REFUSAL = "refusal"
    MISTAKE = "mistake"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled line: `Cause`, `Look at`, `Change`. `code` text is something to type or open."""

    label: str
    text: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A small table; every row is as long as `head`."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several things that were meant, and the command that asks for it."""

    label: str
    command: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, first things first. `summary` says it all in one line, for notifications."""

    kind: ReplyKind
    summary: str
    facts: tuple[Fact, ...] = ()
    table: Table | None = None
    choices: tuple[Choice, ...] = ()
    footer: tuple[str, ...] = ()
