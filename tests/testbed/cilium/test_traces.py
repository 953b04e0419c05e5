"""What a run leaves behind: nothing, however it ends; and what a footprint sees."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.cilium.conftest import changes_since
from tests.testbed.cilium.machine import Footprint, take_footprint
from tests.testbed.cilium.settings import require_cilium
from tests.testbed.cilium.spaces import Run, Space, ip, sweep, sweep_abandoned

ROOT = Path(__file__).parents[3]

_OWNER = """
import os, sys, time
from pathlib import Path
from tests.testbed.cilium.cluster import Cluster, PodSpec
from tests.testbed.cilium.spaces import Run
with Cluster(Run.of_process(os.getpid()), Path(sys.argv[1]), nodes=1) as cluster:
    cluster.add_pods([PodSpec("app", "web", labels={"app": "web"}, tcp=[80])])
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.mark.packets
def test_kill_when_the_owner_is_killed_then_its_guard_leaves_nothing_behind() -> None:
    binaries = require_cilium()
    before = take_footprint()
    command = [sys.executable, "-c", _OWNER, str(binaries)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    name = f"packets{owner.pid}"
    assert [one for one in before.changes_to(take_footprint(name)) if name in one]

    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    assert changes_since(before, name) == []


@pytest.mark.packets
def test_sweep_when_an_owner_and_its_guard_are_gone_then_the_next_run_takes_them_away(
    abandoned: Run,
) -> None:
    before = take_footprint(abandoned.name)
    Space(abandoned.namespace("node1")).make().close()
    sleeper = subprocess.Popen(["ip", "netns", "exec", abandoned.namespace("node1"), "sleep", "60"])
    abandoned.folder.mkdir()
    abandoned.cgroup.mkdir()
    assert before.changes_to(take_footprint(abandoned.name))

    assert abandoned.name in sweep_abandoned()

    assert sleeper.wait(10) == -signal.SIGKILL
    assert changes_since(before, abandoned.name) == []


@pytest.fixture
def abandoned() -> Iterator[Run]:
    """A run whose owner is gone."""
    require_cilium()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    run = Run.of_process(ended.pid)
    yield run
    sweep(run)


@pytest.mark.packets
def test_footprint_when_the_machine_changes_then_it_says_what(abandoned: Run) -> None:
    before = take_footprint(abandoned.name)
    link = f"{abandoned.name[:12]}x"
    ip("link", "add", link, "type", "veth", "peer", "name", f"{abandoned.name[:12]}y")
    try:
        changes = before.changes_to(take_footprint(abandoned.name[:12]))
    finally:
        ip("link", "delete", link)

    assert any(one.startswith("links: new:") and link in one for one in changes)


def test_changes_when_a_line_comes_and_another_goes_then_both_are_named() -> None:
    before = Footprint({"links": frozenset({"lo", "eth0"}), "rules": frozenset()})
    after = Footprint({"links": frozenset({"lo", "eth1"}), "rules": frozenset({"1: from all"})})

    assert before.changes_to(before) == []
    assert before.changes_to(after) == [
        "links: gone: eth0",
        "links: new: eth1",
        "rules: new: 1: from all",
    ]
