import time

import pytest

from app.core.policy.names import (
    dns_rules_allow,
    fqdn_expression,
    is_crd_name,
    is_match_name,
    is_match_pattern,
    with_final_dot,
)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "anything.example", True),
        ("*.", "a", True),
        ("*", "with space", False),
        ("*.cilium.io", "www.cilium.io", True),
        ("*.cilium.io", "cilium.io", False),
        ("*.cilium.io", "a.b.cilium.io", False),
        ("**.cilium.io", "a.b.cilium.io", True),
        ("**.cilium.io", "cilium.io", False),
        ("***.cilium.io", "a.b.cilium.io", True),
        ("*cilium.io", "subcilium.io", True),
        ("**cilium.io", "a.cilium.io", False),
        ("sub*.cilium.io", "subdomain.cilium.io", True),
        ("*.*.cilium.io", "_foobar._tcp.cilium.io", True),
        ("**.*.cilium.io", "a.foo.cilium.io", True),
        ("**.*.cilium.io", "foo.cilium.io", False),
        ("test.**.cilium.io", "test.a.b.cilium.io", False),
        ("WWW.Cilium.io.", "www.cilium.io", True),
    ],
)
def test_pattern_when_compared_with_a_name_then_follows_the_table(
    pattern: str,
    name: str,
    fits: bool,  # noqa: FBT001  # a table of cases
) -> None:
    expression = fqdn_expression("", pattern, whole_labels=True)

    assert (expression.match(name + ".") is not None) is fits


def test_placeholder_when_not_filled_then_is_taken_and_matches_nothing() -> None:
    expression = fqdn_expression("api.${DOMAIN}", "", whole_labels=True)

    assert is_match_name("api.${DOMAIN}")
    assert is_match_pattern("*.${DOMAIN}")
    assert not expression.match("api.${domain}.")


def test_double_star_when_whole_labels_are_not_known_then_is_one_label() -> None:
    expression = fqdn_expression("", "**.cilium.io", whole_labels=False)

    assert expression.match("a.cilium.io.")
    assert not expression.match("a.b.cilium.io.")


def test_match_name_when_a_dot_could_be_any_character_then_is_literal() -> None:
    expression = fqdn_expression("pypi.org", "", whole_labels=True)

    assert expression.match("pypi.org.")
    assert not expression.match("pypixorg.")


def test_empty_pattern_when_compared_then_matches_the_root_only() -> None:
    assert fqdn_expression("", "", whole_labels=True).match(".")


def test_dns_rules_when_pattern_is_only_stars_then_any_text_passes() -> None:
    assert dns_rules_allow([("", "*")], "no name at all!")


def test_dns_rules_when_one_element_names_it_then_passes() -> None:
    assert dns_rules_allow([("a.example", ""), ("b.example", "")], "B.example.")
    assert dns_rules_allow([("", "*.example")], "b.example")


def test_dns_rules_when_element_is_empty_then_nothing_passes() -> None:
    assert not dns_rules_allow([("", "")], "a.example")
    assert not dns_rules_allow([], "a.example")


def test_names_when_checked_then_only_their_characters_pass() -> None:
    assert is_match_name("a_b-c.D.")
    assert not is_match_name("a*b")
    assert is_match_pattern("")
    assert is_match_pattern("*.a_b")
    assert not is_match_pattern("a b")
    assert not is_match_pattern("a" * 256)
    assert is_crd_name("a.b.")
    assert not is_crd_name(".a")
    assert not is_crd_name("a..b")


def test_final_dot_when_there_already_then_is_not_doubled() -> None:
    assert with_final_dot("a") == with_final_dot("a.") == "a."


def test_stars_between_stars_take_no_time() -> None:
    expression = fqdn_expression("", "*a" * 20 + ".b.org", whole_labels=True)
    started = time.process_time()
    assert expression.match("a" * 60 + "c.b.org.") is None
    assert time.process_time() - started < 0.1
