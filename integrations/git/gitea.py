"""Drafts as pull requests on Gitea or Forgejo, over their REST API.

Every request is one of Gitea's API description (`/api/v1/swagger`, tags `repository` and `issue`;
go-gitea `routers/api/v1/api.go`). A change is one commit, made by `POST /repos/…/contents` with a
new branch, which is pushed by force only over commits that carry the change's own trailer.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
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

_HEADERS = {"Accept": "application/json", "User-Agent": "k8tre-tui"}
_OK, _CREATED, _NOT_FOUND, _CONFLICT, _INVALID = 200, 201, 404, 409, 422
_LABELS = {"network-policy": "#0e8a16", "k8tre-tui": "#5319e7"}
_WORK_IN_PROGRESS = "WIP: "
"""How a draft is marked: by its title (Gitea `modules/setting/repository.go`)."""

_PAGE = 50
_PAGES_MAX = 40
_TREE_PAGE = 1000
_API = "/api/v1"


class Gitea:
    """A PolicyRepo on Gitea or Forgejo; `repository` is `owner/name`, `url` the server's address.

    `base` empty means the repository's default. `mirror` is a checkout of it, whose files need not
    be fetched where they are the same.
    """

    def __init__(
        self,
        repository: str,
        token: Secret,
        *,
        url: str,
        base: str = "",
        mirror: Path | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        owner, _, repo = repository.partition("/")
        if not owner or not repo or "/" in repo:
            raise ConfigError(f"`{repository}` is not owner/name", key="repo.gitea")
        self._repository = repository
        self._token = token
        self._url = url.rstrip("/").removesuffix(_API) + _API
        self._base = base
        self._mirror = mirror
        self._sleep = sleep
        self._path = f"/repos/{quote(owner, safe='')}/{quote(repo, safe='')}"

    @property
    def name(self) -> str:
        """`owner/name`."""
        return self._repository

    async def base(self) -> str:
        """Give the commit that the base branch is at."""
        async with self._client() as client:
            _, head = await self._head(client)
        return head

    async def export(self, commit: str, folder: Path) -> None:
        """Write a commit's files below `folder`."""
        async with self._client() as client:
            session = _Session(client, self._path)
            files = await fetch(
                await session.entries(commit), session.blob, self._mirror, self._repository
            )
        await asyncio.to_thread(export, folder, files)

    async def read_file(self, path: str) -> str:
        """Give a file of the base branch; NotFound when it is not there."""
        check_path(path)
        async with self._client() as client:
            base, head = await self._head(client)
            text, _ = await _Session(client, self._path).read(path, head)
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
            session = _Session(client, self._path)
            base, head = await self._head(client)
            check_base(change, head, base, self.name)
            found = await session.pull_request(change.branch, base, "open")
            if found is None and not change.again:
                await self._refuse_declined(session, change, base)
            await self._push(session, change, base, head)
            if found is not None:
                await session.refresh(found, change)
            else:
                found, opened = await session.open(change, base)
                await session.label(int(found["number"]))
                return Proposal(change.branch, str(found["html_url"]), not opened, head)
            return Proposal(change.branch, str(found["html_url"]), existed=True, base=head)

    def _client(self) -> ForgeClient:
        return ForgeClient(self._url, self._token, _HEADERS, sleep=self._sleep)

    async def _head(self, client: ForgeClient) -> tuple[str, str]:
        """The base branch and the commit that it is at."""
        session = _Session(client, self._path)
        base = self._base or await session.default_branch(self.name)
        head = await session.head(base)
        if head is None:
            raise NotFound(f"no branch `{base}` in {self.name}")
        return base, head

    async def _refuse_declined(self, session: _Session, change: ProposedChange, base: str) -> None:
        closed = await session.pull_request(change.branch, base, "closed")
        if closed is not None and not closed.get("merged"):
            raise DraftRejected(
                f"pull request #{closed['number']} for the same change was closed unmerged",
                hint="`--again` opens a new one",
            )

    async def _push(self, session: _Session, change: ProposedChange, base: str, head: str) -> None:
        """Bring the branch to one commit on the base, unless it is there already."""
        blobs = [await session.check_before(file, head, base, self.name) for file in change.files]
        if all(file.before == file.after for file in change.files):
            raise DraftRejected(f"the change is on `{base}` already, at {head[:10]}")
        branch = await session.head(change.branch)
        if branch is not None:
            if await session.holds(branch, head, change):
                return
            await session.check_ours(base, change)
        parent = await session.commit(change, base, blobs, force=branch is not None)
        if parent != head:
            raise SourceUnavailable(
                f"`{base}` has moved meanwhile",
                source=self.name,
                cause=SourceCause.CONFLICT,
                hint="draft again",
            )


