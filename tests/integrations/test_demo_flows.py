"""The demo's traffic: true to the engine, shaped as Hubble writes it, the same every time."""

import asyncio
from collections import defaultdict
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.cluster.build import build_cluster
from app.core.flows.codec import Decoder
from app.core.flows.encode import encode_line
from app.core.flows.times import NS_PER_S
from app.core.model.flow import Flow, FlowBatch
from app.core.model.verdict import Outcome, Protocol, Question
from app.core.policy.engine import Engine
from app.ports import FlowRequest, SourceState
from app.testing.clock import START_NS
from integrations.demo.cluster import DemoCluster
from integrations.demo.flows import DemoFlows
from integrations.demo.topology import read_topology
from integrations.demo.traffic import HISTORY_S, Traffic

DROP, TRACE, VERDICT, L7 = 1, 4, 5, 129
MS = 1_000_000


@pytest.fixture(scope="module")
def engine() -> Engine:
    read = asyncio.run(DemoCluster(lambda: START_NS).read())
    return Engine.build(build_cluster(read.manifests, settings=read.settings))


@pytest.fixture(scope="module")
def history(engine: Engine) -> FlowBatch:
    return traffic(engine).history(START_NS)


def traffic(engine: Engine, *, seed: int = 7, rate: float = 25.0) -> Traffic:
    return Traffic(engine, read_topology(), seed=seed, rate=rate)


def connection(flow: Flow) -> tuple[object, ...]:
    ends = (flow.source_ip, flow.source_port, flow.destination_ip, flow.destination_port)
    return (flow.node, flow.direction, flow.protocol, *ends)


def test_history_is_a_quarter_of_an_hour_in_order(history: FlowBatch) -> None:
    times = [flow.time_ns for flow in history.flows]
    assert 300 <= len(times) <= 600
    assert times == sorted(times)
    assert times[0] >= START_NS - HISTORY_S * NS_PER_S
    assert times[-1] <= START_NS
    assert START_NS - times[-1] < 60 * NS_PER_S


def test_history_holds_every_kind_of_event(history: FlowBatch) -> None:
    assert {flow.event for flow in history.flows} == {DROP, TRACE, VERDICT, L7}
    assert {flow.verdict for flow in history.flows} == {"FORWARDED", "DROPPED", "REDIRECTED"}
    assert {"POLICY_DENIED", "POLICY_DENY", "SERVICE_BACKEND_NOT_FOUND"} <= {
        flow.drop_reason for flow in history.flows
    }
    assert {"TCP", "UDP", "ICMPv4"} == {flow.protocol for flow in history.flows}


def test_every_flow_has_an_uuid_of_its_own(engine: Engine) -> None:
    teller = traffic(engine)
    flows = [*teller.history(START_NS).flows, *teller.until(START_NS + 60 * NS_PER_S).flows]
    assert len({flow.uuid for flow in flows}) == len(flows)


def test_same_seed_and_times_give_the_same_flows(engine: Engine) -> None:
    first, second, other = traffic(engine), traffic(engine), traffic(engine, seed=8)
    assert first.history(START_NS) == second.history(START_NS) != other.history(START_NS)
    for tick in range(1, 40):
        now_ns = START_NS + tick * 250 * MS
        assert first.until(now_ns) == second.until(now_ns)


def test_drop_has_a_verdict_twin_just_before_it(history: FlowBatch) -> None:
    verdicts = defaultdict(list)
    for flow in history.flows:
        if flow.event == VERDICT and flow.verdict == "DROPPED":
            verdicts[connection(flow), flow.drop_reason].append(flow.time_ns)
    drops = [one for one in history.flows if one.event == DROP and "POLICY" in one.drop_reason]
    assert drops
    for drop in drops:
        twins = verdicts[connection(drop), drop.drop_reason]
        assert any(0 < drop.time_ns - twin < MS for twin in twins)


def test_default_deny_names_no_policy_and_explicit_deny_does(history: FlowBatch) -> None:
    for flow in history.flows:
        denied_by = (*flow.egress_denied_by, *flow.ingress_denied_by)
        explicit = flow.event == VERDICT and flow.drop_reason == "POLICY_DENY"
        assert bool(denied_by) == explicit


