"""Every fix of the fault bank opens what it says, and nothing else, by asking about every pair."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.core.diagnose.case import gather
from app.core.drafts.choice import Plan
from app.core.errors import DraftRejected
from app.core.model.cluster import Endpoint, IdentityKind
from app.core.model.provenance import ObjectRef
from app.core.model.verdict import Direction, Outcome, Peer, Protocol, Question, Verdict
from app.core.policy.engine import Engine
from app.core.policy.reachability import ENTITIES
from app.services.ways import Wanted, wanted_of
from tests.core.diagnose.bank import Fault, flows_of, load_faults

FAULTS = [fault for fault in load_faults() if fault.expect["cause"] != "none"]
ALLOWED = "policies allow this already"
NOTHING = "there is no connection behind this question"
NO_CHANGE = "no change that can be written allows"
REFUSALS = {
    "egress-explicit-deny": "denies it on purpose",
    "ingress-explicit-deny": "denies it on purpose",
    "ingress-default-deny": "it would open the whole outside",
    "not-a-policy-drop": ALLOWED,
    "backend-not-ready": ALLOWED,
    "flows-disagree": f"{ALLOWED}|{NO_CHANGE} hub/proxy → pypi.org",
    "dns-blocked": f"{ALLOWED}|{NO_CHANGE} lab/notebook → packages.example.org",
    "unmanaged-endpoint": f"{ALLOWED}|{NO_CHANGE} .*(unmanaged|lab/scheduler|mirror/mirror)|"
    "no rule is drafted for `pod .* .unmanaged.`",
    "service-without-backends": f"{NOTHING}|{ALLOWED}",
    "named-port-unresolved": NOTHING,
    "policy-rejected": ALLOWED,
}
"""For which causes no change is offered, and why; of any other cause there must be one."""

Pair = tuple[object, object, Protocol, int]


def fixes(fault: Fault) -> tuple[Engine, Wanted, tuple[Plan, ...]] | None:
    engine = fault.engine()
    try:
        wanted = wanted_of(gather(fault.asked, engine, flows_of(fault)))
        return engine, wanted, wanted.plans(engine)
    except DraftRejected as refused:
        expected = fault.expect.get("refusal", REFUSALS.get(fault.expect["cause"], "^$"))
        if not re.search(expected, refused.message):
            raise
        return None


def key(peer: Peer) -> object:
    outside = peer.kind is IdentityKind.WORLD
    return peer.kind, peer.labels, peer.address if outside else None, peer.names


def said_key(peer: Peer, asked: Question) -> object:
    """A name's class has no address: it stands for the end of that name that is asked about."""
    if peer.kind is IdentityKind.WORLD and peer.names and peer.address is None:
        for end in (asked.source, asked.destination):
            if end.kind is IdentityKind.WORLD and end.names == peer.names:
                return key(end)
    return key(peer)


def everyone(engine: Engine, asked: Question) -> list[Peer]:
    pods = [engine.peer_of(endpoint) for endpoint in engine.cluster.endpoints]
    entities = [engine.peer_of_entity(name) for name in ENTITIES]
    unique = {key(peer): peer for peer in (*pods, *entities, asked.source, asked.destination)}
    return list(unique.values())


def ports_in_use(*engines: Engine) -> set[tuple[Protocol, int]]:
    declared = {
        (Protocol(port.protocol), port.port)
        for engine in engines
        for endpoint in engine.cluster.endpoints
        for port in endpoint.ports
    }
    named = {
        (Protocol(protocol), spec.number)
        for engine in engines
        for policy in engine.policies
        for entry in policy.entries
        for rule in entry.ports
        for spec in rule.ports
        for protocol in spec.protocols
        if spec.number and protocol in {"TCP", "UDP", "ICMP"}
    }
    return declared | named


def moved(
    before: Engine, after: Engine, asked: Question, changed: set[ObjectRef] | None = None
) -> Iterator[tuple[Pair, Verdict, Verdict]]:
    """Ask both engines about every pair, or every pair with an end that a policy selects."""
    peers = everyone(before, asked)
    touched = {
        key(peer)
        for peer in peers
        for engine in (before, after)
        if peer.endpoint is not None
        for policy in engine.policies_selecting(peer.endpoint)
        if changed is None or policy.ref in changed
    }
    for source in peers:
        for destination in peers:
            if changed is not None and touched.isdisjoint((key(source), key(destination))):
                continue
            for protocol, port in ports_in_use(before, after):
                question = Question(source, destination, port, protocol)
                was, now = before.decide(question).verdict, after.decide(question).verdict
                if was is not now:
                    yield (key(source), key(destination), protocol, port), was, now


