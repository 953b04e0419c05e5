import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Never

import pytest

from app.core.errors import SourceCause, SourceUnavailable, UsageError
from app.core.flows.filters import parse_filter
from app.core.model.flow import DnsInfo, Flow, FlowBatch, L7Info
from app.core.model.provenance import Notice
from app.ports import FlowRequest, SourceState
from app.services.ask import inquire, make_question
from app.services.picture import parse_version
from app.services.workspace import Workspace
from app.testing.builders import manifests, namespace, pod
from app.testing.clock import FakeClock
from app.testing.sources import FakeCluster, FakeFlows

POLICY = """
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: closed, namespace: lab}
spec: {endpointSelector: {}, ingress: [{}]}
"""


def lab() -> FakeCluster:
    return FakeCluster.holding([namespace("lab"), pod("lab/a", "10.0.0.1")], "lab")


def over(*clusters: FakeCluster, flows: tuple[FakeFlows, ...] = ()) -> Workspace:
    return Workspace(clusters, flows, clock=FakeClock(), jitter=lambda: 1.0)


def lost(cause: SourceCause = SourceCause.REFUSED) -> SourceUnavailable:
    return SourceUnavailable("gone", source="lab", cause=cause)


def answer(name: str, ip: str) -> Flow:
    return Flow(1, l7=L7Info("RESPONSE", dns=DnsInfo(name, ips=(ip,))))


@asynccontextmanager
async def running(workspace: Workspace) -> AsyncIterator[None]:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        task = group.create_task(workspace.run())
        try:
            yield
        finally:
            task.cancel()


async def until(workspace: Workspace, phase: str, source: str = "lab") -> SourceState:
    """Wait for the picture that shows a source in a phase."""
    picture = workspace.picture
    while (state := picture.sources.get(source)) is None or state.phase != phase:
        picture = await workspace.newer_than(picture.revision)
    return state


async def test_empty_workspace_has_an_empty_picture() -> None:
    picture = over().picture
    assert (picture.revision, picture.cluster.endpoints) == (0, ())


async def test_load_gives_the_objects_of_every_reader() -> None:
    other = FakeCluster.holding([pod("lab/b", "10.0.0.2")], "other")
    picture = await over(lab(), other).load()
    assert [one.key for one in picture.cluster.endpoints] == ["lab/a", "lab/b"]
    assert {name: state.phase for name, state in picture.sources.items()} == {
        "lab": "live",
        "other": "live",
    }


async def test_load_keeps_notices_settings_and_version() -> None:
    cluster = lab()
    cluster.notices = (Notice("careful"), Notice("careful"))
    cluster.cilium_version = "1.18.2"
    cluster.settings = {"enable-policy": "always"}
    picture = await over(cluster).load()
    assert [notice.text for notice in picture.notices if notice.text == "careful"] == ["careful"]
    assert picture.cluster.config.cilium_version == (1, 18, 2)
    assert picture.cluster.config.enforcement.value == "always"


async def test_version_of_the_user_wins() -> None:
    cluster = lab()
    cluster.cilium_version = "1.18.2"
    workspace = Workspace([cluster], clock=FakeClock(), cilium_version=(1, 20, 2))
    assert (await workspace.load()).cluster.config.cilium_version == (1, 20, 2)


async def test_load_raises_when_a_reader_fails() -> None:
    cluster = lab()
    cluster.refuse(lost())
    with pytest.raises(SourceUnavailable):
        await over(cluster).load()


async def test_load_that_is_not_strict_says_so_in_the_state() -> None:
    cluster = lab()
    cluster.refuse(lost(SourceCause.FORBIDDEN))
    picture = await over(cluster).load(strict=False)
    assert picture.sources["lab"].phase == "denied"
    assert picture.sources["lab"].reason == "gone"


async def test_run_publishes_changes() -> None:
    cluster = lab()
    workspace = over(cluster)
    async with running(workspace):
        await until(workspace, "live")
        seen = workspace.picture
        cluster.change(manifests(POLICY))
        picture = await workspace.newer_than(seen.revision)
        assert [one.ref.name for one in picture.engine.policies] == ["closed"]
        cluster.change(deletes=[picture.engine.policies[0].ref])
        picture = await workspace.newer_than(picture.revision)
        assert picture.engine.policies == ()


