"""Who owns a file of a repository, as its `CODEOWNERS` says.

Source: GitHub's documentation, "About code owners": gitignore patterns without `!` and `[…]`, of
which the last one that fits wins; a pattern without owners takes them away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
"""Where the file may stand; the first that is there counts."""

_TOKEN = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\\.|[^*?\\]+|.")
_WILD = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, slots=True)
class OwnerRule:
    """One line: a pattern, who owns what fits, and its 1-based line."""

    pattern: str
    owners: tuple[str, ...]
    line: int

    def fits(self, path: str) -> bool:
        """Say whether a path from the root of the repository, without a leading `/`, is meant."""
        return _expression(self.pattern).fullmatch(path) is not None


def parse_codeowners(text: str) -> tuple[OwnerRule, ...]:
    """Read the rules of a file; comments and lines that GitHub skips are left out."""
    rules = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = re.sub(r"(^|\s)#.*", "", line).split()
        if words and not words[0].startswith("!") and "[" not in words[0]:
            rules.append(OwnerRule(words[0], tuple(words[1:]), number))
    return tuple(rules)


def owners_of(path: str, rules: tuple[OwnerRule, ...]) -> tuple[str, ...]:
    """Give the owners of a file, none where no rule fits or the last that fits names none."""
    return next((rule.owners for rule in reversed(rules) if rule.fits(path)), ())


def _expression(pattern: str) -> re.Pattern[str]:
    body = pattern.removeprefix("/").removesuffix("/")
    anchored = pattern.startswith("/") or "/" in body
    parts = [
        _WILD.get(token) or re.escape(token.removeprefix("\\")) for token in _TOKEN.findall(body)
    ]
    inside = "/.*" if pattern.endswith("/") else "" if body.endswith("*") else "(?:/.*)?"
    return re.compile(("" if anchored else "(?:.*/)?") + "".join(parts) + inside)
