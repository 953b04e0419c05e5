import pytest

from app.core.model.cluster import ClusterConfig
from app.core.model.verdict import (
    DnsRequest,
    HttpRequest,
    Outcome,
    Protocol,
    Question,
    Request,
    SniRequest,
    Verdict,
)
from app.core.policy.engine import Engine
from app.core.policy.requests import normalise_path, server_name_matches
from tests.core.policy.build import TCP80, V120, Tree, cnp, egress, ingress, make_engine, pod, ports


def _ask(
    engine: Engine,
    request: Request,
    port: int = 80,
    protocol: Protocol = Protocol.TCP,
    source: str = "a/a",
) -> Question:
    return Question(pod(engine, source), pod(engine, "a/b"), port, protocol, request)


def _verdict(item: Tree, request: Request, port: int = 80) -> Verdict:
    engine = make_engine(cnp(ingress(item)))
    return engine.decide(_ask(engine, request, port)).verdict


@pytest.mark.parametrize(
    ("path", "judged"),
    [
        ("/a/../b", "/b"),
        ("//b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/../a", "/a"),
        ("/a?x=/../y", "/a?x=/../y"),
        ("/a/", "/a/"),
        ("*", "*"),
        ("/", "/"),
    ],
)
def test_path_when_judged_then_is_normalised(path: str, judged: str) -> None:
    assert normalise_path(path) == judged


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a.b", "A.B", True),
        ("a.b", "a.b.", False),
        ("*.b", "a.b", True),
        ("*.b", "x.a.b", False),
        ("**.b", "x.a.b", True),
        ("**.b", "b", False),
        ("*", "any.name", True),
        ("a*.b", "ax.b", True),
        ("a.b", "", False),
    ],
)
def test_server_name_when_compared_then_follows_envoy(
    pattern: str,
    name: str,
    fits: bool,  # noqa: FBT001  # a table of cases
) -> None:
    assert server_name_matches(pattern, name) is fits


def _http(**rule: object) -> Tree:
    return ports(TCP80, rules={"http": [rule]})


@pytest.mark.parametrize(
    ("written", "headers", "verdict"),
    [
        ("X-A", {"x-a": "1"}, Verdict.ALLOWED),
        ("X-A", {}, Verdict.DENIED),
        ("X-A: 1", {"x-a": " 1 "}, Verdict.ALLOWED),
        ("X-A 1", {"x-a": "1"}, Verdict.ALLOWED),
        ("X-A 1", {"x-a": "2"}, Verdict.DENIED),
        ("X-A  1", {"x-a": "1"}, Verdict.DENIED),
        ("X-A:1", {"x-a": "1"}, Verdict.DENIED),
        ("Host x", {"Host": "x"}, Verdict.ALLOWED),
    ],
)
def test_header_when_written_so_then_asks_for_this(
    written: str, headers: dict[str, str], verdict: Verdict
) -> None:
    assert _verdict(_http(headers=[written]), HttpRequest(headers=headers)) is verdict


@pytest.mark.parametrize(
    ("match", "verdict"),
    [
        ({"name": "X-A", "value": "1"}, Verdict.ALLOWED),
        ({"name": "X-A", "value": "2"}, Verdict.DENIED),
        ({"name": "X-B"}, Verdict.DENIED),
        ({"name": "X-B", "mismatch": "LOG"}, Verdict.ALLOWED),
        ({"name": "X-A", "secret": {"name": "s"}, "mismatch": "ADD"}, Verdict.DENIED),
        ({"name": "X-A", "secret": {"name": "s"}, "value": "1"}, Verdict.ALLOWED),
    ],
)
def test_header_match_when_asked_then_refuses_only_without_an_action(
    match: Tree, verdict: Verdict
) -> None:
    assert _verdict(_http(headerMatches=[match]), HttpRequest(headers={"X-A": "1"})) is verdict


@pytest.mark.parametrize(
    ("action", "seen"),
    [
        ({"name": "X-A", "value": "2", "mismatch": "REPLACE"}, "X-A 2"),
        ({"name": "X-A", "value": "2", "mismatch": "ADD"}, "X-A 1,2"),
        ({"name": "X-A", "value": "1", "mismatch": "REPLACE"}, "X-A 1"),
        ({"name": "X-A", "value": "2", "mismatch": "LOG"}, "X-A 1"),
        ({"name": "X-A", "mismatch": "DELETE"}, "X-A 1"),
    ],
)
def test_header_action_when_taken_at_egress_then_ingress_sees_the_change(
    action: Tree, seen: str
) -> None:
    engine = make_engine(
        cnp(egress(_http(headerMatches=[action])), name="out"),
        cnp(ingress(_http(headers=[seen])), name="in"),
    )

    decision = engine.decide(_ask(engine, HttpRequest(headers={"X-A": "1"})))

    assert decision.verdict is Verdict.ALLOWED


