"""All pairs must say what the reference says, pair by pair, also after any edits.

| property | inputs | why true |
|---|---|---|
| `pairs` and `verdict` equal `Engine.decide` | random clusters | a set is its members |
| an edited engine equals one built afresh | random edits | what did not change holds |
| `difference` is what two matrices differ in | random edits | only changed rows differ |
"""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.model.cluster import Cluster, ContainerPort
from app.core.model.labels import K8S_SOURCE, Label, LabelSet
from app.core.model.verdict import Direction, Outcome, Peer, Protocol, Question, Verdict
from app.core.policy.difference import difference, row_changes
from app.core.policy.engine import Engine
from app.core.policy.groups import IdentityGroup
from app.core.policy.reachability import Reachability
from app.core.policy.rows import Port
from tests.oracle.clusters.cases import make_case
from tests.oracle.ours import build_engine

VERSIONS = ("1.18.4", "1.19.3", "1.19.7", "1.20.2")
PORTS: tuple[Port, ...] = (
    (Protocol.TCP, 80),
    (Protocol.TCP, 8080),
    (Protocol.TCP, 9090),
    (Protocol.TCP, 1),
    (Protocol.UDP, 53),
    (Protocol.SCTP, 8000),
    (Protocol.ICMP, 8),
)
SEEDS = st.integers(0, 1_000_000)


def engine_of(seed: int, version: str) -> Engine:
    return build_engine(make_case(seed, "x", with_requests=seed % 2 == 0), version)


def outside(engine: Engine) -> list[Peer]:
    named = frozenset(("files.pypi.org",))
    return [
        engine.peer_of_outside(ip_address("10.1.2.3"), named),
        engine.peer_of_outside(ip_address("203.0.113.7")),
        engine.peer_of_outside(ip_address("198.51.100.1"), frozenset(("example.org",))),
    ]


def reference_verdict(
    engine: Engine, source: IdentityGroup, destination: IdentityGroup, port: Port
) -> Verdict:
    """What `decide` says of the connection itself, unknown proxies left aside."""
    protocol, number = port
    decision = engine.decide(Question(source.peer, destination.peer, number, protocol))
    outcomes = (decision.egress.outcome, decision.ingress.outcome)
    if Outcome.DENIED in outcomes:
        return Verdict.DENIED
    return Verdict.REDIRECTED if Outcome.REDIRECTED in outcomes else Verdict.ALLOWED


def matrix(pairs: Reachability, port: Port) -> list[list[Verdict]]:
    numbers = range(len(pairs.groups))
    rows = pairs.pairs(port)
    found = []
    for source in numbers:
        row = rows[source]
        found.append(
            [
                Verdict.DENIED
                if not row.allowed >> n & 1
                else Verdict.REDIRECTED
                if row.redirected >> n & 1
                else Verdict.ALLOWED
                for n in numbers
            ]
        )
    return found


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(VERSIONS))
def test_pairs_when_compared_with_the_reference_then_every_pair_agrees(
    seed: int, version: str
) -> None:
    engine = engine_of(seed, version)
    pairs = engine.reachability(outside(engine))

    for port in PORTS:
        found = matrix(pairs, port)
        for source, destination in product(range(len(pairs.groups)), repeat=2):
            if source == destination:
                continue
            ends = pairs.groups[source], pairs.groups[destination]
            expected = reference_verdict(engine, *ends, port)
            assert found[source][destination] is expected
            assert pairs.verdict(source, destination, port) is expected


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(VERSIONS), st.lists(st.sets(st.integers(0, 5)), max_size=4))
def test_engine_when_policies_are_edited_then_equals_one_built_afresh(
    seed: int, version: str, edits: list[set[int]]
) -> None:
    whole = engine_of(seed, version)
    cluster = whole.cluster
    before, pairs = whole, whole.reachability(outside(whole))
    for chosen in edits:
        policies = tuple(p for n, p in enumerate(cluster.policies) if n in chosen)
        edited = replace(cluster, policies=policies)
        after = before.replace(edited)
        changed = after.reachability(outside(after))
        fresh = Engine.build(edited)

        expected = fresh.reachability(outside(fresh))
        for port in PORTS:
            assert matrix(changed, port) == matrix(expected, port)
        assert_difference_is_exact(pairs, changed)
        before, pairs = after, changed


