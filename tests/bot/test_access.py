import pytest

from app.bot.access import Level, Rules, make_rules
from app.config import BotSettings
from app.core.errors import ConfigError
from app.core.model.chat import Caller

RULES = Rules(
    team="T1",
    channels=frozenset({"C1"}),
    users=frozenset({"U1", "U2"}),
    projects={"project-*": frozenset({"U2"}), "project-lung": frozenset({"U1"})},
)


@pytest.mark.parametrize(
    ("caller", "words"),
    [
        (Caller("U1", "C1", "T1"), ""),
        (Caller("U1", "C1", "T2"), "another one"),
        (Caller("U1", "D9", "T1"), "this channel"),
        (Caller("U9", "C1", "T1"), "not on the list"),
    ],
)
def test_caller_is_let_in_or_told_why_not(caller: Caller, words: str) -> None:
    refusal = RULES.refusal(caller)
    assert words in refusal
    assert bool(refusal) == bool(words)


def test_nobody_is_let_in_before_a_channel_is_named() -> None:
    assert "bot.channels" in Rules().refusal(Caller("U1", "C1", "T1"))


def test_everyone_of_a_channel_may_ask_where_no_users_are_named() -> None:
    assert not Rules(channels=frozenset({"C1"})).refusal(Caller("U7", "C1"))


@pytest.mark.parametrize(
    ("user", "namespace", "may"),
    [
        ("U1", "project-lung", True),
        ("U1", "project-heart", False),
        ("U2", "project-heart", True),
        ("U2", "project-lung", True),
        ("U9", "project-lung", False),
        ("U9", "keycloak", True),
    ],
)
def test_names_of_a_project_are_for_its_members(user: str, namespace: str, *, may: bool) -> None:
    assert RULES.may_read(Caller(user, "C1", "T1"), namespace) is may


def test_star_means_everyone() -> None:
    rules = Rules(projects={"project-open": frozenset({"*"})})
    assert rules.may_read(Caller("U9", "C1"), "project-open")


def test_settings_become_rules() -> None:
    settings = BotSettings(team="T1", channels=("C1",), users=("U1",), level="full")
    rules = make_rules(settings, {"project-*": "U1, U2 U3"})
    assert rules == Rules(
        "T1",
        frozenset({"C1"}),
        frozenset({"U1"}),
        {"project-*": frozenset({"U1", "U2", "U3"})},
        Level.FULL,
    )


def test_unknown_level_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="`loud`") as caught:
        make_rules(BotSettings(level="loud"), {})
    assert "minimal" in caught.value.hint
