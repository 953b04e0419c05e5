"""The grammar of `/netpol`: words in, a command out, or a `UsageError` that says what was meant.

Positional arguments and flags are equivalent, as `why-blocked FROM TO` and
`why-blocked --from FROM --to TO`. Nothing is abbreviated, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from app.bot import readers
from app.bot.command import CHOSEN, ChatCommand, Help, Ping, WhoAmI
from app.core.errors import UsageError

COMMAND = "/netpol"
_ARROWS = frozenset({"\u2192", "->"})
"""What stands between both ends where they are copied from an answer."""
_REQUEST = ("http", "dns", "sni")
PUBLIC = "public"
_YES = "yes"


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one command is written. `required` and `optional` name its arguments in order.

    `switches` are flags without a value. A command with `actions` has another word after its name;
    without one it is the first of them.
    """

    usage: str
    about: str
    example: str
    read: Callable[[Mapping[str, str]], ChatCommand]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    actions: Mapping[str, Grammar] = field(default_factory=dict)
    needs_action: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        """Every flag."""
        return (*self.required, *self.optional, *self.flags, *self.switches)


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
    words = words[1:]
    if grammar.actions:
        name, grammar, words = _action(name, grammar, words)
    return grammar.read(_arguments(grammar, name, words))


def _action(
    name: str, grammar: Grammar, words: Sequence[str]
) -> tuple[str, Grammar, Sequence[str]]:
    """The word after the name of a command, and what is left."""
    if not words or words[0].startswith("--"):
        if grammar.needs_action:
            raise UsageError(f"`{name}` what?", hint=_usage(grammar))
        action = next(iter(grammar.actions))
        return f"{name} {action}", grammar.actions[action], words
    action = words[0].lower()
    if action not in grammar.actions:
        near = get_close_matches(action, grammar.actions, n=1)
        hint = f"did you mean `{COMMAND} {name} {near[0]}`?" if near else _usage(grammar)
        raise UsageError(f"`{name}` has no `{words[0]}`", hint=hint)
    return f"{name} {action}", grammar.actions[action], words[1:]


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
    positional: list[str] = []
    flags: dict[str, str] = {}
    rest = iter([word for word in words if word not in _ARROWS])
    for word in rest:
        if not word.startswith("--"):
            positional.append(word)
            continue
        flag, equals, value = word[2:].partition("=")
        if flag not in grammar.known:
            near = get_close_matches(flag, grammar.known, n=1, cutoff=0.5)
            hint = f"did you mean `--{near[0]}`?" if near else _usage(grammar)
            raise UsageError(f"there is no `--{flag}`", hint=hint)
        if flag in flags:
            raise UsageError(f"`--{flag}` is given twice")
        if flag in grammar.switches:
            flags[flag] = _switch(flag, value if equals else _YES)
            continue
        flags[flag] = value if equals else next(rest, "")
        if not flags[flag]:
            raise UsageError(f"`--{flag}` needs a value", hint=_usage(grammar))
    return positional, flags


def _switch(flag: str, value: str) -> str:
    if value not in (_YES, "no"):
        raise UsageError(f"`--{flag}` takes no value")
    return value if value == _YES else ""


def _usage(grammar: Grammar) -> str:
    return f"{COMMAND} {grammar.usage}, as in: {COMMAND} {grammar.example}"


def _question(verb: str, usage: str, about: str, example: str, *more: str) -> Grammar:
    public = (PUBLIC,) if verb not in ("draft", "cli") else ()
    return Grammar(
        usage,
        about,
        example,
        lambda given: readers.read_question(given, verb),
        required=("from", "to"),
        optional=("port",),
        flags=(*_REQUEST, "in", CHOSEN, *more),
        switches=public,
    )


def _read_help(given: Mapping[str, str]) -> ChatCommand:
    topic = given.get("topic", "").lower()
    topic = ALIASES.get(topic, topic)
    if topic and topic not in GRAMMARS:
        raise UsageError(f"there is no command `{topic}`", hint=_suggest(topic))
    return Help(topic)


