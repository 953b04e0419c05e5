"""The table of keys in docs/keys.md, made from the registry: `python -m app.tui.keydocs`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from app.tui.actions import ACTIONS, Action, Scope
from app.tui.places import COMMANDS

HEAD = """# Keys and commands

Made from the registry of actions by `python -m app.tui.keydocs`; a test compares the two.
Any key can be moved in the settings, by the name of its action:

```toml
[keys]
"flows.follow" = "f"
```
"""


def key_page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for scope in Scope:
        parts += [f"## {scope.value.capitalize()}\n", *_table(scope), ""]
    parts += ["## Commands\n", "| Command | Also | What it does |", "|---|---|---|"]
    for command in COMMANDS:
        words = f":{command.name} {' '.join(word.upper() for word in command.takes)}".strip()
        also = ", ".join(f"`:{alias}`" for alias in command.aliases)
        parts.append(f"| `{words}` | {also} | {command.help} |")
    return "\n".join(parts) + "\n"


def _table(scope: Scope) -> Iterator[str]:
    yield "| Key | Action | What it does |"
    yield "|---|---|---|"
    seen: set[str] = set()
    for action in ACTIONS:
        if action.scope is not scope or (action.group and action.name in seen):
            continue
        seen.add(action.name)
        name = f"{scope.value}.{action.name}" + ("-N" if action.group else "")
        yield f"| {_keys(action)} | `{name}` | {_escaped(action.help)} |"


def _keys(action: Action) -> str:
    return f"`{action.group}`" if action.group else " ".join(f"`{key}`" for key in action.keys)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(key_page())
