import pytest

from app.core.model.flow import DnsInfo, Flow, FlowEndpoint, HttpInfo, L7Info, PolicyEvidence
from app.services.flow_words import (
    deciding,
    destination_words,
    policy_words_of,
    port_words,
    reason_words,
    request_words,
    source_words,
)

POD = FlowEndpoint(7, "lung", "alice", ("k8s:app=jupyter",))
WORLD = FlowEndpoint(2, labels=("reserved:world",))
HOST = FlowEndpoint(1, labels=("reserved:host",))


@pytest.mark.parametrize(
    ("end", "ip", "names", "words"),
    [
        (POD, "10.0.0.1", ("x.example",), "lung/alice"),
        (WORLD, "203.0.113.7", ("pypi.org",), "pypi.org"),
        (WORLD, "203.0.113.7", (), "world 203.0.113.7"),
        (HOST, "10.0.0.9", (), "host"),
        (FlowEndpoint(), "10.0.0.9", (), "10.0.0.9"),
        (FlowEndpoint(), "", (), "?"),
    ],
)
def test_end_is_named_by_the_best_that_is_known(
    end: FlowEndpoint, ip: str, names: tuple[str, ...], words: str
) -> None:
    assert source_words(Flow(1, source=end, source_ip=ip, source_names=names)) == words
    flow = Flow(1, destination=end, destination_ip=ip, destination_names=names)
    assert destination_words(flow) == words


def test_port_has_its_protocol() -> None:
    assert port_words(Flow(1, protocol="TCP", destination_port=443)) == "443/TCP"
    assert port_words(Flow(1, protocol="ICMPv4", destination_port=8)) == "8/ICMPv4"
    assert port_words(Flow(1, protocol="VRRP")) == "VRRP"
    assert port_words(Flow(1)) == "-"


@pytest.mark.parametrize(
    ("l7", "words"),
    [
        (None, ""),
        (L7Info("REQUEST", http=HttpInfo("GET", "/simple/")), "GET /simple/"),
        (L7Info("RESPONSE", http=HttpInfo("GET", "/simple/", code=403)), "GET /simple/ 403"),
        (L7Info("REQUEST", dns=DnsInfo("pypi.org", qtypes=("A", "AAAA"))), "pypi.org A,AAAA"),
        (
            L7Info("RESPONSE", dns=DnsInfo("pypi.org", ("1.2.3.4",), qtypes=("A",))),
            "pypi.org A = 1.2.3.4",
        ),
        (
            L7Info("RESPONSE", dns=DnsInfo("nx.org", qtypes=("A",), rcode=3)),
            "nx.org A rcode 3",
        ),
        (L7Info("SAMPLE"), "SAMPLE"),
    ],
)
def test_request_is_short(l7: L7Info | None, words: str) -> None:
    assert request_words(l7) == words


def test_reason_is_what_hubble_prints() -> None:
    assert reason_words(Flow(1, drop_reason="POLICY_DENIED")) == "Policy denied"
    assert reason_words(Flow(1, drop_reason="DROP_REASON_UNKNOWN")) == ""
    assert reason_words(Flow(1, drop_reason="999")) == "999"
    assert reason_words(Flow(1)) == ""


def test_denying_policies_come_before_allowing_ones() -> None:
    allow, deny = PolicyEvidence(name="a"), PolicyEvidence(name="d")
    flow = Flow(1, egress_allowed_by=(allow,), ingress_denied_by=(deny, deny))
    assert deciding(flow) == (deny, deny)
    assert policy_words_of(flow) == "d +1"
    assert policy_words_of(Flow(1, drop_reason="POLICY_DENIED")) == "default deny"
    assert policy_words_of(Flow(1)) == ""
