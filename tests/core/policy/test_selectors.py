import pytest

from app.core.model.cluster import IdentityKind
from app.core.model.labels import LabelSet
from app.core.policy.decode import Refused
from app.core.policy.rules import Identity, LabelSelector, Operator, Requirement, cidr_of_label
from app.core.policy.selectors import (
    Expression,
    SelectorDraft,
    Version,
    Written,
    cilium_draft,
    group_draft,
    is_label_value,
    is_qualified_name,
    is_selector_valid,
    is_subdomain,
    parse_source,
)
from tests.core.policy.build import V119, V120


def _selector(
    labels: dict[str, str], *expressions: Expression, version: Version = V119
) -> LabelSelector:
    return cilium_draft(Written(labels, expressions, "spec"), version).finish()


@pytest.mark.parametrize("key", ["app", "a.b/c-d_e", "x" * 63, "example.com/" + "n" * 63])
def test_key_when_kubernetes_takes_it_then_is_qualified(key: str) -> None:
    assert is_qualified_name(key)


@pytest.mark.parametrize(
    "key", ["", "-a", "a b", "x" * 64, "/a", "A/b", "a/b/c", "a:b", "p" * 254 + "/a"]
)
def test_key_when_kubernetes_refuses_it_then_is_not_qualified(key: str) -> None:
    assert not is_qualified_name(key)


def test_values_when_checked_then_follow_kubernetes() -> None:
    assert is_label_value("")
    assert is_label_value("a_b")
    assert not is_label_value("-a")
    assert not is_label_value("a" * 64)
    assert is_subdomain("a-b.c")
    assert not is_subdomain("A")


@pytest.mark.parametrize(
    ("key", "source", "name"),
    [
        ("app", "any", "app"),
        ("k8s:app", "k8s", "app"),
        ("any:app", "any", "app"),
        ("$host", "reserved", "host"),
        ("reserved.host", "reserved", "host"),
        ("reserved:host", "reserved", "host"),
        ("k8s.app", "any", "k8s.app"),
        ("app=x", "any", "app"),
    ],
)
def test_key_when_read_by_1_19_then_has_this_source(key: str, source: str, name: str) -> None:
    (requirement,) = _selector({key: ""}).requirements

    assert (requirement.source, requirement.key) == (source, name)


@pytest.mark.parametrize("key", ["$host", "a:b:c", "sour.ce:a", "app=x", "a/b/c"])
def test_key_when_1_20_does_not_take_it_then_is_refused(key: str) -> None:
    with pytest.raises(Refused):
        _selector({key: ""}, version=V120)


def test_key_when_1_20_reads_the_dot_form_then_is_a_plain_name() -> None:
    (requirement,) = _selector({"reserved.host": ""}, version=V120).requirements

    assert (requirement.source, requirement.key) == ("any", "reserved.host")


def test_long_key_when_the_source_no_longer_counts_then_is_taken() -> None:
    long = "k" * 60
    with pytest.raises(Refused):
        _selector({long: "x"}, version=V119)

    assert _selector({long: "x"}, version=V120).requirements


@pytest.mark.parametrize(
    "expression",
    [
        Expression("a", "Gt", ("1",)),
        Expression("a", "In", ()),
        Expression("a", "Exists", ("x",)),
        Expression("a b", "Exists", ()),
        Expression("a", "In", ("-bad",)),
    ],
)
def test_expression_when_not_valid_then_is_refused(expression: Expression) -> None:
    with pytest.raises(Refused):
        _selector({}, expression)
    with pytest.raises(Refused):
        _selector({}, expression, version=V120)


def test_value_when_not_valid_then_is_refused() -> None:
    with pytest.raises(Refused):
        _selector({"a": "-bad"})


def test_group_key_when_it_has_a_source_then_only_1_20_takes_it() -> None:
    written = Written({"cidrgroup:env": "x"}, (), "spec")
    with pytest.raises(Refused):
        group_draft(written, V119)

    (requirement,) = group_draft(written, V120).finish().requirements
    assert (requirement.source, requirement.key) == ("cidrgroup", "env")


def test_draft_when_asked_for_a_key_then_looks_in_both_parts() -> None:
    draft = SelectorDraft(".", "spec")
    draft.add("k8s", "a", "x")
    draft.add_exists("any", "b")

    assert draft.has_key("k8s", "a")
    assert draft.has_key("any", "b")
    assert not draft.has_key("any", "a")
    assert draft.has_prefix("k8s")
    assert not draft.has_prefix("reserved")


def test_source_when_not_written_then_is_empty() -> None:
    assert parse_source("app", ".") == ("", "app")
    assert parse_source("k8s.app", ".") == ("k8s", "app")


def test_selector_when_valid_for_kubernetes_then_says_so() -> None:
    assert is_selector_valid(Written({"a": "b"}, (), ""))
    assert not is_selector_valid(Written({"any:a": "b"}, (), ""))


def _fits(requirement: Requirement, *labels: str) -> bool:
    return requirement.fits(LabelSet.from_texts(labels))


def test_requirement_when_key_is_missing_then_only_negative_ones_fit() -> None:
    values = frozenset({"x"})

    assert not _fits(Requirement("any", "a", Operator.IN, values))
    assert _fits(Requirement("any", "a", Operator.NOT_IN, values))
    assert not _fits(Requirement("any", "a", Operator.EXISTS))
    assert _fits(Requirement("any", "a", Operator.DOES_NOT_EXIST))


def test_requirement_when_source_differs_then_does_not_fit() -> None:
    wanted = Requirement("k8s", "a", Operator.EXISTS)

    assert _fits(wanted, "k8s:a=x")
    assert not _fits(wanted, "reserved:a")
    assert _fits(Requirement("any", "a", Operator.EXISTS), "reserved:a")


def test_requirement_when_about_a_block_then_fits_by_containment() -> None:
    wanted = Requirement("cidr", "10.0.0.0/8", Operator.EXISTS)

    assert _fits(wanted, "cidr:10.1.0.0/16")
    assert not _fits(wanted, "cidr:11.0.0.0/8", "k8s:a=b")
    assert not _fits(wanted, "cidr:2001-db8--/32")
    assert not _fits(Requirement("cidr", "nonsense", Operator.EXISTS), "cidr:10.1.0.0/16")


def test_block_label_when_read_then_dashes_are_colons() -> None:
    assert str(cidr_of_label("2001-db8--0/32")) == "2001:db8::/32"
    assert cidr_of_label("x/y") is None
    assert cidr_of_label("10.0.0.0") is None


def test_requirement_when_shown_then_reads_as_written() -> None:
    assert str(Requirement("any", "a", Operator.IN, frozenset({"x"}))) == "a=x"
    assert str(Requirement("k8s", "a", Operator.NOT_IN, frozenset({"y", "x"}))) == (
        "k8s:a NotIn (x, y)"
    )
    assert str(Requirement("any", "a", Operator.EXISTS)) == "a Exists"


def test_selector_when_nothing_is_asked_then_is_the_wildcard() -> None:
    selector = _selector({})

    assert selector.is_wildcard
    assert selector.selects(Identity(IdentityKind.WORLD, LabelSet()))
    assert not _selector({"a": "b"}).is_wildcard
