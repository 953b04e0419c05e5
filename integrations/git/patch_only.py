"""Drafts where there is no repository: the patch is all there is."""

from __future__ import annotations

from pathlib import Path

from app.core.drafts.paths import check_path
from app.core.errors import DraftRejected, NotFound
from app.ports import KeptDraft, Proposal, ProposedChange


class PatchOnly:
    """A PolicyRepo on a folder that is no git repository: files are read, nothing is written."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    async def base(self) -> str:
        """Give nothing: no commit is known here."""
        return ""

    async def export(self, commit: str, folder: Path) -> None:
        """Refuse: no commit is known here."""
        del folder
        raise NotFound(f"no commit `{commit}`: {self.name} is no git repository")

    async def read_file(self, path: str) -> str:
        """Give a file of the folder; NotFound when it is not there or a link leads out."""
        file = (self._folder / check_path(path)).resolve()
        if not file.is_file() or not file.is_relative_to(self._folder.resolve()):
            raise NotFound(f"no file `{path}` in {self.name}")
        try:
            return file.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise DraftRejected(f"`{path}` is not UTF-8 text") from error

    async def propose(self, change: ProposedChange) -> Proposal:
        """Refuse: there is no repository to put it in."""
        raise DraftRejected(
            f"`{change.branch}` cannot be made: {self.name} is no git repository",
            hint="save the patch and apply it by hand",
        )

    async def is_public(self) -> bool:
        """Give no: a folder of one's own."""
        return False

    async def drafts(self) -> tuple[KeptDraft, ...]:
        """Give none: nothing is kept here."""
        return ()

    async def comment(self, draft: KeptDraft, text: str) -> bool:
        """Say nothing: there is no request."""
        del draft, text
        return False