def listens(pair: Pair, engine: Engine) -> bool:
    def declares(endpoint: Endpoint) -> bool:
        same = key(engine.peer_of(endpoint)) == pair[1]
        return same and any(one.port == pair[3] for one in endpoint.ports)

    return any(declares(endpoint) for endpoint in engine.cluster.endpoints)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fix_when_simulated_then_differs_by_what_it_says(fault: Fault) -> None:
    check_fixes(fault, everywhere=False)


@pytest.mark.parametrize("fault", FAULTS[::12], ids=lambda fault: fault.name)
def test_every_fix_when_everyone_is_asked_then_differs_by_what_it_says(fault: Fault) -> None:
    check_fixes(fault, everywhere=True)


def check_fixes(fault: Fault, *, everywhere: bool) -> None:
    engine, wanted, plans = fixes(fault) or (None, None, ())
    for plan in plans:
        assert engine is not None
        assert wanted is not None
        check_fix(plan, engine, wanted, everywhere=everywhere)


def check_fix(plan: Plan, engine: Engine, wanted: Wanted, *, everywhere: bool) -> None:
    asked = wanted.question
    for question, direction in wanted.sides or [(asked, one) for one in Direction]:
        decision = plan.after.decide(question)
        side = decision.egress if direction is Direction.EGRESS else decision.ingress
        assert side.outcome is not Outcome.DENIED
    said = {
        (
            said_key(pair.source.peer, asked),
            said_key(pair.destination.peer, asked),
            pair.protocol,
            pair.port,
        )
        for pair in plan.opened
    }
    said |= {
        (key(one.source), key(one.destination), one.protocol, one.port)
        for one in (asked, *(question for question, _ in wanted.sides))
    }

    changed = None if everywhere else {change.policy for change in plan.changes}
    changes = list(moved(engine, plan.after, asked, changed))
    opened = {pair for pair, was, _ in changes if was is Verdict.DENIED}
    closed = {pair for pair, _, now in changes if now is Verdict.DENIED}

    if asked.request is not None:
        check_requests(plan, engine, wanted)
    assert opened <= said
    assert said - opened <= {pair for pair in said if _stays(pair, engine, plan.after, asked)}
    assert not any(listens(pair, engine) for pair in closed)


def check_requests(plan: Plan, engine: Engine, wanted: Wanted) -> None:
    """Ask about the same request of everyone to everyone."""
    asked = wanted.question
    peers = everyone(engine, asked)
    let_through = set()
    for source in peers:
        for destination in peers:
            same = replace(asked, source=source, destination=destination)
            was, now = engine.decide(same).verdict, plan.after.decide(same).verdict
            if was is not now:
                assert was is Verdict.DENIED
                let_through.add((key(source), key(destination)))
    pairs = [(one.source.peer, one.destination.peer) for one in (*plan.opened, *plan.requests)]
    pairs += [(one.source, one.destination) for one in (asked, *(one for one, _ in wanted.sides))]
    assert let_through <= {(key(source), key(destination)) for source, destination in pairs}


def _stays(pair: Pair, before: Engine, after: Engine, asked: Question) -> bool:
    """Whether a pair that was named is beyond this test's ends, or was allowed before."""
    peers = {key(peer): peer for peer in everyone(before, asked)}
    if pair[0] not in peers or pair[1] not in peers:
        return True
    question = Question(peers[pair[0]], peers[pair[1]], pair[3], pair[2])
    return before.decide(question).verdict is after.decide(question).verdict


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fixes_when_several_then_the_one_that_opens_least_is_first(fault: Fault) -> None:
    found = fixes(fault)
    if found is None:
        return
    sizes = [
        sum(one.source.size * one.destination.size for one in plan.opened) for plan in found[2]
    ]

    assert sizes == sorted(sizes)


def test_faults_with_a_fix_are_most_of_the_bank() -> None:
    with_fix = [fault for fault in FAULTS if fixes(fault)]

    assert len(with_fix) > len(FAULTS) * 0.6