async def test_run_after_load_does_not_read_again() -> None:
    cluster = lab()
    workspace = over(cluster)
    await workspace.load()
    async with running(workspace):
        cluster.end()
        await until(workspace, "ended")
    assert cluster.reads == 1


async def test_files_are_read_again_when_asked_for() -> None:
    cluster = lab()
    workspace = over(cluster)
    async with running(workspace):
        cluster.end()
        await until(workspace, "ended")
        cluster.objects.update({one.ref: one for one in manifests(POLICY)})
        seen = workspace.picture
        workspace.retry()
        while not (picture := await workspace.newer_than(seen.revision)).engine.policies:
            seen = picture
    assert cluster.reads == 2


async def test_burst_of_changes_skips_pictures_that_were_overtaken() -> None:
    cluster = lab()
    workspace = over(cluster)
    await workspace.load()
    async with running(workspace):
        before = await workspace.newer_than(0)
        for at in range(2, 102):
            cluster.change([pod(f"lab/p{at}", f"10.0.0.{at}")])
        picture = await workspace.newer_than(before.revision)
        while len(picture.cluster.endpoints) < 101:
            picture = await workspace.newer_than(picture.revision)
        assert picture.revision - before.revision < 10


async def test_lost_watch_keeps_the_objects_and_reads_anew() -> None:
    cluster = lab()
    workspace = over(cluster)
    async with running(workspace):
        await until(workspace, "live")
        cluster.lose(lost())
        state = await until(workspace, "retrying")
        assert (state.reason, state.next_try_s) == ("gone", 0.5)
        assert [one.key for one in workspace.picture.cluster.endpoints] == ["lab/a"]
        workspace.retry()
        await until(workspace, "live")
        assert cluster.reads == 2


async def test_state_of_the_source_itself_is_shown_under_its_name() -> None:
    cluster = lab()
    workspace = over(cluster)
    async with running(workspace):
        await until(workspace, "live")
        cluster.report(SourceState("https://10.0.0.1", "stale", "no bookmark for 2 min"))
        assert (await until(workspace, "stale")).reason == "no bookmark for 2 min"
        assert list(workspace.picture.sources) == ["lab"]


async def test_heartbeat_makes_the_picture_younger_and_keeps_the_engine() -> None:
    cluster = lab()
    workspace = over(cluster)
    async with running(workspace):
        await until(workspace, "live")
        seen = workspace.picture
        cluster.beat(as_of_ns=seen.as_of_ns + 7)
        picture = await workspace.newer_than(seen.revision)
        assert picture.as_of_ns == seen.as_of_ns + 7
        assert picture.engine is seen.engine


async def test_version_of_no_known_form_is_a_notice() -> None:
    cluster = lab()
    cluster.cilium_version = "latest"
    picture = await over(cluster).load()
    assert picture.cluster.config.cilium_version == (1, 19, 3)
    assert "`latest` is not a Cilium version" in picture.notices[0].text


async def test_unexpected_error_in_a_source_is_kept_and_harms_nobody_else() -> None:
    class Broken(FakeCluster):
        async def read(self) -> Never:
            raise ZeroDivisionError("bug")

    good = lab()
    workspace = over(Broken(name="broken"), good)
    async with running(workspace):
        await until(workspace, "live")
        assert [str(one) for one in workspace.diagnostics] == ["objects of broken: bug"]


async def test_flows_fill_the_ring_and_teach_names() -> None:
    flows = FakeFlows([FlowBatch((answer("PyPI.org.", "151.101.0.223"),))])
    workspace = over(lab(), flows=(flows,))
    await workspace.load()
    async with running(workspace):
        await until(workspace, "live", "fake-flows")
        assert [str(ip) for ip in workspace.picture.cluster.learned_names["pypi.org"]] == [
            "151.101.0.223"
        ]
        seen = workspace.picture
        flows.push(FlowBatch((answer("cran.org", "203.0.113.7"), Flow(2))))
        picture = await workspace.newer_than(seen.revision)
        assert set(picture.cluster.learned_names) == {"pypi.org", "cran.org"}
        assert len(workspace.ring) == 3
        assert flows.asked == [FlowRequest()]


