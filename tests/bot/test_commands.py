"""One command, one reply: what is asked in chat, and what comes back."""

import dataclasses

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.bot.access import Level, Rules
from app.bot.answers import why_reply
from app.bot.commands import Context, handle
from app.bot.disclosure import ANOTHER_PROJECT
from app.bot.grammar import GRAMMARS
from app.core.diagnose.evidence import FlowEvidence
from app.core.model.chat import Caller, Reply, ReplyKind
from app.core.model.flow import PolicyEvidence
from app.core.model.verdict import HttpRequest
from app.services.ask import make_question, why
from app.services.picture import Picture

CALLER = Caller("U1", "C1", "T1")
FULL = Rules(channels=frozenset({"C1"}), level=Level.FULL)
LUNG_ONLY = dataclasses.replace(
    FULL, projects={"project-*": frozenset[str](), "project-lung": frozenset({"U1"})}
)


@pytest.fixture
def context(picture: Picture, flows: FlowEvidence) -> Context:
    return Context(CALLER, picture, FULL, flows, "demo")


def facts(reply: Reply) -> dict[str, str]:
    return {fact.label: fact.text for fact in reply.facts}


def everything(reply: Reply) -> str:
    cells = [cell for row in reply.table.rows for cell in row] if reply.table else []
    return " ".join(
        [reply.summary, *(fact.text for fact in reply.facts), *cells, *reply.footer]
        + [choice.label for choice in reply.choices]
    )


def test_why_blocked_gives_verdict_cause_and_place_first(context: Context) -> None:
    reply = handle("why-blocked project-lung/jupyter-alice svc:mirror/mirror:80", context)
    assert reply.kind is ReplyKind.ANSWER
    assert reply.summary == "✗ DENIED project-lung/jupyter-alice → mirror/mirror-1:8080/TCP"
    assert [fact.label for fact in reply.facts[:2]] == ["Cause", "Look at"]
    assert "service-port-not-target-port, certain" in facts(reply)["Cause"]
    assert facts(reply)["Look at"].startswith("gitops/projects/lung/workspace.yaml:23 ")
    assert reply.table is not None
    assert [row[:3] for row in reply.table.rows] == [
        ("Egress", "denied", "CNP workspace"),
        ("Ingress", "redirected", "CNP mirror-in"),
    ]
    assert reply.footer[0] == "demo"
    assert "policies as of 12:00:00 UTC" in reply.footer


def test_why_blocked_says_what_the_service_layer_says(context: Context) -> None:
    reply = handle("why keycloak/keycloak-0 keycloak/keycloak-db-1 5432", context)
    asked = make_question("keycloak/keycloak-0", "keycloak/keycloak-db-1", "5432")
    answer = why(context.picture, context.flows, asked)
    assert answer.verdict.value.upper() in reply.summary
    assert facts(reply)["Cause"] == answer.cause.summary


def test_refused_request_cites_the_rule_that_refused_it(context: Context) -> None:
    reply = handle(
        'why project-gene/jupyter-carol mirror/mirror-1 8080 --http "POST /upload"', context
    )
    assert reply.table is not None
    assert reply.table.rows[-1][1:4] == ("denied", "CNP mirror-in", "ingress[0]")


def test_ambiguous_end_becomes_choices_that_ask_in_full(context: Context) -> None:
    reply = handle('why project-lung/jupyter mirror/mirror-1 8080 --http "GET /x"', context)
    assert reply.kind is ReplyKind.CHOICES
    assert [(one.label, one.command) for one in reply.choices] == [
        (f"project-lung/{pod}", f'why project-lung/{pod} mirror/mirror-1 8080 --http "GET /x"')
        for pod in ("jupyter-alice", "jupyter-erin")
    ]
    answers = [handle(one.command, context) for one in reply.choices]
    assert [one.kind for one in answers] == [ReplyKind.ANSWER] * 2


def test_inventory_lists_policies_with_their_files(context: Context) -> None:
    reply = handle("inventory guacamole", context)
    assert reply.summary == "guacamole: 4 policies, 4 endpoints"
    assert reply.table is not None
    rows = {row[1]: row for row in reply.table.rows}
    assert rows["guac-recordings"][3] == "refused"
    assert rows["guacd-egress"][-1] == "gitops/apps/guacamole/base/guacd.yaml:21"
    assert "guac-recordings" in facts(reply)["Not in force"]


def test_inventory_of_a_namespace_without_policies_says_so(context: Context) -> None:
    reply = handle("inventory gateway", context)
    assert (reply.summary, reply.table) == ("gateway: no policies, 1 endpoint", None)


def test_orphan_file_is_noticed(context: Context) -> None:
    assert "deployed by nothing" in facts(handle("inventory gitea", context))["Notice"]


