"""What can be asked in a chat, as values: one class for each sort of command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from app.core.model.asked import Asked

CHOSEN = "chosen"
"""The argument that we write ourselves, into what can be pressed."""
ORDER = ("from", "to", "port", "http", "dns", "sni", "reason", "ticket", CHOSEN)
"""How the arguments of a question are written."""


def written(verb: str, given: Mapping[str, str]) -> str:
    """A command to be typed as it is."""
    words = [f"--{name}={given[name]}" for name in ORDER if given.get(name)]
    return f"{verb} {shlex.join(words)}".strip()


@dataclass(frozen=True, slots=True)
class AboutConnection:
    """A question about a connection. `given` are its arguments by name, to ask again with another.

    `verb` is why-blocked, can (by the policies alone), what-if (with what would allow it), draft
    (asks the operators for that) or cli (how to ask it elsewhere). `chosen` among the arguments
    names the ends that the caller did not write but chose, so that they are not repeated as theirs.
    """

    asked: Asked
    given: Mapping[str, str] = field(default_factory=dict, compare=False)
    verb: str = field(default="why-blocked", kw_only=True)
    is_public: bool = field(default=False, kw_only=True)

    @property
    def chosen(self) -> frozenset[str]:
        """The ends, `from` or `to`, that were chosen from what was offered."""
        return frozenset(self.given.get("chosen", "").split(","))

    def ask_again(self, **instead: str) -> str:
        """The command with some of its arguments replaced by what was chosen for them."""
        verb = "what-if allow" if self.verb == "what-if" else self.verb
        chosen = ",".join(sorted(filter(None, {*self.chosen, *instead})))
        again = written(verb, {**self.given, **instead, "chosen": chosen})
        return f"{again} --public" if self.is_public else again

    def ask_other(self, verb: str) -> str:
        """Another question about the same connection."""
        left = {"reason": "", "ticket": ""}
        return written(verb, {**self.given, **left})


@dataclass(frozen=True, slots=True)
class Delete:
    """What would change if a policy were gone?"""

    policy: str
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class FlowsOf:
    """Which flows were seen? `words` are terms of the filter language."""

    words: tuple[str, ...]
    limit: int = 10
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """Which policies does a namespace have?"""

    namespace: str
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class LintOf:
    """What is wrong with the policies of a namespace, with one (`NS/NAME`), or with all."""

    namespace: str = ""
    policy: str = ""
    severity: str = "info"
    is_public: bool = False


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests for changes: `list`, `show`, `approve`, `decline`."""

    action: str
    key: str = ""
    reason: str = ""
    expires: str = ""
    accepts_risk: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """Alerts of a namespace, told in this channel: `list`, `add`, `rm`."""

    action: str
    namespace: str = ""
    every: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Mute:
    """No alerts of a watch for a while."""

    key: str
    span: str


@dataclass(frozen=True, slots=True)
class Help:
    """What can be asked; with a `topic`, how."""

    topic: str = ""


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """What may I ask?"""


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there, and how old is what you know?"""


Ask = AboutConnection | Delete | FlowsOf | Inventory | LintOf | Help | WhoAmI | Ping
"""What is answered from a picture and changes nothing."""

Deed = Requests | Watch | Mute
"""What the bot remembers or does."""

ChatCommand = Ask | Deed


def is_wish(command: ChatCommand) -> TypeGuard[AboutConnection]:
    """Whether the operators are asked for a change."""
    return isinstance(command, AboutConnection) and command.verb == "draft"