def test_allowing_verdict_names_policies_of_its_own_direction(history: FlowBatch) -> None:
    allowed = [
        flow for flow in history.flows if flow.event == VERDICT and flow.verdict != "DROPPED"
    ]
    assert allowed
    for flow in allowed:
        assert bool(flow.egress_allowed_by) == (flow.direction == "EGRESS")
        assert bool(flow.ingress_allowed_by) == (flow.direction == "INGRESS")
        assert flow.match_type


def test_lost_syn_is_repeated_from_the_same_port_with_backoff(history: FlowBatch) -> None:
    attempts = defaultdict(list)
    for flow in history.flows:
        retried = flow.source.pod == "jupyter-alice" and flow.destination.pod == "mirror-1"
        if flow.event == DROP and retried:
            attempts[flow.source_port].append(flow.time_ns)
    assert len(attempts) >= 5
    for times in attempts.values():
        gaps = [round((later - times[0]) / NS_PER_S) for later in times]
        assert gaps == [0, 1, 3, 7][: len(gaps)]


def test_reply_turns_addresses_ports_and_ends_around(history: FlowBatch) -> None:
    opened = {
        (flow.source_ip, flow.source_port, flow.destination_ip, flow.destination_port)
        for flow in history.flows
        if flow.is_reply is False
    }
    replies = [flow for flow in history.flows if flow.is_reply and flow.protocol != "ICMPv4"]
    assert replies
    for flow in replies:
        ends = (flow.destination_ip, flow.destination_port, flow.source_ip, flow.source_port)
        assert ends in opened


def test_refused_request_is_answered_403_under_the_same_id(history: FlowBatch) -> None:
    messages = [(flow, flow.l7.http) for flow in history.flows if flow.l7 and flow.l7.http]
    refused = [(flow, http) for flow, http in messages if flow.verdict == "DROPPED"]
    assert [http.method for _, http in refused] == ["POST"]
    for request, http in refused:
        answers = [
            (flow.verdict, other.code, flow.time_ns > request.time_ns)
            for flow, other in messages
            if other.headers == http.headers and other.code
        ]
        assert answers == [("FORWARDED", 403, True)]


def test_proxied_answer_precedes_the_connection_it_is_for(history: FlowBatch) -> None:
    answers = {
        (flow.destination.pod, address): flow.time_ns
        for flow in history.flows
        if flow.l7 and flow.l7.dns
        for address in flow.l7.dns.ips
    }
    named = [flow for flow in history.flows if flow.destination_names]
    assert named
    for flow in named:
        assert answers[flow.source.pod, flow.destination_ip] < flow.time_ns


def test_names_are_known_only_where_dns_went_through_the_proxy(history: FlowBatch) -> None:
    unproxied = [flow for flow in history.flows if flow.source.pod == "jupyter-alice"]
    assert unproxied
    assert not any(flow.destination_names or flow.l7 for flow in unproxied)


def test_workload_and_id_are_known_on_the_own_node_only(history: FlowBatch) -> None:
    for flow in history.flows:
        for end in (flow.source, flow.destination):
            if end.workload:
                assert end.id
    seen = [flow for flow in history.flows if flow.source.pod == "keycloak-0"]
    assert {bool(flow.source.id) for flow in seen if flow.node == "node-2"} == {True}
    assert {bool(flow.source.id) for flow in seen if flow.node == "node-3"} == {False}


def test_verdicts_between_pods_are_the_engines(engine: Engine, history: FlowBatch) -> None:
    pods = {(one.namespace, one.name): one for one in engine.cluster.endpoints}
    judged = 0
    for flow in history.flows:
        ends = [pods.get((end.namespace, end.pod)) for end in (flow.source, flow.destination)]
        source, destination = ends
        if flow.event != VERDICT or source is None or destination is None:
            continue
        if (source.name, destination.name) == ("jupyter-bob", "mirror-1"):
            continue  # what earlier policies did
        protocol = Protocol.ICMP if flow.protocol == "ICMPv4" else Protocol(flow.protocol)
        question = Question(
            engine.peer_of(source), engine.peer_of(destination), flow.destination_port, protocol
        )
        decision = engine.decide(question)
        side = decision.egress if flow.direction == "EGRESS" else decision.ingress
        assert side.outcome is OUTCOMES[flow.verdict]
        judged += 1
    assert judged > 50


