"""One's place is kept: what was chosen, where the cursor stood, and what stood still."""

from __future__ import annotations

from collections import Counter

from app.core.flows.filters import parse_filter
from app.core.flows.grouping import Connections
from app.core.model.flow import FlowBatch
from app.testing.sources import FakeFlows
from app.tui.app import K8treApp
from app.tui.places import Place
from app.tui.screens.flows import Flows
from app.tui.screens.table import TableScreen
from tests.tui.lab import (
    WORLD,
    batch,
    command,
    driven,
    drop,
    flows,
    forward,
    make_app,
    press,
    shown,
    ticked,
    until,
)
from widgets.document import Document
from widgets.spans import plain


def detail(app: K8treApp) -> str:
    pane = app.screen.query_one("#detail", Document)
    return "\n".join(strip.text for strip in map(pane.render_line, range(pane.size.height)))


def body(app: K8treApp) -> list[str]:
    return shown(app).splitlines()[2:-2]


async def test_flows_when_paused_and_one_comes_back_then_nothing_has_moved() -> None:
    source = FakeFlows((FlowBatch(tuple(drop(at, source_port=at) for at in range(60))),), "hubble")
    app = make_app(source=source, start=Place("flows"), keep=60)
    async with driven(app, (80, 20)) as pilot:
        await command(pilot, app, "/port:8080")
        await press(pilot, *"kkkkkkkkkkkkkkkkkkkkkkkkk", "j", "j")
        screen = app.screen
        assert isinstance(screen, Flows)
        before, key, top = body(app), screen.stream.cursor_key, screen.stream.top
        await press(pilot, "enter")
        await until(pilot, lambda: not isinstance(app.screen, Flows))
        source.push(FlowBatch(tuple(drop(100 + at, source_port=at) for at in range(200))))
        await until(pilot, lambda: app.session.workspace.ring.seen == 260)
        await press(pilot, "escape")
        await until(pilot, lambda: isinstance(app.screen, Flows) and body(app) == before)
        await ticked(pilot, app)
        back = app.screen
        assert isinstance(back, Flows)
        assert (back.stream.cursor_key, back.stream.top) == (key, top)
        assert "PAUSED +60 or more" in shown(app)
        assert body(app) == before


async def test_flows_when_grouped_and_sorted_then_so_on_coming_back() -> None:
    app = make_app(start=Place("flows", filter="verdict:dropped,forwarded"))
    async with driven(app, (160, 24)) as pilot:
        await press(pilot, "a", "shift+right", "shift+right", "O", "ctrl+z", "j")
        before = shown(app).splitlines()[2:-1]
        assert "LAST ↑" in before[0]
        await press(pilot, "enter")
        await until(pilot, lambda: not isinstance(app.screen, Flows))
        await press(pilot, "[")
        await until(pilot, lambda: shown(app).splitlines()[2:-1] == before)


async def test_table_when_one_comes_back_then_filter_sort_and_row_are_as_they_were() -> None:
    app = make_app(start=Place("policies"))
    async with driven(app) as pilot:
        await command(pilot, app, "/in")
        await press(pilot, "N", "O", "j")
        screen = app.screen
        assert isinstance(screen, TableScreen)
        before, key = body(app), screen.grid.cursor_key
        await press(pilot, "enter")
        await until(pilot, lambda: not isinstance(app.screen, TableScreen))
        await press(pilot, "[")
        await until(pilot, lambda: isinstance(app.screen, TableScreen) and body(app) == before)
        assert isinstance(app.screen, TableScreen)
        assert app.screen.grid.cursor_key == key


async def test_detail_when_the_filter_matches_nothing_then_it_is_empty() -> None:
    for start in (Place("policies"), Place("flows")):
        app = make_app(start=start)
        async with driven(app) as pilot:
            assert detail(app).strip() not in ("", "no flow")
            wrong = "/nothing-is-called-so" if start.screen == "policies" else "/port:1"
            await command(pilot, app, wrong)
            assert detail(app).strip() in ("", "no flow")
            await press(pilot, "escape")
            assert detail(app).strip() not in ("", "no flow")


async def test_detail_when_flows_come_then_it_is_of_the_row_under_the_cursor() -> None:
    source = FakeFlows((batch(),), "hubble")
    app = make_app(source=source, start=Place("flows"))
    async with driven(app) as pilot:
        for port in (1001, 1002, 1003):
            source.push(FlowBatch((drop(port, destination_port=port),)))
            seen = app.session.workspace.ring.seen
            await until(pilot, lambda seen=seen: app.session.workspace.ring.seen > seen)  # type: ignore[misc]
            await ticked(pilot, app)
            assert f"port {port}" in detail(app)
        await press(pilot, "k")
        assert "port 1002" in detail(app)
        await press(pilot, "a", "G", "g")
        screen = app.screen
        assert isinstance(screen, Flows)
        assert screen.flow is not None
        assert f"port {screen.flow.destination_port}" in detail(app)


async def test_groups_when_filtered_then_every_count_is_that_of_its_own_row() -> None:
    many = (*flows(), *(drop(at, destination_port=9000 + at % 3) for at in range(1, 8)))
    many += tuple(forward(20 + at, source=WORLD, source_ip=f"203.0.113.{at}") for at in range(4))
    app = make_app(source=FakeFlows((FlowBatch(many),), "hubble"), start=Place("flows"))
    async with driven(app, (160, 40)) as pilot:
        await press(pilot, "a")
        for text in ("", "verdict:dropped", "port:9001,9002", "verdict:forwarded", ""):
            await command(pilot, app, f"/{text}")
            matches = parse_filter(text).matches if text else lambda _flow: True
            wanted = Counter(
                {one.key: one.flows for one in Connections(filter(matches, many)).ranked()}
            )
            screen = app.screen
            assert isinstance(screen, Flows)
            rows = screen.table.rows
            counted = {rows.key(at): int(plain(rows.cells(at)[0])) for at in range(len(rows))}
            assert counted == wanted
            lines = body(app)[1 : len(rows) + 1]
            on_screen = [int(row.split()[0]) for row in lines]
            assert on_screen == [counted[rows.key(at)] for at in range(len(rows))]
