"""What every screen shares: the workspace, the settings, the clock and where one looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from difflib import get_close_matches
from typing import TYPE_CHECKING

from app.config import Settings
from app.core.errors import BadInput
from app.core.flows.ring import Ring
from app.core.lint.projects import is_project
from app.core.model.cluster import Cluster
from app.core.model.provenance import Manifest, ObjectRef
from app.ports import Clock
from app.services.contexts import Contexts
from app.services.doctor import Surroundings
from app.services.picture import Picture
from app.services.workspace import Workspace
from app.tui.feed import FlowFeed
from app.tui.meter import DropMeter
from app.tui.places import ALL
from widgets.marks import UNICODE, Marks

if TYPE_CHECKING:
    from app.core.lint.finding import Finding
    from app.services.drafting import Drafter
    from app.services.lint import PolicyLint

DIGITS = 9
KEPT_COMMANDS = 100
KEPT_FEEDS = 4
"""Screens of flows left behind whose rows stay as they were: each may keep flows from the ring."""


def judges_alike(cluster: Cluster, before: Cluster | None) -> bool:
    """Whether two pictures share their policies and endpoints, so that only names may differ."""
    return before is not None and (
        cluster.policies is before.policies and cluster.endpoints is before.endpoints
    )


ReadDrafts = Callable[[str], tuple[Manifest, ...]]
"""Gives the objects of a file, as the operator drafted them; raises `BadInput`."""


def no_files(path: str) -> tuple[Manifest, ...]:
    """Where no file can be read."""
    raise BadInput(f"cannot read `{path}` here", file=path)


ReadLines = Callable[[str | None], tuple[str, ...]]
"""Gives the lines of a file, ready to show; none when it cannot be read."""


def no_lines(path: str | None) -> tuple[str, ...]:
    """Where no file can be read."""
    del path
    return ()


def no_drafter() -> Drafter | None:
    """There is no file to change."""
    return None


@dataclass(slots=True)
class Session:
    """One run of the terminal. `namespace` empty means all; `context` is what to call the cluster.

    `badge` says that nothing here writes to a cluster.
    """

    workspace: Workspace
    settings: Settings
    clock: Clock
    context: str
    zone: tzinfo = UTC
    marks: Marks = UNICODE
    namespace: str = ""
    badge: str = "GITOPS"
    meter: DropMeter = field(default_factory=DropMeter)
    folded: bool = False
    surroundings: Surroundings = field(default_factory=Surroundings)
    make_drafter: Callable[[], Drafter | None] = no_drafter
    contexts: Contexts = field(default_factory=Contexts)
    read_drafts: ReadDrafts = no_files
    read_lines: ReadLines = no_lines
    no_drafts: str = "drafts need a checkout of the GitOps repository: set `repo.path`"
    left_feeds: deque[FlowFeed] = field(default_factory=lambda: deque(maxlen=KEPT_FEEDS))
    """Rows of flows that one may come back to; of older ones only the place is kept."""
    _drafter: Drafter | None = None
    commands: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_COMMANDS))
    """What was typed after `:`, newest last."""
    _lint: PolicyLint | None = None
    _numbered: list[str] = field(default_factory=list)

    @property
    def picture(self) -> Picture:
        """The newest picture."""
        return self.workspace.picture

    @property
    def drafter(self) -> Drafter | None:
        """What drafts changes, made when it is first wanted; None when no file can be changed."""
        if self._drafter is None:
            self._drafter = self.make_drafter()
        return self._drafter

    def lint_of(self, ref: ObjectRef) -> tuple[Finding, ...]:
        """What the rules find in one policy of the newest picture."""
        if self._lint is None or self._lint.engine is not self.picture.engine:
            from app.services.lint import PolicyLint

            self._lint = PolicyLint(self.picture, self.workspace.manifests())
        return self._lint.of(ref)

    @property
    def has_read(self) -> bool:
        """Whether any object was read: before that, what is not known is never shown as none."""
        cluster = self.picture.cluster
        return bool(cluster.policies or cluster.endpoints or cluster.namespaces)

    def switch(self, workspace: Workspace, context: str) -> None:
        """Look at another cluster, of which nothing is known yet."""
        self.workspace, self.context = workspace, context
        self.namespace, self.meter = "", DropMeter()
        self._numbered.clear()
        self.left_feeds.clear()

    def look_at(self, namespace: str) -> None:
        """Look at one namespace, or at all (empty)."""
        self.namespace = namespace

    def unknown_namespace(self, name: str) -> str:
        """Say that there is no such namespace, and which was meant; empty where there may be.

        One that only flows name is known, too: not every namespace can always be listed.
        """
        known = self.picture.cluster.namespaces
        if name == ALL or not known or name in known or name in self.settings.ui.favourites:
            return ""
        if any(name in (flow.source.namespace, flow.destination.namespace) for flow in self.ring):
            return ""
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else "`:ns all`"
        return f"no namespace `{name}`; {hint}"

    @property
    def ring(self) -> Ring:
        """The flows that are kept."""
        return self.workspace.ring

    def favourites(self) -> tuple[tuple[str, str], ...]:
        """(digit, namespace) pairs: 0 is all, then favourites, projects, and the others.

        A number once given is kept, so that a key never comes to mean another namespace.
        """
        namespaces = self.picture.cluster.namespaces
        names = sorted(
            namespaces, key=lambda name: (not is_project(name, namespaces[name].labels), name)
        )
        for name in (*self.settings.ui.favourites, *names):
            if len(self._numbered) < DIGITS and name not in self._numbered:
                self._numbered.append(name)
        return (("0", ALL), *((str(at), name) for at, name in enumerate(self._numbered, 1)))

    def favourite(self, digit: int) -> str | None:
        """Give the namespace on a digit: empty for 0, None for a digit without one."""
        if digit == 0:
            return ""
        return next((name for key, name in self.favourites() if key == str(digit)), None)
