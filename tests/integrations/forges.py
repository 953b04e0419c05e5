"""Every forge with the same few handles, so that one contract can be asked of all of them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.config import Secret
from app.core.drafts.body import BEGIN, END
from app.ports import FileChange, ProposedChange
from app.testing.github_server import GitHubServer
from app.testing.gitlab_server import GitLabServer
from integrations.git.forge import ForgeRepo
from integrations.git.gitea import Gitea
from integrations.git.github import GitHub
from integrations.git.gitlab import GitLab
from tests.integrations.git_repository import POLICY, bare, commit, git
from tests.testbed.gitea.server import Server
from tests.testing.github_description import objections

PATH = "apps/lung/web.yaml"
OTHER = "apps/lung/other.yaml"
LINK = "apps/shared/link.yaml"
RUN = "apps/lung/run.yaml"
EDITED = POLICY + "        - host\n"
BRANCH = "k8tre-tui/netpol/lung-web-0123456789"
CHANGE = ProposedChange(
    branch=BRANCH,
    title="netpol(lung): allow the host",
    body=f"{BEGIN}\nallow\n{END}",
    commit_message="netpol(lung): allow the host\n\nK8tre-Tui-Change: 0123\n",
    files=(FileChange(PATH, POLICY, EDITED),),
)
FILES = {PATH: POLICY, OTHER: "a: 1\n"}
OWNERS = "* @lead @nobody-here\n/apps/other/ @else\n"


class Sleeper:
    """Sleeps in no time and remembers how long it should have been."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass(slots=True)
class Request:
    """A request as people see it."""

    number: int
    title: str
    body: str
    state: str
    draft: bool
    labels: list[str]


class Forge(Protocol):
    """A forge with one repository that holds FILES, and what people do there."""

    def repo(self, *, mirror: Path | None = None) -> ForgeRepo: ...
    def commit(self, files: Mapping[str, str], branch: str = "main") -> str: ...
    def amend(self, files: Mapping[str, str]) -> None: ...
    def head(self, branch: str) -> str: ...
    def parents(self, branch: str) -> list[str]: ...
    def message(self, branch: str) -> str: ...
    def text(self, path: str, branch: str) -> str: ...
    def mode(self, path: str, branch: str) -> str: ...
    def requests(self) -> list[Request]: ...
    def change(self, number: int, **fields: str) -> None: ...
    def comments(self, number: int) -> list[str]: ...


@dataclass(slots=True)
class _Bare:
    """What is done to the bare repository behind a fake."""

    folder: Path

    def commit(self, files: Mapping[str, str], branch: str = "main") -> str:
        return commit(self.folder, dict(files), branch, "by hand")

    def amend(self, files: Mapping[str, str]) -> None:
        """`git commit --amend` of our branch: the message stays, the files are others."""
        message, parent = self.message(BRANCH), self.parents(BRANCH)[0]
        made = commit(self.folder, dict(files), BRANCH)
        tree = git(self.folder, "rev-parse", f"{made}^{{tree}}").strip()
        new = git(self.folder, "commit-tree", tree, "-p", parent, "-F", "-", stdin=message)
        git(self.folder, "update-ref", f"refs/heads/{BRANCH}", new.strip())

    def head(self, branch: str) -> str:
        return git(self.folder, "rev-parse", f"refs/heads/{branch}").strip()

    def parents(self, branch: str) -> list[str]:
        return git(self.folder, "log", "-1", "--format=%P", f"refs/heads/{branch}").split()

    def message(self, branch: str) -> str:
        return git(self.folder, "log", "-1", "--format=%B", f"refs/heads/{branch}")

    def text(self, path: str, branch: str) -> str:
        return git(self.folder, "show", f"refs/heads/{branch}:{path}")

    def mode(self, path: str, branch: str) -> str:
        return git(self.folder, "ls-tree", f"refs/heads/{branch}", "--", path).split(" ")[0]


@dataclass(slots=True)
class FakeGitHub(_Bare):
    server: GitHubServer

    def repo(self, *, mirror: Path | None = None) -> ForgeRepo:
        secret = Secret(self.server.token, "test")
        return GitHub("tre/gitops", secret, api=self.server.url, sleep=Sleeper(), mirror=mirror)

    def requests(self) -> list[Request]:
        return [
            Request(
                one["number"],
                one["title"],
                one["body"],
                "merged" if one["merged_at"] else one["state"],
                one["draft"],
                one["labels"],
            )
            for one in reversed(self.server.pulls)
        ]

    def change(self, number: int, **fields: str) -> None:
        self.server.pulls[number - 1] |= fields

    def comments(self, number: int) -> list[str]:
        return [text for at, text in self.server.comments if at == number]