class _Session:
    """The single requests, each with the answers it can take."""

    def __init__(self, client: ForgeClient, path: str) -> None:
        self._client = client
        self._path = path

    async def default_branch(self, name: str) -> str:
        answer = await self._client.get(self._path)
        body = self._expect(answer, _OK, f"reading {name}")
        if body.get("archived") or body.get("permissions", {}).get("push") is False:
            raise SourceUnavailable(
                f"{name} is archived, or the token may not write to it",
                source=name,
                cause=SourceCause.FORBIDDEN,
            )
        return str(body["default_branch"])

    async def head(self, branch: str) -> str | None:
        answer = await self._client.get(f"{self._path}/branches/{_quote(branch)}")
        if answer.status == _NOT_FOUND:
            return None
        return str(self._expect(answer, _OK, f"reading branch `{branch}`")["commit"]["id"])

    async def entries(self, commit: str) -> list[Entry]:
        """Every file of a commit; its tree comes in pages."""
        listed: list[Any] = []
        for page in range(1, _PAGES_MAX + 1):
            answer = await self._client.get(
                f"{self._path}/git/trees/{commit}",
                recursive="true",
                page=str(page),
                per_page=str(_TREE_PAGE),
            )
            body = self._expect(answer, _OK, "listing files")
            listed += body.get("tree") or []
            if not body.get("truncated") or not body.get("tree"):
                return read_entries(listed)
        raise DraftRejected("the repository has more files than can be listed")

    async def blob(self, blob: str) -> Any:
        answer = await self._client.get(f"{self._path}/git/blobs/{blob}")
        return self._expect(answer, _OK, "reading a file")

    async def read(self, path: str, revision: str) -> tuple[str | None, str]:
        """A file's text and the name of its blob; None when there is no such file."""
        answer = await self._client.get(f"{self._path}/contents/{_quote(path)}", ref=revision)
        if answer.status == _NOT_FOUND:
            return None, ""
        body = self._expect(answer, _OK, f"reading `{path}`")
        if not isinstance(body, dict) or body.get("type") != "file":
            raise DraftRejected(f"`{path}` is a link or a folder")
        try:
            return base64.b64decode(str(body["content"])).decode(), str(body["sha"])
        except (binascii.Error, UnicodeDecodeError) as error:
            raise DraftRejected(f"`{path}` is not UTF-8 text") from error

    async def check_before(self, file: FileChange, head: str, base: str, name: str) -> str:
        """Give the file's blob at the base; refuse when it is not what the draft was made from."""
        text, blob = await self.read(check_path(file.path), head)
        if text != file.before:
            raise SourceUnavailable(
                f"`{file.path}` on `{base}` is not what the draft was made from any more",
                source=name,
                cause=SourceCause.CONFLICT,
                hint="draft again",
            )
        return blob

    async def holds(self, branch: str, head: str, change: ProposedChange) -> bool:
        """Whether a commit, the branch's, is one of ours on the base, with these files."""
        answer = await self._client.get(f"{self._path}/git/commits/{branch}")
        body = self._expect(answer, _OK, "reading a commit")
        if [str(one["sha"]) for one in body["parents"]] != [head]:
            return False
        if change_trailer(change) not in str(body["commit"]["message"]):
            return False
        texts = [(await self.read(file.path, branch))[0] for file in change.files]
        return texts == [file.after for file in change.files]

    async def check_ours(self, base: str, change: ProposedChange) -> None:
        """Refuse when the branch has commits that do not carry the change's own trailer."""
        span = f"{_quote(base)}...{_quote(change.branch)}"
        answer = await self._client.get(f"{self._path}/compare/{span}")
        commits = self._expect(answer, _OK, "comparing")["commits"]
        trailer = change_trailer(change)
        if not trailer or any(trailer not in one["commit"]["message"] for one in commits):
            raise DraftRejected(
                f"branch `{change.branch}` holds commits of others",
                hint="review the open pull request, or delete the branch",
            )

    async def commit(
        self, change: ProposedChange, base: str, blobs: Sequence[str], *, force: bool
    ) -> str:
        """Make the commit on the branch and give its parent."""
        files = [
            {
                **_operation(file),
                "path": file.path,
                **({"sha": blob} if blob else {}),
            }
            for file, blob in zip(change.files, blobs, strict=True)
        ]
        body = {
            "branch": base,
            "new_branch": change.branch,
            "force_push": force,
            "message": change.commit_message,
            "files": files,
        }
        answer = await self._client.post(f"{self._path}/contents", body)
        if answer.status in (_CONFLICT, _INVALID):
            raise SourceUnavailable(
                f"the change was not taken: {answer.messages()}",
                source=self._path,
                cause=SourceCause.CONFLICT,
                hint="a Gitea before 1.24 cannot rebuild a branch: delete it, and draft again",
            )
        made = self._expect(answer, _CREATED, f"writing branch `{change.branch}`")
        return str(made["commit"]["parents"][0]["sha"])

    async def pull_request(self, branch: str, base: str, state: str) -> Mapping[str, Any] | None:
        """The newest pull request from a branch, open or closed; its branch may be gone."""
        for page in range(1, _PAGES_MAX + 1):
            answer = await self._client.get(
                f"{self._path}/pulls", state=state, page=str(page), limit=str(_PAGE)
            )
            found = self._expect(answer, _OK, "looking for pull requests")
            for pull in found:
                head, into = pull.get("head") or {}, pull.get("base") or {}
                if branch in (head.get("ref"), head.get("label")) and into.get("ref") == base:
                    return dict(pull)
            if len(found) < _PAGE:
                return None
        return None

    async def open(self, change: ProposedChange, base: str) -> tuple[Mapping[str, Any], bool]:
        """Open a pull request; or give the one that somebody was faster to open, and False."""
        body = {
            "title": _WORK_IN_PROGRESS + change.title,
            "body": change.body,
            "head": change.branch,
            "base": base,
        }
        try:
            answer = await self._client.post(f"{self._path}/pulls", body)
        except SourceUnavailable:
            # A lost answer is no proof that nothing was opened.
            found = await self.pull_request(change.branch, base, "open")
            if found is None:
                raise
            return found, True
        if answer.status == _CREATED:
            return answer.body, True
        found = await self.pull_request(change.branch, base, "open")
        if found is None:
            raise self._client.fail(answer, "opening a pull request")
        return found, False

    async def refresh(self, found: Mapping[str, Any], change: ProposedChange) -> None:
        """Bring our part of the body up to date; the title is the people's from the start."""
        present = str(found.get("body") or "")
        body = merge_body(present, change.body)
        if body == present:
            return
        number = int(found["number"])
        answer = await self._client.patch(f"{self._path}/pulls/{number}", {"body": body})
        self._expect(answer, _CREATED, f"changing pull request #{number}")

    async def label(self, number: int) -> None:
        """Labels are a courtesy: a token without the right to make them loses nothing else."""
        answer = await self._client.get(f"{self._path}/labels", limit=str(_PAGE))
        if answer.status != _OK:
            return
        known = {str(one["name"]): int(one["id"]) for one in answer.body}
        for name, colour in _LABELS.items():
            if name not in known:
                body = {"name": name, "color": colour}
                made = await self._client.post(f"{self._path}/labels", body)
                if made.status == _CREATED:
                    known[name] = int(made.body["id"])
        chosen = [known[name] for name in _LABELS if name in known]
        if chosen:
            path = f"{self._path}/issues/{number}/labels"
            await self._client.post(path, {"labels": chosen})

    def _expect(self, answer: Answer, status: int, doing: str) -> Any:
        if answer.status != status:
            raise self._client.fail(answer, doing)
        return answer.body


def _quote(text: str) -> str:
    return quote(text, safe="/")


def _operation(file: FileChange) -> Mapping[str, str]:
    """What is done to a file. Source: go-gitea `modules/structs/repo_file.go`."""
    if file.after is None:
        return {"operation": "delete"}
    content = base64.b64encode(file.after.encode()).decode()
    return {"operation": "create" if file.before is None else "update", "content": content}
