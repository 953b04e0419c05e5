"""What the draft screen needs of whoever makes drafts: prepare one, and put it on a branch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from app.core.model.answer import Fix, WhyAnswer
from app.ports import Proposal, ProposedChange
from app.services.picture import Picture


@dataclass(frozen=True, slots=True)
class Draft:
    """A change that is ready to be put on a branch, with what is known of its effect.

    `broadens` says that it opens more than the question needs.
    """

    title: str
    repository: str
    diff: str
    change: ProposedChange = field(repr=False)
    effect: tuple[str, ...] = ()
    checks: tuple[tuple[str, bool], ...] = ()
    broadens: bool = False


class Drafter(Protocol):
    """Makes drafts out of fixes. Errors are `K8treError`s: refused, unavailable, not found."""

    async def prepare(self, picture: Picture, answer: WhyAnswer, fix: Fix) -> Draft:
        """Splice the fix into its file, simulate it, check it; nothing leaves the program."""
        ...

    async def submit(self, draft: Draft) -> Proposal:
        """Put the change on a branch, or open a pull request."""
        ...
