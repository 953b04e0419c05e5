"""Drafts as pull requests on GitHub, over its REST API.

Every request is one of the table in the GitHub documentation ("REST API endpoints for Git
database", "… for pull requests"), version 2022-11-28. Commits carry no author of ours: those made
by an App are shown as verified only then.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.config import Secret
from app.core.drafts.paths import check_path
from app.core.drafts.proposal import check_branch, merge_body
from app.core.errors import (
    ConfigError,
    DraftRejected,
    NotFound,
    SourceCause,
    SourceUnavailable,
)
from app.ports import FileChange, Proposal, ProposedChange
from integrations.git.export import Entry, export
from integrations.git.http import Answer, ForgeClient
from integrations.git.remote_files import fetch, read_entries
from integrations.git.trailer import change_trailer, check_base

_HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "k8tre-tui",
}
_CREATED, _OK, _NOT_FOUND, _INVALID = 201, 200, 404, 422
_TRIES = 3
_LABELS = ("network-policy", "k8tre-tui")


class GitHub:
    """A PolicyRepo on GitHub; `repository` is `owner/name`, `base` empty means its default.

    `mirror` is a checkout of it, whose files need not be fetched where they are the same.
    """

    def __init__(
        self,
        repository: str,
        token: Secret,
        *,
        base: str = "",
        api: str = "https://api.github.com",
        mirror: Path | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        owner, _, repo = repository.partition("/")
        if not owner or not repo or "/" in repo:
            raise ConfigError(f"`{repository}` is not owner/name", key="repo.github")
        self._owner = owner
        self._repository = repository
        self._token = token
        self._base = base
        self._mirror = mirror
        self._api = api
        self._sleep = sleep
        self._path = f"/repos/{quote(owner, safe='')}/{quote(repo, safe='')}"

    @property
    def name(self) -> str:
        """`owner/name`."""
        return self._repository

    async def base(self) -> str:
        """Give the commit that the base branch is at."""
        async with self._client() as client:
            base = self._base or await self._default_branch(client)
            head = await _Session(client, self._path).head(base)
        if head is None:
            raise NotFound(f"no branch `{base}` in {self._repository}")
        return head

    async def export(self, commit: str, folder: Path) -> None:
        """Write a commit's files below `folder`."""
        async with self._client() as client:
            session = _Session(client, self._path)
            entries = await session.entries(commit)
            files = await fetch(entries, session.blob, self._mirror, self._repository)
        await asyncio.to_thread(export, folder, files)

    async def read_file(self, path: str) -> str:
        """Give a file of the base branch; NotFound when it is not there."""
        async with self._client() as client:
            base = self._base or await self._default_branch(client)
            text = await _Session(client, self._path).read(check_path(path), base)
        if text is None:
            raise NotFound(f"no file `{path}` on `{base}` of {self.name}")
        return text

    async def propose(self, change: ProposedChange) -> Proposal:
        """Put the change on its branch and open a pull request, or find the one that is open.

        Raises DraftRejected when people committed to the branch, when a pull request for the same
        change was closed unmerged (unless `change.again`), or when there is nothing to change.
        """
        check_branch(change.branch)
        async with self._client() as client:
            base = self._base or await self._default_branch(client)
            session = _Session(client, self._path)
            found = await session.pull_request(self._owner, change.branch, base, "open")
            if found is None and not change.again:
                await self._refuse_declined(session, change, base)
            await self._push(session, change, base)
            if found is not None:
                return await self._refresh(session, change, found)
            return await self._open(session, change, base)

    def _client(self) -> ForgeClient:
        return ForgeClient(self._api, self._token, _HEADERS, sleep=self._sleep)

    async def _default_branch(self, client: ForgeClient) -> str:
        answer = await client.get(self._path)
        if answer.status != _OK:
            raise client.fail(answer, f"reading {self.name}")
        rights = answer.body.get("permissions", {})
        if answer.body.get("archived") or rights.get("push") is False:
            raise SourceUnavailable(
                f"{self.name} is archived, or the token may not write to it",
                source=self.name,
                cause=SourceCause.FORBIDDEN,
            )
        return str(answer.body["default_branch"])

    async def _refuse_declined(self, session: _Session, change: ProposedChange, base: str) -> None:
        closed = await session.pull_request(self._owner, change.branch, base, "closed")
        if closed is not None and closed.get("merged_at") is None:
            raise DraftRejected(
                f"pull request #{closed['number']} for the same change was closed unmerged",
                hint="`--again` opens a new one",
            )

    async def _push(self, session: _Session, change: ProposedChange, base: str) -> None:
        """Bring the branch to one commit on the base, unless it is there already."""
        for attempt in range(_TRIES):
            head = await session.head(base)
            if head is None:
                raise NotFound(f"no branch `{base}` in {self.name}")
            check_base(change, head, base, self.name)
            tree, base_tree = await session.make_tree(head, change.files)
            if tree == base_tree:
                raise DraftRejected(f"the change is on `{base}` already, at {head[:10]}")
            branch = await session.head(change.branch)
            if branch is not None:
                if await session.tree_and_parent(branch) == (tree, head):
                    return
                await session.check_ours(base, change)
            commit = await session.make_commit(change.commit_message, tree, head)
            if (
                await session.point(change.branch, commit, branch)
                and await session.head(base) == head
            ):
                return
            await self._sleep(float(attempt))
        raise SourceUnavailable(
            f"`{base}` keeps moving", source=self.name, cause=SourceCause.CONFLICT, hint="try again"
        )

    async def _refresh(
        self, session: _Session, change: ProposedChange, found: Mapping[str, Any]
    ) -> Proposal:
        """Bring our part of the body up to date; the title is the people's from the start."""
        body = merge_body(str(found.get("body") or ""), change.body)
        if body != (found.get("body") or ""):
            await session.edit(int(found["number"]), body)
        return Proposal(change.branch, str(found["html_url"]), existed=True)

    async def _open(self, session: _Session, change: ProposedChange, base: str) -> Proposal:
        try:
            answer = await session.open(change, base)
        except SourceUnavailable:
            # A lost answer is no proof that nothing was opened.
            found = await session.pull_request(self._owner, change.branch, base, "open")
            if found is None:
                raise
            return Proposal(change.branch, str(found["html_url"]))
        if answer.status == _CREATED:
            await session.label(int(answer.body["number"]))
            return Proposal(change.branch, str(answer.body["html_url"]))
        found = await session.pull_request(self._owner, change.branch, base, "open")
        if found is None:
            raise session.fail(answer, "opening a pull request")
        return Proposal(change.branch, str(found["html_url"]), existed=True)


