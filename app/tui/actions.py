"""Everything a key can do: one table that bindings, help, palette, footer and docs are made from.

Keys are k9s's where k9s has one: letters act on the row, shift sorts, ctrl acts on the view, and
nothing leaves this program without a question that names its target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from textual.binding import Binding


class Scope(StrEnum):
    """Where an action works; a screen is made of several scopes."""

    GLOBAL = "everywhere"
    MOVE = "moving"
    TABLE = "tables"
    TEXT = "text"
    POLICIES = "policies"
    POLICY = "policy"
    ENDPOINTS = "endpoints"
    ENDPOINT = "endpoint"
    FLOWS = "flows"
    FLOW = "flow"
    FILE = "file"
    WHY = "why"
    DRAFT = "draft"
    WHAT_IF = "what-if"
    SOURCES = "sources"
    LINT = "lint"
    FINDING = "finding"
    BOUNDARIES = "boundaries"
    BOUNDARY = "boundary"
    MATRIX = "matrix"
    PULSE = "pulse"
    DRAFTS = "drafts"
    PICKER = "picker"
    SERVICES = "services"
    WORKLOADS = "workloads"
    ALERTS = "alerts"


class Need(StrEnum):
    """What must be there for an action to make sense; screens say why it is missing."""

    ROW = "row"
    FLOW = "flow"
    DRAFTS = "drafts"
    ANSWER = "answer"
    FIX = "fix"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. `help` is a sentence; `label`, if any, is its word in the footer.

    `argument` is handed to the handler; actions of one `group` are one line of help (`0-9`).
    """

    scope: Scope
    name: str
    keys: tuple[str, ...]
    help: str
    label: str = ""
    needs: tuple[Need, ...] = ()
    group: str = ""
    argument: int | None = None

    @property
    def id(self) -> str:
        """What the `[keys]` table of the settings calls it."""
        tail = "" if self.argument is None else f"-{self.argument}"
        return f"{self.scope}.{self.name}{tail}"

    @property
    def handler(self) -> str:
        """The screen's method."""
        return "do_" + self.name.replace("-", "_")


def _move(name: str, keys: tuple[str, ...], text: str) -> Action:
    return Action(Scope.MOVE, name, keys, text)


def _digits(scope: Scope, name: str, first: int, last: int, text: str) -> tuple[Action, ...]:
    group = f"{first}-{last}"
    return tuple(
        Action(scope, name, (str(digit),), text, group=group, argument=digit)
        for digit in range(first, last + 1)
    )


_NAMESPACES = _digits(Scope.TABLE, "namespace", 0, 9, "All namespaces (0), or a favourite (1-9)")
_WINDOWS = _digits(
    Scope.FLOWS, "window", 0, 6, "Newest (0) or oldest (1); the last 1, 5, 15, 30, 60 minutes (2-6)"
)
_TABS = _digits(Scope.POLICY, "tab", 1, 6, "Summary, rules, file, YAML, endpoints, flows")
_FIXES = _digits(Scope.WHY, "fix", 1, 9, "Choose a fix; its effect shows before it is drafted")

