"""From a researcher's wish to a pull request that works, over the local server."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from app.bootstrap.chat import build_local_desk
from app.bootstrap.drafts import build_checkout
from app.bootstrap.office import Drafts, open_office
from app.bootstrap.sources import Sources
from app.bootstrap.workspace import build_workspace
from app.bot.access import Level, Role, RoleGrant, Rules
from app.bot.approvals import Approvals
from app.bot.audit import Entry
from app.bot.desk import Desk, Known
from app.bot.follow_up import FollowUp
from app.bot.office import Office
from app.bot.wishes import ChangeState
from app.config import BotSettings, Settings
from app.core.diagnose.evidence import FlowEvidence
from app.core.model.flow import Flow, FlowEndpoint
from app.ports import FlowRequest
from app.services.drafting import Drafter
from app.services.workspace import Workspace
from app.testing.clock import START_NS, FakeClock
from app.testing.repo import FakeRepo
from integrations.slack.chat import SlackAccess, SlackChat
from integrations.slack.limits import texts_of
from integrations.slack.local_api import posted_to
from integrations.slack.local_server import APP_TOKEN, BOT_TOKEN, CHANNEL, TEAM, SlackServer

OPS = "C0OPS"
ALICE, OLIVE, MARK = "U0ALICE", "U0OLIVE", "U0MARK"
RULES = Rules(
    TEAM,
    frozenset({CHANNEL, OPS}),
    level=Level.FULL,
    projects={"project-*": frozenset({OLIVE}), "project-lung": frozenset({ALICE, OLIVE})},
    grants={
        CHANNEL: RoleGrant(Role.ASKER),
        ALICE: RoleGrant(Role.DRAFTER, frozenset({"project-lung"})),
        OLIVE: RoleGrant(Role.OPERATOR),
        MARK: RoleGrant(Role.OPERATOR, frozenset({"keycloak"})),
    },
)
WISH = "draft project-lung/jupyter-alice mirror/mirror-1 22 --reason study"
DEMO = Sources(demo=True)


class Notebook(list[Entry]):
    def record(self, entry: Entry) -> None:
        self.append(entry)


@dataclass
class Kept:
    """A change as its repository has it."""

    branch: str
    state: str


@dataclass
class Forge:
    """A repository in memory, with the files of the demo, and what became of its requests."""

    repo: FakeRepo
    states: dict[str, str] = dataclasses.field(default_factory=dict)

    async def drafts(self) -> Sequence[Kept]:
        return [Kept(one.branch, self.states.get(one.branch, "open")) for one in self.repo.proposed]


@dataclass
class Town:
    """Everybody: researchers, operators, the bot, the forge."""

    server: SlackServer
    desk: Desk
    notebook: Notebook
    approvals: Approvals
    follow_up: FollowUp
    forge: Forge
    clock: FakeClock
    known: list[Known]

    async def ask(self, text: str, **who: str) -> dict[str, Any]:
        return await (await self.server.command(text, **who)).answer(within_s=120)

    def in_ops(self) -> list[str]:
        return [shown(one) for one in posted_to(self.server, OPS)]

    def to_alice(self) -> list[str]:
        return [shown(one) for one in self.server.posted if one.get("user") == ALICE]


def shown(message: Any) -> str:
    return " ".join(texts_of(message["blocks"]))


@pytest.fixture(name="workspace", scope="module")
def _workspace() -> Workspace:
    workspace = build_workspace(DEMO, Settings())

    async def read() -> None:
        await workspace.load()
        await workspace.load_flows(FlowRequest(follow=False))

    asyncio.run(read())
    return workspace


def forge_of() -> tuple[Forge, Drafter]:
    """The demo's files in a repository that takes changes."""
    checkout = build_checkout(DEMO, Settings(), {}, pull_request=False)
    files = {
        path.relative_to(checkout.root).as_posix(): path.read_text(encoding="utf-8")
        for path in checkout.root.rglob("*.yaml")
    }
    repo = FakeRepo(files)
    return Forge(repo), Drafter(repo, checkout.place)


