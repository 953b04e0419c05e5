"""Every situation: the packet's fate, the product live and from a snapshot, and Hubble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.testbed.cilium.bank import Bank, Outcome, load_known, load_stages, situations

STAGES = load_stages()
AT_LEAST = 120
"""How many situations the bank must have."""


def test_bank_when_counted_then_it_is_large_enough_and_every_name_is_its_own() -> None:
    names = [one.name for name, words in STAGES.items() for one in situations(name, words)]

    assert len(names) >= AT_LEAST
    assert sorted(set(names)) == sorted(names)
    assert set(load_known()) <= set(names)
    assert all(one.expected for name, words in STAGES.items() for one in situations(name, words))


@pytest.mark.packets
@pytest.mark.parametrize("stage", STAGES)
def test_stage_when_packets_are_sent_then_all_four_agree_but_for_what_is_known(
    stage: str, bank: Bank, recordings: Path
) -> None:
    outcomes = bank.run(stage, STAGES[stage], recordings)

    known = load_known()
    new = [one.line() for one in outcomes if set(one.disagreements()) - _listed(one, known)]
    mended = [one.line() for one in outcomes if _listed(one, known) - set(one.disagreements())]
    assert not new, "\n".join(new)
    assert not mended, "agree now, take them out of known.yaml:\n" + "\n".join(mended)


def _listed(outcome: Outcome, known: dict[str, dict[str, Any]]) -> set[str]:
    """Who is known to be at odds with this packet."""
    return set(known.get(outcome.situation.name, {}).get("who", ()))
