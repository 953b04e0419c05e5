"""One running Cilium for the whole session, with the product attached for as long as it runs."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.testbed.cilium.bank import Bank
from tests.testbed.cilium.cluster import Cluster
from tests.testbed.cilium.machine import Footprint, take_footprint
from tests.testbed.cilium.product import Product
from tests.testbed.cilium.settings import Mode, require_cilium
from tests.testbed.cilium.spaces import Run, sweep_abandoned

GONE_WITHIN_S = 20.0
"""The kernel takes a namespace apart a while after its last user has gone."""

_serial = itertools.count()


def changes_since(before: Footprint, own: str) -> list[str]:
    """What a run has left on the machine, once it has had time to go."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while changes := before.changes_to(take_footprint(own)):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return changes


@contextmanager
def running(mode: Mode | None = None) -> Iterator[Cluster]:
    """A cluster that must leave the machine as it found it."""
    binaries = require_cilium((mode or Mode()).version)
    sweep_abandoned()
    run = Run.of_process(os.getpid(), next(_serial))
    before = take_footprint(run.name)
    with Cluster(run, binaries, mode) as cluster:
        yield cluster
    changes = changes_since(before, run.name)
    assert not changes, "left behind:\n" + "\n".join(changes)


@pytest.fixture(scope="session")
def cilium() -> Iterator[Cluster]:
    """Two nodes with native routing, as K8TRE has them, and Relay."""
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def product(cilium: Cluster) -> Iterator[Product]:
    """The product, attached before the first packet and until after the last one."""
    with Product.attached(cilium) as attached:
        yield attached


@pytest.fixture(scope="session")
def bank(cilium: Cluster, product: Product) -> Bank:
    """The pods and Services of the bank."""
    made = Bank(cilium, product)
    made.prepare()
    return made


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stages' snapshots and flows go."""
    return tmp_path_factory.mktemp("recordings")