@pytest.fixture(name="town")
def _town(workspace: Workspace) -> Callable[[], Any]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Town]:
        async with SlackServer(ack_within_s=60, trigger_within_s=60) as server:
            clock, notebook = FakeClock(), Notebook()
            known = [Known(workspace.picture, workspace.evidence(), "demo")]
            desk = dataclasses.replace(
                build_local_desk(workspace, "demo"),
                known=lambda: known[-1],
                rules=RULES,
                audit=notebook,
                clock=clock,
            )
            access = SlackAccess(
                BOT_TOKEN, APP_TOKEN, server.api, frozenset({server.host}), patience_s=120
            )
            chat = SlackChat(access, desk, lambda _line: None)
            forge, drafter = forge_of()
            settings = Settings(bot=BotSettings(operators=OPS))
            open_office(desk, chat, workspace, settings, drafts=Drafts(drafter))
            assert isinstance(desk.doer, Office)
            approvals = desk.doer.approvals
            approvals.clock = clock
            follow_up = FollowUp(approvals, forge.drafts)
            serving = asyncio.ensure_future(chat.run())
            await server.connected()
            yield Town(server, desk, notebook, approvals, follow_up, forge, clock, known)
            chat.stop()
            await serving
            assert server.refused == []

    return opened


def buttons(message: Any) -> dict[str, dict[str, Any]]:
    return {
        one["text"]["text"]: one
        for block in message["blocks"]
        if block["type"] == "actions"
        for one in block["elements"]
    }


async def wished(town: Town) -> str:
    """Alice asks, and the operators are shown it; gives the name of the request."""
    told = shown(await town.ask(WISH, user=ALICE))
    assert "asked for as r" in told
    await town.follow_up.look()
    return told.partition("asked for as ")[2].partition(":")[0]


