from __future__ import annotations

import stat
from pathlib import Path

import pytest
from textual.widgets import Input

from app.tui.places import Place
from tests.tui.lab import driven, make_app, press, said, until


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def test_table_when_saved_by_two_keys_then_it_is_csv_for_its_owner(tmp_path: Path) -> None:
    app = make_app(start=Place("policies"))
    async with driven(app) as pilot:
        await press(pilot, "ctrl+s", "enter")
        await until(pilot, lambda: "saved" in said(app))
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "workspace" in file.read_text()
    assert file.read_text().splitlines()[0].startswith("KIND,")


@pytest.mark.parametrize(
    ("start", "name", "holds"),
    [
        ("flows", "a.csv", "project-lung/jupyter-alice"),
        ("flows", "a.jsonl", '"POLICY_DENIED"'),
        ("flows", "a.md", "| `egress` |"),
        ("flows", "a.svg", "<svg"),
        ("endpoints", "a.jsonl", "jupyter-alice"),
        ("doctor", "a.txt", "boundaries"),
        ("doctor", "a.md", "    "),
    ],
)
async def test_screen_when_saved_under_a_name_then_in_its_form(
    start: str, name: str, holds: str, tmp_path: Path
) -> None:
    app = make_app(start=Place(start))
    async with driven(app) as pilot:
        await press(pilot, "ctrl+s")
        app.screen.query_one("#prompt Input", Input).value = name
        await press(pilot, "enter")
        await until(pilot, lambda: "saved" in said(app))
    assert holds in (tmp_path / name).read_text()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("there.csv", "File exists"),
        ("no/such/folder.csv", "No such file"),
        ("table.xlsx", "no form is called"),
        ("bell\x07.csv", "saved"),
    ],
)
async def test_save_when_it_cannot_be_then_it_is_said_and_nothing_is_lost(
    name: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "there.csv").write_text("mine")
    app = make_app(start=Place("policies"))
    async with driven(app) as pilot:
        await press(pilot, "ctrl+s")
        app.screen.query_one("#prompt Input", Input).value = name
        await press(pilot, "enter")
        await until(pilot, lambda: why in said(app))
    assert (tmp_path / "there.csv").read_text() == "mine"


async def test_save_when_escape_is_pressed_then_nothing_is_written(tmp_path: Path) -> None:
    app = make_app(start=Place("policies"))
    async with driven(app) as pilot:
        await press(pilot, "ctrl+s", "escape")
        assert app.screen.focused is app.screen.query_one("#main")
    assert list(tmp_path.iterdir()) == []
