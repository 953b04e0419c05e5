"""An unforeseen error in a handler is shown, and the screen lives on."""

from pathlib import Path

import pytest

from app.tui.app import STORM, K8treApp
from app.tui.messages import Save
from app.tui.screens.frame import Frame
from tests.tui.lab import driven, make_app, press


def fail(*_: object) -> None:
    raise ValueError("odd [bold]object[/]")


async def test_handler_that_fails_is_shown_and_the_next_key_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app()
    async with driven(app) as pilot:
        app.survives = True
        monkeypatch.setattr(Frame, "do_command", fail)
        await press(pilot, ":")
        assert [str(caught) for caught in app.session.workspace.diagnostics] == [
            "screen: odd [bold]object[/]"
        ]
        monkeypatch.undo()
        await press(pilot, "?")
        assert type(app.screen).__name__ == "Help"


async def test_errors_without_end_end_the_program_with_70(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app()
    async with driven(app) as pilot:
        app.survives = True
        monkeypatch.setattr(K8treApp, "tick", fail)
        for _ in range(STORM):
            app._handle_exception(ValueError("again"))
        await pilot.pause()
        assert app.return_code == 70


async def test_picture_is_for_its_owner_and_loads_no_font(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app()
    async with driven(app) as pilot:
        app.post_message(Save("screen.svg"))
        await pilot.pause()
    (picture,) = tmp_path.glob("*.svg")
    assert picture.stat().st_mode & 0o777 == 0o600
    assert "font-face" not in picture.read_text()