async def test_wish_is_shown_to_operators_with_effect_boundaries_and_difference(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        preview, difference = here.in_ops()
        assert f"{key} Change asked for: project-lung/jupyter-alice → mirror/mirror-1 22" in preview
        for word in ("study", "Risk", "Opens", "Boundaries", "Check"):
            assert word in preview
        assert '+        - ports: [{port: "80", protocol: TCP}, {port: "22"' in difference
        assert here.to_alice() == []
        await here.follow_up.look()
        assert len(here.in_ops()) == 2


async def test_researcher_is_shown_no_more_than_before(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        told = shown(await here.ask(f"pr show {key}", user=ALICE))
        for word in ("Opens", "Boundar", "gitops/", "Risk"):
            assert word not in told
        assert f"no request `{key}`" in shown(await here.ask(f"pr show {key}", user="U0BOB"))
        assert "no requests" in shown(await here.ask("pr list", user="U0BOB"))


async def approve(here: Town, user: str = OLIVE) -> Any:
    message = posted_to(here.server, OPS)[0]
    exchange = await here.server.click(buttons(message)["Approve …"], user=user, channel=OPS)
    view = await exchange.modal(within_s=60)
    await here.server.submit(view, {"reason": "agreed", "expires": "30d"}, user=user)
    return await exchange.answer(within_s=120)


async def test_approval_opens_the_draft_request_and_says_so_in_the_thread(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        answer = await approve(here)
        assert "a draft pull request is open" in answer["text"]
        (change,) = here.forge.repo.proposed
        assert "study. Approved: agreed" in change.commit_message
        assert f"Requested-by: slack-{ALICE}" in change.commit_message
        assert "K8tre-Tui-Expires: 2025-12-25" in change.commit_message
        wish = here.approvals.wishes.one(key)
        assert (wish.state, wish.decided_by) == (ChangeState.SUBMITTED, OLIVE)
        threads = [one for one in posted_to(here.server, OPS) if one.get("thread_ts")]
        assert any("approved by" in shown(one) for one in threads)
        assert any(wish.url in json.dumps(one) for one in threads)
        assert not buttons(posted_to(here.server, OPS)[0])
        (told,) = here.to_alice()
        assert "approved" in told
        assert wish.url not in told
        decisions = [one.decision for one in here.notebook]
        assert decisions == ["requested", "answered", "submitted"]


async def test_nobody_but_an_operator_of_the_namespace_approves(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        words = f"pr approve {key} --reason x"
        assert "an operator decides" in shown(await here.ask(words, user=ALICE))
        assert "no operator of the namespace" in shown(await here.ask(words, user=MARK))
        assert here.forge.repo.proposed == []


async def test_decided_once(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        assert "declined" in shown(await here.ask(f"pr decline {key} --reason no", user=OLIVE))
        again = shown(await here.ask(f"pr approve {key} --reason yes", user=OLIVE))
        assert f"is refused already by {OLIVE}" in again
        assert "no" in here.to_alice()[0]
        assert here.forge.repo.proposed == []


async def test_change_that_is_another_one_now_is_shown_again(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        path = next(one for one in here.forge.repo.files if one.endswith("mirror-in.yaml"))
        here.forge.repo.files[path] += "# a comment\n"
        answer = await approve(here)
        assert "another change now" in answer["text"]
        assert here.forge.repo.proposed == []
        assert "see below" in here.in_ops()[0]
        told = shown(await here.ask(f"pr approve {key} --reason yes", user=OLIVE))
        assert "a draft pull request is open" in told


async def test_after_the_merge_it_is_asked_again_until_a_flow_is_seen(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        await approve(here)
        (change,) = here.forge.repo.proposed
        here.forge.states[change.branch] = "merged"
        await here.follow_up.look()
        assert here.approvals.wishes.one(key).state is ChangeState.MERGED
        here.clock.advance(20 * 60)
        await here.follow_up.look()
        assert any("merged, and not allowed yet: " in one for one in here.in_ops())
        assert here.to_alice()[-1].endswith("merged, and not allowed yet")
        here.known.append(allowed(here.known[0], here.clock))
        await here.follow_up.look()
        assert here.approvals.wishes.one(key).state is ChangeState.ALLOWED
        assert "now allowed, first flow seen at 2025-11-25 12:20:00 UTC" in here.to_alice()[-1]


def allowed(known: Known, clock: FakeClock) -> Known:
    """The same cluster without the policies that deny it, and a flow that passed."""
    cluster = known.picture.cluster
    kept = tuple(
        one
        for one in cluster.policies
        if one.ref.namespace not in ("project-lung", "mirror") and one.ref.namespace
    )
    changed = dataclasses.replace(cluster, policies=kept)
    engine = known.picture.engine.replace(changed)
    flow = Flow(
        clock.now_ns(),
        "FORWARDED",
        FlowEndpoint(namespace="project-lung", pod="jupyter-alice"),
        FlowEndpoint(namespace="mirror", pod="mirror-1"),
        protocol="TCP",
        destination_port=22,
    )
    picture = dataclasses.replace(known.picture, cluster=changed, engine=engine)
    return Known(picture, FlowEvidence((flow,), policies_as_of_ns=START_NS), known.cluster)


async def test_request_that_was_closed_is_told(town: Any) -> None:
    async with town() as here:
        await wished(here)
        await approve(here)
        (change,) = here.forge.repo.proposed
        here.forge.states[change.branch] = "declined"
        await here.follow_up.look()
        assert "closed without a merge" in here.to_alice()[-1]


async def test_wish_without_a_draft_says_why_to_the_operators(town: Any) -> None:
    async with town() as here:
        await here.ask(
            "draft project-lung/jupyter-alice entity:kube-apiserver 6443 --reason x", user=ALICE
        )
        await here.follow_up.look()
        assert "No draft" in here.in_ops()[0] or "Risk" in here.in_ops()[0]


@pytest.mark.parametrize(
    ("user", "text", "words"),
    [
        ("U0BOB", WISH, "must be a drafter"),
        (ALICE, "draft project-lung/jupyter-alice mirror/mirror-1", "asked for as"),
        (ALICE, f"{WISH} --port 22", "one word too many"),
    ],
)
async def test_wish_that_cannot_be_is_answered(town: Any, user: str, text: str, words: str) -> None:
    async with town() as here:
        exchange = await here.server.command(text, user=user)
        waits: list[Awaitable[Any]] = [exchange.opened.wait(), exchange.answered.wait()]
        await asyncio.wait(
            [asyncio.ensure_future(one) for one in waits],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=60,
        )
        if exchange.view is not None:
            await here.server.submit(exchange.view, {"reason": "x"}, user=user)
        told = await exchange.answer()
        assert words in told["text"] or "nothing to ask for" in told["text"]


async def test_same_wish_twice_is_one_request(town: Any) -> None:
    async with town() as here:
        key = await wished(here)
        assert f"{key} is asked" in shown(await here.ask(WISH, user=ALICE))
