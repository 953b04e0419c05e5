"""Drafts as pull requests on GitHub, over its REST API.

Every request is one of GitHub's own API description (version 2022-11-28, npm `@octokit/openapi`).
No author is sent with a commit, so that GitHub signs those of an App (GitHub documentation, "About
commit signature verification"). GitHub Enterprise is the same API below `/api/v3`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from app.config import Secret
from app.core.documents.codeowners import PLACES
from app.core.errors import ConfigError, DraftRejected, SourceUnavailable
from integrations.git.export import Entry
from integrations.git.forge import ForgeRepo, Sleep
from integrations.git.github_app import GitHubApp
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
from integrations.git.requests import CREATED, INVALID, OK, Requests, decoded

HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "k8tre-tui",
}
_TRIES = 3
_ENTERPRISE = "/api/v3"
_TEMPLATES = tuple(
    f"{folder}{name}.md"
    for folder in (".github/", "", "docs/")
    for name in ("pull_request_template", "PULL_REQUEST_TEMPLATE")
)
_EVENTS = {"labeled": Touched.LABELS, "review_requested": Touched.REVIEWERS}
_STATES = {None: "all", PullState.OPEN: "open", PullState.CLOSED: "closed"}


class GitHub(ForgeRepo):
    """A PolicyRepo on GitHub; `repository` is `owner/name`, `base` empty means its default.

    `token` is a token, or an App that gets one for this repository alone. `mirror` is a checkout
    of it, whose files need not be fetched where they are the same.
    """

    templates = _TEMPLATES
    owners = PLACES

    def __init__(
        self,
        repository: str,
        token: Secret | GitHubApp,
        *,
        base: str = "",
        api: str = "https://api.github.com",
        mirror: Path | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        owner, repo = split_name(repository, "repo.github")
        super().__init__(repository, base=base, mirror=mirror, sleep=sleep)
        self._owner, self._repo = owner, repo
        self._token = token
        self._api = api_address(api)

    def _connect(self) -> AbstractAsyncContextManager[Host]:
        return self._session()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Host]:
        token = self._token
        if isinstance(token, GitHubApp):
            token = await token.token(self._api, self._owner, self._repo, HEADERS, self._sleep)
        async with ForgeClient(self._api, token, HEADERS, sleep=self._sleep) as client:
            yield _GitHubHost(client, self._owner, self._repo)


def split_name(repository: str, key: str) -> tuple[str, str]:
    """Take `owner/name` apart; ConfigError when it is something else."""
    owner, _, repo = repository.partition("/")
    if not owner or not repo or "/" in repo:
        raise ConfigError(f"`{repository}` is not owner/name", key=key)
    return owner, repo


def api_address(url: str) -> str:
    """Give the API's address, also where that of a GitHub Enterprise Server's pages is given.

    Source: GitHub Enterprise Server documentation, "Getting started with the REST API".
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    bare = not parts.path.strip("/") and not parts.query and not parts.fragment
    own = parts.scheme == "https" and not host.startswith("api.") and "." in host
    return url.rstrip("/") + _ENTERPRISE if bare and own else url