def assert_difference_is_exact(before: Reachability, after: Reachability) -> None:
    number = {id(group.peer): n for n, group in enumerate(after.groups)}
    found = {
        (number[id(one.source.peer)], number[id(one.destination.peer)], one.protocol, one.port): (
            one.before,
            one.after,
        )
        for one in difference(before, after, PORTS)
    }
    expected = {}
    for port in PORTS:
        old, new = matrix(before, port), matrix(after, port)
        for source, destination in product(range(len(after.groups)), repeat=2):
            was, now = old[source][destination], new[source][destination]
            if was is not now:
                expected[source, destination, *port] = (was, now)
    assert found == expected


def by_keys(pairs: Reachability, port: Port) -> dict[object, frozenset[object]]:
    """Every pair that is not denied, by what makes its groups, so that places do not matter."""
    rows = pairs.pairs(port)
    keys = [group.key for group in pairs.groups]
    live = [n for n in range(len(keys)) if pairs.rows.everyone >> n & 1]
    assert not any(rows[n].allowed for n in range(len(keys)) if n not in live)
    assert all(one.allowed & ~pairs.rows.everyone == 0 for one in rows)
    return {
        keys[source]: frozenset(
            (keys[n], bool(rows[source].redirected >> n & 1), pairs.verdict(source, n, port))
            for n in live
            if rows[source].allowed >> n & 1
        )
        for source in live
    }


def pods_of(pairs: Reachability) -> dict[object, object]:
    return {
        group.key: (group.peer, group.identity, group.endpoints)
        for n, group in enumerate(pairs.groups)
        if pairs.rows.everyone >> n & 1
    }


def edited_pods(cluster: Cluster, dice: random.Random, number: int) -> Cluster:
    """Change some pods: labels, ports, address; or all of a namespace; or take and add some."""
    pods = list(cluster.endpoints)
    action = dice.choice(("label", "namespace", "ports", "drop", "add", "flags"))
    extra = Label(K8S_SOURCE, dice.choice(("app", "team", "made")), f"v{dice.randrange(3)}")
    chosen = dice.sample(range(len(pods)), min(len(pods), dice.randint(1, 2)))
    if action == "namespace" and pods:
        namespace = dice.choice(pods).namespace
        chosen = [n for n, one in enumerate(pods) if one.namespace == namespace]
    for n in sorted(chosen, reverse=True):
        one = pods[n]
        kept = [label for label in one.labels.values() if label.key != extra.key]
        if action in ("label", "namespace"):
            pods[n] = replace(one, labels=LabelSet([*kept, extra]))
        elif action == "ports":
            pods[n] = replace(one, ports=(ContainerPort("http", dice.choice((80, 8080)), "TCP"),))
        elif action == "flags":
            pods[n] = replace(one, managed=not one.managed, host_network=False)
        elif action == "drop":
            del pods[n]
        else:
            name, address = f"new-{number}-{n}", ip_address(f"10.9.{number}.{n + 1}")
            labels = LabelSet([*kept, *dice.choice(([], [extra]))])
            at = dice.randint(0, len(pods))
            pods.insert(at, replace(one, name=name, labels=labels, addresses=(address,)))
    return replace(cluster, endpoints=tuple(pods))


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from(VERSIONS))
def test_engine_when_pods_change_then_equals_one_built_afresh(seed: int, version: str) -> None:
    engine = engine_of(seed, version)
    dice = random.Random(seed)  # noqa: S311  # test data
    cluster = engine.cluster
    engine.reachability(outside(engine))
    for number in range(5):
        cluster = edited_pods(cluster, dice, number)
        if dice.random() < 0.3:
            kept = [one for one in engine.cluster.policies if dice.random() < 0.7]
            cluster = replace(cluster, policies=tuple(kept))
        if dice.random() < 0.2:
            cluster = replace(cluster, learned_names={"example.org": (ip_address("198.51.100.1"),)})
        if dice.random() < 0.7:
            for port in PORTS[:3]:
                engine.reachability(outside(engine)).pairs(port)
        engine = engine.replace(cluster)
        fresh = Engine.build(cluster)
        found, expected = (
            one.reachability(outside(one) if number % 2 else ()) for one in (engine, fresh)
        )
        assert pods_of(found) == pods_of(expected)
        assert engine.names == fresh.names
        for port in PORTS:
            assert by_keys(found, port) == by_keys(expected, port)


