from ipaddress import ip_address

import pytest

from app.core.model.cluster import ClusterConfig, EnforcementMode
from app.core.model.verdict import (
    Dimension,
    DirectionTrace,
    Effect,
    Miss,
    Outcome,
    Peer,
    Protocol,
    Verdict,
)
from app.core.policy.engine import Engine
from tests.core.policy.build import (
    TCP80,
    Tree,
    ask,
    ccnp,
    cnp,
    egress,
    ingress,
    knp,
    make_engine,
    ports,
)


def _miss(item: Tree, destination: Peer | str = "a/b", port: int = 80) -> Miss:
    engine = make_engine(cnp(egress(item)))
    (miss,) = engine.trace(ask(engine, "a/a", destination, port)).egress.missed
    return miss


def _outside(address: str, *names: str) -> Peer:
    return make_engine().peer_of_outside(ip_address(address), frozenset(names))


PEER_B = {"toEndpoints": [{"matchLabels": {"app": "b"}}]}


@pytest.mark.parametrize(
    ("item", "failed_on", "wanted", "got", "path"),
    [
        (
            {"toEndpoints": [{"matchLabels": {"app": "c"}}]},
            Dimension.PEER,
            "app=c in namespace a",
            "app=b",
            "spec.egress[0].toEndpoints[0]",
        ),
        (
            {"toEndpoints": [{"matchLabels": {"tier": "c"}}]},
            Dimension.PEER,
            "tier=c in namespace a",
            "lacks the label tier",
            "spec.egress[0].toEndpoints[0]",
        ),
        (
            {"toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "b"}}]},
            Dimension.NAMESPACE,
            "k8s:io.kubernetes.pod.namespace=b",
            "io.kubernetes.pod.namespace=a",
            "spec.egress[0].toEndpoints[0]",
        ),
        (
            {"toCIDR": ["10.0.0.0/8"]},
            Dimension.CIDR,
            "10.0.0.0/8",
            "pod a/b, which CIDR rules do not match",
            "spec.egress[0].toCIDR[0]",
        ),
        (
            {"toFQDNs": [{"matchName": "pypi.org"}]},
            Dimension.FQDN,
            "pypi.org",
            "pod a/b, in the cluster",
            "spec.egress[0].toFQDNs[0]",
        ),
        (
            {**PEER_B, **ports({"port": "443", "protocol": "TCP"})},
            Dimension.PORT,
            "443/TCP",
            "80/TCP",
            "spec.egress[0].toPorts[0].ports[0]",
        ),
        (
            {**PEER_B, **ports({"port": "8000", "endPort": 8100, "protocol": "TCP"})},
            Dimension.PORT,
            "8000-8100/TCP",
            "80/TCP",
            "spec.egress[0].toPorts[0].ports[0]",
        ),
        (
            {**PEER_B, **ports({"port": "80", "protocol": "UDP"})},
            Dimension.PROTOCOL,
            "80/UDP",
            "80/TCP",
            "spec.egress[0].toPorts[0].ports[0]",
        ),
        (
            {**PEER_B, **ports({"port": "0", "protocol": "UDP"})},
            Dimension.PROTOCOL,
            "any port/UDP",
            "80/TCP",
            "spec.egress[0].toPorts[0].ports[0]",
        ),
        (
            {**PEER_B, **ports({"port": "web", "protocol": "TCP"})},
            Dimension.PORT,
            "web/TCP (no port of that name)",
            "80/TCP",
            "spec.egress[0].toPorts[0].ports[0]",
        ),
        ({}, Dimension.PEER, "nothing: an empty item", "pod a/b", "spec.egress[0]"),
        (
            {"toEndpoints": []},
            Dimension.PEER,
            "nobody: an empty list of peers",
            "pod a/b",
            "spec.egress[0]",
        ),
        (
            {"toPorts": [{}]},
            Dimension.PEER,
            "no port: an item without ports",
            "pod a/b",
            "spec.egress[0]",
        ),
    ],
)
def test_miss_when_a_rule_fails_then_names_the_first_dimension(
    item: Tree, failed_on: Dimension, wanted: str, got: str, path: str
) -> None:
    miss = _miss(item)

    assert (miss.failed_on, miss.wanted, miss.got, miss.path) == (failed_on, wanted, got, path)
    assert miss.rule.path == "spec.egress[0]"


def test_miss_when_peer_is_outside_then_says_what_is_known_of_it() -> None:
    name = {"toFQDNs": [{"matchName": "pypi.org"}]}

    assert _miss(name, _outside("192.0.2.1")).got == "192.0.2.1 and no name that Cilium learned"
    assert _miss(name, _outside("192.0.2.1", "x.org", "a.org")).got == "a.org, x.org"
    assert _miss({"toCIDR": ["10.0.0.0/8"]}, _outside("192.0.2.1")).got == "192.0.2.1"
    entity = make_engine().peer_of_entity("host")
    assert _miss({"toCIDR": ["10.0.0.0/8"]}, entity).got == "host, which CIDR rules do not match"
    world = _miss({"toEntities": ["world"]}, entity)
    assert (world.wanted, world.got) == ("entity world", "host")


def test_misses_when_ordered_then_the_right_peer_comes_before_the_right_port() -> None:
    other = {"toEndpoints": [{"matchLabels": {"app": "c"}}], **ports(TCP80)}
    near = {**PEER_B, **ports({"port": "443", "protocol": "TCP"})}
    far = {
        "toEndpoints": [{"matchLabels": {"app": "c"}}],
        **ports({"port": "1", "protocol": "UDP"}),
    }
    engine = make_engine(cnp(egress(far, other, near)))

    nearest = engine.trace(ask(engine, "a/a", "a/b")).egress.nearest

    assert [miss.rule.path[-2] for miss in nearest] == ["2", "1", "0"]


def _ingress(engine: Engine, source: Peer | str = "a/a") -> DirectionTrace:
    return engine.trace(ask(engine, source, "a/b")).ingress


def test_trace_when_rules_match_then_denies_come_first() -> None:
    spec: Tree = {
        "endpointSelector": {},
        "ingress": [{"fromEndpoints": [{}]}],
        "ingressDeny": [ports(TCP80)],
    }
    engine = make_engine(cnp(spec))

    trace = _ingress(engine)

    assert trace.outcome is Outcome.DENIED
    assert [(match.effect, match.rule.path) for match in trace.matched] == [
        (Effect.DENY, "spec.ingressDeny[0]"),
        (Effect.ALLOW, "spec.ingress[0]"),
    ]
    assert [str(ref) for ref in trace.selected_by] == ["CiliumNetworkPolicy/a/p"]
    assert {rule.path for rule in trace.default_deny_by} == {
        "spec.ingress[0]",
        "spec.ingressDeny[0]",
    }


def test_trace_when_a_rule_matches_twice_then_is_named_once_with_its_layer_7() -> None:
    item = {
        "toPorts": [
            {"ports": [{"port": "0", "protocol": "TCP"}]},
            {"ports": [TCP80], "rules": {"http": [{}]}},
        ]
    }
    engine = make_engine(cnp(ingress(item)))

    (match,) = _ingress(engine).matched

    assert match.l7


def test_trace_when_a_rule_matches_by_two_ports_then_is_named_once() -> None:
    engine = make_engine(cnp(ingress(ports({"port": "0", "protocol": "TCP"}, TCP80))))

    (match,) = _ingress(engine).matched

    assert not match.l7


def test_trace_when_nothing_selects_then_is_not_enforced() -> None:
    trace = _ingress(make_engine())

    assert (trace.outcome, trace.l4, trace.default_deny) == (
        Outcome.NOT_ENFORCED,
        Outcome.NOT_ENFORCED,
        False,
    )
    assert trace.implicit == ""


@pytest.mark.parametrize(
    ("mode", "implicit", "outcome"),
    [
        (EnforcementMode.ALWAYS, "enforcement-always", Outcome.DENIED),
        (EnforcementMode.NEVER, "enforcement-never", Outcome.NOT_ENFORCED),
    ],
)
def test_trace_when_the_mode_decides_then_names_it(
    mode: EnforcementMode, implicit: str, outcome: Outcome
) -> None:
    trace = _ingress(make_engine(config=ClusterConfig(enforcement=mode)))

    assert (trace.implicit, trace.outcome) == (implicit, outcome)


def test_trace_when_the_own_node_enters_then_names_the_automatic_allow() -> None:
    engine = make_engine(cnp(ingress({})))

    trace = _ingress(engine, engine.peer_of_entity("host"))

    assert (trace.outcome, trace.implicit) == (Outcome.ALLOWED, "allow-localhost")


def test_trace_when_a_deny_stops_the_own_node_then_names_no_automatic_allow() -> None:
    spec: Tree = {"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["host"]}]}
    engine = make_engine(cnp(spec))

    trace = _ingress(engine, engine.peer_of_entity("host"))

    assert (trace.outcome, trace.implicit) == (Outcome.DENIED, "")


def test_trace_when_every_rule_is_soft_then_names_the_allow_of_everything() -> None:
    engine = make_engine(cnp(ingress({}, enableDefaultDeny={"ingress": False})))

    trace = _ingress(engine)

    assert (trace.outcome, trace.implicit, trace.default_deny) == (
        Outcome.ALLOWED,
        "allow-any",
        False,
    )


def test_trace_when_own_node_enters_by_a_rule_in_1_20_then_automatic_allow_is_beside_it() -> None:
    config = ClusterConfig(cilium_version=(1, 20, 2))
    engine = make_engine(cnp(ingress({"fromEntities": ["all"]})), config=config)

    trace = _ingress(engine, engine.peer_of_entity("host"))

    assert [match.rule.path for match in trace.matched] == ["spec.ingress[0]"]


def test_trace_when_pod_talks_to_itself_then_no_policy_applies() -> None:
    engine = make_engine(cnp(ingress({})))

    trace = engine.trace(ask(engine, "a/b", "a/b"))

    assert trace.verdict is Verdict.ALLOWED
    assert (trace.egress.implicit, trace.ingress.outcome) == ("same-pod", Outcome.NOT_APPLICABLE)


def test_trace_when_authentication_is_asked_for_then_is_not_certain() -> None:
    item = {"fromEndpoints": [{}], "authentication": {"mode": "required"}}

    trace = _ingress(make_engine(cnp(ingress(item))))

    assert trace.outcome is Outcome.ALLOWED
    assert "mutual authentication" in trace.uncertain[0]


def test_trace_when_a_pod_label_is_host_then_names_it() -> None:
    odd = {"pod": "a/h", "labels": {"host": "x"}, "address": "10.244.1.30"}
    engine = make_engine(odd, cnp(ingress({})))

    trace = engine.trace(ask(engine, "a/a", "a/h")).ingress

    assert (trace.outcome, trace.implicit) == (Outcome.NOT_ENFORCED, "host-label")


def test_miss_when_rule_is_a_networkpolicys_then_points_at_its_element() -> None:
    spec = {
        "podSelector": {},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "c"}}}]}],
    }
    engine = make_engine(knp(spec))

    (miss,) = _ingress(engine).missed

    assert miss.rule.path == "spec.ingress[0].from[0]"


def test_trace_when_asked_about_icmp_then_type_is_the_port() -> None:
    item = {"icmps": [{"fields": [{"type": "EchoRequest"}]}]}
    engine = make_engine(ccnp(ingress(item)))

    trace = engine.trace(ask(engine, "a/a", "a/b", 3, Protocol.ICMP)).ingress

    assert (trace.missed[0].wanted, trace.missed[0].got) == ("EchoRequest/ICMP", "3/ICMP")
