"""A small GitHub on the loopback whose storage is a bare git repository.

Objects have real hashes, references really move, and what GitHub would refuse is refused with its
status and words: malformed bodies, a branch that exists, a move that is no fast-forward, a second
pull request for a branch, one without commits. Only the requests that this program makes exist.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Self

from aiohttp import web

_FIELDS: Mapping[str, Mapping[str, tuple[type | UnionType, bool]]] = {
    "trees": {"tree": (list, True), "base_tree": (str, False)},
    "commits": {
        "message": (str, True),
        "tree": (str, True),
        "parents": (list, False),
        "author": (dict, False),
        "committer": (dict, False),
        "signature": (str, False),
    },
    "refs": {"ref": (str, True), "sha": (str, True)},
    "ref": {"sha": (str, True), "force": (bool, False)},
    "pulls": {
        "base": (str, True),
        "head": (str, True),
        "title": (str, False),
        "body": (str, False),
        "draft": (bool, False),
        "maintainer_can_modify": (bool, False),
    },
    "pull": {"title": (str, False), "body": (str, False), "state": (str, False)},
    "labels": {"labels": (list, True)},
}
"""Body fields of each request: type, and whether it must be there (GitHub REST, 2022-11-28)."""

_TREE_MODES = frozenset({"100644", "100755", "040000", "160000", "120000"})
_TREE_TYPES = frozenset({"blob", "tree", "commit"})
_BODY_LIMIT = 65_536
_TITLE_LIMIT = 255
_VERSION = "2022-11-28"


Intercept = Callable[[web.Request], web.Response | None]


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
    them `intercept` sees every request and answers it, or returns None to let it pass.
    """

    folder: Path
    owner: str = "tre"
    repo: str = "gitops"
    token: str = "token-of-the-test"  # noqa: S105  # only this server takes it
    push: bool = True
    archived: bool = False
    requests: list[Recorded] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Intercept] = field(default_factory=list)
    intercept: Intercept = lambda _: None
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._gate])
        prefix = f"/repos/{self.owner}/{self.repo}"
        application.add_routes(
            [
                web.get(prefix, self._repository),
                web.get(prefix + "/git/ref/{ref}", self._get_ref),
                web.get(prefix + "/contents/{path}", self._contents),
                web.get(prefix + "/git/commits/{sha}", self._get_commit),
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
                web.post(prefix + "/issues/{number}/labels", self._post_labels),
            ]
        )
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

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

    # What stands before every request

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append(
            Recorded(request.method, request.rel_url.raw_path_qs, body, dict(request.headers))
        )
        if (refusal := self._refuse(request)) is not None:
            return refusal
        answer = self.failures.pop(0)(request) if self.failures else self.intercept(request)
        if answer is not None:
            return answer
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPNotFound:
            return _error(404, "Not Found")
        except _Refused as refused:
            return _error(422, "Validation Failed", str(refused))
        return response

    def _refuse(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _error(401, "Bad credentials")
        if "github+json" not in request.headers.get("Accept", ""):
            return _error(415, "Unsupported 'Accept' header")
        if request.headers.get("X-GitHub-Api-Version") != _VERSION:
            return _error(400, "unsupported API version")
        return None

    # Repository and git database

    async def _repository(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "full_name": f"{self.owner}/{self.repo}",
                "default_branch": "main",
                "archived": self.archived,
                "visibility": "private",
                "permissions": {"pull": True, "push": self.push},
            }
        )

    async def _get_ref(self, request: web.Request) -> web.Response:
        ref = request.match_info["ref"]
        return web.json_response(_reference(f"refs/{ref}", await self._sha(f"refs/{ref}")))

    async def _sha(self, revision: str) -> str:
        try:
            return (await self.git("rev-parse", "--verify", f"{revision}^{{commit}}")).strip()
        except ValueError:
            raise web.HTTPNotFound from None

    async def _contents(self, request: web.Request) -> web.Response:
        path, revision = request.match_info["path"], request.query.get("ref", "main")
        listing = await self.git("ls-tree", await self._sha(revision), "--", path)
        if not listing:
            raise web.HTTPNotFound
        mode, kind, sha = listing.partition("\t")[0].split(" ")
        if kind != "blob" or mode == "120000":
            return web.json_response({"type": "symlink" if kind == "blob" else "dir"})
        text = await self.git("cat-file", "blob", sha)
        content = base64.encodebytes(text.encode()).decode()
        return web.json_response(
            {"type": "file", "encoding": "base64", "path": path, "sha": sha, "content": content}
        )

    async def _get_tree(self, request: web.Request) -> web.Response:
        depth = ["-r"] if request.query.get("recursive") else []
        listing = await self.git("ls-tree", "-l", *depth, request.match_info["sha"])
        tree = []
        for line in listing.splitlines():
            mode, kind, sha, size = line.partition("\t")[0].split()
            path = line.partition("\t")[2]
            tree.append({"path": path, "mode": mode, "type": kind, "sha": sha, "size": int(size)})
        return web.json_response({"sha": request.match_info["sha"], "tree": tree})

    async def _get_blob(self, request: web.Request) -> web.Response:
        sha = request.match_info["sha"]
        content = base64.encodebytes((await self.git("cat-file", "blob", sha)).encode()).decode()
        return web.json_response({"sha": sha, "encoding": "base64", "content": content})

    async def _get_commit(self, request: web.Request) -> web.Response:
        return web.json_response(await self._commit(await self._sha(request.match_info["sha"])))

    async def _commit(self, sha: str) -> dict[str, Any]:
        tree, parents, message = (await self.git("log", "-1", "--format=%T%n%P%n%B", sha)).split(
            "\n", 2
        )
        return {
            "sha": sha,
            "tree": {"sha": tree},
            "parents": [{"sha": parent} for parent in parents.split()],
            "message": message,
        }

    async def _post_tree(self, request: web.Request) -> web.Response:
        body = await _body(request, "trees")
        index = self.folder / f"index-{len(self.requests)}"
        try:
            if base := body.get("base_tree"):
                await self._must_exist(base, "tree")
                await self.git("read-tree", base, index=index)
            for entry in body["tree"]:
                await self._add_entry(entry, index)
            tree = (await self.git("write-tree", index=index)).strip()
        finally:
            index.unlink(missing_ok=True)
        return web.json_response({"sha": tree}, status=201)

    async def _add_entry(self, entry: Mapping[str, Any], index: Path) -> None:
        if entry.get("mode") not in _TREE_MODES or entry.get("type") not in {
            "blob",
            "tree",
            "commit",
        }:
            raise _Refused("tree.mode is not one of the allowed values")
        if not isinstance(entry.get("path"), str) or not ("content" in entry or "sha" in entry):
            raise _Refused("Must supply a valid tree.sha or tree.content")
        if "sha" in entry and entry["sha"] is None:
            gone = f"0 {'0' * 40}\t{entry['path']}\0"
            await self.git("update-index", "-z", "--index-info", stdin=gone, index=index)
            return
        blob = entry.get("sha") or await self.git(
            "hash-object", "-w", "--stdin", stdin=entry["content"]
        )
        cache = f"{entry['mode']},{blob.strip()},{entry['path']}"
        await self.git("update-index", "--add", "--cacheinfo", cache, index=index)

    async def _must_exist(self, sha: str, kind: str) -> None:
        try:
            found = (await self.git("cat-file", "-t", sha)).strip()
        except ValueError:
            found = ""
        if found != kind:
            raise _Refused(f"{kind.capitalize()} SHA does not exist")

    async def _post_commit(self, request: web.Request) -> web.Response:
        body = await _body(request, "commits")
        await self._must_exist(body["tree"], "tree")
        parents = [word for parent in body.get("parents", []) for word in ("-p", parent)]
        sha = await self.git(
            "commit-tree", body["tree"], *parents, "-F", "-", stdin=body["message"]
        )
        return web.json_response(await self._commit(sha.strip()), status=201)

    async def _post_ref(self, request: web.Request) -> web.Response:
        body = await _body(request, "refs")
        ref, sha = body["ref"], body["sha"]
        if not ref.startswith("refs/") or ref.count("/") < 2:  # noqa: PLR2004  # refs/heads/x
            raise _Refused("Reference name is not valid")
        await self._must_exist(sha, "commit")
        if await self._exists(ref):
            return _error(422, "Reference already exists")
        try:
            await self.git("update-ref", ref, sha, "0" * 40)
        except ValueError:
            return _error(422, "Reference update failed")
        return web.json_response(_reference(ref, sha), status=201)

    async def _exists(self, ref: str) -> bool:
        try:
            await self._sha(ref)
        except web.HTTPNotFound:
            return False
        return True

    async def _patch_ref(self, request: web.Request) -> web.Response:
        body = await _body(request, "ref")
        ref = f"refs/{request.match_info['ref']}"
        if not await self._exists(ref):
            return _error(422, "Reference does not exist")
        await self._must_exist(body["sha"], "commit")
        if not body.get("force") and not await self._is_ancestor(ref, body["sha"]):
            return _error(422, "Update is not a fast forward")
        await self.git("update-ref", ref, body["sha"])
        return web.json_response(_reference(ref, body["sha"]))

    async def _is_ancestor(self, older: str, newer: str) -> bool:
        try:
            await self.git("merge-base", "--is-ancestor", older, newer)
        except ValueError:
            return False
        return True

    async def _compare(self, request: web.Request) -> web.Response:
        base, _, head = request.match_info["span"].partition("...")
        commits = await self._between(base, head)
        return web.json_response(
            {
                "ahead_by": len(commits),
                "behind_by": len(await self._between(head, base)),
                "commits": [
                    {"sha": sha, "commit": {"message": (await self._commit(sha))["message"]}}
                    for sha in commits
                ],
            }
        )

    async def _between(self, base: str, head: str) -> list[str]:
        start, end = await self._sha(base), await self._sha(head)
        return (await self.git("rev-list", "--reverse", f"{start}..{end}")).split()

    # Pull requests

    async def _list_pulls(self, request: web.Request) -> web.Response:
        state, head = request.query.get("state", "open"), request.query.get("head", "")
        base = request.query.get("base", "")
        return web.json_response(
            [
                pull
                for pull in reversed(self.pulls)
                if state in (pull["state"], "all")
                and head in ("", pull["head"]["label"])
                and base in ("", pull["base"]["ref"])
            ]
        )

    async def _post_pull(self, request: web.Request) -> web.Response:
        body = await _body(request, "pulls")
        head, base = body["head"].removeprefix(f"{self.owner}:"), body["base"]
        for name, value in (("base", base), ("head", head)):
            if not await self._exists(f"refs/heads/{value}"):
                return _error(422, "Validation Failed", f"{name} is invalid")
        label = f"{self.owner}:{head}"
        if any(pull["head"]["label"] == label and pull["state"] == "open" for pull in self.pulls):
            raise _Refused(f"A pull request already exists for {label}.")
        if not await self._between(base, head):
            raise _Refused(f"No commits between {base} and {head}")
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
            "head": {"ref": head, "label": label},
            "base": {"ref": base},
            "labels": [],
        }
        self.pulls.append(pull)
        return web.json_response(pull, status=201)

    async def _patch_pull(self, request: web.Request) -> web.Response:
        body = await _body(request, "pull")
        _check_texts(body)
        pull = self._pull(request)
        pull |= body
        return web.json_response(pull)

    async def _post_labels(self, request: web.Request) -> web.Response:
        body = await _body(request, "labels")
        labels = self._pull(request)["labels"]
        labels += body["labels"]
        return web.json_response([{"name": name} for name in labels])

    def _pull(self, request: web.Request) -> dict[str, Any]:
        number = int(request.match_info["number"])
        if not 0 < number <= len(self.pulls):
            raise web.HTTPNotFound
        return self.pulls[number - 1]


