"""Choosing a namespace, a project, a context or a theme from a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from functools import partial
from typing import ClassVar

from textual.binding import BindingType

from app.core.lint.projects import is_project
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.messages import Go, Wander
from app.tui.places import ALL, Place
from app.tui.screens.table import TableScreen
from app.tui.themes import THEMES
from app.tui.views.words import empty
from widgets.document import Paragraph, paragraph
from widgets.grid import Column, Row
from widgets.spans import Line, Span, Tone, line

TITLES = {"ns": "namespace", "project": "project", "ctx": "context", "theme": "theme"}


class Picker(TableScreen):
    """`args` name what is chosen: `ns`, `project`, `ctx` or `theme`."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.PICKER, Scope.TABLE)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.PICKER)]
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("now", "NOW", 4),
        Column("name", "NAME", 30, flex=2),
        Column("endpoints", "ENDPOINTS", 9, right=True, rank=2),
        Column("policies", "POLICIES", 8, right=True, rank=1),
        Column("kind", "KIND", 12, flex=1, rank=3),
    )
    NAME: ClassVar[int] = 1
    NAMESPACE: ClassVar[int] = 0

    @property
    def kind(self) -> str:
        """What is chosen."""
        return self.place.args[0]

    def _choices(self) -> Iterator[tuple[str, str]]:
        """Yield each with its kind."""
        session = self.session
        if self.kind == "ctx":
            yield from ((name, "context") for name in session.contexts.names())
        elif self.kind == "theme":
            yield from ((name, "theme") for name in THEMES)
        else:
            if self.kind == "ns":
                yield ALL, ""
            for name, one in sorted(session.picture.cluster.namespaces.items()):
                project = is_project(name, one.labels)
                if project or self.kind == "ns":
                    yield name, "project" if project else ""

    def _now(self) -> str:
        current = {"ctx": self.session.context, "theme": self.app.theme}
        return current.get(self.kind, self.session.namespace or ALL)

    def all_rows(self, picture: Picture) -> int:
        """Count the choices."""
        del picture
        return len(tuple(self._choices()))

    def wanted_rows(self, *, faults: bool) -> tuple[Row, ...]:
        """Give every choice, in its order."""
        del faults
        cluster, now = self.session.picture.cluster, self._now()
        pods = Counter(one.namespace for one in cluster.endpoints)
        policies = Counter(one.ref.namespace for one in cluster.policies)
        counted = self.kind in ("ns", "project")
        return tuple(
            Row(
                name,
                partial(
                    _cells,
                    name,
                    word,
                    now=name == now,
                    counts=(pods[name], policies[name]) if counted and name != ALL else None,
                ),
                partial(_place, at),
            )
            for at, (name, word) in enumerate(self._choices())
        )

    def why_empty(self, total: int) -> tuple[Line, ...]:
        """Say why there are no rows."""
        if total:
            return empty(f"None of {total} is left.", "`esc` clears the filter.")
        if self.kind == "ctx":
            return empty("There is one source only, and no other context to go to.")
        return empty("Nothing to choose from has been read.", "`:sources` says why.")

    def describe(self, key: Hashable) -> tuple[Paragraph, ...]:
        """Say what enter does."""
        return (paragraph(f"`enter` takes {TITLES[self.kind]} ", Span(str(key), Tone.STRONG)),)

    def name_of(self, key: Hashable) -> tuple[str, str]:
        """Give the choice."""
        return "", str(key)

    def command_of(self, key: Hashable) -> str:
        """Give the command that chooses the same."""
        return f":{self.kind} {key}"

    def do_open(self) -> None:
        """Take it, and go back to where one was."""
        name = str(self.grid.cursor_key)
        if self.kind != "ctx":
            self.post_message(Wander("back"))
        kind = "ns" if self.kind == "project" else self.kind
        self.post_message(Go(Place(kind, (name,))))


def _place(at: int, _column: int) -> float:
    return at


def _cells(name: str, word: str, *, now: bool, counts: tuple[int, int] | None) -> tuple[Line, ...]:
    pods, policies = map(str, counts) if counts else ("", "")
    return (
        line(Span("*" if now else "", Tone.KEY)),
        line(Span(name, Tone.STRONG)),
        line(pods),
        line(policies),
        line(Span(word, Tone.DIM)),
    )
