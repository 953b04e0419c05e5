"""Keys never go astray: each is done before the next is looked at, and none is silent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from app.testing.builders import namespace
from app.testing.sources import FakeCluster
from app.tui.app import K8treApp
from app.tui.places import Place
from app.tui.screens.endpoints import Endpoints
from app.tui.screens.flow import FlowScreen
from app.tui.screens.flows import Flows
from app.tui.screens.policies import Policies
from app.tui.screens.why import Why
from tests.tui.lab import command, driven, make_app, objects, press, said, shown, until

NAMES = {":": "colon", "/": "slash", "\r": "enter", "\x1b": "escape", "-": "minus", " ": "space"}


def burst(app: K8treApp, text: str) -> None:
    """Let keys arrive in one go, as over a slow line."""
    for one in text:
        character = None if one in "\r\x1b" else one
        app.post_message(events.Key(NAMES.get(one, one), character))


async def done(pilot: Pilot[None], app: K8treApp) -> None:
    """Let every key be done, however slow the machine."""
    for _ in range(20):
        with suppress(AssertionError):
            await until(pilot, lambda: not app._ahead and not app._is_held)
            return
    raise AssertionError("keys are still waiting")


def prompt(app: K8treApp) -> Input:
    return app.screen.query_one("#prompt Input", Input)


async def test_burst_when_it_leaves_a_screen_then_the_prompt_of_the_next_gets_the_letters() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, FlowScreen))
        burst(app, "\x1b:pulses")
        await done(pilot, app)
        await until(pilot, lambda: isinstance(app.screen, Flows) and prompt(app).value == "pulses")
        burst(app, "\r")
        await until(pilot, lambda: "no command `pulses`" in said(app))
        assert isinstance(app.screen, Flows)


async def test_burst_when_commands_follow_each_other_then_each_finds_its_screen() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        burst(app, ":policies\r:endpoints\r:flows\r:endpoints\rx")
        await done(pilot, app)
        await until(pilot, lambda: isinstance(app.screen, Why))
        burst(app, "\x1b\x1b")
        await until(pilot, lambda: isinstance(app.screen, Endpoints))
        assert said(app) == ""


async def test_burst_when_a_filter_is_typed_and_more_follows_then_both_are_done() -> None:
    app = make_app(start=Place("policies"))
    async with driven(app) as pilot:
        burst(app, "/mirror\r\x1b/hub\r")
        await done(pilot, app)
        await until(pilot, lambda: "[view hub]" in shown(app))


@pytest.mark.parametrize(("field", "before"), [("source", ""), ("port", "80")])
async def test_colon_when_typed_into_a_field_then_a_command_begins(field: str, before: str) -> None:
    app = make_app(start=Place("why"))
    async with driven(app) as pilot:
        entry = app.screen.query_one(f"#{field}", Input)
        entry.value = before
        entry.focus()
        await press(pilot, "colon", "f", "l")
        assert (prompt(app).value, entry.value) == ("fl", before)
        await press(pilot, "escape")
        assert app.focused is entry
        await press(pilot, "colon", "f", "l", "enter")
        await until(pilot, lambda: isinstance(app.screen, Flows))


async def test_colon_when_within_an_end_then_it_is_typed() -> None:
    app = make_app(start=Place("why"))
    async with driven(app) as pilot:
        await press(pilot, *"svc", "colon", *"a")
        assert app.screen.query_one("#source", Input).value == "svc:a"


async def test_key_when_it_does_nothing_here_then_said_once() -> None:
    app = make_app(start=Place("flows"))
    async with driven(app) as pilot:
        await press(pilot, "9", "8", "z")
        assert said(app) == "`9` does nothing here; `?` lists the keys"
        await press(pilot, "O")
        assert "`a` groups them" in said(app)


async def test_digits_when_shown_in_the_header_then_as_this_screen_means_them() -> None:
    app = make_app(start=Place("policies"))
    async with driven(app) as pilot:
        assert "<0> all <1> project-heart <2> project-lung <3> jupyterhub" in shown(app)
        await command(pilot, app, ":flows")
        assert "<0> newest <1> oldest <2> 60 s" in shown(app)
        assert "<1> project-heart" not in shown(app)
        await command(pilot, app, ":log")
        assert "<0>" not in shown(app)


async def test_favourites_when_namespaces_come_and_are_visited_then_numbers_stay() -> None:
    cluster = FakeCluster.holding(objects(), "lab")
    app = make_app(cluster)
    async with driven(app) as pilot:
        before = app.session.favourites()
        await command(pilot, app, ":ns mirror")
        assert app.session.namespace == "mirror"
        assert app.session.favourites() == before
        picture = app.session.picture
        more = {**picture.cluster.namespaces, "aaa": picture.cluster.namespaces["mirror"]}
        app.session.workspace._picture = replace(
            picture, cluster=replace(picture.cluster, namespaces=more)
        )
        assert app.session.favourites() == (*before, (str(len(before)), "aaa"))


@pytest.mark.parametrize("text", [":ns project-lungs", ":flows project-lungs"])
async def test_namespace_when_mistyped_then_an_error_that_says_which_was_meant(text: str) -> None:
    app = make_app(start=Place("policies"))
    async with driven(app) as pilot:
        await command(pilot, app, text)
        assert "no namespace `project-lungs`; did you mean `project-lung`" in said(app)
        assert app.session.namespace == ""
        assert isinstance(app.screen, Policies)
        assert "project-lungs" not in str(app.session.favourites())


async def test_namespace_when_nothing_was_read_then_it_may_be_there() -> None:
    app = make_app(FakeCluster.holding([namespace("lab")], "lab"))
    async with driven(app):
        assert app.session.unknown_namespace("project-lung") == ""  # flows name it
        assert app.session.unknown_namespace("nowhere")
