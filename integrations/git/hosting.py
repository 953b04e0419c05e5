"""What the algorithm of pull requests asks of a forge: single requests, and values without JSON.

`integrations.git.forge` is the algorithm; GitHub, Gitea and GitLab implement `Host`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from integrations.git.export import Entry

LABELS = {"network-policy": "#0e8a16", "k8tre-tui": "#5319e7"}
"""Labels of every request, with the colour that they get where they have to be made."""


class PullState(StrEnum):
    """How a request stands; CLOSED is closed without being merged."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class Touched(StrEnum):
    """What was done to a request before, by us or by people."""

    LABELS = "labels"
    REVIEWERS = "reviewers"


@dataclass(frozen=True, slots=True)
class About:
    """A repository: its default branch, and whether everybody may read it."""

    default_branch: str
    public: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: name, whole message, names of its parents."""

    name: str
    message: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull or merge request. `merged_at` is UTC as RFC 3339, empty while it is not merged."""

    number: int
    url: str
    title: str
    body: str
    state: PullState
    branch: str
    base: str
    author: str = ""
    merged_at: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The new text of one file, None where it goes; `blob` is what is there now, or empty."""

    path: str
    mode: str
    text: str | None
    blob: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCommit:
    """A commit to be made on `parent`, the head of `base`, as the only one of `branch`.

    `old` is the commit that the branch is at, None when it is not there.
    """

    branch: str
    base: str
    parent: str
    old: str | None
    message: str
    files: Sequence[Written]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPull:
    """A request to be opened as a draft."""

    branch: str
    base: str
    title: str
    body: str


class Host(Protocol):
    """One repository on a forge. Every method raises SourceUnavailable for answers not named."""

    async def about(self) -> About:
        """The repository; FORBIDDEN where it cannot be written to."""
        ...

    async def head(self, branch: str) -> str | None:
        """The commit of a branch; None when there is no such branch."""
        ...

    async def entries(self, commit: str) -> list[Entry]:
        """Every file of a commit."""
        ...

    async def folder(self, commit: str, path: str, tree: str) -> Sequence[Entry]:
        """What is in one folder, `path` being names alone; `tree` is its object, or the commit."""
        ...

    async def blob(self, blob: str) -> bytes:
        """The bytes of a file."""
        ...

    async def commit(self, name: str) -> Commit:
        """One commit."""
        ...

    async def between(self, base: str, branch: str) -> Sequence[Commit]:
        """The commits of a branch that its base does not have."""
        ...

    async def paths_of(self, commit: str) -> frozenset[str]:
        """The paths that a commit changes."""
        ...

    async def write(self, new: NewCommit) -> None:
        """Make the commit and point the branch at it; CONFLICT when either branch has moved."""
        ...

    async def pulls(self, branch: str, base: str, state: PullState | None) -> Sequence[Pull]:
        """Requests from this repository's branches, the newest first; empty `branch`: all of ours.

        CLOSED gives those that were merged too, None gives all.
        """
        ...

    async def open(self, new: NewPull) -> Pull | None:
        """Open a request; None when the forge says that there is one, or refuses it as invalid."""
        ...

    async def edit(self, number: int, body: str) -> None:
        """Give a request another body."""
        ...

    async def touched(self, number: int) -> frozenset[Touched]:
        """What was ever done to a request; everything where that cannot be known."""
        ...

    async def label(self, number: int) -> None:
        """Add our labels; nothing happens where the token may not."""
        ...

    async def ask_review(self, pull: Pull, owners: Sequence[str]) -> None:
        """Ask users (`@name`) and teams (`@org/team`) for a review; those who cannot, are not."""
        ...

    async def comments(self, number: int) -> Sequence[str]:
        """The texts of a request's comments."""
        ...

    async def comment(self, number: int, text: str) -> None:
        """Say something under a request."""
        ...
