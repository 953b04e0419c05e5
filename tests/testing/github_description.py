"""Requests held to GitHub's own description of its API.

`github_api.json` is cut from npm `@octokit/openapi` by `tools/github_description.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest

_FILE = Path(__file__).with_name("github_api.json")


@cache
def _described() -> tuple[Mapping[str, Any], OpenAPI]:
    tree = json.loads(_FILE.read_text(encoding="utf-8"))
    # The whole description does not pass a strict check of itself, so that is left out.
    unchecked = Config(spec_validator_cls=None)  # type: ignore[arg-type]  # None is documented
    return tree, OpenAPI.from_dict(tree, config=unchecked)


def objections(method: str, raw_path: str, query: Mapping[str, str], body: Any) -> str:
    """Say what GitHub's description has against a request; empty when nothing.

    A field of the body that is not described is one more objection, though GitHub would skip it:
    this program means every field that it sends.
    """
    tree, api = _described()
    request = MockRequest(
        "http://api.github.example",
        method.lower(),
        raw_path,
        args=dict(query),
        data=b"" if body is None else json.dumps(body).encode(),
        content_type="application/json",
    )
    try:
        api.validate_request(request)
    except OpenAPIError as error:
        return str(error)
    path = _template(tree, method, raw_path)
    operation = tree["paths"][path][method.lower()]
    unknown = sorted(query.keys() - _names(tree, operation))
    unknown += sorted((body or {}).keys() - _fields(operation)) if _fields(operation) else []
    return f"unknown: {', '.join(unknown)}" if unknown else ""


def _template(tree: Mapping[str, Any], method: str, raw_path: str) -> str:
    """The described path that a request's is one of."""
    parts = raw_path.split("/")
    for path, operations in tree["paths"].items():
        if method.lower() in operations and _fits(path.split("/"), parts):
            return str(path)
    raise KeyError(raw_path)


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    if len(names) != len(parts):
        return False
    return all(name[:1] == "{" or name == part for name, part in zip(names, parts, strict=True))


def _names(tree: Mapping[str, Any], operation: Mapping[str, Any]) -> set[str]:
    known = tree["components"]["parameters"]
    given = (
        known[one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        for one in operation.get("parameters", ())
    )
    return {one["name"] for one in given if one["in"] == "query"}


def _fields(operation: Mapping[str, Any]) -> set[str]:
    content = operation.get("requestBody", {}).get("content", {})
    return set(content.get("application/json", {}).get("schema", {}).get("properties", ()))
