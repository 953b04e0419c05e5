"""Keys in bursts without pauses, over a hostile cluster and a stream of flows.

`RANDOM_KEYS=10000 RANDOM_KEYS_SEED=7 pytest tests/tui/test_random_keys.py -s` presses more of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import cast

import pytest
from textual import events
from textual.command import CommandList, CommandPalette
from textual.geometry import Region
from textual.keys import _character_to_key
from textual.pilot import Pilot

from app.core.model.flow import Flow, FlowBatch
from app.testing.sources import FakeCluster, FakeFlows
from app.tui.actions import ACTIONS
from app.tui.app import K8treApp
from app.tui.palette import Palette
from app.tui.places import COMMANDS, Place
from app.tui.screens.frame import COMMAND, Frame
from tests.tui.emulated import EmulatedApp
from tests.tui.lab import drop, flows, forward, make_app, objects, ticked, until
from tests.tui.test_hostile import TEXTS, hostile_flow, hostile_objects
from tests.widgets.hostile import offending
from widgets.grid import Grid

KEYS = int(os.environ.get("RANDOM_KEYS", "400"))
SEED = int(os.environ.get("RANDOM_KEYS_SEED", "1"))
FLOWS_A_KEY = 5
"""A fast typist's two hundred keys a second then come with a thousand flows a second."""
LEAVING = {"ctrl+q", "ctrl+c"}
LEAVE = {"q", "quit", "exit"}
SIZES = ((80, 24), (120, 36), (160, 50), (100, 30))


def all_keys() -> list[str]:
    keys = {key for action in ACTIONS for key in action.keys} - LEAVING
    return sorted(keys) + ["space", "backspace", "delete", "left", "tab", "enter", "escape"] * 2


def typed_words(random: Random) -> str:
    """A command as somebody types it: a real one, a mistyped one, one with hostile words."""
    names = [word for one in COMMANDS for word in (one.name, *one.aliases)]
    word = random.choice([name for name in names if name not in LEAVE])
    extra = random.choice(("", "", "", " mirror", " project-lung", " [/]", " zzz", " all"))
    if random.random() < 0.2:
        word = "".join(random.choices("abcdefghijklmnoprstuvwxyz-", k=random.randint(1, 6)))
    return f"{word}{extra}" if word not in LEAVE else "flows"


def bursts(random: Random) -> Iterator[tuple[list[str], bool]]:
    """Bursts of keys, and whether one is a typed command."""
    keys, pressed = all_keys(), 0
    while pressed < KEYS:
        if is_command := random.random() < 0.4:
            burst = ["escape", "escape", ":", *typed_words(random), "enter"]
        else:
            burst = random.choices(keys, k=random.randint(1, 25))
        pressed += len(burst)
        yield burst, is_command


def batch_of(random: Random, count: int) -> FlowBatch:
    made: list[Flow] = []
    for _ in range(count):
        if random.random() < 0.3:
            made.append(hostile_flow(random.choice(TEXTS)))
        else:
            made.append(random.choice((drop, forward))(random.randint(-60, 60)))
    return FlowBatch(tuple(made))


@dataclass
class Watched:
    """What a run did: actions in the order they were done, and errors nobody foresaw."""

    actions: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


def send(app: K8treApp, key: str) -> None:
    """Put a key where the terminal's reader puts it, without waiting."""
    name = _character_to_key(key) if len(key) == 1 else key
    event = events.Key(name, key if len(key) == 1 else " " if key == "space" else None)
    event.set_sender(app)
    assert app._driver is not None
    app._driver.send_message(event)


async def quiet(pilot: Pilot[None], app: K8treApp) -> None:
    """Wait until every key was handled."""
    await pilot.pause()
    await until(pilot, lambda: not app._ahead and not app._is_held)
    await pilot.pause()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Watched:
    watched = Watched()
    run = Frame.action_run

    def recorded(frame: Frame, action_id: str) -> None:
        watched.actions.append(action_id)
        run(frame, action_id)

    monkeypatch.setattr(Frame, "action_run", recorded)
    monkeypatch.setattr(
        K8treApp, "_handle_exception", lambda _app, error: watched.errors.append(error)
    )
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDITOR", "true")
    return watched


def hostile_lab() -> tuple[EmulatedApp, FakeFlows]:
    manifests = objects() + [one for text in TEXTS for one in hostile_objects(text)]
    named = {(one.ref.kind, one.ref.namespace, one.ref.name): one for one in manifests}
    source = FakeFlows((FlowBatch(flows()),), "hubble")
    cluster = FakeCluster.holding(list(named.values()), "lab")
    app = make_app(cluster, source, start=Place("flows"), keep=2_000, kind=EmulatedApp)
    return cast("EmulatedApp", app), source


async def drawn_anew(pilot: Pilot[None], app: EmulatedApp) -> list[str]:
    """The lines when every row and every line is drawn from nothing."""
    for grid in app.screen.query(Grid):
        grid.forget()
    app.screen.refresh(layout=True)
    app.draw_frame()
    await pilot.pause()
    return app.meant()


@pytest.mark.timeout(3_000)
async def test_keys_when_random_in_bursts_then_the_screen_is_right_and_clean(
    watched: Watched,
) -> None:
    print(f"RANDOM_KEYS={KEYS} RANDOM_KEYS_SEED={SEED}")  # noqa: T201  # to press them again
    random = Random(SEED)  # noqa: S311  # keys to press
    app, source = hostile_lab()
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.session.picture.revision > 0)
        for number, (burst, is_command) in enumerate(bursts(random)):
            del watched.actions[:]
            source.push(batch_of(random, FLOWS_A_KEY * len(burst)))
            for key in burst:
                send(app, key)
            await quiet(pilot, app)
            if watched.errors:
                raise AssertionError(f"{burst} after {number} bursts") from watched.errors[0]
            assert app.is_running, burst
            if is_command and COMMAND in watched.actions:
                after = watched.actions[watched.actions.index(COMMAND) + 1 :]
                assert not after, (burst, after)
            if number % 9 == 8:
                await pilot.resize_terminal(*random.choice(SIZES))
                await pilot.pause()
            await ticked(pilot, app)
            assert app.seen() == app.meant(), burst
            assert not offending("".join(app.seen())), burst
        await ticked(pilot, app)
        before = app.meant()
        assert await drawn_anew(pilot, app) == before
        assert app.seen() == before


async def test_palette_when_its_list_is_not_drawn_yet_then_it_is_not_paged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Textual's list raises KeyError then: seed 7, `ctrl+p v pagedown` in one burst."""
    paged: list[str] = []
    monkeypatch.setattr(CommandPalette, "_action_command_list", lambda _, name: paged.append(name))
    app, _ = hostile_lab()
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.session.picture.revision > 0)
        await pilot.press("ctrl+p")
        palette = app.screen
        assert isinstance(palette, Palette)
        found = palette.query_one(CommandList)
        await until(pilot, lambda: bool(found.option_count))
        palette._action_command_list("page_down")
        with monkeypatch.context() as hidden:
            hidden.setattr(CommandList, "scrollable_content_region", Region())
            palette._action_command_list("page_up")
        found.clear_options()
        palette._action_command_list("page_up")
    assert paged == ["page_down"]
