"""Home, and the lists beside it: alerts, Services, workloads, pickers, commands typed before."""

from __future__ import annotations

from textual.widgets import Input

from app.testing.sources import FakeCluster
from app.tui.places import Place
from app.tui.views.pulse import MINUTES, drops_by_space
from tests.tui.lab import command, driven, make_app, press, shown, ticked, typed, until
from tests.tui.test_boundaries import app_with_boundaries


async def test_home_when_nothing_is_asked_for_then_it_is_the_pulse() -> None:
    app = app_with_boundaries(Place("pulse"))
    async with driven(app, (120, 50)) as pilot:
        await until(pilot, lambda: "✗ broken  hub-not-lung" in shown(app))
        await until(pilot, lambda: "Going on" in shown(app))
        await until(pilot, lambda: "errors" in shown(app))
        text = shown(app)
        assert "✓ holds  projects-apart" in text
        assert "Drops by cause" in text
        assert "service-port" in text or "default-deny" in text
        assert "L lung" in text
        assert "1 by Cilium" in text


async def test_pulse_when_a_line_is_opened_then_the_thing_itself_and_back_to_the_line() -> None:
    app = app_with_boundaries(Place("pulse"))
    async with driven(app, (120, 50)) as pilot:
        await until(pilot, lambda: "✗ broken  hub-not-lung" in shown(app))
        await press(pilot, "j", "j", "enter")
        await until(pilot, lambda: "2/2 rows" in shown(app))
        await press(pilot, "escape")
        await until(pilot, lambda: "Boundaries" in shown(app))


async def test_pulse_when_nothing_was_read_then_says_why_and_promises_nothing() -> None:
    app = make_app(FakeCluster({}, "lab"), start=Place("pulse"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Nothing has been read yet" in shown(app))
        assert "Boundaries" not in shown(app)
        assert "Refused" not in shown(app)


async def test_drops_by_namespace_when_counted_then_a_figure_a_minute() -> None:
    app = make_app()
    async with driven(app):
        drops = drops_by_space(app.session.ring, app.session.clock.now_ns())
        assert list(drops) == ["project-lung"]
        assert len(drops["project-lung"]) == MINUTES
        assert sum(drops["project-lung"]) == 4


async def test_alerts_when_opened_then_the_cause_leads_to_why() -> None:
    app = make_app(start=Place("alerts"))
    async with driven(app, (160, 40)) as pilot:
        await until(pilot, lambda: "project-lung" in shown(app) and "rows" in shown(app))
        await press(pilot, "a")
        await until(pilot, lambda: "Cause" in shown(app))
        await press(pilot, "enter")
        await until(pilot, lambda: "Egress" in shown(app))


async def test_services_when_opened_then_the_endpoints_behind_one() -> None:
    app = make_app(start=Place("services"))
    async with driven(app) as pilot:
        assert "80→8080" in shown(app)
        await press(pilot, "enter")
        assert "[view -l app=mirror]" in shown(app)
        assert "1/1 rows" in shown(app)
        await press(pilot, "escape", "escape", "x")
        assert "svc:mirror/mirror:80" in shown(app)


async def test_workloads_when_listed_then_each_says_what_is_enforced() -> None:
    app = make_app(start=Place("workloads"))
    async with driven(app, (160, 30)) as pilot:
        text = shown(app)
        assert "4/4 rows" in text
        assert "✓ enforced" in text
        assert "! open" in text
        await press(pilot, "enter")
        assert "endpoints > " in shown(app)


async def test_namespace_when_picked_then_the_screen_before_shows_it() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, ":ns")
        assert "project-heart" in shown(app)
        await command(pilot, app, "/lung")
        await press(pilot, "enter")
        await until(pilot, lambda: "policies > project-lung" in shown(app))


async def test_theme_when_picked_then_it_is_in_use() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, ":theme")
        await command(pilot, app, "/light")
        await press(pilot, "enter")
        await until(pilot, lambda: app.theme == "k8tre-light")


async def test_commands_when_typed_before_then_the_arrows_bring_them_back() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await command(pilot, app, ":endpoints")
        await command(pilot, app, ":sources")
        await ticked(pilot, app)
        await press(pilot, typed(":")[0], "up")
        entry = app.screen.query_one("#prompt Input", Input)
        assert entry.value == "sources"
        await press(pilot, "up")
        assert entry.value == "endpoints"
        await press(pilot, "down", "down")
        assert entry.value == ""