OUTCOMES = {
    "DROPPED": Outcome.DENIED,
    "FORWARDED": Outcome.ALLOWED,
    "REDIRECTED": Outcome.REDIRECTED,
}


def test_flows_survive_hubbles_own_form(history: FlowBatch) -> None:
    decoder = Decoder()
    for flow in history.flows:
        assert decoder.decode_line(encode_line(flow)) == flow
    assert not decoder.unknown


def test_addresses_are_addresses(history: FlowBatch) -> None:
    for flow in history.flows:
        assert ip_address(flow.source_ip) != ip_address(flow.destination_ip)


@settings(max_examples=12, deadline=None)
@given(rate=st.sampled_from([1.0, 7.0, 25.0, 400.0, 20_000.0]), seed=st.integers(0, 2**40))
def test_rate_is_kept_on_average(engine: Engine, rate: float, seed: int) -> None:
    teller = traffic(engine, seed=seed, rate=rate)
    teller.history(START_NS)
    seconds = max(3, min(600, round(6000 / rate)))
    told = 0
    for tick in range(1, seconds * 2 + 1):
        told += len(teller.until(START_NS + tick * NS_PER_S // 2).flows)
    warm_up = 8 * rate  # retries of the last seconds are still to come
    assert 0.6 * rate * seconds - warm_up <= told <= 1.4 * rate * seconds + 60


def test_pause_is_not_made_up_for_but_said(engine: Engine) -> None:
    teller = traffic(engine, rate=1000.0)
    teller.history(START_NS)
    batch = teller.until(START_NS + 30 * NS_PER_S)
    assert [lost.source for lost in batch.lost] == ["HUBBLE_RING_BUFFER"]
    assert 27_000 <= batch.lost[0].count <= 29_000
    assert len(batch.flows) < 5_000


def test_events_are_lost_now_and_then(engine: Engine) -> None:
    teller = traffic(engine)
    teller.history(START_NS)
    batches = [teller.until(START_NS + second * NS_PER_S) for second in range(1, 200)]
    lost = [one for batch in batches for one in batch.lost]
    assert 2 <= len(lost) <= 5
    assert {one.source for one in lost} == {"OBSERVER_EVENTS_QUEUE"}


async def test_source_gives_its_state_then_history_then_ends() -> None:
    request = FlowRequest(follow=False)
    items = [item async for item in DemoFlows(now_ns=lambda: START_NS).flows(request)]
    assert [type(item) for item in items] == [SourceState, FlowBatch]
    state = items[0]
    assert isinstance(state, SourceState)
    assert (state.source, state.phase) == ("demo flows", "live")


async def test_source_obeys_last_and_since() -> None:
    async def ask(request: FlowRequest) -> tuple[Flow, ...]:
        items = [item async for item in DemoFlows(now_ns=lambda: START_NS).flows(request)]
        return next(item.flows for item in items if isinstance(item, FlowBatch))

    everything = await ask(FlowRequest(follow=False))
    middle_ns = everything[100].time_ns
    assert await ask(FlowRequest(follow=False, last=3)) == everything[-3:]
    assert await ask(FlowRequest(follow=False, last=0)) == ()
    recent = await ask(FlowRequest(follow=False, since_ns=middle_ns))
    assert recent == tuple(flow for flow in everything if flow.time_ns >= middle_ns)
    early = await ask(FlowRequest(follow=False, until_ns=middle_ns))
    assert early == tuple(flow for flow in everything if flow.time_ns <= middle_ns)


async def test_source_goes_on_when_followed() -> None:
    now = iter(range(START_NS, START_NS + 1000 * NS_PER_S, NS_PER_S))
    source = DemoFlows(now_ns=lambda: next(now), rate=50_000.0)
    told = 0
    async for item in source.flows(FlowRequest()):
        told += len(item.flows) if isinstance(item, FlowBatch) else 0
        if told > 20_000:
            break
    assert told > 20_000
