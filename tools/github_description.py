"""Cuts GitHub's own description of its API down to the requests that this program makes.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    python tools/github_description.py package/generated/api.github.com.json

writes `tests/testing/github_api.json`, by which the fake GitHub of the tests checks every request.
Examples, prose and answers are left out: requests are checked, and the fake makes its own answers.
Source: npm `@octokit/openapi`, MIT licence (its notice stands in the file).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROUTES = {
    "/repos/{owner}/{repo}": ("get",),
    "/repos/{owner}/{repo}/commits/{ref}": ("get",),
    "/repos/{owner}/{repo}/compare/{basehead}": ("get",),
    "/repos/{owner}/{repo}/git/blobs/{file_sha}": ("get",),
    "/repos/{owner}/{repo}/git/commits": ("post",),
    "/repos/{owner}/{repo}/git/commits/{commit_sha}": ("get",),
    "/repos/{owner}/{repo}/git/ref/{ref}": ("get",),
    "/repos/{owner}/{repo}/git/refs": ("post",),
    "/repos/{owner}/{repo}/git/refs/{ref}": ("patch",),
    "/repos/{owner}/{repo}/git/trees": ("post",),
    "/repos/{owner}/{repo}/git/trees/{tree_sha}": ("get",),
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ("get", "post"),
    "/repos/{owner}/{repo}/issues/{issue_number}/events": ("get",),
    "/repos/{owner}/{repo}/issues/{issue_number}/labels": ("post",),
    "/repos/{owner}/{repo}/pulls": ("get", "post"),
    "/repos/{owner}/{repo}/pulls/{pull_number}": ("patch",),
    "/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers": ("post",),
    "/repos/{owner}/{repo}/installation": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
}
_LEFT_OUT = frozenset(
    {"example", "examples", "externalDocs", "x-github", "description", "summary", "tags"}
)
_OUT = Path(__file__).parents[1] / "tests/testing/github_api.json"


def main(source: str) -> None:
    """Write the description, with what its requests refer to."""
    whole = json.loads(Path(source).read_text(encoding="utf-8"))
    paths = {
        path: {method: _request(whole["paths"][path][method]) for method in methods}
        for path, methods in ROUTES.items()
    }
    components: dict[str, dict[str, Any]] = {}
    _collect(paths, whole, components)
    notice = (Path(source).parents[1] / "LICENSE").read_text(encoding="utf-8")
    cut = {
        "openapi": whole["openapi"],
        "info": {
            "title": whole["info"]["title"],
            "version": whole["info"]["version"],
            "x-notice": " ".join(notice.split()),
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": components,
    }
    _OUT.write_text(json.dumps(cut, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{_OUT}: {len(paths)} paths, {_OUT.stat().st_size} bytes")


def _request(operation: dict[str, Any]) -> dict[str, Any]:
    kept = {key: operation[key] for key in ("operationId", "parameters") if key in operation}
    if "requestBody" in operation:
        kept["requestBody"] = operation["requestBody"]
    kept["responses"] = {status: {"description": ""} for status in operation["responses"]}
    return {key: _bare(value) for key, value in kept.items()}


def _bare(value: Any, *, names: bool = False) -> Any:
    """A part without prose and examples; below `properties` every key is a name, and stays."""
    if isinstance(value, dict):
        return {
            key: _bare(part, names=key == "properties")
            for key, part in value.items()
            if names or key not in _LEFT_OUT
        }
    return [_bare(one) for one in value] if isinstance(value, list) else value


def _collect(part: Any, whole: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    if isinstance(part, list):
        for one in part:
            _collect(one, whole, found)
    if not isinstance(part, dict):
        return
    if isinstance(name := part.get("$ref"), str):
        _, kind, word = name.removeprefix("#/").split("/")
        if word not in found.setdefault(kind, {}):
            found[kind][word] = _bare(whole["components"][kind][word])
            _collect(found[kind][word], whole, found)
    for one in part.values():
        _collect(one, whole, found)


if __name__ == "__main__":
    main(sys.argv[1])
