"""What lint found, on screen: the table, one finding at its line, and beside each policy."""

from __future__ import annotations

from app.tui.places import Place
from tests.tui.lab import command, driven, make_app, press, shown, until


async def test_lint_lists_what_is_wrong_and_opens_it_at_its_line() -> None:
    app = make_app()
    app.session.read_lines = lambda file: tuple(f"line {n} of {file}" for n in range(1, 40))
    async with driven(app) as pilot:
        await command(pilot, app, ":lint")
        await until(pilot, lambda: "NP072" in shown(app))
        text = shown(app)
        assert "CNP mirror/refused" in text
        assert "NP051" in text
        assert "4/4 rows" in text
        await press(pilot, "/", *"NP072", "enter")
        await until(pilot, lambda: "NP051" not in shown(app))
        await press(pilot, "enter")
        await until(pilot, lambda: "line 1 of policies/refused.yaml" in shown(app))
        assert "cannot stand in one item" in shown(app)


async def test_lint_of_one_namespace_leaves_the_others_out() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, ":lint mirror")
        await until(pilot, lambda: "NP072" in shown(app))
        assert "CNP project-lung/workspace" not in shown(app)


async def test_policy_shows_what_is_wrong_with_it() -> None:
    key = ("CiliumNetworkPolicy/mirror/refused", "policies/refused.yaml", 1)
    app = make_app(start=Place("policy", ("summary",), subject=key))
    async with driven(app) as pilot:
        await until(pilot, lambda: "NP072" in shown(app))
        assert "Lint" in shown(app)
