"""Drafts as pull requests on Gitea or Forgejo, over their REST API.

Every request is one of Gitea's API description (`/api/v1/swagger`, tags `repository` and `issue`;
go-gitea `routers/api/v1/api.go`). A change is one commit, made by `POST /repos/…/contents` with a
new branch, which is pushed by force only over a commit of our own that nobody has touched.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.config import Secret
from app.core.errors import DraftRejected, SourceCause, SourceUnavailable
from integrations.git.export import Entry
from integrations.git.forge import ForgeRepo, Sleep
from integrations.git.github import split_name
from integrations.git.hosting import (
    LABELS,
    About,
    Commit,
    Host,
    NewCommit,
    NewPull,
    Pull,
    PullState,
    Touched,
    Written,
)
from integrations.git.http import ForgeClient
from integrations.git.remote_files import read_entries
from integrations.git.requests import (
    CONFLICT,
    CREATED,
    INVALID,
    OK,
    PAGES_MAX,
    Requests,
    connected,
    decoded,
)

_HEADERS = {"Accept": "application/json", "User-Agent": "k8tre-tui"}
_WORK_IN_PROGRESS = "WIP: "
"""How a draft is marked: by its title (Gitea `modules/setting/repository.go`)."""

_TREE_PAGE = "1000"
_API = "/api/v1"
_TEMPLATES = tuple(
    f"{folder}{name}.md"
    for folder in ("", ".gitea/", ".github/", ".forgejo/", "docs/")
    for name in ("PULL_REQUEST_TEMPLATE", "pull_request_template")
)
"""Source: go-gitea `routers/web/repo/pull.go`, `pullRequestTemplateCandidates`."""

_EVENTS = {"label": Touched.LABELS, "review_request": Touched.REVIEWERS}
_STATES = {None: "all", PullState.OPEN: "open", PullState.CLOSED: "closed"}


class Gitea(ForgeRepo):
    """A PolicyRepo on Gitea or Forgejo; `repository` is `owner/name`, `url` the server's address.

    `base` empty means the repository's default. `mirror` is a checkout of it, whose files need not
    be fetched where they are the same.
    """

    templates = _TEMPLATES
    owners = ("CODEOWNERS", "docs/CODEOWNERS", ".gitea/CODEOWNERS", ".forgejo/CODEOWNERS")

    def __init__(
        self,
        repository: str,
        token: Secret,
        *,
        url: str,
        base: str = "",
        mirror: Path | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._owner, self._repo = split_name(repository, "repo.gitea")
        super().__init__(repository, base=base, mirror=mirror, sleep=sleep)
        self._token = token
        self._url = url.rstrip("/").removesuffix(_API) + _API

    def _connect(self) -> AbstractAsyncContextManager[Host]:
        client = ForgeClient(self._url, self._token, _HEADERS, sleep=self._sleep)
        return connected(client, lambda it: _GiteaHost(it, self._owner, self._repo))


class _GiteaHost:
    """One repository on Gitea."""

    def __init__(self, client: ForgeClient, owner: str, repo: str) -> None:
        path = f"/repos/{quote(owner, safe='')}/{quote(repo, safe='')}"
        self._ask = Requests(client, path, f"{owner}/{repo}")
        self._folders: dict[str, Sequence[Entry]] = {}

    async def about(self) -> About:
        body = await self._ask.get("", f"reading {self._ask.name}")
        if body.get("archived") or body.get("permissions", {}).get("push") is False:
            raise self._ask.not_writable()
        public = not body.get("private") and not body.get("internal")
        return About(str(body["default_branch"]), public)

    async def head(self, branch: str) -> str | None:
        found = await self._ask.find(f"/branches/{_quote(branch)}", f"reading branch `{branch}`")
        return None if found is None else str(found["commit"]["id"])

    async def entries(self, commit: str) -> list[Entry]:
        """Every file of a commit; its tree comes in pages."""
        return read_entries(await self._tree(commit, recursive="true"))

    async def folder(self, commit: str, path: str, tree: str) -> Sequence[Entry]:
        del commit, path
        if tree not in self._folders:
            self._folders[tree] = read_entries(await self._tree(tree), folders=True)
        return self._folders[tree]

    async def _tree(self, name: str, **how: str) -> list[Any]:
        listed: list[Any] = []
        for page in range(1, PAGES_MAX + 1):
            wanted = {**how, "page": str(page), "per_page": _TREE_PAGE}
            body = await self._ask.get(f"/git/trees/{name}", "listing files", **wanted)
            listed += body.get("tree") or []
            if not body.get("truncated") or not body.get("tree"):
                return listed
        raise DraftRejected("the repository has more files than can be listed")

    async def blob(self, blob: str) -> bytes:
        return decoded(await self._ask.get(f"/git/blobs/{blob}", "reading a file"))

    async def commit(self, name: str) -> Commit:
        return _commit(await self._ask.get(f"/git/commits/{name}", "reading a commit"))

    async def between(self, base: str, branch: str) -> Sequence[Commit]:
        body = await self._ask.get(f"/compare/{_quote(base)}...{_quote(branch)}", "comparing")
        return [_commit(one) for one in body["commits"] or ()]

    async def paths_of(self, commit: str) -> frozenset[str]:
        body = await self._ask.get(f"/git/commits/{commit}", "reading a commit")
        return frozenset(str(one["filename"]) for one in body.get("files") or ())

    async def write(self, new: NewCommit) -> None:
        """Make the commit and the branch in one request; nothing is there before it is whole."""
        if new.old is not None and await self.head(new.branch) != new.old:
            raise self._ask.moved(new.branch)
        body = {
            "branch": new.base,
            "new_branch": new.branch,
            "force_push": new.old is not None,
            "message": new.message,
            "files": [_operation(file) for file in new.files],
        }
        answer = await self._ask.client.post(f"{self._ask.path}/contents", body)
        if answer.status in (CONFLICT, INVALID):
            raise SourceUnavailable(
                f"the change was not taken: {answer.messages()}",
                source=self._ask.name,
                cause=SourceCause.CONFLICT,
                hint="a Gitea before 1.24 cannot rebuild a branch: delete it, and draft again",
            )
        made = self._ask.expect(answer, CREATED, f"writing branch `{new.branch}`")
        if str(made["commit"]["parents"][0]["sha"]) != new.parent:
            raise self._ask.moved(new.base)

    async def pulls(self, branch: str, base: str, state: PullState | None) -> Sequence[Pull]:
        """Requests as listed, which cannot be asked for by branch; a branch may be gone by now."""
        found = []
        listed = self._ask.pages(
            "/pulls", "looking for pull requests", "limit", state=_STATES[state]
        )
        async for one in listed:
            if (pull := _pull(one)).base == base and branch in ("", pull.branch):
                found.append(pull)
                if branch:
                    break
        return found

    async def open(self, new: NewPull) -> Pull | None:
        body = {
            "title": _WORK_IN_PROGRESS + new.title,
            "body": new.body,
            "head": new.branch,
            "base": new.base,
        }
        answer = await self._ask.client.post(f"{self._ask.path}/pulls", body)
        if answer.status == CONFLICT:
            return None
        return _pull(self._ask.expect(answer, CREATED, "opening a pull request"))

    async def edit(self, number: int, body: str) -> None:
        answer = await self._ask.client.patch(f"{self._ask.path}/pulls/{number}", {"body": body})
        self._ask.expect(answer, CREATED, f"changing pull request #{number}")

    async def touched(self, number: int) -> frozenset[Touched]:
        events = self._ask.pages(f"/issues/{number}/timeline", "reading what was done", "limit")
        return frozenset([_EVENTS[one["type"]] async for one in events if one["type"] in _EVENTS])

    async def label(self, number: int) -> None:
        answer = await self._ask.client.get(f"{self._ask.path}/labels", limit="50")
        if answer.status != OK:
            return
        known = {str(one["name"]): int(one["id"]) for one in answer.body}
        for name, colour in LABELS.items():
            if name not in known:
                body = {"name": name, "color": colour}
                made = await self._ask.client.post(f"{self._ask.path}/labels", body)
                if made.status == CREATED:
                    known[name] = int(made.body["id"])
        if chosen := [known[name] for name in LABELS if name in known]:
            path = f"{self._ask.path}/issues/{number}/labels"
            await self._ask.client.post(path, {"labels": chosen}, again=True)

    async def ask_review(self, pull: Pull, owners: Sequence[str]) -> None:
        """Ask each alone: one who cannot review must not keep out the others."""
        path = f"{self._ask.path}/pulls/{pull.number}/requested_reviewers"
        for one in owners:
            name = one.removeprefix("@")
            team = name.partition("/")[2]
            body = {"team_reviewers": [team]} if team else {"reviewers": [name]}
            await self._ask.client.post(path, body, again=True)

    async def comments(self, number: int) -> Sequence[str]:
        body = await self._ask.get(f"/issues/{number}/comments", "reading comments")
        return [str(one.get("body") or "") for one in body or ()]

    async def comment(self, number: int, text: str) -> None:
        path = f"{self._ask.path}/issues/{number}/comments"
        answer = await self._ask.client.post(path, {"body": text})
        self._ask.expect(answer, CREATED, f"commenting on pull request #{number}")


def _operation(file: Written) -> Mapping[str, str]:
    """What is done to a file. Source: go-gitea `modules/structs/repo_file.go`."""
    about = {"path": file.path, **({"sha": file.blob} if file.blob else {})}
    if file.text is None:
        return {**about, "operation": "delete"}
    content = base64.b64encode(file.text.encode()).decode()
    return {**about, "operation": "update" if file.blob else "create", "content": content}


def _commit(body: Mapping[str, Any]) -> Commit:
    parents = tuple(str(one["sha"]) for one in body.get("parents") or ())
    return Commit(str(body["sha"]), str(body["commit"]["message"]), parents)


def _pull(body: Mapping[str, Any]) -> Pull:
    """A request; its branch's name moves from `ref` to `label` when the branch is gone."""
    head, base = body.get("head") or {}, body.get("base") or {}
    ref = str(head.get("ref") or "")
    own = head.get("repo_id") in (None, 0, base.get("repo_id"))
    branch = str(head.get("label") or "") if ref.startswith("refs/") or not ref else ref
    state = PullState.MERGED if body.get("merged") else PullState(str(body.get("state", "open")))
    return Pull(
        number=int(body["number"]),
        url=str(body["html_url"]),
        title=str(body.get("title") or ""),
        body=str(body.get("body") or ""),
        state=state,
        branch=branch if own else f"fork:{branch}",
        base=str(base.get("ref") or ""),
        author=str((body.get("user") or {}).get("login") or ""),
        merged_at=str(body.get("merged_at") or ""),
    )


def _quote(text: str) -> str:
    return quote(text, safe="/")
