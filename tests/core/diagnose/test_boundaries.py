import pytest

from app.core.diagnose.boundaries import (
    MOST_BREACHES,
    Must,
    broken_boundaries,
    judge_boundaries,
    newly_broken,
    parse_boundaries,
)
from app.core.errors import BadInput
from app.core.model.verdict import Protocol, Verdict
from app.core.policy.engine import Engine
from app.testing.builders import pod
from app.testing.pictures import picture_of, small_tre

CLOSED = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: closed, namespace: lung}
spec:
  endpointSelector: {}
  ingress:
  - fromEndpoints: [{matchLabels: {app: hub}}]
    toPorts: [{ports: [{port: "8888", protocol: TCP}]}]
"""

OPEN = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: open, namespace: lung}
spec:
  endpointSelector: {}
  ingress:
  - fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": heart}}]
    toPorts: [{ports: [{port: "9000", protocol: UDP}]}]
"""

APART = """
[[boundary]]
name = "apart"
from = "ns:heart"
to = "ns:lung"
must = "deny"
why = "two projects"
"""


def engine(*policies: str) -> Engine:
    return picture_of(small_tre(), *policies).engine


def test_parse_reads_every_key_and_the_line() -> None:
    text = APART + '\n[[boundary]]\nname = "b"\nfrom = ["lung/jupyter-alice"]\nto = "mirror/m"\n'
    first, second = parse_boundaries(text + 'ports = ["443", "53/UDP"]\nmust = "allow"\n', "b.toml")
    assert (first.name, first.must, first.why, first.line) == (
        "apart",
        Must.DENY,
        "two projects",
        2,
    )
    assert [str(port) for port in second.ports] == ["443", "53/UDP"]
    assert (second.sources, second.file, second.line) == (("lung/jupyter-alice",), "b.toml", 9)


