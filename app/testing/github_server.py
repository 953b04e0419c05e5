"""A small GitHub on the loopback whose storage is a bare git repository.

Objects have real hashes and modes, references really move, and what GitHub would refuse is refused
with its status and words: a branch that exists, a move that is no fast-forward, a second pull
request for a branch, one without commits. Only the requests that this program makes exist.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from app.testing.github_git import GitDatabase, Refused
from app.testing.loopback import start_on_loopback

_BODY_LIMIT = 65_536
_TITLE_LIMIT = 255
_VERSION = "2022-11-28"
_INSTALLATION = 7


Intercept = Callable[[web.Request], web.StreamResponse | None]

Objections = Callable[[str, str, Mapping[str, str], Any], str]
"""What a description of the API has against a request: its method, path, query and body."""


@dataclass(slots=True)
class Recorded:
    """One request as it came in."""

    method: str
    path: str
    body: Any
    headers: Mapping[str, str]


@dataclass(slots=True)
class GitHubServer:
    """Start with `async with`; `folder` is a bare git repository that holds `main`.

    `requests` keeps what was asked. The next requests are answered by `failures`, one each; after
    them `intercept` sees every request and answers it, or returns None to let it pass. The request
    numbered `lost` is done, and its answer does not arrive. `members`
    may review; `app_key` is the public key of an App, PEM, that is installed here. A request that
    `objections` speak against is refused before anything is done.
    """

    folder: Path
    objections: Objections
    owner: str = "tre"
    repo: str = "gitops"
    token: str = "token-of-the-test"  # noqa: S105  # only this server takes it
    push: bool = True
    archived: bool = False
    visibility: str = "private"
    members: tuple[str, ...] = ()
    app_key: str = ""
    requests: list[Recorded] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)
    comments: list[tuple[int, str]] = field(default_factory=list)
    failures: list[Intercept] = field(default_factory=list)
    intercept: Intercept = lambda _: None
    lost: int = 0
    url: str = ""
    _issued: dict[str, Any] = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    @property
    def _data(self) -> GitDatabase:
        return GitDatabase(self.folder, len(self.requests))

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._gate])
        prefix = f"/repos/{self.owner}/{self.repo}"
        application.add_routes(
            [
                web.get(prefix, self._repository),
                web.get(prefix + "/git/ref/{ref}", self._get_ref),
                web.get(prefix + "/git/commits/{sha}", self._get_git_commit),
                web.get(prefix + "/commits/{sha}", self._get_commit),
                web.get(prefix + "/git/trees/{sha}", self._get_tree),
                web.get(prefix + "/git/blobs/{sha}", self._get_blob),
                web.post(prefix + "/git/trees", self._post_tree),
                web.post(prefix + "/git/commits", self._post_commit),
                web.post(prefix + "/git/refs", self._post_ref),
                web.patch(prefix + "/git/refs/{ref}", self._patch_ref),
                web.get(prefix + "/compare/{span}", self._compare),
                web.get(prefix + "/pulls", self._list_pulls),
                web.post(prefix + "/pulls", self._post_pull),
                web.patch(prefix + "/pulls/{number}", self._patch_pull),
                web.post(prefix + "/pulls/{number}/requested_reviewers", self._post_reviewers),
                web.post(prefix + "/issues/{number}/labels", self._post_labels),
                web.get(prefix + "/issues/{number}/events", self._get_events),
                web.get(prefix + "/issues/{number}/comments", self._get_comments),
                web.post(prefix + "/issues/{number}/comments", self._post_comment),
                web.get(prefix + "/installation", self._installation),
                web.post("/app/installations/{number}/access_tokens", self._post_token),
            ]
        )
        self._runner, self.url = await start_on_loopback(application)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    # What stands before every request

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append(
            Recorded(request.method, request.rel_url.raw_path_qs, body, dict(request.headers))
        )
        if (refusal := self._refuse(request, body)) is not None:
            return refusal
        answer = self.failures.pop(0)(request) if self.failures else self.intercept(request)
        if answer is not None:
            return answer
        try:
            response: web.StreamResponse = await handler(request)
            if len(self.requests) == self.lost:
                return web.Response(status=502)
        except web.HTTPNotFound:
            return _error(404, "Not Found")
        except Refused as refused:
            return _error(422, "Validation Failed", str(refused))
        return response

    def _refuse(self, request: web.Request, body: Any) -> web.Response | None:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        for_app = request.path.endswith(("/installation", "/access_tokens"))
        if not (self._is_signed(bearer) if for_app else bearer in (self.token, *self._issued)):
            return _error(401, "Bad credentials")
        if "github+json" not in request.headers.get("Accept", ""):
            return _error(415, "Unsupported 'Accept' header")
        if request.headers.get("X-GitHub-Api-Version") != _VERSION:
            return _error(400, "unsupported API version")
        against = self.objections(request.method, request.rel_url.raw_path, request.query, body)
        return _error(422, "Validation Failed", against) if against else None

    def _is_signed(self, token: str) -> bool:
        """Whether a token is one of the App: signed by its key, young, and short."""
        import jwt

        try:
            claims = jwt.decode(token, self.app_key, algorithms=["RS256"])
        except jwt.PyJWTError:
            return False
        lived = claims["exp"] - claims["iat"]
        return lived <= 600 and bool(claims["iss"])  # noqa: PLR2004  # ten minutes

    # Repository and git database

    async def _repository(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "full_name": f"{self.owner}/{self.repo}",
                "default_branch": "main",
                "archived": self.archived,
                "visibility": self.visibility,
                "permissions": {"pull": True, "push": self.push},
            }
        )

    async def _get_ref(self, request: web.Request) -> web.Response:
        ref = f"refs/{request.match_info['ref']}"
        return web.json_response(_reference(ref, await self._data.commit_of(ref)))

    async def _get_tree(self, request: web.Request) -> web.Response:
        sha, deep = request.match_info["sha"], bool(request.query.get("recursive"))
        tree = await self._data.tree(sha, deep=deep)
        return web.json_response({"sha": sha, "tree": tree, "truncated": False})

    async def _get_blob(self, request: web.Request) -> web.Response:
        return web.json_response(await self._data.blob(request.match_info["sha"]))

    async def _get_git_commit(self, request: web.Request) -> web.Response:
        sha = await self._data.commit_of(request.match_info["sha"])
        return web.json_response(await self._data.commit(sha))

    async def _get_commit(self, request: web.Request) -> web.Response:
        sha = await self._data.commit_of(request.match_info["sha"])
        return web.json_response(
            await self._commit_form(sha) | {"files": await self._data.changed(sha)}
        )

    async def _commit_form(self, sha: str) -> dict[str, Any]:
        """A commit as `commits` and `compare` give it: what git knows is a level deeper."""
        commit = await self._data.commit(sha)
        inner = {"message": commit["message"], "tree": commit["tree"]}
        return {"sha": sha, "commit": inner, "parents": commit["parents"]}

    async def _post_tree(self, request: web.Request) -> web.Response:
        body = await request.json()
        base = body.get("base_tree", "")
        if base:
            await self._data.must_exist(base, "tree")
        sha = await self._data.make_tree(base, body["tree"])
        return web.json_response({"sha": sha}, status=201)

    async def _post_commit(self, request: web.Request) -> web.Response:
        body = await request.json()
        sha = await self._data.make_commit(body["tree"], body.get("parents", []), body["message"])
        return web.json_response(await self._data.commit(sha), status=201)

    async def _post_ref(self, request: web.Request) -> web.Response:
        body = await request.json()
        ref, sha = body["ref"], body["sha"]
        if not ref.startswith("refs/") or ref.count("/") < 2:  # noqa: PLR2004  # refs/heads/x
            raise Refused("Reference name is not valid")
        await self._data.must_exist(sha, "commit")
        if await self._data.exists(ref):
            return _error(422, "Reference already exists")
        try:
            await self._data.git("update-ref", ref, sha, "0" * 40)
        except ValueError:
            return _error(422, "Reference update failed")
        return web.json_response(_reference(ref, sha), status=201)

    async def _patch_ref(self, request: web.Request) -> web.Response:
        body = await request.json()
        ref = f"refs/{request.match_info['ref']}"
        if not await self._data.exists(ref):
            return _error(422, "Reference does not exist")
        await self._data.must_exist(body["sha"], "commit")
        if not body.get("force") and not await self._data.is_ancestor(ref, body["sha"]):
            return _error(422, "Update is not a fast forward")
        await self._data.git("update-ref", ref, body["sha"])
        return web.json_response(_reference(ref, body["sha"]))

    async def _compare(self, request: web.Request) -> web.Response:
        base, _, head = request.match_info["span"].partition("...")
        commits = await self._data.between(base, head)
        behind = await self._data.between(head, base)
        forms = [await self._commit_form(sha) for sha in commits]
        return web.json_response(
            {"ahead_by": len(commits), "behind_by": len(behind), "commits": forms}
        )

    # Pull requests

    async def _list_pulls(self, request: web.Request) -> web.Response:
        state, head = request.query.get("state", "open"), request.query.get("head", "")
        base = request.query.get("base", "")
        found = [
            pull
            for pull in reversed(self.pulls)
            if state in (pull["state"], "all")
            and head in ("", pull["head"]["label"])
            and base in ("", pull["base"]["ref"])
        ]
        size = int(request.query.get("per_page", 30))
        page = int(request.query.get("page", 1))
        return web.json_response(found[(page - 1) * size : page * size])

    async def _post_pull(self, request: web.Request) -> web.Response:
        body = await request.json()
        head, base = body["head"].removeprefix(f"{self.owner}:"), body["base"]
        for name, value in (("base", base), ("head", head)):
            if not await self._data.exists(f"refs/heads/{value}"):
                return _error(422, "Validation Failed", f"{name} is invalid")
        label = f"{self.owner}:{head}"
        if any(pull["head"]["label"] == label and pull["state"] == "open" for pull in self.pulls):
            raise Refused(f"A pull request already exists for {label}.")
        if not await self._data.between(base, head):
            raise Refused(f"No commits between {base} and {head}")
        _check_texts(body)
        number = len(self.pulls) + 1
        pull = {
            "number": number,
            "state": "open",
            "merged_at": None,
            "title": body["title"],
            "body": body.get("body"),
            "draft": body.get("draft", False),
            "html_url": f"{self.url}/{self.owner}/{self.repo}/pull/{number}",
            "head": {
                "ref": head,
                "label": label,
                "repo": {"full_name": f"{self.owner}/{self.repo}"},
            },
            "base": {"ref": base},
            "user": {"login": "k8tre-bot"},
            "labels": [],
            "reviewers": [],
        }
        self.pulls.append(pull)
        return web.json_response(pull, status=201)

    async def _patch_pull(self, request: web.Request) -> web.Response:
        body = await request.json()
        _check_texts(body)
        pull = self._pull(request)
        pull |= body
        return web.json_response(pull)

    async def _post_labels(self, request: web.Request) -> web.Response:
        pull, wanted = self._pull(request), (await request.json())["labels"]
        for name in wanted:
            if name not in pull["labels"]:
                pull["labels"].append(name)
                self.events.append((pull["number"], "labeled"))
        return web.json_response([{"name": name} for name in pull["labels"]])

    async def _post_reviewers(self, request: web.Request) -> web.Response:
        """One who cannot review refuses all, as on GitHub."""
        pull, body = self._pull(request), await request.json()
        asked = body.get("reviewers", []) + body.get("team_reviewers", [])
        if pull["user"]["login"] in asked:
            raise Refused("Review cannot be requested from pull request author.")
        if any(one not in self.members for one in asked):
            raise Refused("Reviews may only be requested from collaborators.")
        pull["reviewers"] += asked
        self.events += [(pull["number"], "review_requested")] * len(asked)
        return web.json_response(pull, status=201)

    async def _get_events(self, request: web.Request) -> web.Response:
        number = self._pull(request)["number"]
        return web.json_response([{"event": what} for at, what in self.events if at == number])

    async def _get_comments(self, request: web.Request) -> web.Response:
        number = self._pull(request)["number"]
        return web.json_response([{"body": text} for at, text in self.comments if at == number])

    async def _post_comment(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.comments.append((self._pull(request)["number"], body["body"]))
        return web.json_response(body, status=201)

    def _pull(self, request: web.Request) -> dict[str, Any]:
        number = int(request.match_info["number"])
        if not 0 < number <= len(self.pulls):
            raise web.HTTPNotFound
        return self.pulls[number - 1]

    # Apps

    async def _installation(self, _request: web.Request) -> web.Response:
        return web.json_response({"id": _INSTALLATION})

    async def _post_token(self, request: web.Request) -> web.Response:
        body = await request.json()
        if int(request.match_info["number"]) != _INSTALLATION:
            raise web.HTTPNotFound
        if body.get("repositories") != [self.repo]:
            raise Refused("There is at least one repository that does not exist")
        token = f"ghs_{secrets.token_hex(18)}"
        self._issued[token] = body
        return web.json_response({"token": token, "expires_at": "2099-01-01T00:00:00Z"}, status=201)


def _error(status: int, message: str, detail: str = "") -> web.Response:
    body: dict[str, Any] = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    if detail:
        body["errors"] = [{"resource": "PullRequest", "code": "custom", "message": detail}]
    return web.json_response(body, status=status)


def _reference(ref: str, sha: str) -> dict[str, Any]:
    return {"ref": ref, "object": {"type": "commit", "sha": sha}}


def _check_texts(body: Mapping[str, Any]) -> None:
    if len(body.get("title") or "") > _TITLE_LIMIT or len(body.get("body") or "") > _BODY_LIMIT:
        raise Refused("body is too long (maximum is 65536 characters)")
