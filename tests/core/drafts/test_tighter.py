"""A broad rule becomes what was used of it, by the fewest lines, and opens nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.core.drafts.choice import Plan
from app.core.drafts.edits import AddKey, Append, RemoveItem, RemoveKey
from app.core.drafts.seen import Seen
from app.core.drafts.splice import splice
from app.core.drafts.tighter import tightening
from app.core.errors import DraftRejected
from app.core.model.verdict import Verdict
from app.core.policy.engine import Engine
from tests.core.drafts.cluster import WORKSPACE, engine_of, question, write

ALICE = "lung/notebook-alice"
BROAD = (
    WORKSPACE
    + """\
    # whatever they need
    - toEntities:
        - cluster
        - world
    - toCIDR:
        - 203.0.113.0/24
      toPorts:
        - ports:
            - port: "443"
              protocol: TCP
            - port: "80"
              protocol: TCP
"""
)


def _engine(tmp_path: Path, policy: str = BROAD) -> Engine:
    return engine_of(write(tmp_path, {"lung/workspace.yaml": policy}))


def _tight(engine: Engine, path: str, *asked: tuple[str, int, int]) -> Plan:
    seen = [Seen(question(engine, ALICE, to, port), count) for to, port, count in asked]
    return tightening("CNP:lung/workspace", path, seen, engine)


def _after(plan: Plan, policy: str = BROAD) -> str:
    (change,) = plan.changes
    return splice(policy, change.policy, change.edits)


def _value(plan: Plan) -> list[Any]:
    (policy,) = [one for one in plan.after.cluster.policies if one.ref.name == "workspace"]
    return list(policy.body["spec"]["egress"])


def test_tighten_when_one_rule_says_it_then_edited_where_it_stands(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    plan = _tight(engine, "egress[3]", ("mirror/db-0", 5432, 12))
    edits = plan.changes[0].edits
    assert [type(one) for one in edits] == [AddKey, AddKey, RemoveKey]
    assert "    # whatever they need\n    - toEndpoints:\n" in _after(plan)
    assert plan.evidence == ("lung/notebook → mirror/db:5432/TCP: 12 connections",)
    assert plan.opened == ()
    assert (
        plan.after.decide(question(engine, ALICE, "mirror/db-0", 5432)).verdict is Verdict.ALLOWED
    )
    assert plan.after.decide(question(engine, ALICE, "8.8.8.8", 443)).verdict is Verdict.DENIED


def test_tighten_when_ports_and_a_block_are_too_wide_then_only_those(tmp_path: Path) -> None:
    plan = _tight(_engine(tmp_path), "egress[4]", ("203.0.113.7", 443, 3))
    edits = plan.changes[0].edits
    assert [type(one) for one in edits] == [Append, RemoveItem, RemoveItem]
    (rule,) = _value(plan)[4:]
    assert rule == {
        "toCIDR": ["203.0.113.7/32"],
        "toPorts": [{"ports": [{"port": "443", "protocol": "TCP"}]}],
    }


def test_tighten_when_peers_need_other_ports_then_rules_of_their_own(tmp_path: Path) -> None:
    engine = _engine(tmp_path)
    plan = _tight(engine, "egress[3]", ("mirror/db-0", 5432, 1), ("203.0.113.9", 22, 1))
    assert [next(iter(rule)) for rule in _value(plan)[3:]] == ["toCIDR", "toCIDR", "toEndpoints"]
    assert plan.opened == ()


@pytest.mark.parametrize(
    ("path", "asked", "why"),
    [
        ("egress[3]", [], "no connection that was seen used egress"),
        ("egress[2]", [("mirror/db-0", 5432, 1)], "no connection that was seen used egress"),
        ("egress[1]", [("mirror/mirror-1", 80, 1)], "is used as it is"),
        ("egress", [("mirror/db-0", 5432, 1)], "is no rule"),
    ],
)
def test_tighten_when_it_cannot_be_then_said_why(
    tmp_path: Path, path: str, asked: list[tuple[str, int, int]], why: str
) -> None:
    with pytest.raises(DraftRejected, match=why):
        _tight(_engine(tmp_path), path, *asked)


def test_tighten_when_a_peer_is_written_otherwise_then_it_stays(tmp_path: Path) -> None:
    own = BROAD.replace(
        "k8s:io.kubernetes.pod.namespace: mirror", '"io.kubernetes.pod.namespace": mirror'
    )
    own = own.replace("app: mirror\n", "k8s:app: mirror\n")
    with pytest.raises(DraftRejected, match="is used as it is"):
        _tight(_engine(tmp_path, own), "egress[1]", ("mirror/mirror-1", 80, 1))


def test_tighten_when_layer_7_decides_then_for_a_person(tmp_path: Path) -> None:
    policy = WORKSPACE.replace(
        '            - port: "80"\n              protocol: TCP\n',
        '            - port: "80"\n              protocol: TCP\n          rules: {http: [{}]}\n',
    )
    with pytest.raises(DraftRejected, match="layer 7 rules"):
        _tight(_engine(tmp_path, policy), "egress[1]", ("mirror/mirror-1", 80, 1))


def test_tighten_when_names_were_used_then_their_names_and_not_the_pattern(tmp_path: Path) -> None:
    policy = WORKSPACE.replace("matchName: pypi.org", 'matchPattern: "*.org"')
    engine = _engine(tmp_path, policy)
    asked = question(engine, ALICE, "203.0.113.7", 443)
    named = replace(asked, destination=replace(asked.destination, names=frozenset({"pypi.org"})))
    plan = tightening("workspace", "egress[2]", [Seen(named, 4)], engine)
    assert _value(plan)[2]["toFQDNs"] == [{"matchName": "pypi.org"}]
    assert "# packages\n" in _after(plan, policy)
