"""Break the product on purpose, and see whether the packets notice.

`python -m tests.testbed.cilium.breaks` runs the bank once, keeping what the product read and the
flows it saw. Then copies of the program with one thing made wrong are asked the same questions from
those recordings. A break is noticed when an answer that agreed with the packet does so no longer.
The result is in `docs/trust.md`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tests.testbed.cilium.bank import Bank, Outcome, load_stages
from tests.testbed.cilium.conftest import running
from tests.testbed.cilium.product import ROOT, Answer, Product

COPIED = ("app", "integrations", "widgets")


@dataclass(frozen=True, slots=True)
class Break:
    """One wrong thing: in `file`, `right` is replaced by `wrong`."""

    name: str
    file: str
    right: str
    wrong: str


BREAKS = (
    Break(
        "the identity of a node's address: world",
        "app/core/policy/identities.py",
        "        known = self.nodes_by_address.get(address)\n",
        "        known = None\n",
    ),
    Break(
        "the target port: the Service's own port",
        "app/core/diagnose/ends.py",
        "        port=backend.port,\n",
        "        port=asked.port if asked else backend.port,\n",
    ),
    Break(
        "redirect policies: not followed",
        "app/core/diagnose/redirect.py",
        "    if not engine.cluster.redirects or",
        "    if True or",
    ),
    Break(
        "the direction of a flow: the other one",
        "app/core/flows/codec.py",
        'pieces.enum(wire.traffic_direction, names.DIRECTIONS, "traffic_direction")',
        '{"INGRESS": "EGRESS", "EGRESS": "INGRESS"}.get(str(wire.traffic_direction), "")',
    ),
    Break(
        "the case of a DNS name: as it is written",
        "app/core/policy/names.py",
        "with_final_dot(text).lower()",
        "with_final_dot(text)",
    ),
)


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded after one step of a stage."""

    snapshot: Path
    flows: Path
    outcomes: Sequence[Outcome]


def broken_copy(broken: Break, folder: Path) -> Path:
    """Copy the program with one thing made wrong; fails where that thing has moved."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name)
    testbed = folder / "tests/testbed/cilium"
    testbed.mkdir(parents=True)
    for package in (folder / "tests", folder / "tests/testbed", testbed):
        (package / "__init__.py").touch()
    shutil.copy(ROOT / "tests/testbed/cilium/attached.py", testbed)
    file = folder / broken.file
    text = file.read_text(encoding="utf-8")
    assert text.count(broken.right) == 1, f"{broken.file} has not once {broken.right!r}"
    file.write_text(text.replace(broken.right, broken.wrong), encoding="utf-8")
    return folder


def disagreeing(recordings: Iterable[Recording], product: Product) -> Iterator[tuple[str, bool]]:
    """Where an answer is at odds with the packet, and whether flows were evidence for it."""
    for recording in recordings:
        product.tell("open", snapshot=str(recording.snapshot), flows=str(recording.flows))
        questions = [dict(one.question) for one in recording.outcomes]
        for flows in (False, True):
            answers = product.why(questions, of="recorded", flows=flows)
            for outcome, answer in zip(recording.outcomes, answers, strict=True):
                if not outcome.agrees(answer) or _speaks_of_drops(outcome, answer):
                    yield outcome.situation.name, flows


def _speaks_of_drops(outcome: Outcome, answer: Answer) -> bool:
    """Whether the flows of a packet that arrived are said not to have arrived."""
    told = " ".join(one["text"] for one in answer.get("evidence", ()) if one["kind"] == "flow")
    return outcome.passed and outcome.hubble == "forwarded" and "no arrival was seen" in told


def recordings_of(outcomes: Iterable[Outcome], lines: Sequence[Mapping[str, object]]) -> Recording:
    """Write the flows beside the snapshot of a step."""
    outcomes = list(outcomes)
    snapshot = outcomes[0].snapshot
    flows = snapshot.with_suffix(".flows.jsonl")
    flows.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return Recording(snapshot, flows, outcomes)


def run_bank(folder: Path, stages: Sequence[str]) -> list[Recording]:
    """Run the bank once and keep what it saw, step by step."""
    recordings = []
    with running() as cluster, Product.attached(cluster) as product:
        bank = Bank(cluster, product)
        bank.prepare()
        for stage, words in load_stages().items():
            if stages and stage not in stages:
                continue
            outcomes = bank.run(stage, words, folder)
            for _, group in groupby(outcomes, key=lambda one: one.snapshot):
                step = list(group)
                lines = [{"flow": flow} for one in step for flow in one.flows]
                recordings.append(recordings_of(step, lines))
    return recordings


def main(stages: Sequence[str]) -> int:
    """Say of every break how many situations notice it; 1 when one is not noticed."""
    unnoticed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        recordings = run_bank(folder, stages)
        with Product.alone() as product:
            before = set(disagreeing(recordings, product))
        for number, broken in enumerate(BREAKS):
            with Product.alone(broken_copy(broken, folder / f"break-{number}")) as product:
                wrong = [one for one in disagreeing(recordings, product) if one not in before]
            noticed = list(dict.fromkeys(name for name, _ in wrong))
            unnoticed += not noticed
            said = (
                f"{len(noticed)} situations notice it, as {noticed[0]}" if noticed else "UNNOTICED"
            )
            sys.stdout.write(f"{broken.name}: {said}\n")
            sys.stdout.flush()
    return 1 if unnoticed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
