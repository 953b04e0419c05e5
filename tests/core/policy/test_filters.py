from typing import Any

import pytest

from app.core.model.cluster import ClusterConfig
from app.core.model.verdict import Direction, Verdict
from app.core.policy.filters import DirectionPolicy, SelectorPolicy
from tests.core.policy.build import TCP80, V120, Tree, ask, cnp, egress, make_engine, ports


def _compiled(*items: Tree, version: tuple[int, int, int] = (1, 19, 3)) -> DirectionPolicy:
    body = cnp(egress(*items))
    engine = make_engine(body, config=ClusterConfig(cilium_version=version))
    endpoint = next(item for item in engine.cluster.endpoints if item.key == "a/a")
    return engine.direction_policy(endpoint, Direction.EGRESS)


def _only(policy: DirectionPolicy) -> SelectorPolicy:
    (item,) = policy.filters
    (found,) = item.policies.values()
    return found


def _listener(name: str, priority: int) -> Tree:
    return {
        "envoyConfig": {"kind": "CiliumEnvoyConfig", "name": "c"},
        "name": name,
        "priority": priority,
    }


def _world(**extra: Any) -> Tree:
    return {"toCIDR": ["10.0.0.0/8"], **ports(TCP80, **extra)}


def test_listeners_when_priorities_differ_then_the_lower_number_wins() -> None:
    for first, second in ((1, 2), (2, 1)):
        policy = _compiled(
            _world(listener=_listener("x", first)), _world(listener=_listener("y", second))
        )

        assert policy.conflict == ""
        assert _only(policy).priority == 1


def test_listeners_when_equal_then_are_one() -> None:
    policy = _compiled(_world(listener=_listener("x", 1)), _world(listener=_listener("x", 1)))

    assert policy.conflict == ""


def test_listener_when_met_by_a_plain_allow_then_stays() -> None:
    for items in (
        (_world(), _world(listener=_listener("x", 0))),
        (_world(listener=_listener("x", 0)), _world()),
    ):
        assert _only(_compiled(*items)).parser == "crd"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"listener": _listener("x", 1)}, {"listener": _listener("y", 1)}, "listeners"),
        ({"rules": {"http": [{}]}}, {"listener": _listener("y", 1)}, "http and crd"),
        ({"rules": {"http": [{}]}}, {"rules": {"l7proto": "x"}}, "http and x"),
        ({"rules": {"http": [{}]}}, {"serverNames": ["x"]}, "server names"),
        (
            {"terminatingTLS": {"secret": {"name": "a"}}},
            {"terminatingTLS": {"secret": {"name": "b"}}},
            "TLS contexts",
        ),
    ],
)
def test_rules_when_they_cannot_be_merged_then_policy_is_a_conflict(
    first: Tree, second: Tree, said: str
) -> None:
    assert said in _compiled(_world(**first), _world(**second)).conflict


def test_authentication_when_two_modes_meet_then_is_a_conflict() -> None:
    items = [_world() | {"authentication": {"mode": mode}} for mode in ("required", "disabled")]

    assert "authentication" in _compiled(*items).conflict


def test_conflict_when_a_selector_never_matches_then_is_none() -> None:
    kinds: list[Tree] = [{"http": [{}]}, {"kafka": [{}]}]
    none = [{"toEntities": ["none"], **ports(TCP80, rules=rules)} for rules in kinds]

    assert _compiled(*none).conflict == ""


def test_conflict_when_asked_then_verdict_is_unknown() -> None:
    body = cnp(egress(_world(rules={"http": [{}]}), _world(rules={"kafka": [{}]})))
    engine = make_engine(body)

    trace = engine.trace(ask(engine, "a/a", "a/b"))

    assert trace.verdict is Verdict.UNKNOWN
    assert "cannot compute" in trace.egress.uncertain[0]


def test_tls_when_met_by_http_then_becomes_http() -> None:
    tls = {"terminatingTLS": {"secret": {"name": "a"}}}

    assert _only(_compiled(_world(**tls), _world(rules={"http": [{}]}))).parser == "http"
    assert _only(_compiled(_world(rules={"http": [{}]}), _world(**tls))).parser == "http"


def test_deny_when_met_by_an_allow_of_its_selector_then_replaces_it_in_either_order() -> None:
    for lists in (("egress", "egressDeny"), ("egressDeny", "egress")):
        specs = [{"endpointSelector": {}, name: [_world()]} for name in lists]
        engine = make_engine(cnp(None, specs=specs))
        endpoint = next(item for item in engine.cluster.endpoints if item.key == "a/a")

        found = _only(engine.direction_policy(endpoint, Direction.EGRESS))

        assert found.effect.value == "deny"


def test_octal_port_when_filed_by_1_19_then_meets_the_decimal_text() -> None:
    items = ports({"port": "0120", "protocol": "TCP"}, {"port": "120", "protocol": "TCP"})

    (shared,) = _compiled({"toCIDR": ["10.0.0.0/8"], **items}).filters
    assert shared.number == 80
    assert len(_compiled({"toCIDR": ["10.0.0.0/8"], **items}, version=V120).filters) == 2


def test_kafka_when_ranked_then_stands_between_http_and_other_protocols() -> None:
    written: list[Tree] = [
        {"rules": {"http": [{}]}},
        {"rules": {"kafka": [{}]}},
        {"rules": {"l7proto": "x"}},
        {"serverNames": ["x"]},
        {},
    ]

    ranks = [_only(_compiled(_world(**extra))).rank for extra in written]

    assert ranks == sorted(ranks, reverse=True)
