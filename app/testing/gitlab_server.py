"""A small GitLab on the loopback whose storage is a bare git repository.

Made from GitLab's documentation of its REST API ("Commits", "Branches", "Repositories", "Merge
requests", "Notes", "Users"): what a request must have and may have, and what it is refused for.
Only the requests that this program makes exist.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from app.testing.github_git import GitDatabase, Refused
from app.testing.github_server import Intercept, Recorded
from app.testing.loopback import start_on_loopback

_PAGING = {"page", "per_page"}
_COMMIT_FIELDS = {"branch", "start_sha", "commit_message", "force", "actions"}
_ACTIONS = {
    "create": {"action", "file_path", "content", "encoding"},
    "update": {"action", "file_path", "content", "encoding"},
    "delete": {"action", "file_path"},
}
_OPEN_FIELDS = {
    "source_branch",
    "target_branch",
    "title",
    "description",
    "remove_source_branch",
}
_EDIT_FIELDS = {"description", "add_labels", "reviewer_ids"}
_LISTED_BY = {"state", "source_branch", "target_branch", "order_by", "sort"}
_BODY_LIMIT = 1_048_576
_ID = 42


@dataclass(slots=True)
class GitLabServer:
    """Start with `async with`; `folder` is a bare git repository that holds `main`.

    `requests`, `failures` and `intercept` are as of the fake GitHub; `users` are ids by name.
    """

    folder: Path
    project: str = "tre/gitops"
    token: str = "glpat-token-of-the-test"  # noqa: S105  # only this server takes it
    access_level: int = 40
    archived: bool = False
    visibility: str = "private"
    users: Mapping[str, int] = field(default_factory=dict)
    requests: list[Recorded] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    failures: list[Intercept] = field(default_factory=list)
    intercept: Intercept = lambda _: None
    lost: int = 0
    url: str = ""
    _runner: web.AppRunner | None = None

    @property
    def _data(self) -> GitDatabase:
        return GitDatabase(self.folder, len(self.requests))

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._gate])
        prefix = "/api/v4/projects/{project}"
        requests = prefix + "/merge_requests"
        application.add_routes(
            [
                web.get(prefix, self._project),
                web.get(prefix + "/repository/branches/{branch}", self._branch),
                web.get(prefix + "/repository/tree", self._tree),
                web.get(prefix + "/repository/blobs/{sha}", self._blob),
                web.get(prefix + "/repository/compare", self._compare),
                web.post(prefix + "/repository/commits", self._post_commit),
                web.get(prefix + "/repository/commits/{sha}", self._commit),
                web.get(prefix + "/repository/commits/{sha}/diff", self._diff),
                web.get(requests, self._list),
                web.post(requests, self._open),
                web.get(requests + "/{number}", self._get),
                web.put(requests + "/{number}", self._edit),
                web.get(requests + "/{number}/resource_label_events", self._label_events),
                web.get(requests + "/{number}/notes", self._get_notes),
                web.post(requests + "/{number}/notes", self._post_note),
                web.get("/api/v4/users", self._users),
            ]
        )
        self._runner, self.url = await start_on_loopback(application)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append(
            Recorded(request.method, request.rel_url.raw_path_qs, body, dict(request.headers))
        )
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _said(401, "401 Unauthorized")
        answer = self.failures.pop(0)(request) if self.failures else self.intercept(request)
        if answer is not None:
            return answer
        try:
            if request.match_info.get("project", self.project) != self.project:
                raise web.HTTPNotFound  # noqa: TRY301
            response: web.StreamResponse = await handler(request)
            if len(self.requests) == self.lost:
                return web.Response(status=502)
        except web.HTTPNotFound:
            return _said(404, "404 Not found")
        except Refused as refused:
            return _said(400, str(refused))
        return response

    async def _project(self, _request: web.Request) -> web.Response:
        access = {"access_level": self.access_level}
        return web.json_response(
            {
                "id": _ID,
                "path_with_namespace": self.project,
                "default_branch": "main",
                "archived": self.archived,
                "visibility": self.visibility,
                "permissions": {"project_access": access, "group_access": None},
            }
        )

    async def _users(self, request: web.Request) -> web.Response:
        name = request.query["username"]
        return web.json_response([{"id": self.users[name]}] if name in self.users else [])

    # Repository

    async def _branch(self, request: web.Request) -> web.Response:
        name = request.match_info["branch"]
        sha = await self._data.commit_of(f"refs/heads/{name}")
        return web.json_response({"name": name, "commit": {"id": sha}})

    async def _tree(self, request: web.Request) -> web.Response:
        _allow(request.query, _PAGING | {"ref", "path", "recursive"})
        path = request.query.get("path", "")
        deep = request.query.get("recursive") == "true"
        sha = await self._data.commit_of(request.query["ref"])
        listed = await self._data.tree(f"{sha}:{path}", deep=deep)
        forms = [
            {
                "id": one["sha"],
                "name": one["path"].rpartition("/")[2],
                "type": one["type"],
                "path": f"{path}/{one['path']}".lstrip("/"),
                "mode": one["mode"],
            }
            for one in listed
        ]
        return web.json_response(_page(request, forms))

    async def _blob(self, request: web.Request) -> web.Response:
        return web.json_response(await self._data.blob(request.match_info["sha"]))

    async def _commit(self, request: web.Request) -> web.Response:
        return web.json_response(await self._form(request.match_info["sha"]))

    async def _form(self, sha: str) -> dict[str, Any]:
        commit = await self._data.commit(await self._data.commit_of(sha))
        parents = [one["sha"] for one in commit["parents"]]
        return {"id": commit["sha"], "message": commit["message"], "parent_ids": parents}

    async def _diff(self, request: web.Request) -> web.Response:
        changed = await self._data.changed(request.match_info["sha"])
        forms = [{"old_path": one["filename"], "new_path": one["filename"]} for one in changed]
        return web.json_response(_page(request, forms))

    async def _compare(self, request: web.Request) -> web.Response:
        _allow(request.query, {"from", "to", "straight"})
        commits = await self._data.between(request.query["from"], request.query["to"])
        return web.json_response({"commits": [await self._form(sha) for sha in commits]})

    async def _post_commit(self, request: web.Request) -> web.Response:
        body = await request.json()
        _allow(body, _COMMIT_FIELDS)
        for name in ("branch", "commit_message", "actions"):
            if not body.get(name):
                raise Refused(f"{name} is missing")
        ref, start = f"refs/heads/{body['branch']}", body["start_sha"]
        there = await self._data.exists(ref)
        if there and not body.get("force"):
            raise Refused(f"A branch called '{body['branch']}' already exists.")
        base = await self._data.commit_of(start)
        present = {one["path"]: one for one in await self._data.tree(base, deep=True)}
        entries = [_entry(action, present) for action in body["actions"]]
        tree = await self._data.make_tree(base, entries)
        sha = await self._data.make_commit(tree, [base], body["commit_message"])
        await self._data.git("update-ref", ref, sha)
        return web.json_response(await self._form(sha), status=201)

    # Merge requests

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        _allow(query, _PAGING | _LISTED_BY)
        if query.get("state", "all") not in ("all", "opened", "closed", "merged", "locked"):
            raise Refused("state does not have a valid value")
        found = [
            pull
            for pull in reversed(self.pulls)
            if query.get("state", "all") in ("all", pull["state"])
            and query.get("source_branch", pull["source_branch"]) == pull["source_branch"]
            and query.get("target_branch", pull["target_branch"]) == pull["target_branch"]
        ]
        return web.json_response(_page(request, found))

    async def _open(self, request: web.Request) -> web.Response:
        body = await request.json()
        _allow(body, _OPEN_FIELDS)
        source, target = body["source_branch"], body["target_branch"]
        for one in self.pulls:
            if (one["source_branch"], one["state"]) == (source, "opened"):
                words = f"Another open merge request already exists: !{one['iid']}"
                return web.json_response({"message": [words]}, status=409)
        if not await self._data.exists(f"refs/heads/{source}"):
            raise Refused("source_branch does not exist")
        _check_description(body)
        number = len(self.pulls) + 1
        pull = {
            "iid": number,
            "web_url": f"{self.url}/{self.project}/-/merge_requests/{number}",
            "state": "opened",
            "merged_at": None,
            "title": body["title"],
            "draft": body["title"].startswith("Draft: "),
            "description": body.get("description"),
            "source_branch": source,
            "target_branch": target,
            "source_project_id": _ID,
            "target_project_id": _ID,
            "author": {"username": "k8tre-bot"},
            "labels": [],
            "label_events": [],
            "reviewers": [],
        }
        self.pulls.append(pull)
        return web.json_response(pull, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._pull(request))

    async def _edit(self, request: web.Request) -> web.Response:
        body = await request.json()
        _allow(body, _EDIT_FIELDS)
        _check_description(body)
        pull = self._pull(request)
        added = [one for one in body.pop("add_labels", "").split(",") if one not in pull["labels"]]
        for name in filter(None, added):
            pull["labels"].append(name)
            pull["label_events"].append({"action": "add", "label": {"name": name}})
        pull["reviewers"] = [{"id": one} for one in body.pop("reviewer_ids", [])] or pull[
            "reviewers"
        ]
        pull |= body
        return web.json_response(pull)

    async def _label_events(self, request: web.Request) -> web.Response:
        return web.json_response(self._pull(request)["label_events"])

    async def _get_notes(self, request: web.Request) -> web.Response:
        number = self._pull(request)["iid"]
        forms = [{"body": text} for at, text in self.notes if at == number]
        return web.json_response(_page(request, forms))

    async def _post_note(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.notes.append((self._pull(request)["iid"], body["body"]))
        return web.json_response(body, status=201)

    def _pull(self, request: web.Request) -> dict[str, Any]:
        number = int(request.match_info["number"])
        if not 0 < number <= len(self.pulls):
            raise web.HTTPNotFound
        return self.pulls[number - 1]


def _entry(action: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """An action as an entry of a tree: a file keeps its mode."""
    kind, path = action.get("action", ""), action.get("file_path", "")
    _allow(action, _ACTIONS.get(kind, set()))
    if kind == "create" and path in present:
        raise Refused("A file with this name already exists")
    if kind != "create" and path not in present:
        raise Refused("A file with this name doesn't exist")
    if kind == "delete":
        return {"path": path, "sha": None}
    if action.get("encoding") != "base64":
        raise Refused("encoding does not have a valid value")
    text = base64.b64decode(action["content"], validate=True).decode()
    mode = present[path]["mode"] if path in present else "100644"
    return {"path": path, "mode": mode, "content": text}


def _allow(given: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(given.keys() - known):
        raise Refused(f"{', '.join(unknown)}: not described")


def _check_description(body: Mapping[str, Any]) -> None:
    if len(body.get("description") or "") > _BODY_LIMIT:
        raise Refused("description is too long (maximum is 1048576 characters)")


def _page(request: web.Request, items: list[Any]) -> list[Any]:
    size, page = int(request.query.get("per_page", 20)), int(request.query.get("page", 1))
    return items[(page - 1) * size : page * size]


def _said(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
