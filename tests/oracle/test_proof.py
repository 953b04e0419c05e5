"""Random clusters put to Cilium's own engine and to ours.

`ORACLE=required` (CI) makes a skip a failure and asks about 2,000 clusters with a new seed; else
about few. The seed is printed: `make proof N=… SEED=…` repeats a run.
"""

from __future__ import annotations

import copy
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.build import DRIVERS, OracleUnavailable, build
from tests.oracle.client import Answers, Case, Oracle
from tests.oracle.clusters.cases import make_case
from tests.oracle.compare import INVALID, find_disagreements
from tests.oracle.ours import answer
from tests.oracle.proof import Judge, main, prove, shrink_disagreement, write_case
from tests.oracle.shrink import shrink

REQUIRED = os.environ.get("ORACLE") == "required"
CLUSTERS = 2000 if REQUIRED else 60


@pytest.fixture(scope="module")
def drivers() -> None:
    """Have every driver built; without Go the tests are skipped, in CI they fail."""
    try:
        for driver in DRIVERS:
            build(driver)
    except OracleUnavailable as reason:
        if REQUIRED:
            raise
        pytest.skip(str(reason))


@pytest.fixture
def oracle(drivers: None) -> Iterator[Oracle]:
    with Oracle(DRIVERS[0]) as running:
        yield running


@pytest.mark.oracle
@pytest.mark.timeout(1200)
def test_random_clusters_when_judged_by_both_engines_then_all_agree(
    drivers: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = secrets.randbelow(1_000_000)
    said: list[str] = []

    tally = prove(CLUSTERS, seed, said.append, tmp_path)

    with capsys.disabled():
        print(f"\nproof against Cilium's engine, seed {seed}: {tally}")  # noqa: T201  # the seed
    cases = "\n".join(path.read_text(encoding="utf-8") for path in tally.found)
    assert not tally.found, f"seed {seed}\n" + "\n".join(said) + f"\n{cases}"
    assert tally.verdicts


@pytest.mark.oracle
def test_disagreement_when_shrunk_then_what_is_left_still_shows_it(
    oracle: Oracle, tmp_path: Path
) -> None:
    case, wrong = _case_allowing_something(oracle)
    theirs = oracle.ask(case)
    assert theirs is not None
    differences = find_disagreements(case, theirs, wrong(case, "1.19.3"))

    smallest = shrink_disagreement(oracle, case, differences[0], wrong)

    assert len(smallest["queries"]) == 1
    assert len(smallest["objects"]) < len(case["objects"])
    assert write_case(oracle, smallest, tmp_path).read_text(encoding="utf-8").startswith("name: ")


def _case_allowing_something(oracle: Oracle) -> tuple[Case, Judge]:
    """Give a case, and an engine that is wrong about every allow that a policy makes."""

    def deny_what_policies_allow(case: Case, version: str) -> Answers:
        answers = copy.deepcopy(answer(case, version))
        for expectation in answers["expect"]:
            egress = expectation.get("egress")
            if egress and egress["by"] and egress["verdict"] == "allowed":
                egress["verdict"] = "denied"
        return answers

    for seed in range(100):
        case = make_case(seed, f"seed-{seed}", with_requests=False)
        theirs = oracle.ask(case)
        if theirs and find_disagreements(case, theirs, deny_what_policies_allow(case, "1.19.3")):
            return case, deny_what_policies_allow
    raise AssertionError("no case in a hundred allows anything")


def test_shrink_when_one_label_matters_then_only_it_is_left() -> None:
    case: Case = {
        "name": "x",
        "queries": [{"port": 1}, {"port": 2}],
        "objects": [
            {"kind": "Pod", "metadata": {"name": "a", "labels": {"app": "x", "tier": "y"}}},
            {"kind": "Pod", "metadata": {"name": "b"}},
        ],
    }

    def shows(smaller: Case) -> bool:
        return any(
            body["metadata"].get("labels", {}).get("app") == "x" for body in smaller["objects"]
        )

    smallest = shrink(case, 1, shows)

    assert smallest["queries"] == [{"port": 2}]
    assert smallest["objects"] == [
        {"kind": "Pod", "metadata": {"name": "a", "labels": {"app": "x"}}}
    ]


def test_same_seed_when_used_twice_then_the_case_is_the_same() -> None:
    first = make_case(7, "x", with_requests=True)

    assert first == make_case(7, "x", with_requests=True)
    assert first != make_case(8, "x", with_requests=True)


def test_find_disagreements_when_answers_differ_then_each_is_named() -> None:
    case: Case = {"queries": [{"from": "pod:a/x", "to": "pod:a/y", "port": 80, "protocol": "TCP"}]}
    theirs = {
        "invalid": {"K/a/p": "why"},
        "expect": [{"verdict": "allowed", "egress": {"verdict": "allowed", "by": ["K/a/p"]}}],
    }
    ours = {
        "invalid": {},
        "expect": [{"verdict": "denied", "egress": {"verdict": "denied", "by": []}}],
    }

    found = find_disagreements(case, theirs, ours)

    assert [one.index for one in found] == [INVALID, 0, 0]
    assert str(found[1]) == "pod:a/x to pod:a/y 80/TCP: Cilium says allowed, we say denied"


def test_find_disagreements_when_cilium_is_not_sure_then_nothing_is_judged() -> None:
    case: Case = {"queries": [{"from": "a", "to": "b", "port": 1, "protocol": "TCP"}] * 2}
    unsure = {"verdict": "allowed", "by": ["K/a/p"], "byUnsure": True}
    theirs = {
        "expect": [{"verdict": "allowed", "skip": True}, {"verdict": "allowed", "egress": unsure}]
    }
    plain = {"verdict": "allowed", "egress": {"verdict": "allowed", "by": ["K/a/q"]}}
    ours = {"invalid": {}, "expect": [{"verdict": "denied"}, plain]}

    assert find_disagreements(case, theirs, ours) == []


def test_build_when_go_is_missing_then_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(OracleUnavailable, match="Go is not installed"):
        build(DRIVERS[0], tmp_path)


@pytest.mark.oracle
def test_main_when_engines_agree_then_ends_with_the_seed_and_0(
    drivers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--clusters", "8", "--seed", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("seed 1: 8 clusters, 480 verdicts")
