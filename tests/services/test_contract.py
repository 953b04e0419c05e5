"""The JSON forms, checked by hand against docs/forms.md: keys, types and words."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from app.core.diagnose.boundaries import judge_boundaries, parse_boundaries
from app.core.diagnose.evidence import FlowEvidence
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
    Effect,
    HttpRequest,
    Match,
    Miss,
    Outcome,
    Question,
    RequestMatch,
    Verdict,
)
from app.ports import Right
from app.services import contract
from app.services.ask import make_question, why
from app.services.contract import SCHEMA, listing, why_form
from app.services.doctor import Check, Health
from app.services.effect import effect_of
from app.services.inventory import endpoint_rows, policy_detail, policy_rows
from app.services.matrix import By, matrix
from app.testing.pictures import picture_of, small_tre

POLICY = ObjectRef("CiliumNetworkPolicy", "lung", "workspace")
RULE = RuleRef(POLICY, "spec.egress[1]", "a.yaml", 12)
POLICIES = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: mirror-in, namespace: mirror}
spec:
  endpointSelector: {matchLabels: {app: mirror}}
  ingress:
  - fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": lung}}]
    toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
"""
BOUNDARY = '[[boundary]]\nname = "x"\nfrom = "ns:lung"\nto = "ns:mirror"\nmust = "deny"\n'


def trace(direction: Direction) -> DirectionTrace:
    return DirectionTrace(
        direction,
        Outcome.DENIED,
        Outcome.ALLOWED,
        default_deny=True,
        selected_by=(POLICY,),
        matched=(Match(RULE, Effect.ALLOW, l7=True),),
        missed=(
            Miss(RULE, Dimension.PEER, "far", "here"),
            Miss(RULE, Dimension.PORT, "80", "8080", "spec.egress[1].toPorts[0]", nearness=3),
        ),
        requests=(RequestMatch(RULE, "GET /", allowed=False),),
        uncertain=("not established",),
    )


def answer(question: Question) -> WhyAnswer:
    egress, ingress = trace(Direction.EGRESS), trace(Direction.INGRESS)
    both = ConnectionTrace(question, Verdict.DENIED, egress, ingress)
    return WhyAnswer(
        asked=make_question("lung/a", "mirror/b"),
        port=8080,
        protocol="TCP",
        verdict=Verdict.DENIED,
        egress=egress,
        ingress=ingress,
        cause=Cause(CauseCode.L7_REQUEST_REFUSED, "It is refused.", file="a.yaml", line=13),
        evidence=(Evidence("flow", "41 drops", "uuid"),),
        next=(NextStep("look", "kubectl get"),),
        fixes=(Fix("add it", "extend-rule", POLICY, "--- a\n+++ b\n", "nothing"),),
        not_known=("whether it works",),
        backends=(BackendAnswer("10.0.0.1", 8080, Verdict.DENIED, both),),
        hops=(Hop(1, "a → b", Verdict.DENIED, both),),
    )


@pytest.fixture(name="form")
def _form() -> dict[str, Any]:
    picture = picture_of(small_tre())
    alice, bob = (picture.engine.peer_of(one) for one in picture.cluster.endpoints[:2])
    return why_form(answer(Question(alice, bob, 8080)))


def plain(value: Any) -> None:
    """Nothing but what JSON and YAML know, and no enum that merely looks like text."""
    assert type(value) in (dict, list, str, int, bool, float, type(None)), type(value)
    for part in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        plain(part)


def test_why_has_every_key_of_the_contract(form: dict[str, Any]) -> None:
    assert form["schema"] == SCHEMA == "k8tre-tui/v1"
    assert set(form["question"]) == {"from", "to", "port", "protocol"}
    assert form["verdict"] == "denied"
    for way in ("egress", "ingress"):
        assert {"verdict", "default_deny", "selected_by", "matched", "nearest"} <= set(form[way])
        assert set(form[way]["selected_by"][0]) == {"kind", "namespace", "name"}
        assert {"policy", "path", "effect", "file", "line"} <= set(form[way]["matched"][0])
        assert {"policy", "path", "failed_on", "wanted", "got"} <= set(form[way]["nearest"][0])
    assert {"code", "summary", "detail", "confidence"} <= set(form["cause"])
    assert set(form["evidence"][0]) == {"kind", "text", "ref"}
    assert set(form["next"][0]) == {"title", "command"}
    assert set(form["fixes"][0]) == {"title", "change", "policy", "patch", "opens"}
    assert {"address", "port", "verdict"} <= set(form["backends"][0])


