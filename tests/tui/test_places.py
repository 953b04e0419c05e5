from __future__ import annotations

import pytest

from app.core.errors import UsageError
from app.tui.app import SCREENS
from app.tui.places import COMMANDS, History, Place, complete, find_command, parse_command

VALUES = {"namespace": ("all", "jupyterhub"), "end": ("mirror/mirror-1",), "theme": ("k8tre-dark",),
          "context": ("prod-eu",)}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("flows", Place("flows")),
        ("fl jupyterhub", Place("flows", namespace="jupyterhub")),
        ("flows all", Place("flows", namespace="")),
        ("drops", Place("flows", ("faults",))),
        ("flows mirror /verdict:dropped port:53", Place("flows", namespace="mirror",
                                                        filter="verdict:dropped port:53")),
        ("pol /gitea", Place("policies", filter="gitea")),
        ("ccnp", Place("policies", ("CiliumClusterwideNetworkPolicy",))),
        ("why a/b c/d 443", Place("why", ("a/b", "c/d", "443"))),
        ("ns mirror", Place("ns", ("mirror",))),
        ("ns", Place("pick", ("ns",))),
        ("theme", Place("pick", ("theme",))),
        ("project", Place("pick", ("project",))),
        ("proj project-lung", Place("ns", ("project-lung",))),
        ("pulse", Place("pulse")),
        ("q", Place("quit")),
        ("ctx", Place("pick", ("ctx",))),
        ("ctx prod-eu", Place("ctx", ("prod-eu",))),
        ("pol gitea @prod-eu", Place("policies", namespace="gitea", context="prod-eu")),
        ("flows /verdict:dropped @prod-eu", Place("flows", filter="verdict:dropped",
                                                  context="prod-eu")),
    ],
)  # fmt: skip
def test_command_when_typed_then_the_place_it_names(text: str, place: Place) -> None:
    assert parse_command(text) == place


@pytest.mark.parametrize("text", ["", "   ", "fly"])
def test_command_when_it_has_no_sense_then_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_command(text)
    assert caught.value.hint


def test_command_when_an_alias_of_the_user_then_it_may_hold_arguments() -> None:
    aliases = {"jd": "flows jupyterhub /verdict:dropped"}
    place = parse_command("jd", aliases)
    assert (place.namespace, place.filter) == ("jupyterhub", "verdict:dropped")


def test_commands_when_listed_then_words_are_unique_and_lead_somewhere() -> None:
    words = [word for command in COMMANDS for word in (command.name, *command.aliases)]
    assert len(words) == len(set(words))
    elsewhere = {"ns", "project", "theme", "quit", "help", "ctx"}
    for command in COMMANDS:
        place = parse_command(f"{command.name} x")
        assert place.screen in set(SCREENS) | elsewhere
        assert find_command(command.name) is command


@pytest.mark.parametrize(
    ("begun", "completed"),
    [
        ("fl", "flows"),
        ("flows ju", "flows jupyterhub"),
        ("flows jupyterhub", None),
        ("why mirror/m", "why mirror/mirror-1"),
        ("why mirror/mirror-1 mi", "why mirror/mirror-1 mirror/mirror-1"),
        ("theme k", "theme k8tre-dark"),
        ("quit x", None),
        ("fly n", None),
        ("", None),
    ],
)
def test_completion_when_begun_then_the_first_that_fits(begun: str, completed: str | None) -> None:
    assert complete(begun, VALUES) == completed


def test_history_when_wandering_then_like_a_browser() -> None:
    history = History()
    assert history.back() is None
    assert history.swap() is None
    one, two, three = Place("policies"), Place("flows"), Place("why")
    for place in (one, two, three):
        history.visit(place)
    assert history.back() == two
    assert history.back() == one
    assert history.back() is None
    assert history.forward() == two
    assert history.swap() == one
    assert history.swap() == two
    history.visit(three)
    assert history.forward() is None
    assert history.crumbs()[-1] == three


def test_history_when_a_place_is_left_changed_then_it_is_found_so_again() -> None:
    history = History()
    history.visit(Place("flows"))
    history.update(Place("flows", filter="x"))
    history.visit(Place("why"))
    assert history.back() == Place("flows", filter="x")
