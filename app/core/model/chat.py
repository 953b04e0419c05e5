"""What comes in from a chat and what goes back, as plain data.

The bot makes replies, the chat's adapter renders them; neither knows the other. Every string of a
reply is shown literally, never as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Standing(StrEnum):
    """What the chat says of an account; `UNKNOWN` where it could not be asked."""

    MEMBER = "member"
    GUEST = "guest"
    BOT = "bot"
    STRANGER = "stranger"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and where, by the chat's own ids: names can be chosen by anyone.

    `groups` are the user groups they are in, of those that rules name. `is_shared` says that people
    of other organisations read the channel.
    """

    user: str
    channel: str
    team: str = ""
    groups: frozenset[str] = frozenset()
    standing: Standing = Standing.MEMBER
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Incoming:
    """A command as typed, without the name of the command itself.

    `refused` is why the chat lets nobody ask it, as for a button that was offered to another: it is
    written down like every question, and answered with these words.
    """

    text: str
    caller: Caller
    refused: str = ""


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
class Attachment:
    """A text of its own, to be shown beside a message: lines of flows, a diff, findings."""

    title: str
    text: str


class FieldKind(StrEnum):
    """How a field of a form is filled in: by typing, from a few, or from what can be looked up."""

    TEXT = "text"
    LONG = "long"
    CHOICE = "choice"
    LOOKUP = "lookup"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form; `name` is the flag that its value becomes."""

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    value: str = ""
    hint: str = ""
    options: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """A form to fill in; sent, it is `command` with a flag for each field that has a value."""

    title: str
    command: str
    fields: tuple[Field, ...]
    submit: str = "Ask"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, first things first. `summary` says it all in one line, for notifications.

    `choices` are what may have been meant, `buttons` what can be asked next. `is_public` is told to
    everyone in the channel. `attachment` is what is too long for a message. Where a `form` can be
    shown, it is, and the rest is not. `link` is an address of a forge of ours, the only text that
    may be followed.
    """

    kind: ReplyKind
    summary: str
    facts: tuple[Fact, ...] = ()
    table: Table | None = None
    choices: tuple[Choice, ...] = ()
    footer: tuple[str, ...] = ()
    buttons: tuple[Choice, ...] = ()
    is_public: bool = False
    attachment: Attachment | None = None
    form: Form | None = None
    link: str = ""
