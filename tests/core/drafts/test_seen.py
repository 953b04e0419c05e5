"""Rules from what was seen: all of it is allowed by them, and no line is there without need."""

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.core.diagnose.boundaries import Boundary, Must
from app.core.drafts.choice import Plan
from app.core.drafts.edits import Append
from app.core.drafts.seen import MOST_ADDRESSES, Seen, plan_for_seen
from app.core.errors import DraftRejected
from app.core.model.verdict import Protocol, Question, Verdict
from app.core.policy.engine import Engine
from tests.core.drafts.cluster import WORKSPACE, engine_of, question, write

ALICE, BOB, DB, MIRROR = (
    "lung/notebook-alice",
    "lung/notebook-bob",
    "mirror/db-0",
    "mirror/mirror-1",
)
DNS = "kube-system/dns-1"


def _engine(tmp_path: Path, *policies: str) -> Engine:
    files = {f"lung/{at}.yaml": text for at, text in enumerate(policies)}
    return engine_of(write(tmp_path, files))


def _seen(engine: Engine, source: str, destination: str, port: int, count: int = 1) -> Seen:
    return Seen(question(engine, source, destination, port), count)


def _named(engine: Engine, name: str, count: int) -> Seen:
    asked = question(engine, ALICE, "203.0.113.7", 443)
    return Seen(
        replace(asked, destination=replace(asked.destination, names=frozenset({name}))), count
    )


def _plan(engine: Engine, seen: list[Seen], *boundaries: Boundary, workload: str = "") -> Plan:
    return plan_for_seen(seen, engine, boundaries, namespace="lung", workload=workload)


def _rules(plan: Plan, way: str = "egress") -> list[Any]:
    (change,) = plan.changes
    if change.body is not None:
        return list(change.body["spec"].get(way, []))
    return [edit.item for edit in change.edits if isinstance(edit, Append)]


def _allows(plan: Plan, seen: list[Seen]) -> bool:
    return all(plan.after.decide(one.question).verdict is not Verdict.DENIED for one in seen)


def test_plan_when_nothing_restricts_yet_then_a_policy_with_ports_joined_and_counts(
    tmp_path: Path,
) -> None:
    engine = _engine(tmp_path)
    seen = [
        _seen(engine, ALICE, DB, 5432, 40),
        _seen(engine, BOB, DB, 5432, 2),
        _seen(engine, ALICE, MIRROR, 8080, 7),
        _seen(engine, ALICE, MIRROR, 8081),
    ]
    plan = _plan(engine, seen)
    assert [change.policy.name for change in plan.changes] == ["notebook-as-seen"]
    ports = [rule["toPorts"][0]["ports"] for rule in _rules(plan)]
    assert [[one["port"] for one in several] for several in ports] == [["5432"], ["8080", "8081"]]
    assert _allows(plan, seen)
    assert plan.evidence == (
        "lung/notebook → mirror/db:5432/TCP: 42 connections",
        "lung/notebook → mirror/mirror:8080/TCP: 7 connections",
        "lung/notebook → mirror/mirror:8081/TCP: 1 connection",
        "egress of notebook is open now: what was not seen will be denied",
    )
    assert plan.after.decide(question(engine, ALICE, DB, 5433)).verdict is Verdict.DENIED