class _Refused(Exception):
    """A request that GitHub answers with 422 and these words."""


def _error(status: int, message: str, detail: str = "") -> web.Response:
    body: dict[str, Any] = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    if detail:
        body["errors"] = [{"resource": "PullRequest", "code": "custom", "message": detail}]
    return web.json_response(body, status=status)


def _reference(ref: str, sha: str) -> dict[str, Any]:
    return {"ref": ref, "object": {"type": "commit", "sha": sha}}


async def _body(request: web.Request, kind: str) -> dict[str, Any]:
    """Check a body by its table: required fields, types, and no field this program made up."""
    body = await request.json()
    fields = _FIELDS[kind]
    if not isinstance(body, dict):
        raise _Refused("Invalid request.")
    for name, (wanted, required) in fields.items():
        if required and name not in body:
            raise _Refused(f'Invalid request. "{name}" wasn\'t supplied.')
        if name in body and not isinstance(body[name], wanted):
            raise _Refused(f"For '{name}', {body[name]!r} is not of the right type.")
    if unknown := body.keys() - fields.keys():
        raise _Refused(f"unknown field {min(unknown)}")
    return body


def _check_texts(body: Mapping[str, Any]) -> None:
    if len(body.get("title") or "") > _TITLE_LIMIT or len(body.get("body") or "") > _BODY_LIMIT:
        raise _Refused("body is too long (maximum is 65536 characters)")
