"""A policy repository in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.core.errors import NotFound
from app.ports import KeptDraft, Proposal, ProposedChange


@dataclass(slots=True)
class FakeRepo:
    """Implements `PolicyRepo`; `proposed` keeps every change, `files` is the base branch.

    `kept` are the drafts that are there besides, `said` what was said under which branch's.
    """

    files: dict[str, str] = field(default_factory=dict)
    name: str = "fake-repo"
    proposed: list[ProposedChange] = field(default_factory=list)
    public: bool = False
    kept: list[KeptDraft] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)

    async def base(self) -> str:
        """Nothing is committed here."""
        return ""

    async def export(self, commit: str, folder: Path) -> None:
        """Write every file, whatever the commit."""
        del commit
        for path, text in self.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, newline="")

    async def read_file(self, path: str) -> str:
        """A file of the base branch; raises `NotFound`."""
        if path not in self.files:
            raise NotFound(f"no file `{path}` in {self.name}")
        return self.files[path]

    async def propose(self, change: ProposedChange) -> Proposal:
        """Keep the change; the same branch again changes nothing and says so."""
        existed = any(one.branch == change.branch for one in self.proposed)
        if not existed:
            self.proposed.append(change)
        return Proposal(change.branch, f"https://git.example.org/pr/{change.branch}", existed)

    async def is_public(self) -> bool:
        """As the test has it."""
        return self.public

    async def drafts(self) -> tuple[KeptDraft, ...]:
        """What was proposed, as open requests, and what the test says is there besides."""
        made = (
            KeptDraft(one.branch, "main", "open", one.title, text=one.body, number=at)
            for at, one in enumerate(self.proposed, start=1)
        )
        return (*reversed(tuple(made)), *self.kept)

    async def comment(self, draft: KeptDraft, text: str) -> bool:
        """Keep what is said, once."""
        if (draft.branch, text) in self.said:
            return False
        self.said.append((draft.branch, text))
        return True