ACTIONS: tuple[Action, ...] = (
    Action(Scope.GLOBAL, "command", (":",), "Type a command, as `:flows jupyterhub`", "command"),
    Action(Scope.GLOBAL, "filter", ("/",), "Filter or search what is on screen", "filter"),
    Action(Scope.GLOBAL, "help", ("?",), "Show the keys of this screen"),
    Action(Scope.GLOBAL, "palette", ("ctrl+p",), "Find any command, policy or endpoint by name"),
    Action(Scope.GLOBAL, "back", ("escape", "q"), "Clear the filter, else go back"),
    Action(Scope.GLOBAL, "history-back", ("[",), "Go to the place before this one"),
    Action(Scope.GLOBAL, "history-forward", ("]",), "Go forward again"),
    Action(Scope.GLOBAL, "history-last", ("-",), "Swap with the last place"),
    Action(Scope.GLOBAL, "diagnostics", ("!",), "Show what went wrong lately"),
    Action(Scope.GLOBAL, "header", ("ctrl+e",), "Fold the header"),
    Action(
        Scope.GLOBAL,
        "retry",
        ("ctrl+r",),
        "Try every waiting source again; paint anew",
    ),
    Action(Scope.GLOBAL, "save", ("ctrl+s",), "Save it as CSV, JSON lines, Markdown, text or SVG"),
    Action(Scope.GLOBAL, "quit", ("ctrl+q",), "Quit"),
    _move("down", ("j", "down"), "Down"),
    _move("up", ("k", "up"), "Up"),
    _move("top", ("g", "home"), "To the first line"),
    _move("bottom", ("G", "end"), "To the last line; in flows, follow again"),
    _move("page-down", ("ctrl+f", "pagedown"), "A page down"),
    _move("page-up", ("ctrl+b", "pageup"), "A page up"),
    _move("left", ("h", "left"), "Scroll left"),
    _move("right", ("right",), "Scroll right"),
    *_NAMESPACES,
    Action(Scope.TABLE, "wide", ("ctrl+w",), "Show every column"),
    Action(Scope.TABLE, "sort-name", ("N",), "Sort by name"),
    Action(Scope.TABLE, "sort-namespace", ("P",), "Sort by namespace"),
    Action(Scope.TABLE, "sort-left", ("shift+left",), "Sort by the column to the left"),
    Action(Scope.TABLE, "sort-right", ("shift+right",), "Sort by the column to the right"),
    Action(Scope.TABLE, "sort-reverse", ("O",), "Reverse the order"),
    Action(Scope.TABLE, "faults", ("ctrl+z",), "Only rows with something wrong"),
    Action(Scope.TABLE, "copy-name", ("c",), "Copy the name", needs=(Need.ROW,)),
    Action(Scope.TABLE, "copy-namespace", ("n",), "Copy the namespace", needs=(Need.ROW,)),
    Action(Scope.TABLE, "copy-command", ("ctrl+y",), "Copy a command for it", needs=(Need.ROW,)),
    Action(Scope.TEXT, "half-down", ("ctrl+d",), "Half a page down"),
    Action(Scope.TEXT, "half-up", ("ctrl+u",), "Half a page up"),
    Action(Scope.TEXT, "next-match", ("n",), "Next place found"),
    Action(Scope.TEXT, "last-match", ("N",), "Previous place found"),
    Action(Scope.TEXT, "wrap", ("w",), "Wrap long lines"),
    Action(Scope.TEXT, "copy-all", ("c",), "Copy the text", "copy"),
    Action(Scope.POLICIES, "open", ("enter",), "Open the policy", "open", (Need.ROW,)),
    Action(Scope.POLICIES, "describe", ("d",), "Say what it does", "describe", (Need.ROW,)),
    Action(Scope.POLICIES, "yaml", ("y",), "Show its source", "yaml", (Need.ROW,)),
    Action(Scope.POLICIES, "used-by", ("u",), "Endpoints it selects", "selects", (Need.ROW,)),
    Action(Scope.POLICIES, "flows", ("l",), "Live flows of its namespace", "flows", (Need.ROW,)),
    Action(Scope.POLICIES, "why", ("x",), "Ask about a connection it governs", "why", (Need.ROW,)),
    Action(Scope.POLICIES, "what-if", ("W", "ctrl+d"), "What if it were gone", needs=(Need.ROW,)),
    *_TABS,
    Action(Scope.POLICY, "next-tab", ("tab",), "Next tab", "tab"),
    Action(Scope.POLICY, "last-tab", ("shift+tab",), "Previous tab"),
    Action(Scope.POLICY, "open", ("enter",), "From a rule to its line, or to the row", "open"),
    Action(Scope.POLICY, "yaml", ("y",), "Show its source", "yaml"),
    Action(Scope.POLICY, "used-by", ("u",), "Endpoints it selects", "selects"),
    Action(Scope.POLICY, "flows", ("l",), "Flows of what it selects", "flows"),
    Action(Scope.POLICY, "why", ("x",), "Ask about a connection it governs", "why"),
    Action(Scope.POLICY, "what-if", ("W",), "What if it were gone", "what if"),
    Action(Scope.POLICY, "copy-command", ("ctrl+y",), "Copy a command for it"),
    Action(Scope.ENDPOINTS, "open", ("enter",), "Open the endpoint", "open", (Need.ROW,)),
    Action(Scope.ENDPOINTS, "used-by", ("u",), "Policies that select it", "policies", (Need.ROW,)),
    Action(Scope.ENDPOINTS, "flows", ("l",), "Live flows of it", "flows", (Need.ROW,)),
    Action(Scope.ENDPOINTS, "why", ("x",), "Ask why it cannot connect", "why", (Need.ROW,)),
    Action(Scope.ENDPOINT, "open", ("enter",), "Open the policy", "open"),
    Action(Scope.ENDPOINT, "flows", ("l",), "Live flows of it", "flows"),
    Action(Scope.ENDPOINT, "why", ("x",), "Ask why it cannot connect", "why"),
    Action(Scope.FLOWS, "open", ("enter",), "Open the flow", "open", (Need.FLOW,)),
    Action(Scope.FLOWS, "why", ("x",), "Why this verdict", "why", (Need.FLOW,)),
    Action(Scope.FLOWS, "rule", ("r",), "Go to the rule that decides", "rule", (Need.FLOW,)),
    Action(Scope.FLOWS, "follow", ("s",), "Stand still, or follow the newest", "follow"),
    Action(Scope.FLOWS, "group", ("a",), "One line per connection, or every flow", "group"),
    Action(Scope.FLOWS, "sort-left", ("shift+left",), "Sort groups by the column to the left"),
    Action(Scope.FLOWS, "sort-right", ("shift+right",), "Sort groups by the column to the right"),
    Action(Scope.FLOWS, "sort-reverse", ("O",), "Reverse the order of groups"),
    Action(Scope.FLOWS, "halves", ("o",), "One line for a packet, or for each time it was seen"),
    Action(Scope.FLOWS, "faults", ("ctrl+z",), "Only drops, audits and errors", "faults"),
    Action(Scope.FLOWS, "server", ("S",), "Ask Relay for these flows only, or for all again"),
    Action(Scope.FLOWS, "json", ("y",), "Show it as Hubble's JSON", "json", (Need.FLOW,)),
    Action(Scope.FLOWS, "draft", ("e",), "Draft a rule for it", "draft", (Need.FLOW,)),
    *_WINDOWS,
    Action(Scope.FLOWS, "used-by", ("u",), "Policies of its destination", needs=(Need.FLOW,)),
    Action(Scope.FLOWS, "source", ("J",), "Policies of its source", needs=(Need.FLOW,)),
    Action(Scope.FLOWS, "detail", ("v",), "Show or hide the detail beside the flows"),
    Action(Scope.FLOWS, "wide", ("ctrl+w",), "Show every column"),
    Action(Scope.FLOWS, "time", ("t",), "Clock time, or age"),
    Action(Scope.FLOWS, "clear", ("C",), "Show only what comes from now on"),
    Action(Scope.FLOWS, "copy-name", ("c",), "Copy the connection", needs=(Need.FLOW,)),
    Action(Scope.FLOWS, "copy-namespace", ("n",), "Copy the namespace", needs=(Need.FLOW,)),
    Action(Scope.FLOWS, "copy-command", ("ctrl+y",), "Copy a `hubble` command", needs=(Need.FLOW,)),
    Action(Scope.FLOW, "open", ("enter",), "Open the policy or endpoint", "open"),
    Action(Scope.FLOW, "why", ("x",), "Why this verdict", "why"),
    Action(Scope.FLOW, "rule", ("r",), "Go to the rule that decides", "rule"),
    Action(Scope.FLOW, "json", ("y",), "Show it as Hubble's JSON, or explained", "json"),
    Action(Scope.FLOW, "draft", ("e",), "Draft a rule for it", "draft"),
    Action(Scope.FLOW, "copy-command", ("ctrl+y",), "Copy a `hubble` command"),
    Action(Scope.WHY, "next-field", ("tab",), "From field to field to answer", "field"),
    Action(Scope.WHY, "last-field", ("shift+tab",), "Back to the field before"),
    Action(
        Scope.WHY,
        "open",
        ("enter",),
        "Go to the file, policy or rule under the cursor; else unfold the whole trace",
        "open",
        (Need.ANSWER,),
    ),
    Action(Scope.WHY, "unfold", ("t",), "Unfold the whole trace", "trace", (Need.ANSWER,)),
    Action(Scope.WHY, "rule", ("r",), "Go to the rule that decides", "rule", (Need.ANSWER,)),
    *_FIXES,
    Action(Scope.WHY, "draft", ("e",), "Draft the chosen fix", "draft", (Need.FIX,)),
    Action(Scope.WHY, "flows", ("l",), "Flows of this connection", "flows", (Need.ANSWER,)),
    Action(Scope.WHY, "copy-command", ("ctrl+y",), "Copy the command that asks this"),
    Action(
        Scope.DRAFT,
        "submit",
        ("ctrl+j",),
        "Put it on a branch; asks first",
        "submit",
        (Need.DRAFTS,),
    ),
    Action(Scope.DRAFT, "edit", ("e",), "Edit title and reason in `$EDITOR`", "edit"),
    Action(Scope.DRAFT, "reason", ("R",), "Say why it is needed", "reason"),
    Action(Scope.DRAFT, "save-patch", ("s",), "Save the patch as a file", "save"),
    Action(Scope.DRAFT, "split", ("v",), "Before and after side by side, or one diff", "split"),
    Action(Scope.WHAT_IF, "again", ("enter",), "Compare again, with the policies of now", "again"),
    Action(Scope.WHAT_IF, "copy-command", ("ctrl+y",), "Copy the command that asks this"),
    Action(
        Scope.LINT,
        "open",
        ("enter",),
        "Open the finding at its line in the file",
        label="open",
        needs=(Need.ROW,),
    ),
    Action(Scope.FINDING, "open", ("enter",), "Go to the policy or file under the cursor", "open"),
    Action(Scope.BOUNDARIES, "open", ("enter",), "Open its witnesses", "open", (Need.ROW,)),
    Action(Scope.BOUNDARY, "open", ("enter",), "Ask why, or go to the rule", "open"),
    Action(Scope.PULSE, "open", ("enter",), "Open what the line is about", "open"),
    Action(Scope.ALERTS, "open", ("enter",), "Why it was refused", "why", (Need.ROW,)),
    Action(Scope.ALERTS, "rule", ("r",), "Go to the rule that decides", "rule", (Need.ROW,)),
    Action(Scope.ALERTS, "again", ("a",), "Look again, at the flows of now", "again"),
    Action(Scope.PICKER, "open", ("enter",), "Take it", "take", (Need.ROW,)),
    Action(Scope.SERVICES, "open", ("enter",), "Endpoints behind it", "endpoints", (Need.ROW,)),
    Action(Scope.SERVICES, "why", ("x",), "Ask why it is not reached", "why", (Need.ROW,)),
    Action(Scope.WORKLOADS, "open", ("enter",), "Its pods", "pods", (Need.ROW,)),
    Action(Scope.WORKLOADS, "flows", ("l",), "Live flows of it", "flows", (Need.ROW,)),
    Action(Scope.WORKLOADS, "why", ("x",), "Ask why it cannot connect", "why", (Need.ROW,)),
    Action(Scope.DRAFTS, "open", ("enter",), "Show all it says", "open", (Need.ROW,)),
    Action(Scope.DRAFTS, "again", ("a",), "Ask the repository again", "again"),
    Action(Scope.MATRIX, "open", ("enter",), "Flows from the one to the other", "flows"),
    Action(Scope.MATRIX, "endpoints", ("u",), "Endpoints of the source", "endpoints"),
    Action(Scope.MATRIX, "again", ("a",), "Ask again, with the flows of now", "again"),
    Action(Scope.FILE, "open", ("enter",), "Open the policy that stands here", "policy"),
    Action(Scope.FILE, "edit", ("E",), "Show a copy in `$EDITOR`", "editor"),
    Action(Scope.FILE, "copy-place", ("ctrl+y",), "Copy `file:line`"),
    Action(Scope.SOURCES, "open", ("enter",), "Try the sources again, now", "retry"),
)

