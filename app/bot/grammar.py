"""The grammar of `/netpol`: words in, a command out, or a `UsageError` that says what was meant.

Positional arguments and flags are equivalent, as `why-blocked FROM TO` and
`why-blocked --from FROM --to TO`. Nothing is abbreviated, nothing is guessed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from app.core.diagnose.naming import parse_end
from app.core.errors import UsageError
from app.core.model.asked import Asked
from app.services.ask import make_question

COMMAND = "/netpol"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_ARROWS = frozenset({"\u2192", "->"})
"""What stands between both ends where they are copied from an answer."""
_PORT_AFTER_END = re.compile(r"(.+):([0-9]{1,5}(?:/[A-Za-z0-9]+)?)\Z")


@dataclass(frozen=True, slots=True)
class WhyBlocked:
    """Why may FROM not reach TO? `given` are its arguments by name, to ask again with another."""

    asked: Asked
    given: Mapping[str, str] = field(default_factory=dict, compare=False)

    def ask_again(self, **instead: str) -> str:
        """The command with some of its arguments replaced, to be typed as it is."""
        given = {**self.given, **instead}
        order = ("from", "to", "port", "http", "dns", "sni")
        words = [f"--{name}={given[name]}" for name in order if given.get(name)]
        return shlex.join(["why-blocked", *words])


@dataclass(frozen=True, slots=True)
class Inventory:
    """Which policies does a namespace have?"""

    namespace: str


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


ChatCommand = WhyBlocked | Inventory | Help | WhoAmI | Ping


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one command is written. `required` and `optional` name its arguments in order."""

    usage: str
    about: str
    example: str
    read: Callable[[Mapping[str, str]], ChatCommand]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


def parse_command(words: Sequence[str]) -> ChatCommand:
    """Read a command. Raises `UsageError`, whose hint says what would be right."""
    if words and words[0].lower() == COMMAND:
        words = words[1:]
    if not words:
        return Help()
    name = ALIASES.get(words[0].lower(), words[0].lower())
    grammar = GRAMMARS.get(name)
    if grammar is None:
        raise UsageError(f"there is no command `{words[0]}`", hint=_suggest(name))
    return grammar.read(_arguments(grammar, name, words[1:]))


def _suggest(name: str) -> str:
    near = get_close_matches(name, [*GRAMMARS, *ALIASES], n=1)
    return f"did you mean `{COMMAND} {near[0]}`?" if near else f"{COMMAND} help lists them"


def _arguments(grammar: Grammar, name: str, words: Sequence[str]) -> dict[str, str]:
    positional, flags = _sort(grammar, words)
    names = [one for one in (*grammar.required, *grammar.optional) if one not in flags]
    if len(positional) > len(names):
        raise UsageError(f"`{positional[len(names)]}` is one word too many", hint=_usage(grammar))
    given = {**flags, **dict(zip(names, positional, strict=False))}
    if missing := [one for one in grammar.required if one not in given]:
        raise UsageError(f"`{name}` needs {' and '.join(missing)}", hint=_usage(grammar))
    return given


def _sort(grammar: Grammar, words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    known = (*grammar.required, *grammar.optional, *grammar.flags)
    positional: list[str] = []
    flags: dict[str, str] = {}
    rest = iter([word for word in words if word not in _ARROWS])
    for word in rest:
        if not word.startswith("--"):
            positional.append(word)
            continue
        flag, equals, value = word[2:].partition("=")
        if flag not in known:
            near = get_close_matches(flag, known, n=1, cutoff=0.5)
            hint = f"did you mean `--{near[0]}`?" if near else _usage(grammar)
            raise UsageError(f"there is no `--{flag}`", hint=hint)
        if flag in flags:
            raise UsageError(f"`--{flag}` is given twice")
        flags[flag] = value if equals else next(rest, "")
        if not flags[flag]:
            raise UsageError(f"`--{flag}` needs a value", hint=_usage(grammar))
    return positional, flags


def _usage(grammar: Grammar) -> str:
    return f"{COMMAND} {grammar.usage}, as in: {COMMAND} {grammar.example}"


def _read_why(given: Mapping[str, str]) -> ChatCommand:
    target, port = _split_port(given["to"])
    if port and "port" in given:
        raise UsageError("the port is given twice")
    given = {**given, "to": target, "port": given.get("port", port)}
    asked = make_question(
        given["from"],
        target,
        given["port"],
        http=given.get("http", ""),
        dns=given.get("dns", ""),
        sni=given.get("sni", ""),
    )
    return WhyBlocked(asked, given)


def _split_port(text: str) -> tuple[str, str]:
    """`NS/POD:8080` and `NAME:443` as people write them; `svc:NS/NAME:80` is an end as it is."""
    match = _PORT_AFTER_END.match(text)
    if match is None or text.startswith("svc:"):
        return text, ""
    try:
        parse_end(text)
    except UsageError:
        return match.group(1), match.group(2)
    return text, ""


def _read_inventory(given: Mapping[str, str]) -> ChatCommand:
    namespace = given["namespace"].removeprefix("ns:")
    if not _NAMESPACE.match(namespace):
        raise UsageError(f"`{namespace}` is not the name of a namespace")
    return Inventory(namespace)


def _read_help(given: Mapping[str, str]) -> ChatCommand:
    topic = given.get("topic", "").lower()
    topic = ALIASES.get(topic, topic)
    if topic and topic not in GRAMMARS:
        raise UsageError(f"there is no command `{topic}`", hint=_suggest(topic))
    return Help(topic)


GRAMMARS: Mapping[str, Grammar] = {
    "why-blocked": Grammar(
        "why-blocked FROM TO [PORT]",
        "why FROM cannot reach TO: verdict, policy, rule, file and line",
        "why-blocked project-lung/jupyter-alice svc:mirror/mirror:80",
        _read_why,
        required=("from", "to"),
        optional=("port",),
        flags=("http", "dns", "sni"),
    ),
    "inventory": Grammar(
        "inventory NAMESPACE",
        "the policies of a namespace and what they select",
        "inventory keycloak",
        _read_inventory,
        required=("namespace",),
    ),
    "help": Grammar(
        "help [COMMAND]",
        "this list, or how one command is used",
        "help why-blocked",
        _read_help,
        optional=("topic",),
    ),
    "whoami": Grammar("whoami", "what you may ask here", "whoami", lambda _: WhoAmI()),
    "ping": Grammar("ping", "whether I am there, and how old my data is", "ping", lambda _: Ping()),
}
ALIASES: Mapping[str, str] = {"why": "why-blocked", "?": "help"}
