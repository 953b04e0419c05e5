"""Drafts as merge requests on GitLab, over its REST API (`/api/v4`).

Source: GitLab documentation, "Commits API", "Branches API", "Repositories API" and "Merge requests
API". A change is one commit, made with its branch by `POST …/repository/commits`, which starts at
the base (`start_sha`) and goes by force only over a commit of our own that nobody has touched.
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
from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from integrations.git.export import Entry
from integrations.git.forge import ForgeRepo, Sleep
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
from integrations.git.paths import FOLDER
from integrations.git.requests import (
    CONFLICT,
    CREATED,
    INVALID,
    OK,
    Requests,
    connected,
    decoded,
)

_HEADERS = {"Accept": "application/json", "User-Agent": "k8tre-tui"}
_DRAFT = "Draft: "
"""How a draft is marked: by its title (GitLab documentation, "Draft merge requests")."""

_API = "/api/v4"
_BAD_REQUEST = 400
_DEVELOPER = 30
"""The access level from which one may push (GitLab documentation, "Roles")."""

_STATES = {
    "opened": PullState.OPEN,
    "locked": PullState.OPEN,
    "closed": PullState.CLOSED,
    "merged": PullState.MERGED,
}


class GitLab(ForgeRepo):
    """A PolicyRepo on GitLab; `repository` is the project's path, `group/…/name`.

    `url` is the server's address. `base` empty means the project's default branch. `mirror` is a
    checkout of it, whose files need not be fetched where they are the same.
    """

    templates = tuple(
        f".gitlab/merge_request_templates/{name}.md" for name in ("Default", "default")
    )
    owners = ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")

    def __init__(
        self,
        repository: str,
        token: Secret,
        *,
        url: str = "https://gitlab.com",
        base: str = "",
        mirror: Path | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        if "/" not in repository.strip("/") or "//" in repository:
            raise ConfigError(f"`{repository}` is not group/name", key="repo.gitlab")
        super().__init__(repository, base=base, mirror=mirror, sleep=sleep)
        self._token = token
        self._url = url.rstrip("/").removesuffix(_API) + _API

    def _connect(self) -> AbstractAsyncContextManager[Host]:
        client = ForgeClient(self._url, self._token, _HEADERS, sleep=self._sleep)
        return connected(client, lambda it: _GitLabHost(it, self._repository))


class _GitLabHost:
    """One project on GitLab."""

    def __init__(self, client: ForgeClient, project: str) -> None:
        self._ask = Requests(client, f"/projects/{_quote(project)}", project)
        self._folders: dict[tuple[str, str], Sequence[Entry]] = {}

    async def about(self) -> About:
        body = await self._ask.get("", f"reading {self._ask.name}")
        granted = [one for one in (body.get("permissions") or {}).values() if one]
        levels = [int(one.get("access_level") or 0) for one in granted]
        if body.get("archived") or (levels and max(levels) < _DEVELOPER):
            raise self._ask.not_writable()
        return About(str(body["default_branch"]), body.get("visibility") == "public")

    async def head(self, branch: str) -> str | None:
        path = f"/repository/branches/{_quote(branch)}"
        found = await self._ask.find(path, f"reading branch `{branch}`")
        return None if found is None else str(found["commit"]["id"])

    async def entries(self, commit: str) -> list[Entry]:
        listed = self._ask.pages(
            "/repository/tree", "listing files", "per_page", ref=commit, recursive="true"
        )
        return [_entry(one, "path") async for one in listed if one.get("type") == "blob"]

    async def folder(self, commit: str, path: str, tree: str) -> Sequence[Entry]:
        del tree
        if (commit, path) not in self._folders:
            listed = self._ask.pages(
                "/repository/tree", "listing a folder", "per_page", ref=commit, path=path
            )
            self._folders[commit, path] = [_entry(one, "name") async for one in listed]
        return self._folders[commit, path]

    async def blob(self, blob: str) -> bytes:
        return decoded(await self._ask.get(f"/repository/blobs/{blob}", "reading a file"))

    async def commit(self, name: str) -> Commit:
        return _commit(await self._ask.get(f"/repository/commits/{name}", "reading a commit"))

    async def between(self, base: str, branch: str) -> Sequence[Commit]:
        wanted = {"from": base, "to": branch, "straight": "false"}
        body = await self._ask.get("/repository/compare", "comparing", **wanted)
        return [
            found if (found := _commit(one)).parents else await self.commit(found.name)
            for one in body["commits"]
        ]

    async def paths_of(self, commit: str) -> frozenset[str]:
        path = f"/repository/commits/{commit}/diff"
        listed = self._ask.pages(path, "reading a commit", "per_page")
        return frozenset(
            [str(one[key]) async for one in listed for key in ("old_path", "new_path")]
        )

    async def write(self, new: NewCommit) -> None:
        """Make the commit and the branch in one request; nothing is there before it is whole."""
        if new.old is not None and await self.head(new.branch) != new.old:
            raise self._ask.moved(new.branch)
        body = {
            "branch": new.branch,
            "start_sha": new.parent,
            "commit_message": new.message,
            "force": new.old is not None,
            "actions": [_action(file) for file in new.files],
        }
        path = f"{self._ask.path}/repository/commits"
        answer = await self._ask.client.post(path, body)
        if answer.status in (_BAD_REQUEST, CONFLICT, INVALID):
            raise SourceUnavailable(
                f"the change was not taken: {answer.messages()}",
                source=self._ask.name,
                cause=SourceCause.CONFLICT,
                hint="draft again",
            )
        self._ask.expect(answer, CREATED, f"writing branch `{new.branch}`")

    async def pulls(self, branch: str, base: str, state: PullState | None) -> Sequence[Pull]:
        wanted = {"target_branch": base, "order_by": "created_at", "sort": "desc"}
        if branch:
            wanted["source_branch"] = branch
        wanted["state"] = "opened" if state is PullState.OPEN else "all"
        doing = "looking for merge requests"
        listed = self._ask.pages("/merge_requests", doing, "per_page", **wanted)
        found = [_pull(one) async for one in listed if _is_own(one)]
        closed = state is PullState.CLOSED
        return [one for one in found if not closed or one.state is not PullState.OPEN]

    async def open(self, new: NewPull) -> Pull | None:
        body = {
            "source_branch": new.branch,
            "target_branch": new.base,
            "title": _DRAFT + new.title,
            "description": new.body,
            "remove_source_branch": True,
        }
        answer = await self._ask.client.post(f"{self._ask.path}/merge_requests", body)
        if answer.status == CONFLICT:
            return None
        return _pull(self._ask.expect(answer, CREATED, "opening a merge request"))

    async def edit(self, number: int, body: str) -> None:
        await self._change(number, {"description": body})

    async def _change(self, number: int, body: Mapping[str, Any]) -> None:
        path = f"{self._ask.path}/merge_requests/{number}"
        answer = await self._ask.client.put(path, body)
        self._ask.expect(answer, OK, f"changing merge request !{number}")

    async def touched(self, number: int) -> frozenset[Touched]:
        path = f"/merge_requests/{number}"
        events = await self._ask.get(f"{path}/resource_label_events", "reading what was done")
        reviewers = (await self._ask.get(path, "reading a merge request")).get("reviewers")
        found = {Touched.LABELS: events, Touched.REVIEWERS: reviewers}
        return frozenset(one for one, done in found.items() if done)

    async def label(self, number: int) -> None:
        await self._change(number, {"add_labels": ",".join(LABELS)})

    async def ask_review(self, pull: Pull, owners: Sequence[str]) -> None:
        """Ask the users; groups are no reviewers (their approval is a rule of the project)."""
        ids = []
        for one in owners:
            found = await self._ask.client.get("/users", username=one.removeprefix("@"))
            if found.status == OK and found.body:
                ids.append(int(found.body[0]["id"]))
        if ids:
            await self._change(pull.number, {"reviewer_ids": ids})

    async def comments(self, number: int) -> Sequence[str]:
        path = f"/merge_requests/{number}/notes"
        listed = self._ask.pages(path, "reading comments", "per_page")
        return [str(one.get("body") or "") async for one in listed]

    async def comment(self, number: int, text: str) -> None:
        path = f"{self._ask.path}/merge_requests/{number}/notes"
        answer = await self._ask.client.post(path, {"body": text})
        self._ask.expect(answer, CREATED, f"commenting on merge request !{number}")


def _action(file: Written) -> Mapping[str, str]:
    if file.text is None:
        return {"action": "delete", "file_path": file.path}
    content = base64.b64encode(file.text.encode()).decode()
    action = "update" if file.blob else "create"
    return {"action": action, "file_path": file.path, "content": content, "encoding": "base64"}


def _entry(body: Mapping[str, Any], name: str) -> Entry:
    mode = FOLDER if body.get("type") == "tree" else str(body["mode"])
    return Entry(str(body[name]), mode, str(body["id"]), -1)


def _commit(body: Mapping[str, Any]) -> Commit:
    parents = tuple(map(str, body.get("parent_ids") or ()))
    return Commit(str(body["id"]), str(body["message"]), parents)


def _is_own(body: Mapping[str, Any]) -> bool:
    """Whether a request comes from the project itself and from no fork."""
    return body.get("source_project_id") == body.get("target_project_id")


def _pull(body: Mapping[str, Any]) -> Pull:
    return Pull(
        number=int(body["iid"]),
        url=str(body["web_url"]),
        title=str(body.get("title") or ""),
        body=str(body.get("description") or ""),
        state=_STATES.get(str(body.get("state")), PullState.OPEN),
        branch=str(body["source_branch"]),
        base=str(body["target_branch"]),
        author=str((body.get("author") or {}).get("username") or ""),
        merged_at=str(body.get("merged_at") or ""),
    )


def _quote(text: str) -> str:
    return quote(text, safe="")