PROMPTS = frozenset({"everywhere.command", "everywhere.filter"})
"""They open the prompt before the next key is read, so that what is typed or pasted in one go gets
there; anything else is done by the widget with the keyboard, in its turn."""

BY_ID: Mapping[str, Action] = {action.id: action for action in ACTIONS}


def of_scopes(scopes: Iterable[Scope]) -> tuple[Action, ...]:
    """Give the actions of some scopes, in the order of the scopes, then of the table."""
    return tuple(action for scope in scopes for action in ACTIONS if action.scope is scope)


def bindings(*scopes: Scope) -> list[Binding]:
    """Make Textual's bindings; every key runs the action by its id, which the keymap can move."""
    return [
        Binding(
            ",".join(action.keys),
            f"run('{action.id}')",
            action.help,
            show=False,
            id=action.id,
            priority=action.id in PROMPTS,
        )
        for action in of_scopes(scopes)
    ]


def remapped(actions: Iterable[Action], keys: Mapping[str, str]) -> tuple[Action, ...]:
    """Give the actions with the user's keys (`"ctrl+x,z"` by id) in the place of the defaults."""
    return tuple(
        replace(action, keys=split_keys(keys[action.id])) if action.id in keys else action
        for action in actions
    )


def split_keys(text: str) -> tuple[str, ...]:
    """Read a list of keys; a comma itself is `comma`."""
    return tuple(key.strip() for key in text.split(",") if key.strip())