@pytest.mark.parametrize(
    "text",
    [
        "[[boundary]\n",
        "[limits]\n",
        '[[boundary]]\nname = "x"\nfrom = "a/b"\nto = "c/d"\nmust = "perhaps"\n',
        '[[boundary]]\nname = "x"\nto = "c/d"\nmust = "deny"\n',
        '[[boundary]]\nname = "x"\nfrom = "who:nonsense"\nto = "c/d"\nmust = "deny"\n',
        '[[boundary]]\nname = "x"\nfrom = "a/b"\nto = "c/d"\nmust = "deny"\nports = ["99999"]\n',
        '[[boundary]]\nname = "x"\nfrom = "a/b"\nto = "c/d"\nmust = "deny"\nport = 1\n',
    ],
)
def test_parse_refuses_what_is_no_boundary_with_its_file(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_boundaries(text, "b.toml")
    assert caught.value.file == "b.toml"


def test_boundary_without_ports_is_about_every_port() -> None:
    boundaries = parse_boundaries(APART)
    assert judge_boundaries(boundaries, engine(CLOSED))[0].holds
    (ruling,) = judge_boundaries(boundaries, engine(CLOSED, OPEN))
    (breach,) = ruling.breaches
    assert (breach.source, breach.destination) == ("heart/jupyter-bob", "lung/jupyter-alice")
    assert (breach.protocol, breach.port, breach.verdict) == (Protocol.UDP, 9000, Verdict.ALLOWED)
    assert [rule.policy.name for rule in breach.rules] == ["open"]


def test_boundary_without_any_policy_is_broken() -> None:
    (ruling,) = judge_boundaries(parse_boundaries(APART), engine())
    assert not ruling.holds
    assert ruling.breaches[0].rules == ()


def test_boundary_that_must_allow_names_the_nearest_rule() -> None:
    text = APART.replace('"deny"', '"allow"').replace("ns:heart", "heart/jupyter-bob")
    (ruling,) = judge_boundaries(parse_boundaries(text + 'ports = ["8888"]\n'), engine(CLOSED))
    (breach,) = ruling.breaches
    assert breach.verdict is Verdict.DENIED
    assert [rule.path for rule in breach.rules] == ["spec.ingress[0]"]


def test_layer_7_counts_as_allowed() -> None:
    layer7 = OPEN.replace("protocol: UDP}]}", "protocol: TCP}], rules: {http: [{method: GET}]}}")
    allow = APART.replace('"deny"', '"allow"') + 'ports = ["9000"]\n'
    deny = APART + 'ports = ["9000"]\n'
    judged = engine(CLOSED, layer7)
    assert judge_boundaries(parse_boundaries(allow), judged)[0].holds
    assert not judge_boundaries(parse_boundaries(deny), judged)[0].holds


@pytest.mark.parametrize("end", ["ns:nobody", "lung/nobody"])
def test_end_that_stands_for_nothing_holds_no_boundary(end: str) -> None:
    (ruling,) = judge_boundaries(parse_boundaries(APART.replace("ns:heart", end)), engine())
    assert not ruling.holds
    assert ruling.problem


def test_boundary_between_an_end_and_itself_decides_nothing() -> None:
    text = APART.replace("ns:heart", "ns:lung")
    (ruling,) = judge_boundaries(parse_boundaries(text), engine(CLOSED))
    assert (ruling.holds, ruling.asked) == (False, 0)


def test_namespaces_may_be_a_pattern() -> None:
    text = APART.replace('"ns:heart"', '["ns:h*", "entity:world"]')
    (ruling,) = judge_boundaries(parse_boundaries(text), engine(CLOSED))
    assert ruling.holds
    assert ruling.asked > 4


def test_named_port_is_what_the_destination_declares() -> None:
    text = APART + 'ports = ["https"]\n'
    (ruling,) = judge_boundaries(parse_boundaries(text), engine(CLOSED))
    assert ruling.asked == 0


def test_change_breaks_only_what_held_before() -> None:
    boundaries = parse_boundaries(APART)
    closed, opened = engine(CLOSED), engine(CLOSED, OPEN)
    assert broken_boundaries(boundaries, opened) == ("apart",)
    assert newly_broken(boundaries, closed, opened) == ("apart",)
    assert newly_broken(boundaries, engine(), opened) == ()
    assert newly_broken(boundaries, opened, closed) == ()


SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: mirror, namespace: mirror}
spec: {selector: {app: mirror}, ports: [{port: 80, targetPort: 8080}]}
"""


def test_service_is_asked_on_the_port_of_its_pods() -> None:
    text = APART.replace("ns:lung", "svc:mirror/mirror:80")
    (ruling,) = judge_boundaries(parse_boundaries(text), engine(SERVICE))
    assert [(breach.destination, breach.port) for breach in ruling.breaches] == [
        ("mirror/mirror-0", 8080)
    ]


def with_port(name: str) -> Engine:
    server = pod("lung/server", "10.0.1.9", labels={"app": "server"})
    server.body["spec"]["containers"][0]["ports"] = [{"name": name, "containerPort": 8443}]
    return picture_of(small_tre(), [server]).engine


def test_named_port_has_the_number_that_each_pod_gives_it() -> None:
    text = APART.replace("ns:lung", "lung/server") + 'ports = ["https"]\n'
    (ruling,) = judge_boundaries(parse_boundaries(text), with_port("https"))
    assert [breach.port for breach in ruling.breaches] == [8443]
    (ruling,) = judge_boundaries(parse_boundaries(text), with_port("other"))
    assert ruling.asked == 0


def test_declared_port_is_asked_although_no_rule_names_it() -> None:
    text = APART.replace("ns:lung", "lung/server")
    (ruling,) = judge_boundaries(parse_boundaries(text), with_port("https"))
    assert 8443 in {breach.port for breach in ruling.breaches}


def test_breaches_are_shown_up_to_a_limit() -> None:
    crowd = [pod(f"lung/p{at}", f"10.7.0.{at}", labels={"app": f"p{at}"}) for at in range(1, 30)]
    (ruling,) = judge_boundaries(
        parse_boundaries(APART + 'ports = ["80"]\n'), picture_of(small_tre(), crowd).engine
    )
    assert ruling.asked == 30
    assert len(ruling.breaches) == MOST_BREACHES


def test_rule_over_every_port_is_asked_once_a_protocol() -> None:
    everything = OPEN.replace(
        '{port: "9000", protocol: UDP}', '{port: "1", endPort: 65535, protocol: ANY}'
    )
    (ruling,) = judge_boundaries(parse_boundaries(APART), engine(CLOSED, everything))
    assert {breach.protocol for breach in ruling.breaches} == {Protocol.TCP, Protocol.UDP}