def test_engine_when_a_pod_changes_then_groups_keep_their_places() -> None:
    engine = built(pod("one", "web"), pod("two", "db"), pod("three", "web"))
    cluster = engine.cluster
    before = engine.reachability()
    (one, two, three) = cluster.endpoints
    moved = replace(one, labels=LabelSet([Label(K8S_SOURCE, "app", "else")]))

    grown = engine.replace(replace(cluster, endpoints=(moved, two, three)))  # makes room
    first = grown.reachability()
    back = grown.replace(replace(cluster, endpoints=(one, two, three)))
    second = back.reachability()

    assert {g.key for g in before.groups if g.endpoints} == {
        g.key for g in second.groups if g.endpoints
    }
    assert number_of(first, "a/two") == number_of(second, "a/two")
    assert len(first.groups) == len(second.groups)


# -- made by hand --------------------------------------------------------------------------------

NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}},
}


def pod(name: str, app: str, *ports: tuple[str, int]) -> dict[str, Any]:
    declared = [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in ports]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "a", "labels": {"app": app}},
        "spec": {"containers": [{"name": "c", "image": "i", "ports": declared}]},
        "status": {"phase": "Running", "podIP": f"10.0.0.{hash_of(name)}"},
    }


def hash_of(name: str) -> int:
    return sum(map(ord, name)) % 250 + 1


def cnp(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {"endpointSelector": {}, **spec},
    }


def built(*objects: dict[str, Any], version: str = "1.19.3") -> Engine:
    case = {"name": "x", "config": {}, "objects": [NAMESPACE, *objects], "queries": []}
    return build_engine(case, version)


def number_of(pairs: Reachability, name: str) -> int:
    return next(n for n, group in enumerate(pairs.groups) if group.peer.text.endswith(name))


def tcp(port: str) -> list[dict[str, Any]]:
    return [{"ports": [{"port": port, "protocol": "TCP"}]}]


def test_groups_when_pods_share_labels_and_port_names_then_are_one() -> None:
    engine = built(pod("one", "web"), pod("two", "web"), pod("three", "web", ("http", 80)))

    groups = [group for group in engine.reachability().groups if group.endpoints]

    assert sorted(group.size for group in groups) == [1, 2]


def test_reachability_when_nothing_changed_then_is_computed_once() -> None:
    engine = built(pod("one", "web"), cnp("none", ingress=[{}]))
    first = engine.reachability()

    again = engine.reachability()

    assert again.rows is first.rows
    assert again.ingress.classes == first.ingress.classes


def test_replace_when_a_pod_came_then_its_pairs_are_there() -> None:
    small = built(pod("one", "web"), cnp("none", ingress=[{}]))
    small.reachability()
    large = built(pod("one", "web"), pod("two", "job"), cnp("none", ingress=[{}]))

    pairs = small.replace(large.cluster).reachability()

    ends = number_of(pairs, "a/two"), number_of(pairs, "a/one")
    assert pairs.verdict(*ends, (Protocol.TCP, 80)) is Verdict.DENIED


def test_difference_when_groups_are_others_then_raises() -> None:
    small, large = built(pod("one", "web")), built(pod("one", "web"), pod("two", "job"))

    with pytest.raises(ValueError, match="other groups"):
        list(difference(small.reachability(), large.reachability(), PORTS))


