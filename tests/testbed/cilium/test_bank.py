"""Every situation: the packet's fate, the product live and from a snapshot, and Hubble."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.cilium.bank import FOLDER, Bank, Outcome, load_known, load_stages, situations
from tests.testbed.cilium.conftest import running
from tests.testbed.cilium.node import wait_until
from tests.testbed.cilium.product import Product
from tests.testbed.cilium.settings import Mode

STAGES = load_stages()
MODES = {**load_stages(FOLDER / "modes"), **STAGES}
AGAIN = ("ipv6", "open", "ingress", "entities")
"""Stages that are run through the tunnel, with IPv6 beside IPv4."""

AT_LEAST = 120
"""How many situations the bank must have."""


def test_bank_when_counted_then_it_is_large_enough_and_every_name_is_its_own() -> None:
    listed = [one for name, words in STAGES.items() for one in situations(name, words)]
    again = [one for name in AGAIN for one in situations(name, MODES[name], tunnel=True)]
    names = [one.name for one in (*listed, *again)]

    assert len(listed) >= AT_LEAST
    assert sorted(set(names)) == sorted(names)
    assert set(load_known()) <= set(names)
    assert all(one.expected for one in (*listed, *again))


@pytest.mark.packets
@pytest.mark.parametrize("stage", STAGES)
def test_stage_when_packets_are_sent_then_all_four_agree_but_for_what_is_known(
    stage: str, bank: Bank, recordings: Path
) -> None:
    outcomes = bank.run(stage, STAGES[stage], recordings)

    check(outcomes)


@pytest.fixture(scope="module")
def tunnel() -> Iterator[Bank]:
    """Another cluster: through a VXLAN tunnel, with both families of addresses."""
    with running(Mode(tunnel=True, ipv6=True)) as cluster, Product.attached(cluster) as product:
        made = Bank(cluster, product)
        made.prepare()
        yield made


@pytest.mark.packets
@pytest.mark.parametrize("stage", AGAIN)
def test_stage_when_sent_through_the_tunnel_then_all_agree_but_for_what_is_known(
    stage: str, tunnel: Bank, recordings: Path
) -> None:
    check(tunnel.run(stage, MODES[stage], recordings))


@pytest.mark.packets
def test_agents_when_all_are_gone_then_policies_hold_and_nobody_says_that_nothing_was_lost(
    tunnel: Bank, recordings: Path
) -> None:
    """Goes last: the cluster is not the same afterwards."""
    product, cluster = tunnel.product, tunnel.cluster
    question = {"from": "app/client", "to": "app/web", "port": "80/TCP"}
    for node in cluster.nodes:
        node.stop_agent()
    stopped = datetime.now(UTC).strftime("%H:%M:%S")

    def noticed() -> bool:
        state = product.tell("state")
        hubble = state["sources"]["hubble"]
        return hubble["phase"] != "live" or len(state["away"]) == len(cluster.nodes)

    wait_until(noticed, "the product's word that no node answers", 60)
    sent = cluster.probers["app/client"].tell(
        "send", to=cluster.addresses["app/web"][0], port=80, protocol="TCP", wait=4
    )
    (answer,) = product.why([question], of="live", flows=True)

    assert sent.result(30)["fate"] == "arrived"
    told = [one["text"] for one in answer["evidence"] if one["kind"] == "flow"]
    until = [re.search(r"until (\d\d:\d\d:\d\d), none lost", one) for one in told]
    assert all(one[1] <= stopped for one in until if one), (stopped, told)


def check(outcomes: Iterable[Outcome]) -> None:
    """Fail for every disagreement that is not known, and for every known one that is none."""
    known = load_known()
    judged = [(one, set(one.disagreements()), _listed(one, known)) for one in outcomes]
    new = [one.line() for one, found, listed in judged if found - listed]
    mended = [one.line() for one, found, listed in judged if listed - found]
    assert not new, "\n".join(new)
    assert not mended, "agree now, take them out of known.yaml:\n" + "\n".join(mended)


def _listed(outcome: Outcome, known: dict[str, dict[str, Any]]) -> set[str]:
    """Who is known to be at odds with this packet."""
    return set(known.get(outcome.situation.name, {}).get("who", ()))
