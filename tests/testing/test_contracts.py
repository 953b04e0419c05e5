"""One contract for each port, kept by the fake and by the real adapters alike."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.errors import NotFound
from app.core.flows.encode import encode_line
from app.core.model.flow import Flow, FlowBatch
from app.ports import (
    ClusterChange,
    ClusterReader,
    FileChange,
    FlowRequest,
    FlowSource,
    PolicyRepo,
    ProposedChange,
    SourceState,
)
from app.services.flows import Sifted
from app.services.located import LocatedReader
from app.testing.clock import START_NS, FakeClock
from app.testing.pictures import small_tre
from app.testing.repo import FakeRepo
from app.testing.sources import FakeCluster, FakeFlows
from integrations.demo.cluster import DemoCluster
from integrations.demo.flows import DemoFlows
from integrations.git.local import LocalGit
from integrations.hubble.files import FlowFile
from integrations.hubble.recording import Recorded, Replay
from integrations.manifests.reader import ManifestReader

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: lab}\nspec: {}\n"
FLOWS = tuple(Flow(START_NS + at, verdict="FORWARDED", uuid=f"u{at}") for at in range(5))


def fake_cluster(_folder: Path) -> ClusterReader:
    cluster = FakeCluster.holding(small_tre())
    cluster.end()
    return cluster


def manifest_reader(folder: Path) -> ClusterReader:
    (folder / "pod.yaml").write_text(POD, encoding="utf-8")
    return ManifestReader([str(folder)])


def demo_cluster(_folder: Path) -> ClusterReader:
    return DemoCluster()


def located(folder: Path) -> ClusterReader:
    return LocatedReader(fake_cluster(folder), manifest_reader(folder))


@pytest.mark.parametrize("make", [fake_cluster, manifest_reader, demo_cluster, located])
async def test_reader_gives_one_picture_and_then_changes(
    make: Callable[[Path], ClusterReader], tmp_path: Path
) -> None:
    reader = make(tmp_path)
    picture = await reader.read()
    assert reader.name
    assert picture.manifests
    assert picture.as_of_ns > 0
    keys = [(one.api_version.partition("/")[0], one.ref) for one in picture.manifests]
    assert len(keys) == len(set(keys))
    assert {type(change) async for change in reader.watch()} <= {ClusterChange}
    again = await reader.read()
    assert {one.ref for one in again.manifests} == {one.ref for one in picture.manifests}


def fake_flows(_folder: Path) -> FlowSource:
    return Sifted(FakeFlows([SourceState("fake", "live"), FlowBatch(FLOWS)]))


def flow_file(folder: Path) -> FlowSource:
    path = folder / "flows.jsonl"
    path.write_bytes(b"".join(encode_line(flow) + b"\n" for flow in FLOWS))
    return FlowFile(str(path))


def recorded(folder: Path) -> FlowSource:
    return Recorded(fake_flows(folder), str(folder / "recording.jsonl"))


def replay(folder: Path) -> FlowSource:
    async def no_wait(_seconds: float) -> None:
        return

    return Replay(flow_file(folder), clock=FakeClock(), sleep=no_wait)


def demo_flows(_folder: Path) -> FlowSource:
    return Sifted(DemoFlows(now_ns=lambda: START_NS))


async def flows_of(source: FlowSource, request: FlowRequest) -> list[Flow]:
    found: list[Flow] = []
    async for item in source.flows(request):
        if isinstance(item, FlowBatch):
            found += item.flows
        else:
            assert item.phase
    return found


SOURCES = [fake_flows, flow_file, recorded, replay, demo_flows]


@pytest.mark.parametrize("make", SOURCES)
async def test_source_that_is_not_followed_ends(
    make: Callable[[Path], FlowSource], tmp_path: Path
) -> None:
    source = make(tmp_path)
    assert source.name
    assert await flows_of(source, FlowRequest(follow=False))


@pytest.mark.parametrize("make", SOURCES)
async def test_source_filters_before_it_counts_the_last(
    make: Callable[[Path], FlowSource], tmp_path: Path
) -> None:
    request = FlowRequest(follow=False, last=2, allow=({"verdict": ["FORWARDED"]},))
    everything = await flows_of(make(tmp_path), FlowRequest(follow=False))
    wanted = [flow for flow in everything if flow.verdict == "FORWARDED"][-2:]
    found = await flows_of(make(tmp_path), request)
    assert [flow.uuid for flow in found] == [flow.uuid for flow in wanted]


def fake_repo(_folder: Path) -> PolicyRepo:
    return FakeRepo({"a.yaml": "a: 1\n"})


def local_git(folder: Path) -> PolicyRepo:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)

    git("init", "--quiet", "--initial-branch=main")
    (folder / "a.yaml").write_text("a: 1\n", encoding="utf-8")
    git("add", ".")
    git("commit", "--quiet", "-m", "start")
    return LocalGit(folder)


CHANGE = ProposedChange(
    "netpol/lung-workspace-abc123",
    "a change",
    "body",
    "a change\n\nK8tre-Tui-Change: abc123\n",
    (FileChange("a.yaml", "a: 1\n", "a: 2\n"),),
)


@pytest.mark.parametrize("make", [fake_repo, local_git])
async def test_repository_reads_its_base_and_takes_a_change_once(
    make: Callable[[Path], PolicyRepo], tmp_path: Path
) -> None:
    repo = make(tmp_path)
    assert repo.name
    assert await repo.read_file("a.yaml") == "a: 1\n"
    with pytest.raises(NotFound):
        await repo.read_file("none.yaml")
    first, second = await repo.propose(CHANGE), await repo.propose(CHANGE)
    assert (first.branch, first.existed) == (CHANGE.branch, False)
    assert (second.branch, second.existed) == (CHANGE.branch, True)
    assert await repo.read_file("a.yaml") == "a: 1\n"
