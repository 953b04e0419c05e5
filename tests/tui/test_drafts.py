"""From an answer to a branch: prepared, shown, asked about, submitted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from textual.app import App
from textual.pilot import Pilot

from app.core.errors import SourceCause, SourceUnavailable
from app.ports import KeptDraft, Proposal, ProposedChange
from app.services.drafting import Draft, Drafter
from app.services.risk import Level, Risk
from app.testing.repo import FakeRepo
from app.tui.app import K8treApp
from app.tui.places import Place
from app.tui.screens.draft import DraftScreen, parse_edited
from app.tui.views.draft import question
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


async def drafted(app: K8treApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: "Opens:" in shown(app))
    await press(pilot, "e")
    await until(pilot, lambda: "Goes to    branch k8tre-tui/netpol/" in shown(app))


async def test_confirmation_names_forge_repository_branch_and_base() -> None:
    app = asking(repository())
    async with driven(app) as pilot:
        await drafted(app, pilot)
        await until(pilot, lambda: "newly allowed" in app_text(app))
        await press(pilot, "ctrl+j")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        text = shown(app)
        for word in (
            "Forge       a local branch",
            "Repository  fake-repo",
            "Branch      k8tre-tui/netpol/",
        ):
            assert word in text
        assert "Base        no commit: a work tree" in text


def app_text(app: K8treApp) -> str:
    assert isinstance(app.frame, DraftScreen)
    return app.frame.document.text


async def test_draft_when_a_reason_is_given_then_the_pull_request_says_it() -> None:
    app = asking(repository())
    async with driven(app) as pilot:
        await drafted(app, pilot)
        await until(pilot, lambda: "newly allowed" in app_text(app))
        await press(pilot, "R", *"ticket 12", "enter")
        await until(pilot, lambda: "Reason     ticket 12" in app_text(app))
        assert "### Why" in app_text(app)


async def test_draft_when_split_then_before_and_after_stand_side_by_side() -> None:
    app = asking(repository())
    async with driven(app) as pilot:
        await drafted(app, pilot)
        assert "+++ b/policies/workspace.yaml" in app_text(app)
        await press(pilot, "v")
        assert app_text(app).count("+++ b/policies") == 1  # that of the pull request
        assert any(" | " in line and "~" in line for line in app_text(app).splitlines())


async def test_patch_when_saved_then_it_is_a_file_of_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = asking(repository())
    async with driven(app) as pilot:
        await drafted(app, pilot)
        await press(pilot, "s")
        (saved,) = tmp_path.glob("*.patch")
        assert saved.read_text().startswith("diff --git a/policies/workspace.yaml")
        assert saved.stat().st_mode & 0o777 == 0o600


async def test_draft_when_nothing_can_be_submitted_then_says_which_key_saves() -> None:
    app = make_app(start=QUESTION, drafter=Drafter(repository(), str, forge=""))
    async with driven(app) as pilot:
        await until(pilot, lambda: "Opens:" in shown(app))
        await press(pilot, "e")
        await until(pilot, lambda: "`s` saves the patch" in shown(app))
        await press(pilot, "ctrl+j")
        assert "this is no git repository" in said(app)


def test_edited_text_when_read_then_comments_are_left_out() -> None:
    assert parse_edited("A title\n\nit is\nneeded\n# no\n") == ("A title", "it is\nneeded")
    assert parse_edited("") == ("", "")


def test_high_risk_asks_for_its_own_word() -> None:
    draft = SimpleNamespace(
        change=SimpleNamespace(branch="b", base="0123456789abcdef"),
        repository="r",
        title="t",
        files=("f",),
        risk=Risk(Level.HIGH, ("it opens the outside",)),
        broadens=False,
    )
    asked = question(cast("Draft", draft), "GitHub")
    assert asked.word == "accept"
    assert "commit 0123456789ab" in str(asked.body)


async def test_drafts_when_listed_then_each_with_its_state() -> None:
    repo = repository()
    repo.kept = [
        KeptDraft("k8tre-tui/netpol/x-0123456789", "main", "merged", "netpol(x): more", number=7)
    ]
    app = make_app(start=Place("drafts"), drafter=Drafter(repo, str))
    async with driven(app) as pilot:
        await until(pilot, lambda: "1/1 rows" in shown(app))
        assert "✓ merged" in shown(app)
        await press(pilot, "enter")
        assert "drafts > k8tre-tui/netpol/x-0123456789" in shown(app)


async def test_drafts_when_there_is_no_repository_then_says_what_to_set() -> None:
    app = make_app(start=Place("drafts"))
    async with driven(app):
        assert "There is no repository." in shown(app)
        assert "repo.path" in shown(app)
