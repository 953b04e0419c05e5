"""Ask both engines about random clusters, and shrink every disagreement to a case that stays.

Run it as `make proof N=2000 SEED=7`, or `python -m tests.oracle.proof --clusters 2000 --seed 7`.
Each cluster has a seed of its own, made from the run's; the last line says how many agreed.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.oracle.build import DRIVERS, Driver, OracleUnavailable
from tests.oracle.client import Answers, Case, DriverFailed, Oracle
from tests.oracle.clusters.cases import make_case
from tests.oracle.compare import INVALID, Disagreement, describe, find_disagreements
from tests.oracle.ours import answer
from tests.oracle.shrink import shrink

FOUND = Path(__file__).parents[1] / "cases" / "found"
MAX_FOUND = 10
"""Disagreements worked out in one run; more are the same few mistakes again."""

SHARES = {"1.19.3": 2, "1.19.7": 1, "1.20.2": 1}
"""Of four clusters so many go to a version; K8TRE pins 1.19.3, the only one asked for requests."""

ASK_AGAIN = 16
"""How often a disagreement is put to Cilium's engine before it counts."""

SEED_STEP = 1_000_003
PROGRESS_EVERY = 500

Say = Callable[[str], None]
Judge = Callable[[Case, str], Answers]
"""Answers a case as a Cilium version would: this project's engine, or a wrong one in tests."""


@dataclass(slots=True)
class Tally:
    """What a run saw.

    `gave_up` are cases on which Cilium's engine has no answer itself, `unsettled` those on which
    it has more than one.
    """

    clusters: int = 0
    verdicts: int = 0
    gave_up: int = 0
    unsettled: int = 0
    found: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.clusters} clusters, {self.verdicts} verdicts, "
            f"{self.gave_up} without an answer, {self.unsettled} with several, "
            f"{len(self.found)} disagree"
        )


def prove(clusters: int, seed: int, say: Say, folder: Path = FOUND) -> Tally:
    """Compare both engines on `clusters` random clusters; stops after `MAX_FOUND` disagreements.

    Raises `OracleUnavailable` when a driver cannot be built.
    """
    tally = Tally()
    for driver in DRIVERS:
        share = clusters * SHARES[driver.version] // sum(SHARES.values())
        with Oracle(driver) as oracle:
            for number in range(share):
                case = _case(driver, seed, number)
                _compare(oracle, case, tally, say, folder)
                if len(tally.found) >= MAX_FOUND:
                    return tally
                if tally.clusters % PROGRESS_EVERY == 0:
                    say(f"cilium {driver.version}: {tally}")
    return tally


def _case(driver: Driver, seed: int, number: int) -> Case:
    own_seed = seed * SEED_STEP + number * len(DRIVERS) + DRIVERS.index(driver)
    with_requests = driver.answers_requests and number % 2 == 1
    return make_case(own_seed, f"seed-{own_seed}", with_requests=with_requests)


def _compare(oracle: Oracle, case: Case, tally: Tally, say: Say, folder: Path) -> None:
    tally.clusters += 1
    theirs = oracle.ask(case)
    if theirs is None:
        tally.gave_up += 1
        return
    tally.verdicts += len(theirs["expect"])
    ours = answer(case, oracle.driver.version)
    if not find_disagreements(case, theirs, ours):
        return
    differences = settled_disagreements(oracle, case)
    if not differences:
        tally.unsettled += 1
        return
    say(f"cilium {oracle.driver.version}, {case['name']}: {differences[0]}")
    smallest = shrink_disagreement(oracle, case, differences[0])
    path = write_case(oracle, smallest, folder)
    say(f"  shrunk to {path}")
    tally.found.append(path)


def settled_disagreements(oracle: Oracle, case: Case, judge: Judge = answer) -> list[Disagreement]:
    """List the differences that show however often Cilium's engine is asked.

    Which of several equal entries it names, and with them the policies, can hang on the order of
    a Go map; an answer that is not always the same settles nothing.
    """
    theirs = oracle.ask(case)
    if theirs is None:
        return []
    ours = judge(case, oracle.driver.version)
    settled = find_disagreements(case, theirs, ours)
    for _ in range(ASK_AGAIN):
        theirs = oracle.ask(case) if settled else None
        if theirs is None:
            return []
        again = set(find_disagreements(case, theirs, ours))
        settled = [one for one in settled if one in again]
    return settled


def shrink_disagreement(
    oracle: Oracle, case: Case, difference: Disagreement, judge: Judge = answer
) -> Case:
    """Give the smallest case on which the engines still disagree."""

    def disagree(smaller: Case) -> bool:
        try:
            return bool(settled_disagreements(oracle, smaller, judge))
        except DriverFailed:
            return False  # what is left is no cluster any more

    index = None if difference.index == INVALID else difference.index
    return shrink(case, index, disagree)


def write_case(oracle: Oracle, case: Case, folder: Path) -> Path:
    """Write a case with Cilium's answers as YAML, named by version and seed."""
    theirs = oracle.ask(case)
    if theirs is None:
        raise DriverFailed(f"{case['name']}: no answer any more")
    version = oracle.driver.version
    document = {
        "name": f"{version}-{case['name']}",
        "doc": _doc(case, theirs),
        "source": f"Cilium {version}'s own engine",
        "config": {"ciliumVersion": version, **case["config"]},
        "objects": case["objects"],
        "queries": case["queries"],
        "expect": theirs["expect"],
    }
    if theirs.get("invalid"):
        document["invalid"] = theirs["invalid"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{document['name']}.yaml"
    text = yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    return path


def _doc(case: Case, theirs: Answers) -> str:
    if theirs.get("invalid") and not theirs["expect"]:
        return f"refused: {', '.join(theirs['invalid'])}"
    verdicts = [
        f"{describe(query)} is {expectation['verdict']}"
        for query, expectation in zip(case["queries"], theirs["expect"], strict=True)
    ]
    return "; ".join(verdicts) or "nothing is refused"


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="proof", description=__doc__)
    parser.add_argument("--clusters", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, printed")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run the proof; 0: no disagreement, 1: some, 3: Cilium's engine cannot be asked here."""
    arguments = _arguments(sys.argv[1:] if words is None else words)
    seed = secrets.randbelow(1_000_000) if arguments.seed is None else arguments.seed
    started = time.monotonic()
    _print(f"seed {seed}")
    try:
        tally = prove(arguments.clusters, seed, _print)
    except OracleUnavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 3
    _print(f"seed {seed}: {tally} ({time.monotonic() - started:.0f} s)")
    return 1 if tally.found else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
