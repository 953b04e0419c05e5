"""A namespace as a chip: a letter on a colour and a name, together always equally wide.

Pods of different projects often have the same names, so the namespace must not be what is cut
first. Projects get a colour each; the letter says the same where there are no colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import ascii_uppercase, digits

from app.core.lint.projects import is_project
from app.core.model.cluster import Namespace
from app.core.text import clean
from widgets.spans import HUES, Line, Span, Tone, fit, width_of

NAME = 8
"""Cells of the name."""
CHIP = NAME + 2
"""Cells of a chip: letter, blank, name."""
_PREFIX = "project-"
_SHORTEST_TAIL = 3


@dataclass(frozen=True, slots=True)
class Chips:
    """The chips of a cluster's namespaces; one that is not among them gets one without colour."""

    known: Mapping[str, Line]

    def of(self, namespace: str) -> Line:
        """Give the chip, exactly `CHIP` cells wide."""
        return self.known.get(namespace) or _chip(_letter(namespace, set()), namespace, Tone.DIM)


NO_CHIPS = Chips({})


def make_chips(namespaces: Mapping[str, Namespace]) -> Chips:
    """Give every namespace a chip: projects first, each with its letter and, in turn, a colour."""
    projects = sorted(name for name, one in namespaces.items() if is_project(name, one.labels))
    short = _short_names(projects, namespaces)
    taken: set[str] = set()
    chips: dict[str, Line] = {}
    for at, name in enumerate(projects):
        letter = _letter(short[name], taken)
        taken.add(letter)
        chips[name] = _chip(letter, short[name], HUES[at % len(HUES)])
    for name in namespaces:
        if name not in chips:
            chips[name] = _chip(_letter(name, set()).lower(), name, Tone.DIM)
    return Chips(chips)


def _short_names(projects: Iterable[str], namespaces: Mapping[str, Namespace]) -> dict[str, str]:
    """Leave `project-` out where nothing else is called by what is left."""
    tails = {name: name.removeprefix(_PREFIX) for name in projects}
    return {name: name if tail in namespaces or not tail else tail for name, tail in tails.items()}


def _letter(name: str, taken: set[str]) -> str:
    """The first letter of a name that is free, else any that is, else its first again."""
    letters = ascii_uppercase + digits
    own: list[str] = [one for one in clean(name).upper() if one in letters]
    free = (one for one in (*own, *letters) if one not in taken)
    return next(free, own[0] if own else "?")


def _chip(letter: str, name: str, tone: Tone) -> Line:
    return (Span(letter, tone), Span(f" {_cut(name)}", Tone.DIM))


def _cut(name: str) -> str:
    """Fit a name by taking from its middle: beginnings are often the same, as are ends."""
    text = clean(name)
    if width_of(text) <= NAME or not text.isascii():
        return fit(text, NAME)
    return f"{text[: NAME - 1 - _SHORTEST_TAIL]}…{text[-_SHORTEST_TAIL:]}"
