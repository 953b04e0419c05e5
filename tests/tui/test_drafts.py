"""From an answer to a branch: prepared, shown, asked about, submitted."""

from __future__ import annotations

from textual.app import App

from app.core.errors import SourceCause, SourceUnavailable
from app.ports import Proposal, ProposedChange
from app.services.drafting import Drafter
from app.testing.repo import FakeRepo
from app.tui.app import K8treApp
from app.tui.places import Place
from tests.tui.lab import driven, make_app, press, repository, said, shown, until
from widgets.confirm import Confirm, Question

QUESTION = Place("why", ("project-lung/jupyter-alice", "svc:mirror/mirror:80", ""))


def asking(repo: FakeRepo) -> K8treApp:
    return make_app(start=QUESTION, drafter=Drafter(repo, str))


async def test_answer_when_denied_then_fixes_come_with_what_they_open() -> None:
    app = asking(repository())
    async with driven(app) as pilot:
        await until(pilot, lambda: "Opens:" in shown(app))
        assert "+++ b/policies/workspace.yaml" in shown(app)


async def test_fix_when_chosen_by_digit_then_its_patch_shows() -> None:
    app = asking(repository())
    async with driven(app, (120, 60)) as pilot:
        await until(pilot, lambda: "Opens:" in shown(app))
        first = shown(app)
        await press(pilot, "2")
        assert shown(app) != first


async def test_draft_when_confirmed_then_it_is_on_its_branch() -> None:
    repo = repository()
    app = asking(repo)
    async with driven(app) as pilot:
        await until(pilot, lambda: "Opens:" in shown(app))
        await press(pilot, "e")
        await until(pilot, lambda: "Goes to    branch k8tre-tui/netpol/" in shown(app))
        assert "of fake-repo" in shown(app)
        await press(pilot, "ctrl+j")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await press(pilot, "enter")
        assert not repo.proposed
        await press(pilot, "y")
        await until(pilot, lambda: bool(repo.proposed))
        await until(pilot, lambda: "on branch k8tre-tui/netpol/" in said(app))


async def test_draft_when_not_confirmed_then_nothing_leaves() -> None:
    repo = repository()
    app = asking(repo)
    async with driven(app) as pilot:
        await until(pilot, lambda: "Opens:" in shown(app))
        await press(pilot, "e")
        await until(pilot, lambda: "Goes to" in shown(app))
        await press(pilot, "ctrl+j")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await press(pilot, "escape")
        assert "nothing was sent" in said(app)
        assert not repo.proposed


async def test_draft_when_the_repository_fails_then_said_and_the_draft_stays() -> None:
    class Down(FakeRepo):
        async def propose(self, change: ProposedChange) -> Proposal:
            raise SourceUnavailable(
                f"no answer for {change.branch[:9]}", hint="try later", cause=SourceCause.TIMEOUT
            )

    app = asking(Down(repository().files))
    async with driven(app) as pilot:
        await until(pilot, lambda: "Opens:" in shown(app))
        await press(pilot, "e")
        await until(pilot, lambda: "Goes to" in shown(app))
        await press(pilot, "ctrl+j")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await press(pilot, "y")
        await until(pilot, lambda: "no answer for k8tre-tui try later" in said(app))
        assert "Goes to" in shown(app)


async def test_draft_when_there_is_no_repository_then_the_patch_is_all_there_is() -> None:
    app = make_app(start=QUESTION)
    async with driven(app) as pilot:
        await press(pilot, "e")
        assert "there is no repository" in shown(app)
        await press(pilot, "ctrl+j")
        assert "drafts need a checkout" in said(app)


async def test_draft_when_the_connection_is_allowed_then_there_is_nothing_to_draft() -> None:
    place = Place("why", ("jupyterhub/hub-0", "project-heart/jupyter-bob", "80"))
    app = make_app(start=place)
    async with driven(app) as pilot:
        await press(pilot, "e")
        assert "there is no change to draft" in said(app)


async def test_draft_when_a_rule_denies_on_purpose_then_there_is_nothing_to_draft() -> None:
    place = Place("why", ("project-lung/jupyter-alice", "169.254.169.254", "80"))
    app = make_app(start=place)
    async with driven(app) as pilot:
        assert "none offered" in shown(app)
        await press(pilot, "e")
        assert "there is no change to draft" in said(app)


async def test_confirmation_when_a_word_is_asked_for_then_only_the_word_is_yes() -> None:
    answers: list[bool | None] = []
    app: App[None] = App()
    async with app.run_test() as pilot:
        app.push_screen(Confirm(Question("Sure?", (), "open")), answers.append)
        await pilot.pause()
        await pilot.press("y", "enter")
        assert answers == []
        await pilot.press("backspace", *"open", "enter")
        await pilot.pause()
        assert answers == [True]
