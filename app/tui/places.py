"""Where one can be, as values, and the typed commands that lead there.

A command line is `NAME ARGUMENTS /FILTER @CONTEXT`, as in k9s:
`:flows jupyterhub /verdict:dropped @prod`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.core.errors import UsageError
from app.core.model.kinds import CCNP, CNP, KNP


@dataclass(frozen=True, slots=True)
class Place:
    """A screen with what it shows. `subject` is a value that has no name, such as one flow.

    `namespace` None means "as now", as does an empty `context`. `cursor` is restored when one comes
    back.
    """

    screen: str
    args: tuple[str, ...] = ()
    namespace: str | None = None
    filter: str = ""
    context: str = ""
    subject: object = field(default=None, compare=False)
    cursor: object = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ScreenCommand:
    """A word after `:`. `takes` names its arguments for help and completion."""

    name: str
    aliases: tuple[str, ...]
    help: str
    takes: tuple[str, ...] = ()


COMMANDS: tuple[ScreenCommand, ...] = (
    ScreenCommand("pulse", ("pu", "home"), "Boundaries, violations, drops and faults at a glance"),
    ScreenCommand(
        "policies", ("pol", "policy"), "Every policy, of all three kinds", ("namespace",)
    ),
    ScreenCommand("np", ("netpol", "knp"), "Kubernetes NetworkPolicies only", ("namespace",)),
    ScreenCommand("cnp", (), "CiliumNetworkPolicies only", ("namespace",)),
    ScreenCommand("ccnp", (), "CiliumClusterwideNetworkPolicies only"),
    ScreenCommand(
        "endpoints", ("ep", "pods"), "Endpoints and what policies do to them", ("namespace",)
    ),
    ScreenCommand(
        "workloads", ("wl", "deploy"), "Workloads and what policies do to them", ("namespace",)
    ),
    ScreenCommand("services", ("svc",), "Services, their ports and backends", ("namespace",)),
    ScreenCommand("flows", ("fl",), "Live flows", ("namespace",)),
    ScreenCommand("drops", (), "Live drops, audits and errors only", ("namespace",)),
    ScreenCommand(
        "why", ("ts", "explain"), "Why is it blocked: from, to, port", ("end", "end", "port")
    ),
    ScreenCommand(
        "what-if",
        ("whatif", "effect"),
        "What if this draft file were in force, or this policy gone",
        ("policy",),
    ),
    ScreenCommand("drafts", ("pr", "prs"), "Drafts and pull requests, with their state"),
    ScreenCommand("lint", ("findings",), "Policies that do not do what they say", ("namespace",)),
    ScreenCommand(
        "alerts", ("violations",), "What was refused, and what is not usual", ("namespace",)
    ),
    ScreenCommand("boundaries", ("bd", "check"), "What must hold, and what breaks it"),
    ScreenCommand(
        "matrix",
        ("mx",),
        "Which namespaces may talk to which, against what was seen",
        ("namespace",),
    ),
    ScreenCommand("sources", ("src",), "Connections, their state and age, and losses"),
    ScreenCommand(
        "can-i", ("rights",), "What this program may read, and what a missing right costs"
    ),
    ScreenCommand("log", ("diagnostics",), "What went wrong lately"),
    ScreenCommand("doctor", (), "What was found and what is missing"),
    ScreenCommand("ns", ("namespace",), "Look at one namespace, or at `all`", ("namespace",)),
    ScreenCommand("project", ("proj",), "Choose a project", ("namespace",)),
    ScreenCommand("ctx", ("context",), "Switch to another cluster of the kubeconfig", ("context",)),
    ScreenCommand("theme", (), "Change colours", ("theme",)),
    ScreenCommand("help", ("keys",), "Keys and commands"),
    ScreenCommand("quit", ("q", "exit"), "Quit"),
)

_KINDS = {
    "np": KNP,
    "cnp": CNP,
    "ccnp": CCNP,
}

PICKED = frozenset({"ns", "project", "ctx", "theme"})
"""Commands that without a name show what there is to choose from."""

ALL = "all"
"""The word for every namespace."""


def find_command(word: str, aliases: Mapping[str, str] | None = None) -> ScreenCommand | None:
    """Find a command by its name, an alias of ours, or one of the user's."""
    word = (aliases or {}).get(word, word)
    for command in COMMANDS:
        if word == command.name or word in command.aliases:
            return command
    return None


