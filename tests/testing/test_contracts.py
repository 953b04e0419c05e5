"""One contract for each port, kept by the fake and by the real adapters alike."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from app import ports
from app.bootstrap.sources import SystemClock
from app.config import Secret
from app.core.errors import NotFound, SourceUnavailable
from app.core.flows.encode import encode_line
from app.core.flows.times import NS_PER_S
from app.core.model.chat import Incoming, Reply, ReplyKind
from app.core.model.flow import Flow, FlowBatch, FlowEndpoint
from app.core.model.provenance import Manifest, ObjectRef
from app.ports import (
    Chat,
    Clock,
    ClusterChange,
    ClusterReader,
    DroppedTotal,
    FileChange,
    FlowHistory,
    FlowRequest,
    FlowSource,
    HistoryQuery,
    Page,
    Pager,
    PolicyRepo,
    ProposedChange,
    SourceState,
)
from app.services.flows import Sifted
from app.services.located import LocatedReader
from app.testing.builders import namespace
from app.testing.chat import FakeChat
from app.testing.clock import START_NS, FakeClock
from app.testing.github_server import GitHubServer
from app.testing.gitlab_server import GitLabServer
from app.testing.history import FakeHistory
from app.testing.kube_api import FakeKubeApi
from app.testing.pagers import FakePager
from app.testing.pictures import small_tre
from app.testing.repo import FakeRepo
from app.testing.sources import FakeCluster, FakeFlows
from integrations.demo.cluster import DemoCluster
from integrations.demo.flows import DemoFlows
from integrations.git.gitea import Gitea
from integrations.git.github import GitHub
from integrations.git.gitlab import GitLab
from integrations.git.local import LocalGit
from integrations.history.sqlite import SqliteHistory
from integrations.hubble.files import FlowFile
from integrations.hubble.live import RelayFlows
from integrations.hubble.recording import Recorded, Replay
from integrations.hubble.relay import Relay
from integrations.kubernetes.client import Credentials
from integrations.kubernetes.reader import KubernetesReader
from integrations.kubernetes.resources import RESOURCES
from integrations.manifests.reader import ManifestReader
from integrations.paging.alertmanager import Alertmanager
from integrations.paging.post import Target
from integrations.paging.webhook import Webhook
from integrations.slack.chat import SlackAccess, SlackChat
from integrations.slack.local_server import APP_TOKEN, BOT_TOKEN, SlackServer
from tests.integrations.git_repository import bare
from tests.testbed.binaries import require
from tests.testbed.gitea.server import running
from tests.testbed.hubble.agent import ScriptedAgent
from tests.testing.github_description import objections

WITHIN_S = 15
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
async def test_reader_of_what_stands_still_gives_one_picture_and_ends(
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


Change = Callable[[], None]


@contextmanager
def changing_fake(_folder: Path) -> Iterator[tuple[ClusterReader, Change]]:
    cluster = FakeCluster.holding(small_tre())
    yield cluster, lambda: cluster.change([namespace("new")])


@contextmanager
def kubernetes(folder: Path) -> Iterator[tuple[ClusterReader, Change]]:
    path = "/api/v1/namespaces"
    kind = next(one for one in RESOURCES if one.kind == "Namespace")
    with FakeKubeApi() as api:
        api.put(path, {"metadata": {"name": "lung", "resourceVersion": "1"}})
        credentials = Credentials(str(api.kubeconfig(folder / "config")))
        reader = KubernetesReader(credentials, clock=FakeClock(), resources=(kind,))

        def change() -> None:
            new = {"metadata": {"name": "new", "resourceVersion": "2"}}
            api.emit(path, "ADDED", new)

        yield reader, change


@pytest.mark.parametrize("make", [changing_fake, kubernetes])
async def test_reader_of_what_changes_gives_the_change_and_goes_on(
    make: Callable[[Path], AbstractContextManager[tuple[ClusterReader, Change]]], tmp_path: Path
) -> None:
    with make(tmp_path) as (reader, change):
        picture = await reader.read()
        assert picture.as_of_ns > 0
        assert reader.name
        assert "new" not in {one.ref.name for one in picture.manifests}
        async with asyncio.timeout(WITHIN_S), aclosing(reader.watch()) as changes:  # type: ignore[type-var]  # the port's type is wider
            pending = asyncio.ensure_future(first_upserts(changes))
            while not pending.done():
                change()
                await asyncio.sleep(0.01)
        assert {one.ref for one in pending.result()} == {ObjectRef("Namespace", "", "new")}


async def first_upserts(changes: AsyncIterator[ClusterChange]) -> tuple[Manifest, ...]:
    async for change in changes:
        assert isinstance(change, ClusterChange)
        if change.upserts:
            return change.upserts
    raise AssertionError("the watch ended")


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


@pytest.fixture(name="agent")
def _agent() -> Iterator[ScriptedAgent]:
    running = ScriptedAgent().start()
    running.emit(*FLOWS)
    yield running
    running.stop()


@pytest.fixture(name="relay_flows")
def _relay_flows(agent: ScriptedAgent) -> Iterator[RelayFlows]:
    relay = Relay(lambda: f"127.0.0.1:{agent.port}")
    yield RelayFlows(relay, clock=FakeClock())
    relay.close()


async def test_relay_keeps_the_contract_of_a_source(relay_flows: RelayFlows) -> None:
    assert relay_flows.name
    everything = await flows_of(relay_flows, FlowRequest(follow=False))
    assert [one.uuid for one in everything] == [one.uuid for one in FLOWS]
    request = FlowRequest(follow=False, last=2, allow=({"verdict": ["FORWARDED"]},))
    assert [one.uuid for one in await flows_of(relay_flows, request)] == ["u3", "u4"]


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
    "k8tre-tui/netpol/lung-workspace-abc123",
    "a change",
    "body",
    "a change\n\nK8tre-Tui-Change: abc123\n",
    (FileChange("a.yaml", "a: 1\n", "a: 2\n"),),
)


@asynccontextmanager
async def alone(make: Callable[[Path], PolicyRepo], folder: Path) -> AsyncIterator[PolicyRepo]:
    yield make(folder)


@asynccontextmanager
async def github(folder: Path) -> AsyncIterator[PolicyRepo]:
    async def at_once(_seconds: float) -> None:
        return

    repository = bare(folder / "repo.git", {"a.yaml": "a: 1\n"})
    async with GitHubServer(repository, objections) as server:
        secret = Secret(server.token, "test")
        yield GitHub("tre/gitops", secret, api=server.url, sleep=at_once)


@asynccontextmanager
async def gitlab(folder: Path) -> AsyncIterator[PolicyRepo]:
    repository = bare(folder / "repo.git", {"a.yaml": "a: 1\n"})
    async with GitLabServer(repository) as server:
        secret = Secret(server.token, "test")
        yield GitLab("tre/gitops", secret, url=server.url)


@asynccontextmanager
async def gitea(folder: Path) -> AsyncIterator[PolicyRepo]:
    with running(require("gitea", "gitea-static"), folder) as server:
        server.repository("gitops", {"a.yaml": "a: 1\n"})
        secret = Secret(server.token, "test")
        yield Gitea("bot/gitops", secret, url=server.url)


@pytest.mark.parametrize(
    "make",
    [
        partial(alone, fake_repo),
        partial(alone, local_git),
        github,
        gitlab,
        pytest.param(gitea, marks=pytest.mark.testbed),
    ],
)
async def test_repository_reads_its_base_and_takes_a_change_once(
    make: Callable[[Path], AbstractAsyncContextManager[PolicyRepo]], tmp_path: Path
) -> None:
    async with make(tmp_path) as repo:
        assert repo.name
        assert await repo.read_file("a.yaml") == "a: 1\n"
        with pytest.raises(NotFound):
            await repo.read_file("none.yaml")
        first, second = await repo.propose(CHANGE), await repo.propose(CHANGE)
        assert (first.branch, first.existed) == (CHANGE.branch, False)
        assert (second.branch, second.existed) == (CHANGE.branch, True)
        assert await repo.read_file("a.yaml") == "a: 1\n"
        (kept,) = await repo.drafts()
        assert (kept.branch, kept.state, kept.title) == (CHANGE.branch, "open", kept.title)
        assert not await repo.is_public() or make is gitea
        said = await repo.comment(kept, "merged"), await repo.comment(kept, "merged")
        assert said in ((True, False), (False, False))  # a branch takes no comments


# Histories

WEB = FlowEndpoint(identity=7, namespace="shop", pod="web-1", workload="web")
DB = FlowEndpoint(identity=8, namespace="data", pod="db-0")


def seen(number: int, verdict: str = "FORWARDED", event: int = 4) -> Flow:
    return Flow(
        START_NS + number * NS_PER_S,
        uuid=f"u{number}",
        verdict=verdict,
        drop_reason="POLICY_DENIED" if verdict == "DROPPED" else "",
        source=WEB,
        destination=DB,
        protocol="TCP",
        destination_port=5432,
        event=event,
    )


def fake_history(_folder: Path) -> FlowHistory:
    return FakeHistory()


def sqlite_history(folder: Path) -> FlowHistory:
    return SqliteHistory(folder / "history", clock=FakeClock())


HISTORIES = [fake_history, sqlite_history]


@pytest.mark.parametrize("make", HISTORIES)
async def test_history_gives_back_what_it_keeps_once_and_in_order(
    make: Callable[[Path], FlowHistory], tmp_path: Path
) -> None:
    history = make(tmp_path)
    assert await history.query(HistoryQuery()) == ()
    assert (await history.span()).oldest_ns is None
    history.keep([seen(2), seen(1)])
    await history.flush()
    history.keep([seen(2), seen(3, "DROPPED", 1)])
    await history.flush()
    ask = HistoryQuery()
    assert await history.query(ask) == (seen(1), seen(2), seen(3, "DROPPED", 1))
    assert await history.query(replace(ask, limit=1)) == (seen(3, "DROPPED", 1),)
    between = replace(ask, since_ns=seen(2).time_ns, until_ns=seen(2).time_ns)
    assert await history.query(between) == (seen(2),)
    assert await history.query(replace(ask, namespace="lung")) == ()
    assert len(await history.query(replace(ask, namespace="data"))) == 3
    assert len(await history.query(replace(ask, identity=7))) == 3
    assert len(await history.query(replace(ask, verdicts=("DROPPED",)))) == 1
    span = await history.span()
    assert (span.oldest_ns, span.newest_ns) == (seen(1).time_ns, seen(3).time_ns)
    assert (span.flows, span.dropped, span.writing) == (3, 0, True)
    assert span.size > 0
    await history.close()


@pytest.mark.parametrize("make", HISTORIES)
async def test_history_counts_a_drop_and_its_verdict_as_one(
    make: Callable[[Path], FlowHistory], tmp_path: Path
) -> None:
    history = make(tmp_path)
    history.keep([seen(1), seen(2, "DROPPED", 1), seen(3, "DROPPED", 5), seen(4, "DROPPED", 1)])
    await history.close()
    total = DroppedTotal(
        source="shop/web",
        destination="data/db-0",
        protocol="TCP",
        port=5432,
        reason="POLICY_DENIED",
        count=2,
        last_ns=seen(4).time_ns,
    )
    assert await history.top_dropped(HistoryQuery()) == (total,)
    assert await history.top_dropped(HistoryQuery(namespace="lung")) == ()


# Chats

Ask = Callable[[str], Awaitable[str]]


async def answer(incoming: Incoming) -> Reply:
    if incoming.text == "break":
        raise RuntimeError("a defect")
    return Reply(ReplyKind.ANSWER, f"answer to {incoming.text}")


@asynccontextmanager
async def fake_chat() -> AsyncIterator[tuple[Chat, Ask]]:
    chat = FakeChat(answer)

    async def ask(text: str) -> str:
        return (await chat.ask(text)).summary

    yield chat, ask


@asynccontextmanager
async def slack() -> AsyncIterator[tuple[Chat, Ask]]:
    async with SlackServer() as server:
        access = SlackAccess(BOT_TOKEN, APP_TOKEN, server.api, frozenset({server.host}))

        async def ask(text: str) -> str:
            await server.connected()
            message = await (await server.command(text)).answer()
            return str(message["text"])

        yield SlackChat(access, answer, lambda _line: None), ask


@pytest.mark.parametrize("make", [fake_chat, slack])
async def test_chat_answers_until_cancelled_whatever_breaks(
    make: Callable[[], AbstractAsyncContextManager[tuple[Chat, Ask]]],
) -> None:
    async with make() as (chat, ask):
        serving = asyncio.ensure_future(chat.run())
        assert await ask("why a/b c/d") == "answer to why a/b c/d"
        failure = await ask("break")
        assert failure
        assert "answer" not in failure
        assert await ask("ping") == "answer to ping"
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving


# Clocks


@pytest.mark.parametrize("make", [FakeClock, SystemClock])
def test_clock_gives_this_century_and_never_goes_back(make: Callable[[], Clock]) -> None:
    clock = make()
    assert 2_000_000_000 * NS_PER_S > clock.now_ns() > 1_700_000_000 * NS_PER_S
    first, second = clock.monotonic(), clock.monotonic()
    assert second >= first


# Pagers

Take = Callable[[int], Pager]


def fake_pager(status: int) -> Pager:
    return FakePager(is_down=status != HTTPStatus.OK)


def alertmanager(status: int) -> Pager:
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    return Alertmanager(Target("http://alerts.example.org:9093"), transport=transport)


def webhook(status: int) -> Pager:
    transport = httpx.MockTransport(lambda _: httpx.Response(status))
    return Webhook(Target("https://hook.example.org/x"), transport=transport)


@pytest.mark.parametrize("make", [fake_pager, alertmanager, webhook])
async def test_pager_takes_pages_and_says_when_they_did_not_arrive(make: Take) -> None:
    page = Page({"alertname": "a"}, {"summary": "b"}, START_NS, 0, {})
    await make(HTTPStatus.OK).send([page], START_NS)
    down = make(HTTPStatus.SERVICE_UNAVAILABLE)
    assert down.name
    with pytest.raises(SourceUnavailable):
        await down.send([page], START_NS)


KEPT_BY: dict[type, tuple[type, ...]] = {
    ports.Clock: (FakeClock, SystemClock),
    ports.ClusterReader: (
        FakeCluster,
        ManifestReader,
        DemoCluster,
        LocatedReader,
        KubernetesReader,
    ),
    ports.FlowSource: (FakeFlows, FlowFile, Recorded, Replay, DemoFlows, RelayFlows),
    ports.PolicyRepo: (FakeRepo, LocalGit, GitHub, GitLab, Gitea),
    ports.Chat: (FakeChat, SlackChat),
    ports.FlowHistory: (FakeHistory, SqliteHistory),
    ports.Pager: (FakePager, Alertmanager, Webhook),
}
"""Each port with its fake and the adapters that the tests above hold to one contract."""


def test_every_port_has_its_fake_and_an_adapter_here() -> None:
    named = {one for one in vars(ports).values() if getattr(one, "_is_protocol", False)}
    assert named - {Protocol} == set(KEPT_BY)
    for port, (fake, *adapters) in KEPT_BY.items():
        assert fake.__module__.startswith("app.testing."), port
        assert adapters
        methods = {name for name in vars(port) if not name.startswith("_")}
        for one in (fake, *adapters):
            known = {*dir(one), *getattr(one, "__annotations__", {})}
            assert methods <= known, (port, one)
