"""What the terminal shows, line by line, of answers made by hand."""

import io
from dataclasses import replace

import pytest

from app.cli.output import Output
from app.cli.render.lists import endpoint_page, endpoint_table, policy_page, policy_table
from app.cli.render.why import print_answer
from app.core.model.answer import (
    BackendAnswer,
    Cause,
    CauseCode,
    Evidence,
    Fix,
    Hop,
    NextStep,
    WhyAnswer,
)
from app.core.model.provenance import Notice, ObjectRef, RuleRef
from app.core.model.verdict import (
    ConnectionTrace,
    Dimension,
    Direction,
    DirectionTrace,
    DnsRequest,
    Effect,
    HttpRequest,
    Match,
    Miss,
    Outcome,
    Question,
    Request,
    RequestMatch,
    SniRequest,
    Verdict,
)
from app.services.ask import make_question
from app.services.inventory import endpoint_detail, endpoint_rows, policy_detail, policy_rows
from app.services.picture import Picture
from app.testing.builders import pod
from app.testing.pictures import picture_of, small_tre

POLICY = ObjectRef("CiliumNetworkPolicy", "lung", "workspace")
RULE = RuleRef(POLICY, "spec.egress[1]", "a.yaml", 12)
EGRESS = DirectionTrace(
    Direction.EGRESS,
    Outcome.DENIED,
    Outcome.DENIED,
    default_deny=True,
    default_deny_by=(RULE,),
    selected_by=(POLICY,),
    missed=(Miss(RULE, Dimension.PORT, "80", "8080/TCP", nearness=3),),
)
INGRESS = DirectionTrace(
    Direction.INGRESS,
    Outcome.REDIRECTED,
    Outcome.REDIRECTED,
    matched=(Match(RULE, Effect.ALLOW, l7=True), Match(RULE, Effect.DENY)),
    requests=(RequestMatch(RULE, "GET", allowed=True), RequestMatch(RULE, "PUT", allowed=False)),
    implicit="allow-localhost",
    uncertain=("how 1.16 does it",),
)
AT = "CNP workspace, egress[1] (a.yaml:12)"
ANSWER = WhyAnswer(
    asked=make_question("lung/alice", "svc:mirror/mirror:80"),
    port=8080,
    protocol="TCP",
    verdict=Verdict.DENIED,
    egress=EGRESS,
    ingress=INGRESS,
    cause=Cause(
        CauseCode.SERVICE_PORT_NOT_TARGET_PORT,
        "Rule 2 allows port 80.",
        file="a.yaml",
        line=13,
        look_at='egress[1]: "80"',
    ),
    resolved_from="lung/alice",
    resolved_to="mirror/mirror-1",
    evidence=(Evidence("flow", "41 drops", "uuid-1"), Evidence("object", "a pod")),
    next=(NextStep("show it", "kubectl get cnp"),),
    fixes=(
        Fix("port 80 → 8080", "extend-rule", POLICY, "patch", "nothing else"),
        Fix("use the mirror", "none"),
    ),
    not_known=("whether it was tried",),
)


def printed(answer: WhyAnswer, *, explain: bool = False, columns: int | None = None) -> list[str]:
    out = io.StringIO()
    print_answer(Output(out, io.StringIO(), columns=columns), answer, explain=explain)
    return out.getvalue().splitlines()