async def test_load_flows_reads_to_the_end_without_following() -> None:
    flows = FakeFlows([FlowBatch((answer("pypi.org", "151.101.0.223"),))])
    workspace = over(lab(), flows=(flows,))
    await workspace.load()
    await workspace.load_flows(FlowRequest(last=10))
    assert flows.asked == [FlowRequest(follow=False, last=10)]
    assert set(workspace.picture.cluster.learned_names) == {"pypi.org"}


async def test_evidence_holds_flows_losses_and_the_age_of_the_policies() -> None:
    flows = FakeFlows([FlowBatch((Flow(5), Flow(7)))])
    assert over(lab()).evidence() is None
    workspace = over(lab(), flows=(flows,))
    await workspace.load()
    await workspace.load_flows(FlowRequest())
    evidence = workspace.evidence()
    assert evidence is not None
    assert [flow.time_ns for flow in evidence.flows] == [5, 7]
    assert evidence.policies_as_of_ns == workspace.picture.as_of_ns


ONLY_DROPS = parse_filter("verdict:dropped").to_hubble()


async def test_narrowed_workspace_asks_anew_and_widened_marks_what_it_missed() -> None:
    source = FakeFlows(name="relay")
    clock = FakeClock()
    workspace = Workspace([], [source], clock=clock, can_narrow=True, jitter=lambda: 1.0)
    async with running(workspace):
        while not source.asked:
            await asyncio.sleep(0)
        workspace.narrow("verdict:dropped", ONLY_DROPS)
        while len(source.asked) < 2:
            await asyncio.sleep(0)
        source.push(FlowBatch((Flow(1),)))
        while not workspace.ring.seen:
            await asyncio.sleep(0)
        clock.advance(7)
        workspace.widen()
        while len(source.asked) < 3:
            await asyncio.sleep(0)
    everything, narrowed, again = source.asked
    assert narrowed.allow == ONLY_DROPS.allow
    assert everything == again == FlowRequest()
    [gap] = workspace.ring.gaps
    assert gap.message == "for 7 s only flows of `verdict:dropped` were asked for"
    assert workspace.narrowing is None


async def test_narrowing_is_refused_where_nothing_would_come_of_it() -> None:
    with pytest.raises(UsageError, match="only a live Hubble Relay"):
        over().narrow("verdict:dropped", ONLY_DROPS)
    workspace = Workspace([], [], clock=FakeClock(), can_narrow=True)
    with pytest.raises(UsageError, match="no part of this filter"):
        workspace.narrow("text", parse_filter("text").to_hubble())


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.19.3", (1, 19, 3)), ("v1.20", (1, 20, 0)), ("1.18.4-vendor.2", (1, 18, 4))],
)
def test_parse_version_reads_what_images_are_tagged_with(
    text: str, version: tuple[int, int, int]
) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "latest", "1", "1.19.3.4", "1.1234.5"])
def test_parse_version_refuses_what_is_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_version(text)


class Partial:
    """A source of flows that gives its state, a batch, and ends."""

    name = "hubble"

    def __init__(self, state: SourceState) -> None:
        self._state = state

    async def flows(self, _request: FlowRequest) -> AsyncIterator[FlowBatch | SourceState]:
        yield self._state
        yield FlowBatch()


async def test_nodes_that_are_not_heard_are_part_of_state_and_answer_after_the_end() -> None:
    detail = {"unavailable": "node-2"}
    partial = Partial(SourceState("x", "live", "not heard: node-2", detail=detail))
    workspace = Workspace([lab()], [partial], clock=FakeClock())
    await workspace.load()
    await workspace.load_flows(FlowRequest())
    state = workspace.picture.sources["hubble"]
    assert (state.phase, state.reason, state.unheard) == ("ended", "not heard: node-2", "node-2")
    asked = make_question("lab/a", "ip:192.0.2.1", "443")
    answer = inquire(workspace.picture, workspace.evidence(), asked).answer
    assert any("node-2" in words for words in answer.not_known)


async def test_relay_without_any_node_gives_no_evidence() -> None:
    silent = Partial(SourceState("x", "stale", "Relay has no node it can ask"))
    workspace = Workspace([lab()], [silent], clock=FakeClock())
    await workspace.load()
    await workspace.load_flows(FlowRequest())
    assert workspace.picture.sources["hubble"].is_broken
    assert workspace.evidence() is None