def test_difference_when_a_policy_names_a_new_block_then_outside_pairs_change() -> None:
    engine = built(pod("one", "web"), cnp("out", egress=[{"toCIDR": ["192.0.2.0/24"]}]))
    before = engine.reachability([engine.peer_of_outside(ip_address("203.0.113.7"))])
    wider = built(
        pod("one", "web"), cnp("out", egress=[{"toCIDR": ["192.0.2.0/24", "203.0.113.0/24"]}])
    )
    after_engine = engine.replace(replace(engine.cluster, policies=wider.cluster.policies))
    peers = [after_engine.peer_of_outside(ip_address("203.0.113.7"))]

    found = list(difference(before, after_engine.reachability(peers), [(Protocol.TCP, 443)]))

    assert [(one.destination.peer.text, one.before, one.after) for one in found] == [
        ("203.0.113.7", Verdict.DENIED, Verdict.ALLOWED)
    ]


def test_row_changes_when_one_rule_came_then_only_its_subject_is_named() -> None:
    engine = built(
        pod("one", "web"), pod("two", "job"), cnp("in", ingress=[{"toPorts": tcp("80")}])
    )
    before = engine.reachability()
    other = built(
        pod("one", "web"),
        pod("two", "job"),
        cnp("in", ingress=[{"toPorts": tcp("80")}]),
        cnp(
            "more",
            endpointSelector={"matchLabels": {"app": "web"}},
            ingress=[{"toPorts": tcp("81")}],
        ),
    )
    policies = (*engine.cluster.policies, other.cluster.policies[1])
    after = engine.replace(replace(engine.cluster, policies=policies)).reachability()

    found = list(row_changes(before, after, [(Protocol.TCP, 80), (Protocol.TCP, 81)]))

    assert [(one.direction, one.number, one.port) for one in found] == [
        (Direction.INGRESS, number_of(after, "a/one"), (Protocol.TCP, 81))
    ]


def test_row_changes_when_the_other_end_forbids_it_anyway_then_there_are_none() -> None:
    closed = cnp("closed", egress=[{}], ingress=[{}])
    engine = built(pod("one", "web"), pod("two", "job"), closed)
    before = engine.reachability()
    opened = built(closed, cnp("open", ingress=[{"fromEndpoints": [{}]}])).cluster.policies[1]
    policies = (*engine.cluster.policies, opened)
    after = engine.replace(replace(engine.cluster, policies=policies)).reachability()

    assert list(row_changes(before, after, [(Protocol.TCP, 80)])) == []