def test_header_action_when_it_deletes_then_ingress_misses_the_header() -> None:
    action = {"name": "X-A", "value": "2", "mismatch": "DELETE"}
    engine = make_engine(
        cnp(egress(_http(headerMatches=[action])), name="out"),
        cnp(ingress(_http(headers=["X-A"])), name="in"),
    )

    decision = engine.decide(_ask(engine, HttpRequest(headers={"X-A": "1"})))

    assert decision.ingress.outcome is Outcome.DENIED


def test_dns_request_when_port_is_read_by_envoy_then_is_unknown() -> None:
    assert _verdict(_http(), DnsRequest("a.example")) is Verdict.UNKNOWN


def test_http_request_when_port_is_read_by_the_dns_proxy_then_is_unknown() -> None:
    engine = make_engine(cnp(egress(ports({"port": "80"}, rules={"dns": [{"matchPattern": "*"}]}))))

    assert engine.decide(_ask(engine, HttpRequest())).verdict is Verdict.UNKNOWN


def test_request_when_parser_is_not_evaluated_then_is_unknown() -> None:
    assert _verdict(ports(TCP80, rules={"kafka": [{"topic": "x"}]}), HttpRequest()) is (
        Verdict.UNKNOWN
    )


def test_request_when_protocol_has_no_listener_then_is_unknown() -> None:
    engine = make_engine(cnp(ingress(ports({"port": "80"}, serverNames=["x"]))))

    decision = engine.decide(_ask(engine, SniRequest("x"), protocol=Protocol.UDP))

    assert decision.verdict is Verdict.UNKNOWN


def test_server_names_when_none_fits_then_trace_names_them() -> None:
    engine = make_engine(cnp(ingress(ports(TCP80, serverNames=["x"]))))

    trace = engine.trace(_ask(engine, SniRequest("y")))

    assert trace.verdict is Verdict.DENIED
    (match,) = trace.ingress.requests
    assert (match.text, match.allowed) == ("server names x", False)
    assert match.rule.path == "spec.ingress[0]"


def test_server_names_when_on_port_zero_then_are_not_enforced() -> None:
    assert _verdict(
        ports({"port": "0", "protocol": "TCP"}, serverNames=["x"]), SniRequest("y")
    ) is (Verdict.ALLOWED)


def test_rules_when_two_kinds_share_a_port_then_which_proxy_reads_it_is_unknown() -> None:
    items = [
        {"fromEndpoints": [{"matchLabels": {"app": "a"}}], **_http()},
        {"fromEndpoints": [{"matchLabels": {"app": "c"}}], **ports(TCP80, serverNames=["x"])},
    ]
    engine = make_engine(cnp(ingress(*items)))

    trace = engine.trace(_ask(engine, HttpRequest()))

    assert trace.verdict is Verdict.UNKNOWN
    assert "two kinds" in trace.ingress.uncertain[0]


def test_dns_rules_when_on_a_name_and_its_number_then_are_unknown() -> None:
    server = {"pod": "a/dns", "labels": {}, "ports": ["dns 53/UDP"], "address": "10.244.1.40"}
    rules = {"dns": [{"matchName": "a.example"}]}
    items = [
        ports({"port": "dns", "protocol": "UDP"}, rules=rules),
        ports({"port": "53"}, rules=rules),
    ]
    engine = make_engine(server, cnp(egress(*items)))

    question = Question(
        pod(engine, "a/a"), pod(engine, "a/dns"), 53, Protocol.UDP, DnsRequest("a.example")
    )

    assert engine.decide(question).verdict is Verdict.UNKNOWN


def test_plain_allow_when_beside_the_dns_rules_then_every_name_passes() -> None:
    items = [
        ports({"port": "53"}, rules={"dns": [{"matchName": "a.example"}]}),
        {"toEndpoints": [{}], **ports({"port": "53"})},
    ]
    engine = make_engine(cnp(egress(*items)))

    trace = engine.trace(_ask(engine, DnsRequest("b.example"), 53, Protocol.UDP))

    assert trace.verdict is Verdict.ALLOWED
    assert [match.text for match in trace.egress.requests] == ["a.example", "every name"]


def test_own_node_when_rules_are_soft_in_1_20_then_passes_by_the_automatic_allow() -> None:
    engine = make_engine(
        cnp(ingress({"fromEndpoints": [{}], **_http(method="GET")})),
        config=ClusterConfig(cilium_version=V120),
    )
    question = Question(engine.peer_of_entity("host"), pod(engine, "a/b"), 80)

    assert engine.decide(question).verdict is Verdict.ALLOWED


def test_own_node_when_the_proxy_reads_its_port_then_automatic_allow_counts_in_1_20() -> None:
    engine = make_engine(
        cnp(ingress(_http(method="GET"))), config=ClusterConfig(cilium_version=V120)
    )
    host = engine.peer_of_entity("host")

    trace = engine.trace(Question(host, pod(engine, "a/b"), 80, request=HttpRequest("POST")))

    assert trace.verdict is Verdict.ALLOWED
    assert "Automatic" in {match.rule.policy.kind for match in trace.ingress.requests}
