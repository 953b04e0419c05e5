"""Record the bank as small cases in `tests/cases/packets`: `python -m tests.testbed.cilium.record`.

Left out are connections that were open already, addresses that only a running cluster has learnt,
and what is known to be wrong: a case says what is true and agreed on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from tests.testbed.cilium.bank import Bank, Outcome, load_known, load_stages
from tests.testbed.cilium.cases import FOLDER, write_case
from tests.testbed.cilium.conftest import running
from tests.testbed.cilium.product import Product

WITH_FLOWS = ("ingress", "host")
"""Stages whose flows are kept too."""

LEFT_OUT = ("names", "changes")
"""Stages that hang on what was learnt or open before."""


def record(outcomes: Iterable[Outcome], stage: str) -> None:
    """Write a case for every step of a stage."""
    known = load_known()
    for snapshot, group in groupby(outcomes, key=lambda one: one.snapshot):
        kept = [
            one
            for one in group
            if one.situation.name not in known
            and not {"again", "dns"} & set(one.situation.words)
            and not one.disagreements()
            and one.situation.expected != "either"
            and one.live["verdict"] != "error"
        ]
        if stage in LEFT_OUT or not kept:
            continue
        questions = [{**one.question, "is": one.told_fate} for one in kept]
        flows = [flow for one in kept for flow in one.flows] if stage in WITH_FLOWS else []
        about = f"the stage {stage} of the bank, as it was after its step {snapshot.stem[-1]}"
        write_case(FOLDER, snapshot.stem, about, snapshot, questions, flows)


def main() -> None:
    """Run the bank once and record it."""
    with running() as cluster, Product.attached(cluster) as product:
        bank = Bank(cluster, product)
        bank.prepare()
        with tempfile.TemporaryDirectory() as folder:
            for stage, words in load_stages().items():
                record(bank.run(stage, words, Path(folder)), stage)


if __name__ == "__main__":
    main()
