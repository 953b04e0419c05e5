from ipaddress import ip_address, ip_network

from app.core.model.cluster import IdentityKind
from app.core.model.labels import LabelSet
from app.core.policy.names import fqdn_expression
from app.core.policy.rules import (
    WILDCARD_KEY,
    CidrSelector,
    FqdnSelector,
    GroupSelector,
    Identity,
    Operator,
    Requirement,
    within,
)

WORLD = LabelSet.from_texts(["reserved:world"])


def _outside(
    address: str, *names: str, groups: frozenset[tuple[str, str]] = frozenset()
) -> Identity:
    return Identity(IdentityKind.WORLD, WORLD, ip_address(address), frozenset(names), groups)


def _block(block: str, *excepted: str) -> CidrSelector:
    return CidrSelector("k", ip_network(block), tuple(ip_network(hole) for hole in excepted))


def test_block_when_address_lies_in_an_exception_then_does_not_select() -> None:
    selector = _block("10.0.0.0/8", "10.1.0.0/16")

    assert selector.selects(_outside("10.2.0.1"))
    assert not selector.selects(_outside("10.1.0.1"))
    assert not selector.selects(_outside("11.0.0.1"))
    assert not selector.is_wildcard


def test_block_when_of_length_zero_then_asks_for_the_world_label() -> None:
    selector = _block("0.0.0.0/0", "10.0.0.0/8")

    assert selector.selects(Identity(IdentityKind.WORLD, WORLD))
    assert not selector.selects(_outside("10.0.0.1"))
    assert not selector.selects(Identity(IdentityKind.HOST, LabelSet.from_texts(["reserved:host"])))


def test_exception_when_of_length_zero_then_leaves_nothing() -> None:
    assert not _block("10.0.0.0/8", "0.0.0.0/0").selects(_outside("10.0.0.1"))


def test_blocks_when_of_different_families_then_lie_in_each_other_never() -> None:
    assert within(ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"))
    assert within(ip_network("2001:db8::/32"), ip_network("::/0"))
    assert not within(ip_network("10.0.0.0/8"), ip_network("::/0"))


def _group(
    operator: Operator, *values: str, by_pairs: bool = False, world_only: bool = False
) -> GroupSelector:
    requirement = Requirement("cidrgroup", "env", operator, frozenset(values))
    return GroupSelector(
        "k",
        (requirement,),
        (ip_network("10.9.0.0/16"),),
        by_pairs=by_pairs,
        world_only=world_only,
    )


def test_group_when_key_is_the_wildcards_then_selects_everybody() -> None:
    selector = GroupSelector(WILDCARD_KEY, ())

    assert selector.is_wildcard
    assert selector.selects(Identity(IdentityKind.HOST, LabelSet()))


def test_group_when_looked_up_in_pairs_then_every_value_counts() -> None:
    both = frozenset({("env", "prod"), ("env", "lab")})
    selector = _group(Operator.IN, "lab", by_pairs=True)

    assert selector.selects(_outside("10.1.0.1", groups=both))
    assert not _group(Operator.NOT_IN, "lab", by_pairs=True).selects(
        _outside("10.1.0.1", groups=both)
    )
    assert not selector.selects(_outside("10.9.0.1", groups=both))


def test_group_when_looked_up_in_pairs_then_existence_looks_at_labels() -> None:
    selector = _group(Operator.DOES_NOT_EXIST, by_pairs=True)

    assert selector.selects(_outside("10.1.0.1"))


def test_negative_group_when_limited_to_the_world_then_spares_pods() -> None:
    pod = Identity(IdentityKind.POD, LabelSet.from_texts(["k8s:app=a"]))

    assert _group(Operator.DOES_NOT_EXIST).selects(pod)
    assert not _group(Operator.DOES_NOT_EXIST, world_only=True).selects(pod)
    odd = Identity(IdentityKind.POD, LabelSet.from_texts(["k8s:world=x"]))
    assert _group(Operator.DOES_NOT_EXIST, world_only=True).selects(odd)


def test_name_when_learned_then_selects_its_address() -> None:
    expression = fqdn_expression("pypi.org", "", whole_labels=True)
    selector = FqdnSelector("k", "pypi.org", "", expression)

    assert selector.selects(_outside("192.0.2.1", "pypi.org", "other.org"))
    assert not selector.selects(_outside("192.0.2.1"))
    assert not selector.is_wildcard