class _GitHubHost:
    """One repository on GitHub."""

    def __init__(self, client: ForgeClient, owner: str, repo: str) -> None:
        path = f"/repos/{quote(owner, safe='')}/{quote(repo, safe='')}"
        self._ask = Requests(client, path, f"{owner}/{repo}")
        self._owner = owner
        self._full = f"{owner}/{repo}"
        self._folders: dict[str, Sequence[Entry]] = {}

    async def about(self) -> About:
        body = await self._ask.get("", f"reading {self._full}")
        if body.get("archived") or body.get("permissions", {}).get("push") is False:
            raise self._ask.not_writable()
        return About(str(body["default_branch"]), body.get("visibility") == "public")

    async def head(self, branch: str) -> str | None:
        path = f"/git/ref/{_quote(f'heads/{branch}')}"
        found = await self._ask.find(path, f"reading branch `{branch}`")
        return None if found is None else str(found["object"]["sha"])

    async def entries(self, commit: str) -> list[Entry]:
        body = await self._ask.get(f"/git/trees/{commit}", "listing files", recursive="1")
        if body.get("truncated"):
            raise DraftRejected("the repository has more files than its forge lists")
        return read_entries(body["tree"])

    async def folder(self, commit: str, path: str, tree: str) -> Sequence[Entry]:
        del commit, path
        if tree not in self._folders:
            body = await self._ask.get(f"/git/trees/{tree}", "listing a folder")
            self._folders[tree] = read_entries(body["tree"], folders=True)
        return self._folders[tree]

    async def blob(self, blob: str) -> bytes:
        return decoded(await self._ask.get(f"/git/blobs/{blob}", "reading a file"))

    async def commit(self, name: str) -> Commit:
        return _commit(await self._ask.get(f"/git/commits/{name}", "reading a commit"))

    async def between(self, base: str, branch: str) -> Sequence[Commit]:
        span = _quote(f"{base}...{branch}")
        body = await self._ask.get(f"/compare/{span}", "comparing")
        return [_commit({**one["commit"], **one}) for one in body["commits"]]

    async def paths_of(self, commit: str) -> frozenset[str]:
        body = await self._ask.get(f"/commits/{commit}", "reading a commit")
        files = body.get("files") or []
        names = [one.get(key) for one in files for key in ("filename", "previous_filename")]
        return frozenset(str(one) for one in names if one)

    async def write(self, new: NewCommit) -> None:
        """Objects first, which nobody sees; then the branch, from where it was seen."""
        parent = await self._ask.get(f"/git/commits/{new.parent}", "reading a commit")
        entries = [_tree_entry(file) for file in new.files]
        tree = await self._create(
            "trees", {"base_tree": str(parent["tree"]["sha"]), "tree": entries}
        )
        body = {"message": new.message, "tree": tree, "parents": [new.parent]}
        made = await self._create("commits", body)
        await self._point(new.branch, made, new.old)

    async def _create(self, what: str, body: Mapping[str, Any]) -> str:
        """Objects are named by their content, so making one again does no harm.

        GitHub's replicas may not have seen yet what was just made ("Tree SHA does not exist").
        """
        path = f"{self._ask.path}/git/{what}"
        answer = await self._ask.client.post(path, body, again=True)
        for _ in range(_TRIES - 1):
            if answer.status != INVALID or "does not exist" not in answer.messages():
                break
            answer = await self._ask.client.post(path, body, again=True)
        return str(self._ask.expect(answer, CREATED, f"making {what}")["sha"])

    async def _point(self, branch: str, commit: str, old: str | None) -> None:
        """Make or move the branch; a lost answer is looked up."""
        try:
            if old is None:
                body = {"ref": f"refs/heads/{branch}", "sha": commit}
                answer = await self._ask.client.post(f"{self._ask.path}/git/refs", body)
            else:
                if await self.head(branch) != old:
                    raise self._ask.moved(branch)
                path = f"{self._ask.path}/git/refs/{_quote(f'heads/{branch}')}"
                force = {"sha": commit, "force": True}
                answer = await self._ask.client.patch(path, force, again=False)
        except SourceUnavailable:
            if await self.head(branch) != commit:
                raise
            return
        if answer.status == INVALID and "already exists" in answer.messages():
            raise self._ask.moved(branch)
        self._ask.expect(answer, OK if old else CREATED, f"writing branch `{branch}`")

    async def pulls(self, branch: str, base: str, state: PullState | None) -> Sequence[Pull]:
        wanted = {"state": _STATES[state], "base": base}
        doing = "looking for pull requests"
        if branch:
            wanted["head"] = f"{self._owner}:{branch}"
            listed = list(await self._ask.get("/pulls", doing, **wanted))
        else:
            listed = [one async for one in self._ask.pages("/pulls", doing, "per_page", **wanted)]
        return [_pull(one) for one in listed if self._is_own(one)]

    def _is_own(self, pull: Mapping[str, Any]) -> bool:
        """Whether a request comes from this repository and from no fork."""
        repo = (pull.get("head") or {}).get("repo")
        return not repo or str(repo.get("full_name", self._full)).lower() == self._full.lower()

    async def open(self, new: NewPull) -> Pull | None:
        body = {
            "title": new.title,
            "body": new.body,
            "head": new.branch,
            "base": new.base,
            "draft": True,
            "maintainer_can_modify": True,
        }
        answer = await self._ask.client.post(f"{self._ask.path}/pulls", body)
        if answer.status == INVALID and "draft" in answer.messages().lower():
            # Private repositories of free plans have no drafts.
            body["draft"] = False
            answer = await self._ask.client.post(f"{self._ask.path}/pulls", body)
        if answer.status == INVALID and "already exists" in answer.messages():
            return None
        return _pull(self._ask.expect(answer, CREATED, "opening a pull request"))

    async def edit(self, number: int, body: str) -> None:
        answer = await self._ask.client.patch(f"{self._ask.path}/pulls/{number}", {"body": body})
        self._ask.expect(answer, OK, f"changing pull request #{number}")

    async def touched(self, number: int) -> frozenset[Touched]:
        path = f"/issues/{number}/events"
        events = self._ask.pages(path, "reading what was done", "per_page")
        return frozenset([_EVENTS[one["event"]] async for one in events if one["event"] in _EVENTS])

    async def label(self, number: int) -> None:
        path = f"{self._ask.path}/issues/{number}/labels"
        await self._ask.client.post(path, {"labels": list(LABELS)}, again=True)

    async def ask_review(self, pull: Pull, owners: Sequence[str]) -> None:
        """Ask all; where that is refused, each alone: one stranger must not keep out the others."""
        if await self._ask_review(pull.number, owners) == INVALID and len(owners) > 1:
            for one in owners:
                await self._ask_review(pull.number, [one])

    async def _ask_review(self, number: int, owners: Sequence[str]) -> int:
        names = [one.removeprefix("@") for one in owners]
        body = {
            "reviewers": [one for one in names if "/" not in one],
            "team_reviewers": [one.partition("/")[2] for one in names if "/" in one],
        }
        path = f"{self._ask.path}/pulls/{number}/requested_reviewers"
        return (await self._ask.client.post(path, body, again=True)).status

    async def comments(self, number: int) -> Sequence[str]:
        path = f"/issues/{number}/comments"
        listed = self._ask.pages(path, "reading comments", "per_page")
        return [str(one.get("body") or "") async for one in listed]

    async def comment(self, number: int, text: str) -> None:
        path = f"{self._ask.path}/issues/{number}/comments"
        answer = await self._ask.client.post(path, {"body": text})
        self._ask.expect(answer, CREATED, f"commenting on pull request #{number}")


def _tree_entry(file: Written) -> Mapping[str, str | None]:
    """An entry of a tree; no object takes the file away (REST API, "Create a tree")."""
    text = {"sha": None} if file.text is None else {"content": file.text}
    return {"path": file.path, "mode": file.mode, "type": "blob", **text}


def _commit(body: Mapping[str, Any]) -> Commit:
    parents = tuple(str(one["sha"]) for one in body.get("parents") or ())
    return Commit(str(body.get("sha", "")), str(body["message"]), parents)


def _pull(body: Mapping[str, Any]) -> Pull:
    merged = str(body.get("merged_at") or "")
    state = PullState.MERGED if merged else PullState(str(body.get("state", "open")))
    return Pull(
        number=int(body["number"]),
        url=str(body["html_url"]),
        title=str(body.get("title") or ""),
        body=str(body.get("body") or ""),
        state=state,
        branch=str(body["head"].get("ref") or ""),
        base=str(body["base"]["ref"]),
        author=str((body.get("user") or {}).get("login") or ""),
        merged_at=merged,
    )


def _quote(text: str) -> str:
    return quote(text, safe="")