@dataclass(slots=True)
class FakeGitLab(_Bare):
    server: GitLabServer

    def repo(self, *, mirror: Path | None = None) -> ForgeRepo:
        secret = Secret(self.server.token, "test")
        url = self.server.url
        return GitLab("tre/gitops", secret, url=url, sleep=Sleeper(), mirror=mirror)

    def requests(self) -> list[Request]:
        return [
            Request(
                one["iid"],
                one["title"].removeprefix("Draft: "),
                one["description"],
                {"opened": "open"}.get(one["state"], one["state"]),
                one["draft"],
                one["labels"],
            )
            for one in reversed(self.server.pulls)
        ]

    def change(self, number: int, **fields: str) -> None:
        if "body" in fields:
            fields["description"] = fields.pop("body")
        self.server.pulls[number - 1] |= fields

    def comments(self, number: int) -> list[str]:
        return [text for at, text in self.server.notes if at == number]


@dataclass(slots=True)
class RealGitea:
    """The real Gitea of the testbed."""

    server: Server
    place: str

    def repo(self, *, mirror: Path | None = None) -> ForgeRepo:
        name, secret = self.place.removeprefix("/repos/"), Secret(self.server.token, "test")
        return Gitea(name, secret, url=self.server.url, sleep=Sleeper(), mirror=mirror)

    def commit(self, files: Mapping[str, str], branch: str = "main") -> str:
        return self.server.commit(self.place, files, branch)

    def amend(self, files: Mapping[str, str]) -> None:
        """The branch made anew with our message and other files, by force as `git push -f`."""
        changes = [
            {
                "operation": "update",
                "path": path,
                "content": base64.b64encode(text.encode()).decode(),
                "sha": self._blob(path, "main"),
            }
            for path, text in files.items()
        ]
        body = {
            "branch": "main",
            "new_branch": BRANCH,
            "force_push": True,
            "message": self.message(BRANCH),
            "files": changes,
        }
        self.server.api("POST", f"{self.place}/contents", body)

    def _blob(self, path: str, branch: str) -> str:
        return str(self._entry(path, branch)["sha"])

    def _entry(self, path: str, branch: str) -> Any:
        head = self.head(branch)
        tree = self.server.api("GET", f"{self.place}/git/trees/{head}?recursive=true")["tree"]
        return next(one for one in tree if one["path"] == path)

    def head(self, branch: str) -> str:
        return self.server.head(self.place, branch)

    def _commit(self, branch: str) -> Any:
        return self.server.api("GET", f"{self.place}/git/commits/{self.head(branch)}")

    def parents(self, branch: str) -> list[str]:
        return [one["sha"] for one in self._commit(branch)["parents"]]

    def message(self, branch: str) -> str:
        return str(self._commit(branch)["commit"]["message"])

    def text(self, path: str, branch: str) -> str:
        return self.server.text(self.place, path, branch)

    def mode(self, path: str, branch: str) -> str:
        return str(self._entry(path, branch)["mode"])

    def requests(self) -> list[Request]:
        return [
            Request(
                one["number"],
                one["title"].removeprefix("WIP: "),
                one["body"],
                "merged" if one["merged"] else one["state"],
                one["draft"],
                [label["name"] for label in one["labels"]],
            )
            for one in self.server.pulls(self.place)
        ]

    def change(self, number: int, **fields: str) -> None:
        self.server.api("PATCH", f"{self.place}/pulls/{number}", fields)

    def comments(self, number: int) -> list[str]:
        found = self.server.api("GET", f"{self.place}/issues/{number}/comments")
        return [one["body"] for one in found]


@asynccontextmanager
async def fake_github(folder: Path) -> AsyncIterator[FakeGitHub]:
    repository = bare(folder / "repo.git", dict(FILES))
    async with GitHubServer(repository, objections, members=("lead",)) as server:
        yield FakeGitHub(repository, server)


@asynccontextmanager
async def fake_gitlab(folder: Path) -> AsyncIterator[FakeGitLab]:
    repository = bare(folder / "repo.git", dict(FILES))
    async with GitLabServer(repository, users={"lead": 5}) as server:
        yield FakeGitLab(repository, server)
