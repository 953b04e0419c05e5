from dataclasses import replace
from ipaddress import ip_address

from app.core.model.cluster import ClusterConfig
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Outcome, Protocol, Verdict
from app.core.policy.engine import Engine, without_policy
from tests.core.policy.build import (
    TCP80,
    V120,
    Tree,
    accepted,
    ask,
    ccnp,
    cnp,
    egress,
    ingress,
    make_cluster,
    make_engine,
    manifest,
    pod,
    ports,
)

REF = ObjectRef("CiliumNetworkPolicy", "a", "p")
FOR_B: Tree = {"endpointSelector": {"matchLabels": {"app": "b"}}, "ingress": [{}]}


def test_policies_when_one_is_refused_then_the_others_are_in_force() -> None:
    engine = make_engine(cnp(FOR_B), cnp(ingress({"fromEntities": ["x"]}), name="bad"))

    assert [str(policy.ref) for policy in engine.policies] == [str(REF)]
    assert [policy.ref.name for policy in engine.rejected] == ["bad"]


def test_policies_when_their_kind_is_switched_off_then_are_not_read() -> None:
    engine = make_engine(cnp(FOR_B), config=ClusterConfig(enable_cilium_policy=False))

    assert engine.policies == ()


def test_range_from_zero_when_agent_runs_then_holds_for_every_port_of_its_protocol() -> None:
    def verdict(protocol: str, *, engine_alone: bool = False) -> Verdict:
        rule = ingress(ports({"port": "0", "endPort": 79, "protocol": protocol}))
        engine = make_engine(cnp(rule), config=ClusterConfig(engine_alone=engine_alone))
        return engine.decide(ask(engine, "a/a", "a/b")).verdict

    assert verdict("TCP") is Verdict.ALLOWED
    assert verdict("UDP") is Verdict.DENIED
    assert verdict("TCP", engine_alone=True) is Verdict.DENIED


def test_selected_endpoints_when_asked_then_are_the_subjects() -> None:
    engine = make_engine(cnp(FOR_B))

    assert [item.key for item in engine.selected_endpoints(REF)] == ["a/b"]
    assert engine.selected_endpoints(ObjectRef("X", "", "")) == ()


def test_policies_selecting_when_endpoint_is_not_managed_then_are_none() -> None:
    engine = make_engine(cnp(FOR_B))
    subject = pod(engine, "a/b").endpoint
    assert subject is not None

    for _ in range(2):
        assert [policy.ref for policy in engine.policies_selecting(subject)] == [REF]
    assert engine.policies_selecting(replace(subject, managed=False)) == ()
    assert engine.policies_selecting(replace(subject, host_network=True)) == ()


def test_default_deny_when_asked_then_is_per_direction() -> None:
    engine = make_engine(cnp(FOR_B))
    subject = pod(engine, "a/b").endpoint
    assert subject is not None

    assert engine.default_deny(subject, Direction.INGRESS)
    assert not engine.default_deny(subject, Direction.EGRESS)
    assert not engine.default_deny(replace(subject, managed=False), Direction.INGRESS)


def test_replace_when_a_policy_changes_then_the_verdict_does() -> None:
    before = make_cluster(cnp(FOR_B))
    engine = Engine.build(before)
    changed = manifest(cnp(FOR_B | {"ingress": [{"fromEntities": ["all"]}]}))

    after = engine.replace(replace(before, policies=(changed,)))

    assert engine.decide(ask(engine, "a/a", "a/b")).verdict is Verdict.DENIED
    assert after.decide(ask(after, "a/a", "a/b")).verdict is Verdict.ALLOWED


def test_replace_when_a_policy_stays_then_is_not_read_again() -> None:
    cluster = make_cluster(cnp(FOR_B))
    engine = Engine.build(cluster)

    after = engine.replace(replace(cluster, notices=()))

    assert after.policies[0] is engine.policies[0]


def test_replace_when_the_version_changes_then_everything_is_read_again() -> None:
    cluster = make_cluster(cnp(ingress(ports(TCP80, rules={"kafka": [{"topic": "x"}]}))))
    engine = Engine.build(cluster)

    after = engine.replace(replace(cluster, config=ClusterConfig(cilium_version=V120)))

    assert engine.decide(ask(engine, "a/a", "a/b")).verdict is Verdict.REDIRECTED
    assert after.decide(ask(after, "a/a", "a/b")).verdict is Verdict.ALLOWED


def test_decide_when_an_end_has_no_policy_then_that_side_is_not_applicable() -> None:
    engine = make_engine(cnp(egress({"toEntities": ["world"]})))

    decision = engine.decide(ask(engine, "a/a", engine.peer_of_address(ip_address("192.0.2.1"))))

    assert decision.ingress.outcome is Outcome.NOT_APPLICABLE
    assert decision.egress.by == (REF,)


def test_gateway_when_a_clusterwide_policy_selects_it_then_has_its_own_verdict() -> None:
    spec = {"endpointSelector": {"matchLabels": {"reserved:ingress": ""}}, "egress": [{}]}
    engine = make_engine(ccnp(spec))
    gateway = engine.peer_of_entity("ingress")

    assert engine.decide(ask(engine, gateway, "a/b")).egress.outcome is Outcome.DENIED
    outcome = engine.decide(ask(engine, without_policy(gateway), "a/b")).egress.outcome
    assert outcome is Outcome.NOT_APPLICABLE


def test_numbers_when_a_port_is_named_then_depend_on_side_and_version() -> None:
    web = {"pod": "a/w", "labels": {}, "ports": ["web 8080/TCP"], "address": "10.244.1.30"}
    more = {"pod": "b/w", "labels": {}, "ports": ["web 80/TCP"], "address": "10.244.1.31"}
    named = ports({"port": "web", "protocol": "TCP"})
    into = accepted(cnp(ingress(named))).entries[0]
    out = accepted(cnp(egress(named))).entries[0]
    spec = into.ports[0].ports[0]
    old = make_engine(web, more)
    new = make_engine(web, more, config=ClusterConfig(cilium_version=V120))
    subject = next(item for item in old.cluster.endpoints if item.key == "a/w")

    assert old.numbers_of(spec, into, subject, "TCP") == (8080,)
    assert old.numbers_of(spec, into, None, "TCP") == ()
    assert old.numbers_of(spec, out, subject, "TCP") == ()
    assert sorted(new.numbers_of(spec, out, subject, "TCP")) == [80, 8080]
    plain = accepted(cnp(egress(ports(TCP80)))).entries[0].ports[0].ports[0]
    assert old.numbers_of(plain, out, subject, "TCP") == (80,)


def test_ports_when_compared_alone_then_ignore_the_peer() -> None:
    engine = make_engine()
    every = accepted(cnp(egress({"toEntities": ["world"]}))).entries[0]
    web = accepted(cnp(egress(ports(TCP80)))).entries[0]

    assert engine.fits_port(every, None, 5, Protocol.UDP)
    assert engine.fits_port(web, None, 80, Protocol.TCP)
    assert not engine.fits_port(web, None, 80, Protocol.UDP)
    assert not engine.fits_port(web, None, 81, Protocol.TCP)


def test_labels_when_pod_is_on_the_host_network_then_are_those_it_would_have() -> None:
    engine = make_engine()
    subject = engine.cluster.endpoints[0]

    assert engine.labels_if_managed(subject) == subject.labels