def clashes(scopes: Iterable[Scope], keys: Mapping[str, str]) -> tuple[str, ...]:
    """Say which keys would do two things on a screen of these scopes."""
    owners: dict[str, list[str]] = {}
    for action in remapped(of_scopes(scopes), keys):
        for key in action.keys:
            owners.setdefault(key, []).append(action.id)
    return tuple(
        f"`{key}` would do both {' and '.join(ids)}" for key, ids in owners.items() if len(ids) > 1
    )


def unknown_ids(keys: Mapping[str, str]) -> tuple[str, ...]:
    """Give the ids of a `[keys]` table that no action has."""
    return tuple(name for name in keys if name not in BY_ID)


COMBINED: tuple[tuple[Scope, ...], ...] = (
    (Scope.POLICIES, Scope.TABLE),
    (Scope.POLICY, Scope.TEXT),
    (Scope.ENDPOINTS, Scope.TABLE),
    (Scope.ENDPOINT, Scope.TEXT),
    (Scope.FLOWS,),
    (Scope.FLOW, Scope.TEXT),
    (Scope.WHY, Scope.TEXT),
    (Scope.DRAFT, Scope.TEXT),
    (Scope.WHAT_IF, Scope.TEXT),
    (Scope.SOURCES, Scope.TEXT),
    (Scope.LINT, Scope.TABLE),
    (Scope.FINDING, Scope.TEXT),
    (Scope.FILE, Scope.TEXT),
    (Scope.BOUNDARIES, Scope.TABLE),
    (Scope.BOUNDARY, Scope.TEXT),
    (Scope.MATRIX, Scope.TABLE),
    (Scope.PULSE, Scope.TEXT),
    (Scope.DRAFTS, Scope.TABLE),
    (Scope.PICKER, Scope.TABLE),
    (Scope.SERVICES, Scope.TABLE),
    (Scope.WORKLOADS, Scope.TABLE),
    (Scope.ALERTS, Scope.TABLE),
    (Scope.TEXT,),
)
"""The scopes that come together on a screen, besides those that are everywhere."""

COMMON = (Scope.GLOBAL, Scope.MOVE)


def all_clashes(keys: Mapping[str, str]) -> tuple[str, ...]:
    """Say which keys would do two things anywhere."""
    return tuple(one for scopes in COMBINED for one in clashes((*scopes, *COMMON), keys))
