"""What a person does, by keys only."""

from __future__ import annotations

from tests.tui.lab import driven, make_app, press, shown, ticked, typed, until


async def test_policies_to_flows_to_why_by_keys_gives_the_answer() -> None:
    app = make_app()
    async with driven(app) as pilot:
        assert "workspace" in shown(app)
        await press(pilot, "N", "G", "enter")
        assert "rule 1" in shown(app)
        await press(pilot, "l", "G", "x")
        await until(pilot, lambda: "Cause" in shown(app))
        text = shown(app)
        assert "✗ DENIED" in text
        assert "project-lung/jupyter-alice" in text
        assert "policies/workspace.yaml" in text
        await press(pilot, "escape", "escape", "escape", "escape")  # one clears the flows' filter
        assert "5/5 rows" in shown(app)


async def test_command_line_with_filter_goes_there_and_filters() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, *typed(":flows all /verdict:dropped"), "enter")
        await ticked(pilot, app)
        text = shown(app)
        assert "[view verdict:dropped]" in text
        assert "4/8 rows" in text
        assert "FORWARDED" not in text
        await press(pilot, "escape")
        assert "8/8 rows" in shown(app)