def test_help_lists_every_command_and_tells_how(context: Context) -> None:
    reply = handle("", context)
    assert reply.table is not None
    assert len(reply.table.rows) == len(GRAMMARS)
    for name in GRAMMARS:
        assert handle(f"help {name}", context).kind is ReplyKind.HELP


def test_examples_of_the_help_work(context: Context) -> None:
    for grammar in GRAMMARS.values():
        assert handle(grammar.example, context).kind in {ReplyKind.ANSWER, ReplyKind.HELP}


def test_ping_tells_the_age_of_the_data(context: Context) -> None:
    assert any("12:00:00" in one for one in handle("ping", context).footer)


def test_nothing_read_yet_is_said(context: Context) -> None:
    empty = dataclasses.replace(context, picture=dataclasses.replace(context.picture, as_of_ns=0))
    assert "nothing read yet" in handle("ping", empty).footer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("whi a b", "whi"),
        ("why nope/pod mirror/mirror-1 80", "nope"),
        ("inventory nope", "nope"),
    ],
)
def test_mistakes_are_answered_not_raised(context: Context, text: str, words: str) -> None:
    reply = handle(text, context)
    assert reply.kind is ReplyKind.MISTAKE
    assert words in reply.summary


@pytest.fixture
def member(context: Context) -> Context:
    return dataclasses.replace(context, rules=LUNG_ONLY)


def test_member_reads_own_policy_but_not_who_the_other_is(member: Context) -> None:
    reply = handle("why project-heart/jupyter-bob project-lung/jupyter-alice 8888", member)
    told = everything(reply)
    assert "gitops/projects/lung/workspace.yaml" in told
    assert "project-lung/jupyter-alice" in told
    assert ANOTHER_PROJECT in told
    assert "bob" not in told
    assert "heart" not in told


def test_decision_of_another_project_is_told_without_its_reasons(member: Context) -> None:
    reply = handle("why guacamole/guacd project-heart/desktop-0 3389", member)
    assert "DENIED" in reply.summary
    assert facts(reply).keys() == {"Cause", "Not known"}
    assert "desktop-in" not in everything(reply)


def test_decision_of_another_project_is_told_without_the_request_that_flows_show(
    member: Context,
) -> None:
    asked = make_question("guacamole/guacd", "project-heart/desktop-0", "3389")
    answer = dataclasses.replace(
        why(member.picture, None, asked), request=HttpRequest("GET", "/patient-7")
    )
    told = why_reply(answer, (), lambda namespace: namespace == "project-heart")
    assert told.summary.startswith("✗ DENIED guacamole/")
    assert "patient-7" not in everything(told)


def test_policy_of_another_project_that_hubble_names_is_not_told(member: Context) -> None:
    drop = next(
        flow
        for flow in (member.flows.flows if member.flows else ())
        if flow.source.pod == "keycloak-1" and flow.verdict == "DROPPED"
    )
    named = PolicyEvidence("CiliumNetworkPolicy", "project-heart", "desktop-in")
    evidence = FlowEvidence(
        [msgspec.structs.replace(drop, drop_reason="POLICY_DENIED", ingress_denied_by=(named,))]
    )
    words = "why keycloak/keycloak-1 keycloak/keycloak-db-2 5432"
    open_to_all = dataclasses.replace(member, flows=evidence, rules=FULL)
    assert "project-heart/desktop-in" in everything(handle(words, open_to_all))
    told = everything(handle(words, dataclasses.replace(member, flows=evidence)))
    assert "Hubble names" in told
    assert "desktop-in" not in told


def test_strangers_connection_is_not_answered(member: Context) -> None:
    reply = handle("why project-heart/jupyter-bob project-gene/variant-db-0 5432", member)
    assert reply.kind is ReplyKind.REFUSAL


def test_hidden_and_missing_namespaces_are_told_apart_by_nobody(member: Context) -> None:
    hidden, missing = handle("inventory project-heart", member), handle("inventory nope", member)
    assert hidden.kind is missing.kind is ReplyKind.MISTAKE
    assert hidden.summary.replace(ANOTHER_PROJECT, "nope") == missing.summary


def test_choices_leave_out_other_projects(member: Context) -> None:
    reply = handle("why project-heart/jupyter project-lung/jupyter-alice 8888", member)
    assert reply.choices == ()
    assert "bob" not in everything(reply)


def test_whoami_lists_what_may_be_read(member: Context) -> None:
    told = facts(handle("whoami", member))
    assert "project-lung" in told["You may read"]
    assert "heart" not in told["You may read"]
    assert told["You are"] == "U1"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    text=st.one_of(
        st.text(max_size=80),
        st.lists(
            st.sampled_from(["why", "inventory", "help", "a/b", "--from", "[/]", "\x1b", "443"]),
            max_size=6,
        ).map(" ".join),
    )
)
def test_any_text_gets_a_reply(context: Context, text: str) -> None:
    assert handle(text, context).summary