def parse_command(text: str, aliases: Mapping[str, str] | None = None) -> Place:
    """Read a typed command.

    Raises `UsageError` when there is no such command or an argument is missing.
    """
    text = expand_alias(text.strip(), aliases or {})
    if (place := _of_files(text)) is not None:
        return place
    text, _, context = (f" {text}").partition(" @")
    before, slash, sought = text.partition(" /")
    words = before.split()
    if not words:
        raise UsageError("no command", hint="try `flows`, `policies` or `why`")
    command = find_command(words[0])
    if command is None:
        raise UsageError(f"no command `{words[0]}`", hint="`?` lists the commands")
    place = replace(_place(command, tuple(words[1:])), context=context.strip())
    return replace(place, filter=sought.strip()) if slash else place


def _of_files(text: str) -> Place | None:
    """Read a command about files, whose paths may hold what begins a filter or a context."""
    word, _, rest = text.partition(" ")
    command = find_command(word)
    if command is None or command.name != "what-if":
        return None
    try:
        words = tuple(one for one in shlex.split(rest) if one not in ("-f", "--file", "--delete"))
    except ValueError as error:
        raise UsageError(f"`{rest}` cannot be read", hint="close the quote") from error
    if not words:
        raise UsageError("what would change?", hint="what-if DRAFT.yaml, or what-if POLICY")
    return Place("what-if", words)


def expand_alias(text: str, aliases: Mapping[str, str]) -> str:
    """Put the user's own alias for the first word in its place; theirs win over ours."""
    word, blank, rest = text.partition(" ")
    return aliases[word] + blank + rest if word in aliases else text


def _place(command: ScreenCommand, words: tuple[str, ...]) -> Place:
    name = command.name
    if name in PICKED:
        kind = "ns" if name == "project" else name
        return Place(kind, words) if words else Place("pick", (name,))
    if name == "why":
        return Place("why", words)
    namespace = _namespace(words)
    if name in _KINDS:
        return Place("policies", (_KINDS[name],), namespace)
    if name == "drops":
        return Place("flows", ("faults",), namespace)
    return Place(name, (), namespace)


def _namespace(words: tuple[str, ...]) -> str | None:
    if not words:
        return None
    return "" if words[0] == ALL else words[0]


def complete(text: str, values: Mapping[str, Iterable[str]]) -> str | None:
    """Complete the last word of a command; `values` are the known ones by kind of argument."""
    words = text.split(" ")
    if not text.strip():
        return None
    if len(words) == 1:
        names = (name for command in COMMANDS for name in (command.name, *command.aliases))
        return _first(words[0], names, "")
    head = " ".join(words[:-1]) + " "
    if words[-1].startswith("@"):
        return _first(words[-1], (f"@{name}" for name in values.get("context", ())), head)
    command = find_command(words[0])
    if command is None or len(words) - 2 >= len(command.takes):
        return None
    return _first(words[-1], values.get(command.takes[len(words) - 2], ()), head)


def _first(begun: str, names: Iterable[str], head: str) -> str | None:
    for name in names:
        if begun and name.startswith(begun) and name != begun:
            return head + name
    return None


@dataclass(slots=True)
class History:
    """Places visited, as a browser has them, and the one before the last jump."""

    _past: list[Place] = field(default_factory=list)
    _future: list[Place] = field(default_factory=list)
    _now: Place | None = None
    _last: Place | None = None

    @property
    def now(self) -> Place | None:
        """The present place."""
        return self._now

    def visit(self, place: Place) -> None:
        """Go to a new place; what was ahead is forgotten."""
        if self._now is not None:
            self._past.append(self._now)
            self._last = self._now
        self._now = place
        self._future.clear()

    def update(self, place: Place) -> None:
        """Describe the present place anew, as it is when one leaves it."""
        self._now = place

    def back(self) -> Place | None:
        """Go one place back; None at the first."""
        if not self._past or self._now is None:
            return None
        self._future.append(self._now)
        self._last, self._now = self._now, self._past.pop()
        return self._now

    def forward(self) -> Place | None:
        """Go forward again; None at the newest."""
        if not self._future or self._now is None:
            return None
        self._past.append(self._now)
        self._last, self._now = self._now, self._future.pop()
        return self._now

    def swap(self) -> Place | None:
        """Go to the last place and remember this one as the last; None if there is none."""
        if self._last is None:
            return None
        target = self._last
        self.visit(target)
        return target

    def crumbs(self) -> tuple[Place, ...]:
        """The way here, oldest first, with the present place at the end."""
        return (*self._past, self._now) if self._now else ()
