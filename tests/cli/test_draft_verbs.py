"""`draft` without a question: what goes, and what was seen to be needed."""

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--remove", "CNP:keycloak/kc-in:ingress[0]"], 0, "remove ingress[0] of kc-in"),
        (["--remove", "keycloak/kc-in", "--fix", "1"], 0, "Effect     opens"),
        (["--from-flows", "keycloak"], 0, "keycloak/keycloak-db:5432/TCP: 4 connections"),
        (["--tighten", "CNP:keycloak/kc-in:ingress[9]"], 2, "has no `ingress[9]`"),
        (["--tighten", "CNP:keycloak/kc-in:egress[0]"], 2, "has no `egress[0]`"),
        (["--from-flows", "nowhere"], 1, "no connection of `nowhere` was seen"),
        (["--remove", "CNP:keycloak/none"], 2, "no policy `CNP:keycloak/none`"),
        (["a/b", "c/d", "80", "--remove", "x"], 2, "a question and --remove are two drafts"),
        ([], 2, "what is to be drafted?"),
    ],
)
def test_draft_when_wished_for_then_drafted_or_refused(
    run: Run, words: list[str], code: int, says: str
) -> None:
    done = run("draft", *words, "--demo", "--dry-run")
    assert done.code == code
    assert says in done.out + done.err


def test_draft_when_from_flows_as_json_then_each_line_has_its_count(run: Run) -> None:
    done = run("draft", "--from-flows", "keycloak", "--demo", "--dry-run", "-o", "json")
    assert (
        "keycloak/keycloak → keycloak/keycloak-db:5432/TCP: 4 connections"
        in (done.json["evidence"])
    )
