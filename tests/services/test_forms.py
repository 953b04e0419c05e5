"""The published forms: a schema for each, and every document of the command line held to them."""

from __future__ import annotations

import jsonschema
import pytest

from app.core.model.answer import CauseCode
from app.services.forms import FORMS, form_schema
from tests.cli.conftest import Run, run
from tests.forms import check_form

__all__ = ["run"]

QUESTION = ("project-lung/jupyter-alice", "svc:mirror/mirror:80")
PRINTED = {
    "policies": ("policies",),
    "policy": ("policies", "CNP/project-lung/workspace"),
    "endpoints": ("endpoints",),
    "endpoint": ("endpoints", "mirror/mirror-1"),
    "why": ("why", *QUESTION),
    "matrix": ("matrix", "-n", "mirror"),
    "what-if": ("what-if", "--delete", "CNP/project-lung/workspace"),
    "draft": ("draft", *QUESTION, "--dry-run"),
    "lint": ("lint",),
    "rules": ("lint", "--rules"),
    "check": ("check",),
    "alerts": ("alerts",),
    "performance": ("insights", "performance"),
    "coverage": ("insights", "coverage"),
    "drafts": ("drafts",),
    "doctor": ("doctor",),
    "rights": ("doctor", "--can-i"),
    "report": ("doctor", "--report"),
    "settings": ("config", "show"),
}


@pytest.mark.parametrize("name", PRINTED)
def test_form_when_printed_then_is_what_its_schema_says_and_nothing_more(
    run: Run, name: str
) -> None:
    ran = run(*PRINTED[name], "--demo", "-o", "json")
    assert ran.code in (0, 1), ran.err
    check_form(name, ran.json)


def test_forms_when_listed_then_every_one_is_printed_by_a_command() -> None:
    assert set(PRINTED) == set(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_schema_when_asked_for_then_is_a_schema_of_the_2020_dialect(run: Run, name: str) -> None:
    ran = run("config", "schema", "--form", name)
    assert ran.code == 0
    jsonschema.Draft202012Validator.check_schema(ran.json)
    assert ran.json == form_schema(name)


def test_schema_when_a_document_is_damaged_then_refuses_it(run: Run) -> None:
    good = run("why", *QUESTION, "--demo", "-o", "json").json
    for damaged in (
        {key: value for key, value in good.items() if key != "not_known"},
        {**good, "verdict": "perhaps"},
        {**good, "cause": {**good["cause"], "line": "12"}},
        {**good, "cause": {**good["cause"], "code": "bad-luck"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(damaged, form_schema("why"))
    jsonschema.validate({**good, "later": 1}, form_schema("why"))  # readers ignore what is new


def test_schema_of_why_when_read_then_names_every_cause() -> None:
    causes = form_schema("why")["$defs"]["CauseCode"]["enum"]
    assert set(causes) == {code.value for code in CauseCode}


def test_schema_when_the_form_is_unknown_then_lists_those_there_are(run: Run) -> None:
    ran = run("config", "schema", "--form", "horoscope")
    assert ran.code == 2
    assert "policies, policy" in ran.err
