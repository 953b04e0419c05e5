import pytest

from app.bot.access import Level, Role, RoleGrant, Rules, audience, make_rules
from app.config import BotSettings
from app.core.errors import ConfigError
from app.core.model.chat import Caller, Standing

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
    assert "bot.channels" in Rules("T1").refusal(Caller("U1", "C1", "T1"))


def test_nobody_is_let_in_before_a_workspace_is_pinned() -> None:
    assert "bot.team" in Rules(channels=frozenset({"C1"})).refusal(Caller("U1", "C1", "T1"))


def test_everyone_of_a_channel_may_ask_where_no_users_are_named() -> None:
    assert not Rules("T1", frozenset({"C1"})).refusal(Caller("U7", "C1", "T1"))


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


ROLES = {"U1": "asker project-lung mirror", "SOPS": "operator", "C2": "drafter project-*"}
GRANTED = make_rules(BotSettings(team="T1", channels=("C1", "C2")), {}, ROLES)


@pytest.mark.parametrize(
    ("caller", "namespace", "role"),
    [
        (Caller("U1", "C1", "T1"), "project-lung", Role.ASKER),
        (Caller("U1", "C1", "T1"), "keycloak", None),
        (Caller("U1", "C2", "T1"), "project-lung", Role.DRAFTER),
        (Caller("U1", "C2", "T1"), "mirror", Role.ASKER),
        (Caller("U9", "C1", "T1"), "", None),
        (Caller("U9", "C1", "T1", frozenset({"SOPS"})), "keycloak", Role.OPERATOR),
    ],
)
def test_role_is_the_highest_that_user_group_or_channel_give(
    caller: Caller, namespace: str, role: Role | None
) -> None:
    assert GRANTED.role_of(caller, namespace) == role


def test_roles_alone_decide_who_may_ask_where_there_are_any() -> None:
    assert "not on the list" in GRANTED.refusal(Caller("U9", "C1", "T1"))
    assert not GRANTED.refusal(Caller("U9", "C2", "T1"))


def test_namespaces_beyond_a_role_are_not_seen() -> None:
    lung = Caller("U1", "C1", "T1")
    assert not GRANTED.may_read(lung, "keycloak")
    assert GRANTED.limits_of(lung) == frozenset({"project-lung", "mirror"})
    assert GRANTED.sight_of(lung)
    assert not GRANTED.sight_of(Caller("U9", "C1", "T1", frozenset({"SOPS"})))


def test_what_is_told_to_a_channel_is_what_everybody_there_may_know() -> None:
    operator = Caller("U9", "C1", "T1", frozenset({"SOPS"}))
    assert GRANTED.refusal(audience(operator))
    assert GRANTED.role_of(audience(Caller("U1", "C2", "T1"))) is Role.DRAFTER


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing.GUEST, "full members"),
        (Standing.BOT, "a bot"),
        (Standing.STRANGER, "another one"),
        (Standing.UNKNOWN, "could not find out"),
    ],
)
def test_whoever_is_no_member_is_told_so(standing: Standing, words: str) -> None:
    rules = Rules("T1", frozenset({"C1"}))
    assert words in rules.refusal(Caller("U1", "C1", "T1", standing=standing))


@pytest.mark.parametrize("standing", [Standing.GUEST, Standing.UNKNOWN])
def test_guest_who_is_named_by_id_may_ask(standing: Standing) -> None:
    assert not RULES.refusal(Caller("U1", "C1", "T1", standing=standing))


@pytest.mark.parametrize("standing", [Standing.BOT, Standing.STRANGER])
def test_bots_and_strangers_never_may(standing: Standing) -> None:
    assert RULES.refusal(Caller("U1", "C1", "T1", standing=standing))


def test_channel_that_others_read_is_refused() -> None:
    rules = Rules("T1", frozenset({"C1"}))
    assert "other organisations" in rules.refusal(Caller("U1", "C1", "T1", is_shared=True))


def test_groups_of_roles_and_projects_are_those_that_must_be_known() -> None:
    rules = make_rules(BotSettings(), {"project-*": "S0TEAM U1"}, {"S0OPS": "operator"})
    assert rules.groups == {"S0TEAM", "S0OPS"}
    assert rules.grants["S0OPS"] == RoleGrant(Role.OPERATOR)
    assert rules.may_read(Caller("U7", "C1", "T1", frozenset({"S0TEAM", "S0OPS"})), "project-x")


@pytest.mark.parametrize(
    ("key", "words", "said"),
    [("alice", "asker", "no id"), ("U1", "admin", "no role"), ("U1", "", "no role")],
)
def test_role_that_cannot_be_read_is_a_configuration_error(key: str, words: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_rules(BotSettings(), {}, {key: words})