_EXAMPLE = "project-lung/jupyter-alice svc:mirror/mirror:80"
GRAMMARS: Mapping[str, Grammar] = {
    "why-blocked": _question(
        "why-blocked",
        "why-blocked FROM TO [PORT]",
        "why FROM cannot reach TO: verdict, policy, rule, file and line",
        f"why-blocked {_EXAMPLE}",
    ),
    "can": _question(
        "can",
        "can FROM TO [PORT]",
        "whether the policies allow it, without a look at flows",
        f"can {_EXAMPLE}",
    ),
    "flows": Grammar(
        "flows [END] [--from END] [--to END]",
        "what was seen: connections with verdict, count and policy",
        "flows project-lung --verdict dropped --since 1h",
        readers.read_flows,
        optional=("end",),
        flags=("from", "to", "port", "verdict", "since", "limit"),
        switches=(PUBLIC,),
    ),
    "inventory": Grammar(
        "inventory NAMESPACE",
        "the policies of a namespace and what they select",
        "inventory keycloak",
        readers.read_inventory,
        required=("namespace",),
        switches=(PUBLIC,),
    ),
    "lint": Grammar(
        "lint [NAMESPACE | NAMESPACE/POLICY]",
        "what is wrong with policies, with file and line",
        "lint guacamole --severity warning",
        readers.read_lint,
        optional=("namespace",),
        flags=("severity",),
        switches=(PUBLIC,),
    ),
    "what-if": Grammar(
        "what-if allow FROM TO [PORT] | what-if delete POLICY",
        "what a change would open and close, before anybody makes it",
        f"what-if allow {_EXAMPLE}",
        readers.read_nothing,
        needs_action=True,
        actions={
            "allow": _question(
                "what-if",
                "what-if allow FROM TO [PORT]",
                "what the smallest change that allows it would do",
                f"what-if allow {_EXAMPLE}",
            ),
            "delete": Grammar(
                "what-if delete POLICY",
                "what would change if a policy were gone",
                "what-if delete mirror/mirror-in",
                readers.read_delete,
                required=("policy",),
                switches=(PUBLIC,),
            ),
        },
    ),
    "draft": _question(
        "draft",
        "draft FROM TO [PORT] --reason TEXT",
        "ask the operators for the change that allows it",
        f'draft {_EXAMPLE} --reason "packages for the lung study"',
        "reason",
        "ticket",
    ),
    "pr": Grammar(
        "pr [list | show ID | approve ID | decline ID]",
        "requests for changes, and what became of them",
        "pr list",
        readers.read_nothing,
        actions={
            "list": Grammar("pr list", "those you may see", "pr list", readers.reads("list")),
            "show": Grammar(
                "pr show ID", "one of them", "pr show r1", readers.reads("show"), required=("id",)
            ),
            "approve": Grammar(
                "pr approve ID --reason TEXT [--expires 30d]",
                "open the draft pull request",
                "pr approve r1 --reason agreed --expires 30d",
                readers.reads("approve"),
                required=("id",),
                flags=("reason", "expires"),
                switches=("accept-risk",),
            ),
            "decline": Grammar(
                "pr decline ID --reason TEXT",
                "do not",
                "pr decline r1 --reason 'use the mirror'",
                readers.reads("decline"),
                required=("id",),
                flags=("reason",),
            ),
        },
    ),
    "watch": Grammar(
        "watch [list | add NAMESPACE [--every 15m] | rm ID]",
        "alerts of a namespace in this channel",
        "watch list",
        readers.read_nothing,
        actions={
            "list": Grammar("watch list", "of this channel", "watch list", readers.read_watches),
            "add": Grammar(
                "watch add NAMESPACE [--every 15m]",
                "begin",
                "watch add project-lung --every 15m",
                readers.read_watch,
                required=("namespace",),
                flags=("every",),
            ),
            "rm": Grammar(
                "watch rm ID", "end", "watch rm w1", readers.read_watch_end, required=("id",)
            ),
        },
    ),
    "mute": Grammar(
        "mute ID SPAN",
        "no alerts of a watch for a while",
        "mute w1 2h",
        readers.read_mute,
        required=("id", "span"),
    ),
    "cli": _question(
        "cli",
        "cli FROM TO [PORT]",
        "the same question for the command line",
        f"cli {_EXAMPLE}",
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
ALIASES: Mapping[str, str] = {"why": "why-blocked", "?": "help", "request": "draft"}
