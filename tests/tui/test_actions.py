from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from app.config import Settings
from app.core.errors import ConfigError
from app.tui.actions import (
    ACTIONS,
    BY_ID,
    COMBINED,
    COMMON,
    Need,
    Scope,
    all_clashes,
    bindings,
    of_scopes,
    remapped,
    split_keys,
)
from app.tui.app import SCREENS, check_keys, check_theme
from app.tui.keydocs import key_page
from app.tui.screens.frame import Frame
from app.tui.screens.help import help_page
from widgets.spans import plain

DOCS = Path(__file__).parents[2] / "docs" / "keys.md"


def screens() -> list[type[Frame]]:
    found = {
        getattr(import_module(f"app.tui.screens.{module}"), name)
        for module, name in SCREENS.values()
    }
    return sorted(found, key=lambda kind: kind.__name__)


def test_actions_when_of_one_screen_then_no_two_share_a_key() -> None:
    assert all_clashes({}) == ()


def test_actions_when_listed_then_every_id_is_its_own() -> None:
    assert len(BY_ID) == len(ACTIONS)


@pytest.mark.parametrize("screen", screens(), ids=lambda kind: kind.__name__)
def test_screen_when_it_has_a_scope_then_it_handles_every_action_of_it(
    screen: type[Frame],
) -> None:
    missing = [
        action.id
        for action in of_scopes((*screen.SCOPES, *COMMON))
        if not callable(getattr(screen, action.handler, None))
    ]
    assert missing == []


@pytest.mark.parametrize("screen", screens(), ids=lambda kind: kind.__name__)
def test_screen_when_it_has_scopes_then_their_keys_are_checked_together_and_bound(
    screen: type[Frame],
) -> None:
    assert screen.SCOPES in COMBINED
    bound = {binding.id for _, binding in screen._merge_bindings()}
    assert bound >= {action.id for action in of_scopes((*screen.SCOPES, *COMMON))}


def test_screens_when_taken_together_then_every_scope_has_one() -> None:
    scopes = {scope for screen in screens() for scope in screen.SCOPES} | set(COMMON)
    assert scopes == set(Scope)


def test_help_when_shown_then_every_action_of_the_screen_is_on_it() -> None:
    for scopes in COMBINED:
        actions = of_scopes((*scopes, *COMMON))
        page = "\n".join(plain(one.spans) for one in help_page(actions))
        for action in actions:
            assert action.help in page
            assert (action.group or action.keys[0]) in page


def test_docs_when_compared_then_they_are_what_the_registry_says() -> None:
    assert DOCS.read_text(encoding="utf-8") == key_page(), "run `python -m app.tui.keydocs`"


def test_keys_when_remapped_then_the_action_has_the_new_ones() -> None:
    (action,) = remapped((BY_ID["flows.follow"],), {"flows.follow": "ctrl+x, f"})
    assert action.keys == ("ctrl+x", "f")
    assert split_keys(" a ,, b ") == ("a", "b")


def test_keys_when_two_actions_would_share_one_then_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"`a` would do both flows.follow and flows.group"):
        check_keys(Settings(keys={"flows.follow": "a"}))


def test_keys_when_an_action_is_unknown_then_refused() -> None:
    with pytest.raises(ConfigError, match=r"no action `flows\.fly`"):
        check_keys(Settings(keys={"flows.fly": "f"}))


def test_theme_when_unknown_then_the_error_lists_them() -> None:
    with pytest.raises(ConfigError) as caught:
        check_theme("solarized")
    assert "k8tre-deuter" in caught.value.hint


def test_bindings_when_made_then_each_runs_its_action() -> None:
    for binding in bindings(Scope.FLOWS):
        assert binding.action == f"run('{binding.id}')"


def test_needs_when_used_then_each_is_answered_somewhere() -> None:
    used = {need for action in ACTIONS for need in action.needs}
    assert used == set(Need)
