"""Boundaries to and from the outside: every class of addresses and names is asked."""

import pytest

from app.core.diagnose.boundaries import Ruling, judge_boundaries, parse_boundaries
from app.core.model.verdict import Verdict
from app.testing.pictures import picture_of, small_tre

BOUNDARY = """
[[boundary]]
name = "no-way-out"
from = "lung/jupyter-alice"
to = "entity:world"
ports = ["443"]
must = "deny"
"""
OUT = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: out, namespace: lung}}
spec:
  endpointSelector: {{}}
  egress:
  - {peer}
    toPorts: [{{ports: [{{port: "443", protocol: TCP}}]}}]
  egressDeny:
  - {deny}
"""
GROUP = """
apiVersion: cilium.io/v2alpha1
kind: CiliumCIDRGroup
metadata: {name: office}
spec: {externalCIDRs: [198.51.100.0/24]}
"""
IN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: into, namespace: lung}}
spec:
  endpointSelector: {{}}
  ingress: [{peer}]
"""
NO_DENY = "toCIDR: [192.0.2.9/32]"


def ruling(peer: str, deny: str = NO_DENY, boundary: str = BOUNDARY) -> Ruling:
    engine = picture_of(small_tre(), OUT.format(peer=peer, deny=deny), GROUP).engine
    (found,) = judge_boundaries(parse_boundaries(boundary), engine)
    return found


@pytest.mark.parametrize(
    ("peer", "who"),
    [
        (
            "toCIDR: [0.0.0.0/1, 128.0.0.0/1]",
            ["0.0.0.0/1", "128.0.0.0/1 except 192.0.2.9/32, 198.51.100.0/24", "198.51.100.0/24"],
        ),
        ("toCIDR: [203.0.113.7/32]", ["203.0.113.7"]),
        ("toCIDRSet: [{cidrGroupRef: office}]", ["198.51.100.0/24"]),
        (
            "toCIDRSet: [{cidr: 203.0.113.0/24, except: [203.0.113.0/25]}]",
            ["203.0.113.0/24 except 203.0.113.0/25"],
        ),
        ('toFQDNs: [{matchPattern: "*"}]', ["names of the pattern `*`"]),
        ("toFQDNs: [{matchName: a.example.com}]", ["a.example.com"]),
    ],
)
def test_whatever_opens_some_of_the_world_breaks_a_must_deny(peer: str, who: list[str]) -> None:
    found = ruling(peer)
    assert [breach.outside for breach in found.breaches] == who
    assert {rule.policy.name for breach in found.breaches for rule in breach.rules} == {"out"}


@pytest.mark.parametrize(
    ("peer", "deny"),
    [
        ("toEntities: [cluster]", NO_DENY),
        ("toFQDNs: [{matchName: web.shop.svc.cluster.local}]", NO_DENY),
        ("toCIDR: [203.0.113.0/24]", "toCIDR: [203.0.0.0/16]"),
        ('toFQDNs: [{matchPattern: "*"}]', "toEntities: [world]"),
        ("toCIDRSet: [{cidrGroupRef: another}]", NO_DENY),
    ],
)
def test_rule_that_opens_nothing_of_the_world_leaves_a_must_deny_whole(
    peer: str, deny: str
) -> None:
    assert ruling(peer, deny).holds


def test_other_port_leaves_a_must_deny_whole() -> None:
    assert ruling("toEntities: [world]", boundary=BOUNDARY.replace("443", "80")).holds
    assert not ruling("toEntities: [world]").holds


def test_must_allow_to_the_world_is_broken_by_what_is_denied_of_it() -> None:
    allow = BOUNDARY.replace('"deny"', '"allow"')
    found = ruling("toEntities: [world]", boundary=allow)
    assert [(one.destination, one.verdict) for one in found.breaches] == [
        ("ip:192.0.2.9", Verdict.DENIED)
    ]
    assert ruling("toEntities: [world]", "toCIDR: [10.0.2.1/32]", allow).holds


@pytest.mark.parametrize(
    ("peer", "broken"),
    [
        ("{fromCIDR: [203.0.113.0/24]}", ["203.0.113.0/24"]),
        ("{fromEntities: [cluster]}", []),
        ("{fromEntities: [world]}", [""]),
    ],
)
def test_world_is_asked_by_class_as_a_source(peer: str, broken: list[str]) -> None:
    text = BOUNDARY.replace("lung/jupyter-alice", "x").replace("entity:world", "ns:lung")
    text = text.replace('"x"', '"entity:world"')
    engine = picture_of(small_tre(), IN.format(peer=peer)).engine
    (found,) = judge_boundaries(parse_boundaries(text), engine)
    assert [breach.outside for breach in found.breaches] == broken


@pytest.mark.parametrize(
    "peer",
    [
        'toFQDNs: [{matchName: "${DOMAIN}"}]',
        'toCIDR: ["${OFFICE}"]',
        'toCIDRSet: [{cidr: "${OFFICE}"}]',
    ],
)
def test_placeholder_without_a_value_is_unknown_and_breaks_a_must_deny(peer: str) -> None:
    found = ruling(peer)
    assert {breach.verdict for breach in found.breaches} == {Verdict.UNKNOWN}
    assert not found.holds


def test_placeholder_that_could_open_nothing_of_it_leaves_a_must_deny_whole() -> None:
    other = BOUNDARY.replace("443", "8443")
    assert ruling('toFQDNs: [{matchName: "${DOMAIN}"}]', boundary=other).holds


def test_placeholder_that_could_deny_breaks_a_must_allow() -> None:
    allow = BOUNDARY.replace('"deny"', '"allow"').replace("entity:world", "ip:203.0.113.7")
    found = ruling("toEntities: [world]", 'toCIDR: ["${OFFICE}"]', allow)
    assert [breach.verdict for breach in found.breaches] == [Verdict.UNKNOWN]


def test_pods_that_are_not_there_yet_are_asked_by_their_labels() -> None:
    text = BOUNDARY.replace("lung/jupyter-alice", "label:lung/app=new")
    assert ruling("toEntities: [cluster]", boundary=text).holds
    (breach,) = ruling("toEntities: [world]", boundary=text).breaches[:1]
    assert breach.source == "label:lung/app=new"
