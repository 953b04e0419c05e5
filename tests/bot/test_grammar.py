from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bot.command import AboutConnection, ChatCommand, Help, Inventory, Ping, WhoAmI
from app.bot.grammar import parse_command
from app.bot.words import split_words
from app.core.errors import UsageError
from app.core.model.verdict import DnsRequest, HttpRequest, Protocol, SniRequest
from app.core.text import clean


def why(*words: str) -> AboutConnection:
    command = parse_command(words)
    assert isinstance(command, AboutConnection)
    return command


@pytest.mark.parametrize(
    "words",
    [
        ("why-blocked", "a/b", "c/d", "443"),
        ("why", "a/b", "c/d", "443"),
        ("WHY", "a/b", "c/d:443"),
        ("why", "--from", "a/b", "--to", "c/d", "--port", "443"),
        ("why", "--to=c/d", "a/b", "443"),
        ("why", "--port", "443", "a/b", "c/d"),
        ("/netpol", "why", "a/b", "\u2192", "c/d:443"),
    ],
)
def test_positions_and_flags_are_equivalent(words: tuple[str, ...]) -> None:
    asked = why(*words).asked
    assert (asked.source.text, asked.destination.text, str(asked.port)) == ("a/b", "c/d", "443")


def test_service_keeps_its_port() -> None:
    asked = why("why", "a/b", "svc:c/d:80").asked
    assert (asked.destination.text, asked.port) == ("svc:c/d:80", None)


def test_name_and_address_take_a_port_behind_a_colon() -> None:
    asked = why("why", "a/b", "packages.example.org:53/UDP").asked
    assert asked.port is not None
    assert (asked.destination.text, asked.port.number) == ("packages.example.org", 53)
    assert asked.port.protocol is Protocol.UDP


@pytest.mark.parametrize(
    ("typed", "name", "port"),
    [
        ("https://pypi.org/simple/", "pypi.org", 443),
        ("http://pypi.org:8081/simple?x=1", "pypi.org", 8081),
        ("pypi.org/simple/", "pypi.org", None),
    ],
)
def test_url_with_a_path_is_its_host_and_port(typed: str, name: str, port: int | None) -> None:
    asked = why("why", "a/b", typed).asked
    told = asked.destination.port
    assert (asked.destination.name, told.number if told else None) == (name, port)


def test_question_can_be_asked_again_with_another_end() -> None:
    command = why("why", "a/b", "c/d:443", "--http", "GET /it's")
    again = why(*split_words(command.ask_again(to="e/f"))).asked
    assert (again.source.text, again.destination.text) == ("a/b", "e/f")
    assert (again.port, again.request) == (command.asked.port, command.asked.request)


def test_ipv6_address_is_no_end_with_a_port() -> None:
    assert why("why", "a/b", "2001:db8::1").asked.destination.text == "2001:db8::1"


@pytest.mark.parametrize(
    ("flag", "value", "request_kind"),
    [
        ("--http", "GET /x", HttpRequest),
        ("--dns", "p.example.org", DnsRequest),
        ("--sni", "p.example.org", SniRequest),
    ],
)
def test_request_is_read(flag: str, value: str, request_kind: type) -> None:
    assert isinstance(why("why", "a/b", "c/d", flag, value).asked.request, request_kind)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ((), Help()),
        (("help",), Help()),
        (("?",), Help()),
        (("help", "why"), Help("why-blocked")),
        (("inventory", "keycloak"), Inventory("keycloak")),
        (("inventory", "ns:keycloak"), Inventory("keycloak")),
        (("whoami",), WhoAmI()),
        (("ping",), Ping()),
    ],
)
def test_other_commands_are_read(words: tuple[str, ...], command: object) -> None:
    assert parse_command(words) == command


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("whi-blocked", "a/b"), "`whi-blocked`", "did you mean `/netpol why-blocked`?"),
        (("xyzzy",), "`xyzzy`", "/netpol help"),
        (("why", "a/b"), "needs to", "/netpol why-blocked FROM TO [PORT]"),
        (("why",), "needs from and to", "as in"),
        (("why", "a/b", "c/d", "1", "2"), "`2` is one word too many", "as in"),
        (("why", "a/b", "--tu", "c/d"), "no `--tu`", "`--to`"),
        (("why", "--to", "c/d", "--to", "c/d", "a/b"), "twice", ""),
        (("why", "a/b", "--to"), "needs a value", "as in"),
        (("why", "a/b", "c/d:443", "444"), "port is given twice", ""),
        (("why", "non:sense", "c/d"), "`non:sense` names no end", "NS/POD"),
        (("why", "a/b", "c/d", "99999"), "out of range", "port"),
        (("inventory",), "needs namespace", "as in"),
        (("inventory", "Not_A_Name"), "not the name of a namespace", ""),
        (("help", "xyzzy"), "`xyzzy`", "/netpol help"),
    ],
)
def test_mistakes_are_named_with_a_way_out(words: tuple[str, ...], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_command(words)
    assert message in caught.value.message
    assert hint in caught.value.hint


@given(st.lists(st.text(max_size=20).map(clean), max_size=8))
def test_any_words_give_a_command_or_a_usage_error(words: list[str]) -> None:
    with suppress(UsageError):
        assert isinstance(parse_command(words), ChatCommand)