def test_answer_has_verdict_cause_line_proof_change_and_what_is_not_known() -> None:
    assert printed(ANSWER) == [
        "✗ DENIED   lung/alice → mirror/mirror-1:8080/TCP (as svc:mirror/mirror:80)",
        "Cause      Rule 2 allows port 80.   service-port-not-target-port · certain",
        'Look at    a.yaml:13   egress[1]: "80"',
        (
            f"Egress     default deny (selected by CNP workspace) · nearest {AT} fails on port: "
            "it names 80, the connection has 8080/TCP"
        ),
        "Ingress    allowed by CNP workspace, egress[1] (a.yaml:12), subject to its layer 7 rules",
        "Seen       41 drops   uuid-1",
        (
            "Change     port 80 → 8080. Nothing else   "
            "`k8tre-tui draft lung/alice svc:mirror/mirror:80 --fix 1`"
        ),
        "Or         use the mirror",
        "Not known  whether it was tried",
        "Not known  how 1.16 does it",
        "Next       show it   kubectl get cnp",
    ]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (HttpRequest("POST", "/a b"), "--http 'POST /a b' --fix"),
        (HttpRequest("GET", "/", "mirror.example"), "--http 'GET http://mirror.example/' --fix"),
        (DnsRequest("pypi.org"), "--dns pypi.org --fix"),
        (SniRequest("pypi.org"), "--sni pypi.org --fix"),
    ],
)
def test_draft_command_of_an_answer_asks_for_the_same_request(
    request_: Request, words: str
) -> None:
    lines = printed(replace(ANSWER, request=request_))
    assert any(words in line for line in lines)


def test_explained_answer_adds_every_rule_and_the_objects() -> None:
    lines = printed(ANSWER, explain=True)
    assert "Object     a pod" in lines
    assert "Or         use the mirror" in lines
    for line in (
        "Egress: denied",
        "  · default deny  CNP workspace, egress[1] (a.yaml:12)",
        f"  · port          {AT}: names 80, the connection has 8080/TCP",
        "Ingress: redirected",
        f"  ✓ allows        {AT} (layer 7 decides)",
        "  ✗ denies        CNP workspace, egress[1] (a.yaml:12)",
        "  ✓ layer 7       CNP workspace, egress[1] (a.yaml:12): GET",
        "  ✗ layer 7       CNP workspace, egress[1] (a.yaml:12): PUT",
        "  · by itself     allow-localhost",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("verdict", "code", "request_", "line"),
    [
        (Verdict.ALLOWED, CauseCode.FLOWS_DISAGREE, None, "? ALLOWED by policy, flows disagree   "),
        (
            Verdict.ALLOWED,
            CauseCode.NOT_A_POLICY_DROP,
            None,
            "? ALLOWED by policy, DROPPED in flows   ",
        ),
        (
            Verdict.DENIED,
            CauseCode.L7_REQUEST_REFUSED,
            HttpRequest("POST", f"/{'x' * 100}"),
            f"✗ DENIED at layer 7   POST /{'x' * 73}…   ",
        ),
        (
            Verdict.DENIED,
            CauseCode.DNS_NAME_REFUSED,
            DnsRequest("pypi.org"),
            "✗ DENIED   dns pypi.org   ",
        ),
    ],
)
def test_first_line_says_who_denies_and_what_was_asked(
    verdict: Verdict, code: CauseCode, request_: Request | None, line: str
) -> None:
    cause = replace(ANSWER.cause, code=code)
    lines = printed(replace(ANSWER, verdict=verdict, cause=cause, request=request_))
    assert lines[0].startswith(f"{line}lung/alice → ")


def test_path_through_the_gateway_is_one_line_a_hop() -> None:
    hops = (Hop(1, "a → gateway", Verdict.ALLOWED), Hop(2, "ingress → b", Verdict.DENIED))
    lines = printed(replace(ANSWER, hops=hops, asked=make_question("lung/alice", "kc.example.org")))
    assert lines[0] == "✗ DENIED at hop 2 of 2   lung/alice → kc.example.org"
    assert lines[3:5] == ["Hop 1      ✓ a → gateway", "Hop 2      ✗ ingress → b"]
    assert not any(line.startswith("Egress") for line in lines)


def test_several_backends_have_a_line_each() -> None:
    picture = picture_of(small_tre())
    peer = picture.engine.peer_of(picture.cluster.endpoints[0])
    trace = ConnectionTrace(Question(peer, peer, 80), Verdict.DENIED, EGRESS, INGRESS)
    two = tuple(BackendAnswer(f"10.0.0.{at}", 80, Verdict.ALLOWED, trace) for at in (1, 2))
    lines = printed(replace(ANSWER, backends=two))
    assert "Backend    ✓ 10.0.0.1:80 allowed" in lines
    assert not any(
        line.startswith("Backend") for line in printed(replace(ANSWER, backends=two[:1]))
    )