def test_difference_when_the_other_end_redirects_then_the_pair_is_redirected() -> None:
    job = {"endpointSelector": {"matchLabels": {"app": "job"}}}
    read = [{"ports": tcp("80")[0]["ports"], "rules": {"http": [{"method": "GET"}]}}]
    web = {"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"toPorts": read}]}
    closed, opened = (
        cnp("job", egress=[{}], **job),
        cnp("job", egress=[{"toEntities": ["all"]}], **job),
    )
    pods = (pod("one", "web"), pod("two", "job"), cnp("web", **web))
    engine = built(*pods, closed)
    changed = built(*pods, opened).cluster.policies
    after = engine.replace(replace(engine.cluster, policies=changed)).reachability()

    found = list(difference(engine.reachability(), after, [(Protocol.TCP, 80)]))

    into_web = [one for one in found if one.destination.peer.text == "pod a/one"]
    assert [(one.source.peer.text, one.before, one.after) for one in into_web] == [
        ("pod a/two", Verdict.DENIED, Verdict.REDIRECTED)
    ]


def test_groups_when_a_pod_is_on_the_host_network_then_it_is_in_none() -> None:
    hosted = pod("one", "web")
    hosted["spec"]["hostNetwork"] = True

    groups = built(hosted, pod("two", "web")).reachability().groups

    assert [group.endpoints[0].name for group in groups if group.endpoints] == ["two"]


def test_named_egress_port_in_1_20_when_peers_differ_then_holds_for_each_by_its_own() -> None:
    engine = built(
        pod("one", "web"),
        pod("two", "job", ("http", 8080)),
        pod("three", "db", ("http", 9090)),
        cnp("out", egress=[{"toEndpoints": [{}], "toPorts": tcp("http")}]),
        cnp("db", endpointSelector={"matchLabels": {"app": "db"}}, egress=[{}]),
        version="1.20.2",
    )
    pairs = engine.reachability()

    for name in ("a/one", "a/three"):
        row = pairs.row(Direction.EGRESS, number_of(pairs, name), (Protocol.TCP, 8080))
        assert row.allowed >> number_of(pairs, "a/two") & 1
        assert not row.allowed >> number_of(pairs, "a/three") & 1


def test_named_egress_port_behind_every_cidr_group_in_1_20_then_holds_for_no_pod() -> None:
    engine = built(
        pod("one", "web"),
        pod("two", "job", ("http", 8080)),
        cnp("out", egress=[{"toCIDRSet": [{"cidrGroupSelector": {}}], "toPorts": tcp("http")}]),
        cnp("job", egress=[{"toEndpoints": [{}], "toPorts": tcp("http")}]),
        version="1.20.2",
    )
    pairs, port = engine.reachability(), (Protocol.TCP, 8080)

    row = pairs.row(Direction.EGRESS, number_of(pairs, "a/one"), port)
    assert not row.allowed >> number_of(pairs, "a/two") & 1
    for source, destination in product(range(len(pairs.groups)), repeat=2):
        if source != destination:
            wanted = reference_verdict(
                engine, pairs.groups[source], pairs.groups[destination], port
            )
            assert pairs.verdict(source, destination, port) is wanted


def test_redirected_when_a_plain_allow_asks_for_authentication_then_stays() -> None:
    web = {"matchLabels": {"app": "web"}}
    engine = built(
        pod("one", "web"),
        pod("two", "job"),
        cnp(
            "in",
            endpointSelector={"matchLabels": {"app": "job"}},
            ingress=[
                {
                    "fromEndpoints": [{}],
                    "toPorts": [
                        {
                            "ports": [{"port": "80", "endPort": 90, "protocol": "TCP"}],
                            "rules": {"http": [{"method": "GET"}]},
                        }
                    ],
                },
                {
                    "fromEndpoints": [web],
                    "toPorts": tcp("80"),
                    "authentication": {"mode": "required"},
                },
            ],
        ),
    )
    pairs = engine.reachability()
    ends = number_of(pairs, "a/one"), number_of(pairs, "a/two")

    verdicts = [pairs.verdict(*ends, (Protocol.TCP, port)) for port in (80, 81)]

    groups = pairs.groups[ends[0]], pairs.groups[ends[1]]
    assert verdicts == [Verdict.REDIRECTED, Verdict.REDIRECTED]
    assert reference_verdict(engine, *groups, (Protocol.TCP, 80)) is Verdict.REDIRECTED


def test_forget_when_many_drafts_came_and_went_then_rows_do_not_pile_up() -> None:
    engine = built(pod("one", "web"), pod("two", "job"), cnp("in", ingress=[{}]))
    port = (Protocol.TCP, 80)
    engine.reachability().pairs(port)
    for number in range(30):
        draft = built(cnp("in", ingress=[{"toPorts": tcp(str(1000 + number))}])).cluster.policies
        engine = engine.replace(replace(engine.cluster, policies=draft))
        engine.reachability().pairs(port)

    kept = engine.reachability().rows._kept

    assert len(kept) < 10


@pytest.mark.parametrize(
    ("version", "expected"), [("1.19.3", Verdict.DENIED), ("1.20.2", Verdict.ALLOWED)]
)
def test_negative_selector_when_peers_have_an_aggregate_then_holds_those_it_excludes(
    version: str, expected: Verdict
) -> None:
    negative = {
        "matchExpressions": [
            {"key": "reserved:host", "operator": "DoesNotExist"},
            {"key": "app", "operator": "NotIn", "values": ["web"]},
        ]
    }
    engine = built(
        pod("one", "web"),
        pod("two", "job"),
        cnp("in", ingress=[{"fromEndpoints": [negative]}]),
        version=version,
    )
    pairs = engine.reachability()
    ends = number_of(pairs, "a/one"), number_of(pairs, "a/two")

    assert pairs.verdict(*ends, (Protocol.TCP, 80)) is expected
    groups = pairs.groups[ends[0]], pairs.groups[ends[1]]
    assert reference_verdict(engine, *groups, (Protocol.TCP, 80)) is expected
