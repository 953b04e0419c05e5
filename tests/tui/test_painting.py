"""What is sent to the terminal while flows run, keys come and screens change."""

from __future__ import annotations

from typing import cast

from app.core.model.flow import FlowBatch
from app.testing.sources import FakeFlows
from app.tui.places import Place
from tests.tui.emulated import EmulatedApp
from tests.tui.lab import command, driven, flows, forward, make_app, press, ticked


def emulated(start: Place, source: FakeFlows | None = None) -> EmulatedApp:
    return cast("EmulatedApp", make_app(source=source, start=start, kind=EmulatedApp))


async def test_terminal_when_screens_and_dialogs_come_and_go_then_it_shows_what_is_meant() -> None:
    app = emulated(Place("flows"))
    async with driven(app, (140, 40)) as pilot:
        for keys in ("k", "a", "?", "escape", "enter", "escape", "ctrl+e", "v", "slash"):
            await press(pilot, keys)
            assert app.seen() == app.meant(), keys
        await press(pilot, "escape")
        for place in (":policies", ":endpoints", ":sources", ":theme k8tre-light"):
            await command(pilot, app, place)
            await ticked(pilot, app)
            assert app.seen() == app.meant(), place


async def test_terminal_when_flows_are_followed_then_few_bytes_are_sent() -> None:
    source = FakeFlows((FlowBatch(flows()),), "hubble")
    app = emulated(Place("flows"), source)
    async with driven(app, (160, 50)) as pilot:
        for second in range(100):
            source.push(FlowBatch((forward(second),)))
        await ticked(pilot, app)
        before = app.sent
        for second in range(100, 140, 4):
            source.push(FlowBatch(tuple(forward(second + at) for at in range(4))))
            await pilot.pause()
            await ticked(pilot, app)
            assert app.seen() == app.meant()
        assert 0 < app.sent - before < 10 * 160 * 25  # half of the characters of ten screens


async def test_terminal_when_it_is_resized_then_everything_is_sent_again() -> None:
    app = emulated(Place("policies"))
    async with driven(app, (120, 36)) as pilot:
        await pilot.resize_terminal(90, 30)
        await ticked(pilot, app)
        assert app.seen() == app.meant()
        assert app.emulator is not None
        app.emulator.erase_in_display(2)  # as another program would
        app.forget_terminal()
        await pilot.pause()
        assert app.seen() == app.meant()
