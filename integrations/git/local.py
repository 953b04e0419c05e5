"""Drafts as branches of a local repository, made without touching the work tree or its index.

Nothing that the repository configures is run: see `integrations.git.command`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.drafts.paths import check_path
from app.core.drafts.proposal import BRANCH_PREFIX, check_branch
from app.core.errors import DraftRejected, NotFound, SourceCause, SourceUnavailable
from app.ports import FileChange, KeptDraft, Proposal, ProposedChange
from integrations.git.command import Git, borrowed
from integrations.git.export import Entry, export, is_wanted
from integrations.git.hosting import Written
from integrations.git.ours import (
    change_trailer,
    check_base,
    content_trailer,
    digest,
    keep_reason,
    refuse_others,
    sealed,
)
from integrations.git.paths import find_file, read_text
from integrations.git.storage import Storage, open_storage

_STEPS = re.compile(r"[~^][0-9~^]*$")
"""From a commit to those before it (gitrevisions(7)); nothing else of that language is taken."""

_SHORT = re.compile(r"[0-9a-f]{4,64}")


class LocalGit:
    """A PolicyRepo on a local checkout or bare repository.

    `base` is a branch, or `HEAD`. Files are read as committed there, whatever the work tree holds.
    Source for the plumbing: git-read-tree(1), git-update-index(1), git-commit-tree(1).
    """

    def __init__(self, folder: str | Path, base: str = "HEAD") -> None:
        self._folder = Path(folder)
        self._base = base

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    async def base(self) -> str:
        """Give the commit that the base is at."""
        async with self._open() as session:
            return await session.base_commit()

    async def export(self, commit: str, folder: Path) -> None:
        """Write a commit's files below `folder`."""
        async with self._open() as session:
            await session.export(commit, folder)

    async def read_file(self, path: str) -> str:
        """Give a file as committed on the base, through links; NotFound when it is not there."""
        check_path(path)
        async with self._open() as session:
            text = await session.read(await session.base_commit(), path)
        if text is None:
            raise NotFound(f"no regular file `{path}` on `{self._base}` of {self.name}")
        return text

    async def propose(self, change: ProposedChange) -> Proposal:
        """Put the change on its branch as one commit on the base.

        A branch that holds the same change already is left as it is. One that holds an older form
        of it is moved, unless somebody else committed to it: that is DraftRejected.
        """
        check_branch(change.branch)
        async with self._open() as session:
            if not await session.git.ok("check-ref-format", f"refs/heads/{change.branch}"):
                raise DraftRejected(f"not a branch name: `{change.branch}`")
            return await session.propose(change)

    async def is_public(self) -> bool:
        """Give no: whether a checkout is published is not known here."""
        return False

    async def drafts(self) -> tuple[KeptDraft, ...]:
        """Every branch of ours, by name; merged is one whose commit the base has."""
        async with self._open() as session:
            return await session.drafts()

    async def comment(self, draft: KeptDraft, text: str) -> bool:
        """Say nothing: a branch has no comments."""
        del draft, text
        return False

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[_Session]:
        storage = open_storage(self._folder)
        async with borrowed(storage) as git:
            yield _Session(git, storage, self._base)


