"""Clicks: footer, tabs, titles; the search of the help."""

from __future__ import annotations

from app.tui.places import Place
from app.tui.screens.help import Help
from app.tui.screens.table import TableScreen
from tests.tui.lab import driven, make_app, press, shown, until


async def test_footer_when_a_hint_is_clicked_then_its_action_is_done() -> None:
    app = make_app()
    async with driven(app) as pilot:
        line = shown(app).splitlines()[-1]
        await pilot.click("#footer", offset=(line.index("yaml"), 0))
        await until(pilot, lambda: "> yaml" in shown(app))


async def test_tab_when_clicked_then_opened() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "enter")
        line = next(one for one in shown(app).splitlines() if "1 summary" in one)
        await pilot.click("#tabs", offset=(line.index("selects"), 0))
        await until(pilot, lambda: "> selects" in shown(app))


async def test_title_when_clicked_then_sorted_and_again_the_other_way() -> None:
    app = make_app()
    async with driven(app) as pilot:
        line = next(one for one in shown(app).splitlines() if "KIND" in one)
        at = (line.index("NAME ") + 1, 0)
        await pilot.click("#main", offset=at)
        await pilot.pause()
        assert "↑" in shown(app)
        await pilot.click("#main", offset=at)
        await pilot.pause()
        assert "↓" in shown(app)
        assert isinstance(app.screen, TableScreen)


async def test_help_when_searched_then_only_what_fits_and_escape_shows_all() -> None:
    app = make_app(start=Place("policies"))
    async with driven(app, (100, 40)) as pilot:
        await press(pilot, "question_mark")
        assert "describe" in shown(app)
        await press(pilot, "slash", *"find")
        await until(pilot, lambda: "Find any command, policy or endpoint by name" in shown(app))
        await until(pilot, lambda: "Fold the header" not in shown(app))
        await press(pilot, "escape")
        await until(pilot, lambda: "Open the policy" in shown(app))
        await press(pilot, "escape")
        assert not isinstance(app.screen, Help)