def test_why_gives_the_request_that_was_asked(form: dict[str, Any]) -> None:
    picture = picture_of(small_tre())
    alice, bob = (picture.engine.peer_of(one) for one in picture.cluster.endpoints[:2])
    asked = replace(answer(Question(alice, bob, 8080)), request=HttpRequest("POST", "/up", "a"))
    assert form["request"] is None
    assert why_form(asked)["request"] == {"http": "POST http://a/up"}


def test_why_gives_misses_nearest_first(form: dict[str, Any]) -> None:
    assert [one["failed_on"] for one in form["egress"]["nearest"]] == ["port", "peer"]
    assert form["egress"]["nearest"][0]["path"] == "spec.egress[1].toPorts[0]"
    assert form["egress"]["nearest"][1]["path"] == "spec.egress[1]"


def test_forms_hold_plain_values_only(form: dict[str, Any]) -> None:
    plain(form)
    picture = picture_of(small_tre(), POLICIES)
    rows = policy_rows(picture)
    plain(contract.policy_detail_form(policy_detail(picture, rows[0])))
    plain([contract.endpoint_form(row) for row in endpoint_rows(picture)])
    plain([contract.matrix_form(row) for row in matrix(picture, By.WORKLOAD, lambda _a, _b: True)])
    report = effect_of(picture, picture_of(small_tre()), flows=FlowEvidence())
    plain(contract.effect_form(report))
    rulings = judge_boundaries(parse_boundaries(BOUNDARY, "b.toml"), picture.engine)
    assert not rulings[0].holds
    plain([contract.ruling_form(one) for one in rulings])
    plain(contract.check_form(Check("git", Health.FINE, "here")))
    plain(contract.right_form(Right("Pod", "list", allowed=None)))
    plain(why_form(why(picture, None, make_question("lung/jupyter", "mirror/mirror", "80"))))


def test_listing_has_items_and_notices() -> None:
    notice = Notice("careful", "a.yaml", 3, POLICY, "error")
    assert listing([{"a": 1}], [notice]) == {
        "schema": SCHEMA,
        "items": [{"a": 1}],
        "notices": [
            {
                "severity": "error",
                "text": "careful",
                "file": "a.yaml",
                "line": 3,
                "object": {"kind": "CiliumNetworkPolicy", "namespace": "lung", "name": "workspace"},
            }
        ],
    }


def test_empty_list_is_a_fine_answer() -> None:
    assert listing([]) == {"schema": SCHEMA, "items": [], "notices": []}


def test_policy_item_has_file_and_line() -> None:
    (row,) = policy_rows(picture_of(small_tre(), POLICIES))
    form = contract.policy_form(row)
    assert (form["file"], form["line"]) == ("objects.yaml", 1)
    assert form["directions"] == ["ingress"]
    assert form["valid"] is True
    assert form["reason"] is None


def test_matrix_item_names_protocol_ports_verdict_and_policies() -> None:
    picture = picture_of(small_tre(), POLICIES)
    rows = matrix(
        picture, By.WORKLOAD, lambda a, b: (a.namespace, b.namespace) == ("lung", "mirror")
    )
    form = contract.matrix_form(next(rows))
    assert form == {
        "from": "lung/jupyter-alice",
        "to": "mirror/mirror-0",
        "protocol": "TCP",
        "ports": "8080",
        "outside": None,
        "verdict": "allowed",
        "confidence": "certain",
        "not_known": [],
        "egress": {"by": []},
        "ingress": {
            "by": [{"kind": "CiliumNetworkPolicy", "namespace": "mirror", "name": "mirror-in"}]
        },
    }


@pytest.mark.parametrize("code", list(CauseCode))
def test_every_cause_code_is_written_as_the_contract_has_it(code: CauseCode) -> None:
    form = contract.cause_form(Cause(code, "x"))
    assert form["code"] == code.value
    assert form["confidence"] in ("certain", "likely", "possible")


def test_forms_survive_json() -> None:
    picture = picture_of(small_tre(), POLICIES)
    form = why_form(why(picture, None, make_question("lung/jupyter", "mirror/mirror", "8080")))
    assert msgspec.json.decode(msgspec.json.encode(form)) == form
