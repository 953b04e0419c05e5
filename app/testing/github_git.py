"""The git database behind the fake GitHub: a bare repository, real objects, real references."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

_LINK, _SUBMODULE, _FOLDER = "120000", "160000", "040000"


class Refused(Exception):
    """A request that GitHub answers with 422 and these words."""


@dataclass(slots=True)
class GitDatabase:
    """A bare repository with `main`; missing objects are `HTTPNotFound`, as GitHub has them."""

    folder: Path
    _count: int = 0

    async def git(self, *args: str, stdin: str = "", index: Path | None = None) -> str:
        """Run git in the repository and give its output; ValueError with its words on failure."""
        env = {**os.environ, "GIT_AUTHOR_NAME": "app", "GIT_AUTHOR_EMAIL": "app@example.org"}
        env |= {"GIT_COMMITTER_NAME": "app", "GIT_COMMITTER_EMAIL": "app@example.org"}
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        process = await asyncio.create_subprocess_exec(
            "git",
            *args,
            cwd=self.folder,
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        if process.returncode:
            raise ValueError(err.decode())
        return out.decode()

    async def commit_of(self, revision: str) -> str:
        """The commit that a revision stands for."""
        try:
            return (await self.git("rev-parse", "--verify", f"{revision}^{{commit}}")).strip()
        except ValueError:
            raise web.HTTPNotFound from None

    async def exists(self, ref: str) -> bool:
        """Whether a reference is there."""
        try:
            await self.commit_of(ref)
        except web.HTTPNotFound:
            return False
        return True

    async def must_exist(self, sha: str, kind: str) -> None:
        """Refuse an object that is not there, or of another kind."""
        try:
            found = (await self.git("cat-file", "-t", sha)).strip()
        except ValueError:
            found = ""
        if found != kind:
            raise Refused(f"{kind.capitalize()} SHA does not exist")

    async def commit(self, sha: str) -> dict[str, Any]:
        """A commit as `git/commits` gives it."""
        text = await self.git("log", "-1", "--format=%T%n%P%n%B", sha)
        tree, parents, message = text.split("\n", 2)
        return {
            "sha": sha,
            "tree": {"sha": tree},
            "parents": [{"sha": parent} for parent in parents.split()],
            "message": message.rstrip("\n"),
        }

    async def changed(self, sha: str) -> list[dict[str, str]]:
        """The files of a commit as `commits` gives them."""
        listed = await self.git(
            "diff-tree",
            "-r",
            "-z",
            "--root",
            "--no-commit-id",
            "--no-renames",
            "--name-status",
            sha,
        )
        words = listed.split("\0")
        status = {"A": "added", "M": "modified", "D": "removed", "T": "changed"}
        return [
            {"status": status[kind], "filename": name}
            for kind, name in zip(words[::2], words[1::2], strict=False)
            if kind
        ]

    async def tree(self, sha: str, *, deep: bool) -> list[dict[str, Any]]:
        """What is in a tree, with modes as they are; folders are listed too."""
        try:
            listed = await self.git("ls-tree", "-l", "-z", *(["-r", "-t"] if deep else []), sha)
        except ValueError:
            raise web.HTTPNotFound from None
        entries = []
        for line in filter(None, listed.split("\0")):
            about, _, path = line.partition("\t")
            mode, kind, name, size = about.split()
            entry: dict[str, Any] = {"path": path, "mode": mode, "type": kind, "sha": name}
            entries.append(entry | ({"size": int(size)} if kind == "blob" else {}))
        return entries

    async def blob(self, sha: str) -> dict[str, Any]:
        """A blob as `git/blobs` gives it: base64 in lines."""
        await self.must_exist(sha, "blob")
        content = base64.encodebytes((await self.git("cat-file", "blob", sha)).encode()).decode()
        return {"sha": sha, "encoding": "base64", "content": content}

    async def make_tree(self, base: str, entries: Iterable[Mapping[str, Any]]) -> str:
        """A tree with entries put into another; no object takes one away."""
        self._count += 1
        index = self.folder / f"index-{self._count}"
        try:
            if base:
                await self.git("read-tree", base, index=index)
            for entry in entries:
                await self._add(entry, index)
            return (await self.git("write-tree", index=index)).strip()
        except ValueError as error:
            raise Refused(f"tree.path contains a malformed path component: {error}") from error
        finally:
            index.unlink(missing_ok=True)

    async def _add(self, entry: Mapping[str, Any], index: Path) -> None:
        path, mode = entry.get("path"), entry.get("mode")
        if not path or not ("content" in entry or "sha" in entry):
            raise Refused("Must supply a valid tree.sha or tree.content")
        if "sha" in entry and entry["sha"] is None:
            gone = f"0 {'0' * 40}\t{path}\0"
            await self.git("update-index", "-z", "--index-info", stdin=gone, index=index)
            return
        if not mode or (mode in (_SUBMODULE, _FOLDER) and "content" in entry):
            raise Refused("tree.mode does not fit its content")
        blob = entry.get("sha") or await self.git(
            "hash-object", "-w", "--stdin", stdin=entry["content"]
        )
        cache = f"{mode},{blob.strip()},{path}"
        await self.git("update-index", "--add", "--replace", "--cacheinfo", cache, index=index)

    async def make_commit(self, tree: str, parents: list[str], message: str) -> str:
        """A commit of a tree."""
        await self.must_exist(tree, "tree")
        words = [word for parent in parents for word in ("-p", parent)]
        return (await self.git("commit-tree", tree, *words, "-F", "-", stdin=message)).strip()

    async def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether a move from one to the other is a fast-forward."""
        try:
            await self.git("merge-base", "--is-ancestor", older, newer)
        except ValueError:
            return False
        return True

    async def between(self, base: str, head: str) -> list[str]:
        """The commits that `head` has and `base` has not, the oldest first."""
        start, end = await self.commit_of(base), await self.commit_of(head)
        return (await self.git("rev-list", "--reverse", f"{start}..{end}")).split()