def test_answer_fits_a_small_terminal() -> None:
    lines = printed(ANSWER, columns=80)
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)


BROKEN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: broken, namespace: heart}
spec:
  description: what a desktop may do
  endpointSelector: {}
  egress: [{toFQDNs: [{matchName: pypi.org}], toEntities: [world]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: workspace, namespace: lung}
spec:
  endpointSelector: {matchLabels: {app: jupyter}}
  egressDeny: [{toCIDR: [169.254.169.254/32]}]
"""


@pytest.fixture(name="picture")
def _picture() -> Picture:
    more = [pod(f"lung/w-{at}", f"10.9.0.{at}", labels={"app": "jupyter"}) for at in range(1, 25)]
    return picture_of(small_tre(), more, BROKEN)


def lines_of(draw: object, *arguments: object) -> list[str]:
    out = io.StringIO()
    draw(Output(out, out), *arguments)  # type: ignore[operator]
    return out.getvalue().splitlines()


def test_policy_table_marks_what_is_refused_and_what_has_notices(picture: Picture) -> None:
    refused, fine = policy_rows(picture)
    noticed = replace(fine, notices=(Notice("careful"),))
    shadowed = replace(fine, shadowed=True, reason="x")
    lines = lines_of(policy_table, [refused, fine, noticed, shadowed])
    assert [line.rsplit("  ", 1)[1].strip() for line in lines[1:]] == [
        "✗ refused",
        "✓",
        "! 1 notice",
        "- not in force",
    ]
    assert "deny" in lines[2]


def test_refused_policy_page_says_why(picture: Picture) -> None:
    detail = policy_detail(picture, policy_rows(picture)[0])
    lines = lines_of(policy_page, detail)
    assert lines[0] == "CNP broken in heart"
    assert "  what a desktop may do" in lines
    assert any(line.startswith("  ✗ refused by Cilium, not enforced: ") for line in lines)


def test_policy_page_counts_what_does_not_fit_a_screen(picture: Picture) -> None:
    row = replace(policy_rows(picture)[1], deployed_by=("envs/prd",), notices=(Notice("careful"),))
    lines = lines_of(policy_page, policy_detail(picture, row))
    assert "  deployed by envs/prd" in lines
    assert "  ! careful" in lines
    assert "  selects 25 endpoints" in lines
    assert "    and 5 more (-o json lists all)" in lines


def test_endpoint_table_has_a_word_for_every_state(picture: Picture) -> None:
    row = endpoint_rows(picture)[0]
    states = {
        "ready": row.endpoint,
        "template": replace(row.endpoint, template=True),
        "host network: no policy applies": replace(row.endpoint, host_network=True),
        "not managed by Cilium": replace(row.endpoint, managed=False),
        "not ready": replace(row.endpoint, ready=False),
    }
    rows = [replace(row, endpoint=endpoint) for endpoint in states.values()]
    lines = lines_of(endpoint_table, rows)
    assert [line.rsplit("  ", 1)[1].strip() for line in lines[1:]] == list(states)


def test_endpoint_page_names_the_policies_with_their_place(picture: Picture) -> None:
    row = next(one for one in endpoint_rows(picture) if one.endpoint.name == "jupyter-alice")
    lines = lines_of(endpoint_page, endpoint_detail(picture, row.endpoint))
    assert lines[0].startswith("lung/jupyter-alice")
    assert "  addresses  10.0.1.1" in lines
    assert "    CNP workspace  objects.yaml:1" in lines


def test_empty_tables_say_why() -> None:
    assert lines_of(policy_table, []) == ["no policies here: all traffic is allowed"]
    assert lines_of(endpoint_table, []) == ["no endpoints here"]