class _Session:
    """One look at the repository, through git that runs elsewhere."""

    def __init__(self, git: Git, storage: Storage, base: str) -> None:
        self.git = git
        self._storage = storage
        self._base = base

    @property
    def _name(self) -> str:
        return str(self._storage.folder)

    async def base_commit(self) -> str:
        steps = match[0] if (match := _STEPS.search(self._base)) else ""
        name = self._base.removesuffix(steps)
        found = (self._storage.resolve(name) or (name if _SHORT.fullmatch(name) else "")) + steps
        if found == steps or not await self.git.ok("cat-file", "-e", f"{found}^{{commit}}"):
            raise SourceUnavailable(
                f"no commit `{self._base}` in {self._name}",
                source=self._name,
                cause=SourceCause.NOT_FOUND,
                hint="name an existing branch as `repo.base`",
            )
        return (await self.git.run("rev-parse", "--verify", f"{found}^{{commit}}")).strip()

    async def export(self, commit: str, folder: Path) -> None:
        entries = await self._entries(commit)
        wanted = [one for one in entries if is_wanted(one)]
        names = "".join(f"{one.blob}\n" for one in wanted).encode()
        packed = await self.git.read("cat-file", "--batch", "--buffer", stdin=names)
        export(folder, zip(wanted, _contents(packed, len(wanted)), strict=True))

    async def _entries(self, commit: str) -> list[Entry]:
        listed = await self.git.read("ls-tree", "-r", "-l", "-z", "--full-tree", commit)
        entries = []
        for line in filter(None, listed.decode(errors="surrogateescape").split("\0")):
            about, _, path = line.partition("\t")
            mode, kind, blob, size = about.split()
            if kind == "blob":
                entries.append(Entry(path, mode, blob, int(size) if size.isdigit() else 0))
        return entries

    async def read(self, commit: str, path: str) -> str | None:
        found = await find_file(self, commit, path)
        return await read_text(self, found) if found is not None else None

    async def folder(self, commit: str, path: str, tree: str) -> list[Entry]:
        """What is in one folder; see `paths.Folders`."""
        del commit, path
        listed = await self.git.run("ls-tree", "-l", "-z", "--full-tree", tree)
        entries = []
        for line in filter(None, listed.split("\0")):
            about, _, name = line.partition("\t")
            mode, _, blob, size = about.split()
            entries.append(Entry(name, mode, blob, int(size) if size.isdigit() else 0))
        return entries

    async def blob(self, blob: str) -> bytes:
        """The bytes of a file."""
        return await self.git.read("cat-file", "blob", blob)

    async def drafts(self) -> tuple[KeptDraft, ...]:
        base = await self.base_commit()
        found = []
        for branch in self._storage.branches(BRANCH_PREFIX):
            tip = self._storage.branch(branch)
            message = await self.git.run("log", "-1", "--format=%B", tip)
            merged = await self.git.ok("merge-base", "--is-ancestor", tip, base)
            state = "merged" if merged else "open"
            title = message.partition("\n")[0]
            found.append(KeptDraft(branch, self._base, state, title, text=message))
        return tuple(found)

    async def propose(self, change: ProposedChange) -> Proposal:
        base = await self.base_commit()
        check_base(change, base, self._base, self._name)
        placed = [await self._place(base, file) for file in change.files]
        tree = await self._write_tree(base, placed)
        if tree == await self._tree_of(base):
            raise DraftRejected(f"the change is on `{self._base}` already, at {base[:10]}")
        content = digest((one.path, one.mode, one.text) for one in placed)
        message = sealed(change.long_message or change.commit_message, content)
        old = self._storage.branch(change.branch)
        if old:
            if await self._tree_of(old) == tree and await self._parent_of(old) == base:
                return Proposal(change.branch, existed=True, base=base)
            message = keep_reason(message, await self._check_ours(old, base, change))
        commit = await self._commit(tree, base, message)
        self._storage.move(change.branch, commit, old)
        return Proposal(change.branch, existed=bool(old), base=base)

    async def _tree_of(self, commit: str) -> str:
        return (await self.git.run("rev-parse", f"{commit}^{{tree}}")).strip()

    async def _parent_of(self, commit: str) -> str:
        return (await self.git.run("log", "-1", "--format=%P", commit)).strip()

    async def _write_tree(self, base: str, files: Sequence[Written]) -> str:
        env = {"GIT_INDEX_FILE": str(self.git.scratch / "index")}
        await self.git.run("read-tree", base, env=env)
        for file in files:
            if file.text is None:
                gone = f"0 {'0' * len(base)}\t{file.path}\0".encode()
                await self.git.run("update-index", "-z", "--index-info", stdin=gone, env=env)
                continue
            blob = await self.git.run(
                "hash-object", "-w", "--no-filters", "--stdin", stdin=file.text.encode()
            )
            entry = f"{file.mode},{blob.strip()},{file.path}"
            await self.git.run("update-index", "--add", "--cacheinfo", entry, env=env)
        return (await self.git.run("write-tree", env=env)).strip()

    async def _place(self, base: str, file: FileChange) -> Written:
        """Where the new text goes, behind links; refuse when the base is another than it was."""
        found = await find_file(self, base, check_path(file.path))
        if (await read_text(self, found) if found is not None else None) != file.before:
            raise SourceUnavailable(
                f"`{file.path}` on `{self._base}` is not what the draft was made from",
                source=self._name,
                cause=SourceCause.CONFLICT,
                hint="draft again",
            )
        if found is None:
            return Written(file.path, "100644", file.after)
        return Written(found.path, found.mode, file.after, found.blob)

    async def _commit(self, tree: str, base: str, message: str) -> str:
        identity = {}
        if not await self.git.ok("var", "GIT_AUTHOR_IDENT"):
            for role in ("AUTHOR", "COMMITTER"):
                identity[f"GIT_{role}_NAME"] = "k8tre-tui"
                identity[f"GIT_{role}_EMAIL"] = "k8tre-tui@localhost"
        commit = await self.git.run(
            "commit-tree", tree, "-p", base, "-F", "-", stdin=message.encode(), env=identity
        )
        return commit.strip()

    async def _check_ours(self, branch: str, base: str, change: ProposedChange) -> str:
        """Give the message of the branch's commit.

        Refuses to move a branch that is checked out, or holds commits of others.
        """
        trailer = change_trailer(change)
        messages = await self.git.run("log", "-z", "--format=%B", f"{base}..{branch}")
        own = [one.splitlines() for one in messages.split("\0") if one.strip()]
        if not trailer or any(trailer not in one for one in own):
            raise refuse_others(change)
        message = await self.git.run("log", "-1", "--format=%B", branch)
        said = content_trailer(message)
        if own and said and await self._content_of(branch) != said:
            raise refuse_others(change)
        if self._storage.checked_out(change.branch):
            raise DraftRejected(
                f"branch `{change.branch}` is checked out", hint="check out another branch"
            )
        return message

    async def _content_of(self, commit: str) -> str:
        """The digest of what a commit really writes."""
        listed = await self.git.run(
            "diff-tree", "-r", "-z", "--no-commit-id", "--no-renames", "--name-only", commit
        )
        files: list[tuple[str, str, str | None]] = []
        for path in filter(None, listed.split("\0")):
            found = await find_file(self, commit, path)
            if found is None:
                files.append((path, "", None))
            else:
                files.append((found.path, found.mode, await read_text(self, found)))
        return digest(files)


def _contents(packed: bytes, count: int) -> list[bytes]:
    """Take apart what `git cat-file --batch` gives; nothing where an object is not there."""
    contents, at = [], 0
    for _ in range(count):
        end = packed.index(b"\n", at)
        words = packed[at:end].split()
        at = end + 1
        if len(words) != 3:  # "NAME missing"  # noqa: PLR2004
            contents.append(b"")
            continue
        size = int(words[2])
        contents.append(packed[at : at + size])
        at += size + 1
    return contents
