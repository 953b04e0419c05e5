from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from app.core.model.cluster import IdentityKind
from app.core.model.labels import Label, LabelSet
from app.core.policy.index import SelectorIndex, bits_of, members_of
from app.core.policy.names import fqdn_expression
from app.core.policy.rules import FqdnSelector, Identity, LabelSelector, Operator, Requirement

KEYS = st.sampled_from(("app", "tier", "10.0.0.0/8", "10.1.0.0/16", "host"))
SOURCES = st.sampled_from(("k8s", "reserved", "cidr"))
LABELS = st.builds(Label, SOURCES, KEYS, st.sampled_from(("", "a", "b")))
IDENTITIES = st.builds(
    Identity, st.just(IdentityKind.POD), st.builds(LabelSet, st.lists(LABELS, max_size=4))
)
REQUIREMENTS = st.builds(
    Requirement,
    st.sampled_from(("any", "k8s", "reserved", "cidr")),
    KEYS,
    st.sampled_from(Operator),
    st.frozensets(st.sampled_from(("", "a", "b")), min_size=1),
)


@given(st.sets(st.integers(0, 300)))
def test_bits_when_read_back_then_are_the_members(members: set[int]) -> None:
    assert list(members_of(bits_of(members, 301))) == sorted(members)


@given(st.lists(IDENTITIES, max_size=12), st.lists(REQUIREMENTS, max_size=3))
def test_index_when_asked_then_selects_what_the_selector_does(
    identities: list[Identity], requirements: list[Requirement]
) -> None:
    selector = LabelSelector("x", tuple(requirements))

    found = SelectorIndex(identities).selected(selector)

    expected = [n for n, identity in enumerate(identities) if selector.selects(identity)]
    assert list(members_of(found)) == expected


def test_index_when_a_name_is_asked_for_then_only_the_outside_can_have_it() -> None:
    expression = fqdn_expression("pypi.org", "", whole_labels=True)
    selector = FqdnSelector("k", "pypi.org", "", expression)
    world, address = LabelSet.from_texts(["reserved:world"]), ip_address("192.0.2.1")
    identities = [
        Identity(IdentityKind.POD, LabelSet()),
        Identity(IdentityKind.WORLD, world, address),
        Identity(IdentityKind.WORLD, world, address, frozenset({"pypi.org"})),
    ]

    assert list(members_of(SelectorIndex(identities).selected(selector))) == [2]
