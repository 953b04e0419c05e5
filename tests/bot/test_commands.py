"""One command, one reply: what is asked in chat, and what comes back."""

import dataclasses

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.bot.access import Level, Rules
from app.bot.commands import Context, handle
from app.bot.disclosure import ANOTHER_PROJECT, disclosure_for
from app.bot.grammar import GRAMMARS
from app.core.diagnose.evidence import FlowEvidence
from app.core.model.chat import Caller, Reply, ReplyKind
from app.core.model.flow import PolicyEvidence
from app.ports import SourceState
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


def plain(reply: Reply) -> Reply:
    """A reply without what can be pressed, which repeats the question as it was asked."""
    return dataclasses.replace(reply, buttons=())


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
    assert "policies as of 2025-11-25 12:00:00 UTC" in reply.footer


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
    pods = [f"project-lung/{pod}" for pod in ("jupyter-alice", "jupyter-erin")]
    tail = "--to=mirror/mirror-1 --port=8080 '--http=GET /x'"
    assert [(one.label, one.command) for one in reply.choices] == [
        (pod, f"why-blocked --from={pod} {tail} --chosen=from") for pod in pods
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
        if grammar.usage.startswith(("draft", "pr", "watch", "mute")):
            continue  # these do something: tests of their own
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


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("project-heart/jupyter-bob", "project-lung/jupyter-alice"),
        ("guacamole/guacd", "project-heart/desktop-0"),
        ("project-heart/jupyter-bob", "project-gene/variant-db-0"),
        ("jupyter-bob", "mirror/mirror-1"),
        ("guacamole/guacd", "svc:project-heart/cohort-db"),
        ("label:project-heart/app=jupyter", "mirror/mirror-1"),
    ],
)
def test_pod_of_another_project_is_as_absent_as_one_that_never_was(
    member: Context, source: str, destination: str
) -> None:
    def told(project: str, *, pod: str = "") -> str:
        ends = [one.replace("project-heart", project) for one in (source, destination)]
        return everything(
            handle(f"why {' '.join(ends)} 8080".replace("-bob", pod or "-bob"), member)
        )

    assert told("project-heart") == told("project-nope").replace("project-nope", "project-heart")
    assert told("project-heart", pod="-zed").replace("-zed", "-bob") == told("project-heart")


def test_address_of_another_projects_pod_is_that_of_nobody(member: Context) -> None:
    bob = next(one for one in member.picture.cluster.endpoints if one.name == "jupyter-bob")
    reply = handle(f"why project-lung/jupyter-alice {bob.addresses[0]} 8888", member)
    assert reply.summary.startswith("? ")
    assert "bob" not in everything(reply)
    assert any("its policies decide, too" in fact.text for fact in reply.facts)


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
    assert "desktop-in" not in everything(
        handle(words, dataclasses.replace(member, flows=evidence))
    )


def test_hidden_and_missing_namespaces_are_told_apart_by_nobody(member: Context) -> None:
    hidden, missing = handle("inventory project-heart", member), handle("inventory nope", member)
    assert hidden.kind is missing.kind is ReplyKind.MISTAKE
    assert hidden.summary == missing.summary.replace("nope", "project-heart")


def test_pod_before_its_namespace_is_that_pod_and_no_name_outside(context: Context) -> None:
    dotted = handle("why jupyter-alice.project-lung svc:mirror/mirror:80", context)
    assert plain(dotted) == plain(
        handle("why project-lung/jupyter-alice svc:mirror/mirror:80", context)
    )
    reversed_ends = handle("why mirror/mirror-1 jupyter-alice.project-lung 8888", context)
    assert "project-lung/jupyter-alice" in reversed_ends.summary
    absent = handle("why mirror/mirror-1 jupyter-zed.project-lung 8888", context)
    assert absent.kind is ReplyKind.MISTAKE
    assert "no pod or Service `jupyter-zed` in `project-lung`" in absent.summary


def test_bare_name_of_one_pod_will_do(context: Context) -> None:
    bare = handle("why jupyter-alice svc:mirror/mirror:80", context)
    assert plain(bare) == plain(
        handle("why project-lung/jupyter-alice svc:mirror/mirror:80", context)
    )
    several = handle("why jupyter svc:mirror/mirror:80", context)
    assert several.kind is ReplyKind.CHOICES


def test_choice_for_the_destination_leaves_the_source_alone(context: Context) -> None:
    reply = handle("why project-lung/jupyter-alice project-lung/jupyter:8888", context)
    assert reply.kind is ReplyKind.CHOICES
    assert reply.summary.startswith("TO `project-lung/jupyter`")
    for choice in reply.choices:
        answer = handle(choice.command, context)
        assert answer.kind is ReplyKind.ANSWER
        assert "project-lung/jupyter-alice → " in answer.summary
        assert f"→ {choice.label}:8888" in answer.summary


def test_both_ends_can_be_chosen_one_after_the_other(context: Context) -> None:
    first = handle("why project-lung/jupyter project-lung/jupyter 8888", context)
    second = handle(first.choices[0].command, context)
    assert (first.summary[:4], second.summary[:2]) == ("FROM", "TO")
    answer = handle(second.choices[1].command, context)
    ends = f"{first.choices[0].label} → {second.choices[1].label}:8888"
    assert ends in answer.summary


def test_source_that_could_not_be_read_takes_the_tick_away(context: Context) -> None:
    question = "why keycloak/keycloak-0 keycloak/keycloak-db-1 5432"
    assert handle(question, context).summary.startswith("✓ ")
    down = {"hubble": SourceState("hubble", "retrying", "connection refused")}
    picture = dataclasses.replace(context.picture, sources=down)
    reply = handle(question, dataclasses.replace(context, picture=picture))
    assert reply.summary.startswith("? ALLOWED, as far as is known")
    assert facts(reply)["Not read"] == "hubble is retrying: connection refused"


def test_names_of_closed_projects_are_kept_out_of_shared_policies(member: Context) -> None:
    text = "CNP from-project-heart, egress[0]: names io.kubernetes.pod.namespace=project-heart"
    told = disclosure_for(CALLER, LUNG_ONLY, member.picture).text(text)
    assert "heart" not in told
    assert told.count(ANOTHER_PROJECT) == 2
    own = "project-lung/jupyter-alice, default deny"
    assert disclosure_for(CALLER, LUNG_ONLY, member.picture).text(own) == own


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