def test_plan_when_two_peers_have_the_same_ports_then_one_rule(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    plan = _plan(engine, [_seen(engine, ALICE, DB, 443), _seen(engine, ALICE, MIRROR, 443)])
    (rule,) = _rules(plan)
    assert [one["matchLabels"]["app"] for one in rule["toEndpoints"]] == ["db", "mirror"]


def test_plan_when_names_then_their_dns_answers_are_shown_by_one_rule(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    names = [_named(engine, name, 3) for name in ("pypi.org", "files.pythonhosted.org")]
    asked = question(engine, ALICE, DNS, 53)
    dns = Seen(Question(asked.source, asked.destination, 53, Protocol.UDP), 90)
    plan = _plan(engine, [*names, dns])
    named, shown = _rules(plan)
    assert named["toFQDNs"] == [{"matchName": "files.pythonhosted.org"}, {"matchName": "pypi.org"}]
    assert shown["toPorts"][0]["rules"] == {"dns": [{"matchPattern": "*"}]}
    assert _allows(plan, [*names, dns])


def test_plan_when_the_workload_has_a_policy_then_only_what_it_denies_joins_it(
    tmp_path: Path,
) -> None:
    engine = _engine(tmp_path, WORKSPACE)
    plan = _plan(engine, [_seen(engine, ALICE, DB, 5432, 5), _named(engine, "pypi.org", 9)])
    (change,) = plan.changes
    assert change.policy.name == "workspace"
    (rule,) = _rules(plan)
    assert rule["toEndpoints"][0]["matchLabels"]["app"] == "db"
    assert plan.evidence[-1] == "allowed already: 9 connections"


def test_plan_when_a_boundary_forbids_a_line_then_left_out_and_said(tmp_path: Path) -> None:
    engine = _engine(tmp_path, WORKSPACE)
    apart = Boundary("db-apart", (ALICE,), (DB,), Must.DENY)
    seen = [_seen(engine, ALICE, DB, 5432, 5), _seen(engine, ALICE, MIRROR, 8080)]
    plan = _plan(engine, seen, apart)
    (rule,) = _rules(plan)
    assert rule["toEndpoints"][0]["matchLabels"]["app"] == "mirror"
    left = "left out: lung/notebook → mirror/db:5432/TCP: `db-apart` forbids it (5 connections)"
    assert left in plan.evidence


def test_plan_when_what_must_be_allowed_was_not_seen_then_refused(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    needed = Boundary("mirror-open", ("ns:lung",), (MIRROR,), Must.ALLOW, ports=())
    with pytest.raises(DraftRejected, match="`mirror-open` would break"):
        _plan(engine, [_seen(engine, ALICE, DB, 5432)], needed)


def test_plan_when_addresses_by_the_dozen_then_no_guess(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    outside = [
        Seen(question(engine, ALICE, f"203.0.113.{at}", 443), 2) for at in range(MOST_ADDRESSES + 1)
    ]
    plan = _plan(engine, [*outside, _seen(engine, ALICE, DB, 5432)])
    assert len(_rules(plan)) == 1
    words = "left out: notebook to 9 addresses outside on 443/TCP: name them, or their block"
    assert f"{words} (18 connections)" in plan.evidence


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ([], "no connection of `lung` was seen"),
        ([(ALICE, DNS, 53)], "policies allow all 1 connection"),
    ],
)
def test_plan_when_there_is_nothing_to_do_then_said(
    tmp_path: Path, asked: list[tuple[str, str, int]], why: str
) -> None:
    engine = _engine(tmp_path, WORKSPACE.replace("protocol: UDP", "protocol: ANY"))
    with pytest.raises(DraftRejected, match=why):
        _plan(engine, [_seen(engine, *one) for one in asked])


def test_plan_when_one_workload_is_asked_for_then_no_other(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    seen = [_seen(engine, ALICE, DB, 5432), _seen(engine, "lung/airlock-0", DB, 5432)]
    assert len(_plan(engine, seen).changes) == 2
    (change,) = _plan(engine, seen, workload="airlock").changes
    assert change.policy.name == "airlock-as-seen"


@pytest.mark.parametrize("seed", range(8))
def test_plan_when_any_connections_then_all_are_allowed_and_each_line_is_needed(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311  # no secret
    engine = _engine(tmp_path, *([WORKSPACE] if seed % 2 else []))
    ends = [ALICE, BOB, "lung/airlock-0", DB, MIRROR, DNS, "203.0.113.9"]
    seen = []
    for _ in range(random.randrange(2, 10)):
        source, destination = random.sample(ends, 2)
        if source[0] != "2":
            port = random.choice((53, 443, 5432, 8080))
            seen.append(_seen(engine, source, destination, port, random.randrange(1, 9)))
    try:
        plan = _plan(engine, seen)
    except DraftRejected:
        assert not any(_is_of_lung(one) and _is_denied(engine, one) for one in seen)
        return
    assert _allows(plan, [one for one in seen if _is_of_lung(one)])
    named = {(one.question.protocol, one.question.port) for one in seen}
    assert {(pair.protocol, pair.port) for pair in plan.opened} <= named


def _is_of_lung(one: Seen) -> bool:
    ends = (one.question.source.endpoint, one.question.destination.endpoint)
    return any(end is not None and end.namespace == "lung" for end in ends)


def _is_denied(engine: Engine, one: Seen) -> bool:
    return engine.decide(one.question).verdict is Verdict.DENIED
