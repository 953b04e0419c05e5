"""Drafts as branches of a local repository, made without touching the work tree or its index."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from app.core.drafts.paths import check_path
from app.core.drafts.proposal import check_branch
from app.core.errors import DraftRejected, NotFound, SourceCause, SourceUnavailable
from app.ports import FileChange, Proposal, ProposedChange
from integrations.git.command import Git
from integrations.git.trailer import change_trailer

_ABSENT = "0" * 40
_REGULAR = ("100644", "100755")


class LocalGit:
    """A PolicyRepo on a local checkout or bare repository.

    `base` is a branch, or `HEAD`. Files are read as committed there, whatever the work tree holds.
    Source for the plumbing: git-read-tree(1), git-update-index(1), git-update-ref(1).
    """

    def __init__(self, folder: str | Path, base: str = "HEAD") -> None:
        self._folder = Path(folder)
        self._git = Git(self._folder)
        self._base = base

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    async def read_file(self, path: str) -> str:
        """Give a file as committed on the base; NotFound when it is not there."""
        check_path(path)
        mode, blob = await self._entry(await self._base_commit(), path)
        if mode not in _REGULAR:
            raise NotFound(f"no regular file `{path}` on `{self._base}` of {self.name}")
        return await self._git.run("cat-file", "blob", blob)

    async def propose(self, change: ProposedChange) -> Proposal:
        """Put the change on its branch as one commit on the base.

        A branch that holds the same change already is left as it is. One that holds an older form
        of it is moved, unless somebody else committed to it: that is DraftRejected.
        """
        branch = f"refs/heads/{check_branch(change.branch)}"
        if not await self._git.ok("check-ref-format", branch):
            raise DraftRejected(f"not a branch name: `{change.branch}`")
        base = await self._base_commit()
        tree = await self._write_tree(base, change.files)
        if tree == await self._tree_of(base):
            raise DraftRejected(f"the change is on `{self._base}` already")
        old = await self._commit_of(branch)
        if old:
            if await self._tree_of(old) == tree and await self._parent_of(old) == base:
                return Proposal(change.branch, existed=True)
            await self._check_ours(old, base, change)
        commit = await self._commit(tree, base, change.commit_message)
        await self._git.run(
            "update-ref",
            "-m",
            "k8tre-tui draft",
            f"refs/heads/{change.branch}",
            commit,
            old or _ABSENT,
        )
        return Proposal(change.branch, existed=bool(old))

    async def _base_commit(self) -> str:
        commit = await self._commit_of(self._base)
        if not commit:
            raise SourceUnavailable(
                f"no commit `{self._base}` in {self.name}",
                source=self.name,
                cause=SourceCause.NOT_FOUND,
                hint="name an existing branch as `repo.base`",
            )
        return commit

    async def _commit_of(self, revision: str) -> str:
        if not await self._git.ok("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"):
            return ""
        return (await self._git.run("rev-parse", "--verify", f"{revision}^{{commit}}")).strip()

    async def _tree_of(self, commit: str) -> str:
        return (await self._git.run("rev-parse", f"{commit}^{{tree}}")).strip()

    async def _parent_of(self, commit: str) -> str:
        return (await self._git.run("log", "-1", "--format=%P", commit)).strip()

    async def _entry(self, commit: str, path: str) -> tuple[str, str]:
        """Give mode and object of a path; two empty strings when there is nothing."""
        listing = await self._git.run("ls-tree", "-z", "--full-tree", commit, "--", path)
        if not listing:
            return "", ""
        mode, _, rest = listing.partition(" ")
        return mode, rest.split(" ", 1)[1].partition("\t")[0]

    async def _write_tree(self, base: str, files: Sequence[FileChange]) -> str:
        with tempfile.TemporaryDirectory(prefix="k8tre-tui-") as folder:
            env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            await self._git.run("read-tree", base, env=env)
            for file in files:
                mode, blob = await self._place(base, file)
                entry = f"{mode},{blob},{check_path(file.path)}"
                await self._git.run("update-index", "--add", "--cacheinfo", entry, env=env)
            return (await self._git.run("write-tree", env=env)).strip()

    async def _place(self, base: str, file: FileChange) -> tuple[str, str]:
        """Store the new text; refuse when the base is not the text the change was made from."""
        mode, _ = await self._entry(base, check_path(file.path))
        if mode and mode not in _REGULAR:
            raise DraftRejected(f"`{file.path}` is a link or a folder")
        before = await self.read_file(file.path) if mode else None
        if before != file.before:
            raise SourceUnavailable(
                f"`{file.path}` on `{self._base}` is not what the draft was made from",
                source=self.name,
                cause=SourceCause.CONFLICT,
                hint="draft again",
            )
        blob = await self._git.run(
            "hash-object", "-w", "--no-filters", "--stdin", stdin=file.after.encode()
        )
        return mode or "100644", blob.strip()

    async def _commit(self, tree: str, base: str, message: str) -> str:
        identity = {}
        if not await self._git.ok("var", "GIT_AUTHOR_IDENT"):
            for role in ("AUTHOR", "COMMITTER"):
                identity[f"GIT_{role}_NAME"] = "k8tre-tui"
                identity[f"GIT_{role}_EMAIL"] = "k8tre-tui@localhost"
        commit = await self._git.run(
            "commit-tree", tree, "-p", base, "-F", "-", stdin=message.encode(), env=identity
        )
        return commit.strip()

    async def _check_ours(self, branch: str, base: str, change: ProposedChange) -> None:
        """Refuse to move a branch that is checked out or holds commits of others."""
        trailer = change_trailer(change)
        messages = await self._git.run("log", "-z", "--format=%B", f"{base}..{branch}")
        if not trailer or any(trailer not in one for one in messages.split("\0") if one.strip()):
            raise DraftRejected(
                f"branch `{change.branch}` holds commits of others",
                hint="delete the branch, or add the change by hand",
            )
        worktrees = await self._git.run("worktree", "list", "--porcelain")
        if f"branch refs/heads/{change.branch}\n" in worktrees:
            raise DraftRejected(
                f"branch `{change.branch}` is checked out", hint="check out another branch"
            )
