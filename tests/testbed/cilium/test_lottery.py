"""Random policies: a packet for every pair of ends and every port, and the product beside it.

`PACKETS_CLUSTERS` and `PACKETS_SEED` choose how many and which (`make packets N=… SEED=…`); a new
seed each time otherwise, which is printed.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.testbed.cilium.cases import FOLDER
from tests.testbed.cilium.cluster import Cluster
from tests.testbed.cilium.lottery import Lottery
from tests.testbed.cilium.product import Product

CLUSTERS = int(os.environ.get("PACKETS_CLUSTERS") or 30)
RUN_WITHIN_S = 1800
"""For all clusters together, and the shrinking of what disagrees."""

PASSING_SHARE = (0.02, 0.98)
"""A run in which nothing passes, or everything, has compared nothing."""


@pytest.mark.packets
@pytest.mark.timeout(RUN_WITHIN_S)
def test_random_policies_when_every_pair_is_tried_then_packets_and_product_agree(
    cilium: Cluster, product: Product, capsys: pytest.CaptureFixture[str], found: Path
) -> None:
    seed = int(os.environ.get("PACKETS_SEED") or secrets.randbelow(1_000_000))
    said: list[str] = []
    lottery = Lottery(cilium, product, seed, found)
    lottery.prepare()

    tally = lottery.run(CLUSTERS, said.append)

    with capsys.disabled():
        print(f"\npackets, seed {seed}: {tally}")  # noqa: T201  # the seed
    assert not tally.found, f"seed {seed}\n" + "\n".join(said) + "\n" + "\n".join(tally.found)
    share = tally.passed / tally.packets
    assert PASSING_SHARE[0] < share < PASSING_SHARE[1]


@pytest.fixture
def found() -> Path:
    """Where a disagreement is kept."""
    return FOLDER
