"""Names of namespaces that a caller may not know of, in texts about objects that they may.

A policy of a shared namespace can be called `from-project-heart`, and its rules can name that
project. What is replaced is told by the patterns of the settings alone, so it tells nobody whether
there is such a project.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

from app.core.model.answer import CauseCode

ANOTHER_PROJECT = "another project"

_WORD = re.compile(r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*")
_BESIDE = "/=:`'\""
"""What stands beside a word that is a name, where it is also a word of ours: `default`."""
_OURS = frozenset(part for code in CauseCode for part in code.value.split("-"))


def closed_names(hides: Callable[[str], bool], patterns: frozenset[str]) -> Callable[[str], str]:
    """Give what replaces the names of closed namespaces in a text. A pattern of stars has none."""
    telling = [one for one in patterns if one.strip("*?")]

    def is_closed(name: str) -> bool:
        return hides(name) and any(fnmatchcase(name, pattern) for pattern in telling)

    def replaced(match: re.Match[str]) -> str:
        word = match.group()
        around = match.string[max(0, match.start() - 1) : match.end() + 1]
        is_named = any(character in _BESIDE for character in (around[0], around[-1]))
        if word in _OURS and not is_named:
            return word
        return word if "-" not in word and not is_closed(word.lower()) else _cut(word, is_closed)

    return lambda text: _WORD.sub(replaced, text) if telling else text


def _cut(word: str, is_closed: Callable[[str], bool]) -> str:
    """Replace the longest run of parts that is a closed name: `from-project-heart`."""
    parts = word.split("-")
    for start in range(len(parts)):
        for end in range(len(parts), start, -1):
            run = parts[start:end]
            if not is_closed("-".join(run).lower()):
                continue
            if len(run) > 1 or len(parts) == 1 or run[0] not in _OURS:
                before = "-".join([*parts[:start], ""]) if start else ""
                after = "-".join(["", *parts[end:]]) if end < len(parts) else ""
                return f"{before}{ANOTHER_PROJECT}{after}"
    return word
