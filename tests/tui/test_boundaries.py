"""Boundaries and the matrix on screen."""

from __future__ import annotations

from app.core.diagnose.boundaries import parse_boundaries
from app.services.workspace import Workspace
from app.testing.clock import FakeClock
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.app import K8treApp
from app.tui.places import Place
from tests.tui.lab import (
    batch,
    command,
    driven,
    make_app,
    objects,
    press,
    shown,
    until,
    with_ui,
)

BOUNDARIES = parse_boundaries(
    """
[[boundary]]
name = "projects-apart"
from = "ns:project-heart"
to = "ns:project-lung"
ports = [8888]
must = "deny"
why = "data of one study stay there"

[[boundary]]
name = "hub-not-lung"
from = "ns:jupyterhub"
to = "ns:project-lung"
ports = [8888]
must = "deny"
""",
    "boundaries.toml",
)


def app_with_boundaries(start: Place, glyphs: str = "unicode") -> K8treApp:
    clock = FakeClock()
    workspace = Workspace(
        [FakeCluster.holding(objects(), "lab")],
        [FakeFlows((batch(),), "hubble")],
        clock=clock,
        boundaries=BOUNDARIES,
        jitter=lambda: 1.0,
    )
    return K8treApp(workspace, with_ui(glyphs=glyphs), clock=clock, context="lab", start=start)


async def test_boundaries_when_opened_then_each_says_whether_it_holds_and_by_whom() -> None:
    app = app_with_boundaries(Place("boundaries"))
    async with driven(app, (160, 40)) as pilot:
        await until(pilot, lambda: "2/2 rows" in shown(app))
        text = shown(app)
        assert "✓ holds   projects-apart" in text
        assert "✗ broken  hub-not-lung" in text
        assert "jupyterhub/hub-0 →" in text
        await press(pilot, "ctrl+z")
        assert "1/2 rows" in shown(app)


async def test_boundary_when_opened_then_its_witness_leads_to_why() -> None:
    app = app_with_boundaries(Place("boundaries"))
    async with driven(app, (160, 40)) as pilot:
        await until(pilot, lambda: "2/2 rows" in shown(app))
        await press(pilot, "enter")
        assert "Witness" in shown(app)
        await press(pilot, "j", "enter")
        await until(pilot, lambda: "Egress" in shown(app))
        assert "jupyterhub/hub-0" in shown(app)


async def test_boundaries_when_none_are_declared_then_says_how() -> None:
    app = make_app(start=Place("boundaries"))
    async with driven(app) as pilot:
        await until(pilot, lambda: "No boundaries are declared." in shown(app))
        assert "check.boundaries" in shown(app)


async def test_matrix_when_opened_then_policy_stands_against_flows() -> None:
    app = app_with_boundaries(Place("matrix"))
    async with driven(app, (120, 36)) as pilot:
        await until(pilot, lambda: "legend" not in shown(app) and "some" in shown(app))
        text = shown(app)
        assert "FROM \\ TO" in text
        assert "(outside)" not in text.splitlines()[2]
        # jupyterhub may open the notebook of lung, and was seen to
        row = next(line for line in text.splitlines() if "jupy…hub" in line)
        assert "▒✓" in row
        await press(pilot, "right", "right", "right")
        assert "jupyterhub → project-lung" in shown(app)
        assert "8888/TCP" in shown(app)
        await press(pilot, "enter")
        assert "[view from:jupyterhub/ to:project-lung/]" in shown(app)
        await press(pilot, "escape", "escape")
        await until(pilot, lambda: "some" in shown(app))


async def test_matrix_in_ascii_uses_no_other_glyph() -> None:
    app = app_with_boundaries(Place("matrix"), "ascii")
    async with driven(app, (80, 24)) as pilot:
        await until(pilot, lambda: "rows" in shown(app) and "o+" in shown(app))
        assert shown(app).isascii()


async def test_every_table_says_what_its_filter_takes_while_it_is_typed() -> None:
    app = make_app()
    async with driven(app) as pilot:
        await press(pilot, "slash")
        assert "kind: namespace: name:" in shown(app)
        await press(pilot, "escape")
        assert "kind: namespace:" not in shown(app)
        await command(pilot, app, "/kind:cnp name:work*")
        assert "1/5 rows" in shown(app)
