"""Holds JSON documents to the published forms, and to nothing more than them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jsonschema

from app.cli.parser import COMMANDS
from app.services.forms import form_schema

_BY_COMMAND = {
    "policies": ("policies", "policy"),
    "endpoints": ("endpoints", "endpoint"),
    "config": ("settings", "settings"),
}


def form_of(words: Sequence[str], document: Mapping[str, Any]) -> str:
    """Give the name of the form that a command line prints: a list, or one thing of it."""
    names = {command.name for command in COMMANDS}
    command = next((word for word in words if word in names), "")
    if command == "doctor":
        return "report" if "--report" in words else "rights" if "--can-i" in words else "doctor"
    if command == "insights":
        return "coverage" if "coverage" in words else "performance"
    if command == "lint":
        return "rules" if "--rules" in words else "lint"
    listing, detail = _BY_COMMAND.get(command, (command, command))
    return listing if "items" in document else detail


def check_form(name: str, document: Mapping[str, Any]) -> None:
    """Fail unless the document is of the form, with no field that the form does not declare."""
    errors = sorted(_validator(name).iter_errors(document), key=lambda one: list(one.absolute_path))
    told = [f"{one.json_path}: {one.message[:300]}" for one in errors[:10]]
    assert not told, f"not of the form `{name}` (app/services/forms.py): {told}"


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    schema = form_schema(name)
    for definition in schema["$defs"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    return jsonschema.Draft202012Validator(schema)