class _Session:
    """The single requests, each with the answers it can take."""

    def __init__(self, client: ForgeClient, path: str) -> None:
        self._client = client
        self._path = path
        self.fail = client.fail

    async def head(self, branch: str) -> str | None:
        answer = await self._client.get(f"{self._path}/git/ref/{_quote(f'heads/{branch}')}")
        if answer.status == _NOT_FOUND:
            return None
        return str(self._expect(answer, _OK, f"reading branch `{branch}`")["object"]["sha"])

    async def entries(self, commit: str) -> list[Entry]:
        answer = await self._client.get(f"{self._path}/git/trees/{commit}", recursive="1")
        body = self._expect(answer, _OK, "listing files")
        if body.get("truncated"):
            raise DraftRejected("the repository has more files than its forge lists")
        return read_entries(body["tree"])

    async def blob(self, blob: str) -> Any:
        answer = await self._client.get(f"{self._path}/git/blobs/{blob}")
        return self._expect(answer, _OK, "reading a file")

    async def read(self, path: str, revision: str) -> str | None:
        answer = await self._client.get(f"{self._path}/contents/{_quote(path)}", ref=revision)
        if answer.status == _NOT_FOUND:
            return None
        body = self._expect(answer, _OK, f"reading `{path}`")
        if not isinstance(body, dict) or body.get("type") != "file":
            raise DraftRejected(f"`{path}` is a link or a folder")
        try:
            return base64.b64decode(str(body["content"])).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise DraftRejected(f"`{path}` is not UTF-8 text") from error

    async def make_tree(self, head: str, files: tuple[FileChange, ...]) -> tuple[str, str]:
        """Make the tree with the files changed; give it and the tree of `head`."""
        for file in files:
            if await self.read(check_path(file.path), head) != file.before:
                raise SourceUnavailable(
                    f"`{file.path}` is not what the draft was made from any more",
                    source=self._path,
                    cause=SourceCause.CONFLICT,
                    hint="draft again",
                )
        base_tree, _ = await self.tree_and_parent(head)
        entries = [
            {"path": file.path, "mode": "100644", "type": "blob", **_text_of(file)}
            for file in files
        ]
        answer = await self._create("git/trees", {"base_tree": base_tree, "tree": entries})
        return str(answer["sha"]), base_tree

    async def make_commit(self, message: str, tree: str, parent: str) -> str:
        body = {"message": message, "tree": tree, "parents": [parent]}
        return str((await self._create("git/commits", body))["sha"])

    async def _create(self, what: str, body: Mapping[str, Any]) -> Any:
        """Objects are named by their content, so making one again does no harm.

        GitHub's replicas may not have seen yet what was just made ("Tree SHA does not exist").
        """
        for _ in range(_TRIES - 1):
            answer = await self._client.post(f"{self._path}/{what}", body)
            if answer.status != _INVALID or "does not exist" not in answer.messages():
                return self._expect(answer, _CREATED, f"making {what}")
        answer = await self._client.post(f"{self._path}/{what}", body)
        return self._expect(answer, _CREATED, f"making {what}")

    async def tree_and_parent(self, commit: str) -> tuple[str, str]:
        answer = await self._client.get(f"{self._path}/git/commits/{commit}")
        body = self._expect(answer, _OK, "reading a commit")
        parents = [str(parent["sha"]) for parent in body["parents"]]
        return str(body["tree"]["sha"]), parents[0] if len(parents) == 1 else ""

    async def check_ours(self, base: str, change: ProposedChange) -> None:
        """Refuse when the branch has commits that do not carry the change's own trailer."""
        answer = await self._client.get(
            f"{self._path}/compare/{_quote(f'{base}...{change.branch}')}"
        )
        commits = self._expect(answer, _OK, "comparing")["commits"]
        trailer = change_trailer(change)
        if not trailer or any(trailer not in one["commit"]["message"] for one in commits):
            raise DraftRejected(
                f"branch `{change.branch}` holds commits of others",
                hint="review the open pull request, or delete the branch",
            )

    async def point(self, branch: str, commit: str, old: str | None) -> bool:
        """Make or move the branch; False when somebody was faster."""
        if old is None:
            body = {"ref": f"refs/heads/{branch}", "sha": commit}
            answer = await self._client.post(f"{self._path}/git/refs", body)
            wanted = _CREATED
        else:
            path = f"{self._path}/git/refs/{_quote(f'heads/{branch}')}"
            answer = await self._client.patch(path, {"sha": commit, "force": True})
            wanted = _OK
        if answer.status == _INVALID and "already exists" in answer.messages():
            return False
        self._expect(answer, wanted, f"writing branch `{branch}`")
        return True

    async def pull_request(
        self, owner: str, branch: str, base: str, state: str
    ) -> Mapping[str, Any] | None:
        """The newest pull request from a branch, open or closed."""
        answer = await self._client.get(
            f"{self._path}/pulls", state=state, head=f"{owner}:{branch}", base=base
        )
        found = self._expect(answer, _OK, "looking for pull requests")
        return found[0] if found else None

    async def open(self, change: ProposedChange, base: str) -> Answer:
        body = {
            "title": change.title,
            "body": change.body,
            "head": change.branch,
            "base": base,
            "draft": True,
            "maintainer_can_modify": True,
        }
        answer = await self._client.post(f"{self._path}/pulls", body)
        if answer.status not in (_CREATED, _INVALID):
            raise self.fail(answer, "opening a pull request")
        return answer

    async def edit(self, number: int, body: str) -> None:
        answer = await self._client.patch(f"{self._path}/pulls/{number}", {"body": body})
        self._expect(answer, _OK, f"changing pull request #{number}")

    async def label(self, number: int) -> None:
        """Labels are a courtesy: a token without the right to set them loses nothing else."""
        await self._client.post(f"{self._path}/issues/{number}/labels", {"labels": list(_LABELS)})

    def _expect(self, answer: Answer, status: int, doing: str) -> Any:
        if answer.status != status:
            raise self._client.fail(answer, doing)
        return answer.body


def _quote(text: str) -> str:
    return quote(text, safe="")


def _text_of(file: FileChange) -> Mapping[str, str | None]:
    """The text of an entry of a tree; no object takes the file away.

    Source: GitHub REST API "Create a tree": `sha` null deletes.
    """
    return {"sha": None} if file.after is None else {"content": file.after}
