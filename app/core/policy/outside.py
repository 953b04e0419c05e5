"""The world outside a cluster, in classes that no policy can tell apart.

What a rule sees of an outside address is the blocks and CIDR groups that hold it, and the names it
was learned for. So the addresses fall into one class for each block in play, those whose longest
prefix it is, and one for each family's rest; names into one for each name or pattern in play. One
question for each class answers for the whole outside. Source: Cilium `pkg/ipcache/metadata.go`
`resolveLabels`, `pkg/policy/types/selector.go` (CIDR and toFQDNs selectors).

A name's address is any: whether it is let through can only depend on the deny rules that hold the
address, as names stand in allow rules alone (`pkg/policy/api/egress.go` `EgressDenyRule`). So each
name is asked with one address for each set of deny rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from app.core.model.cluster import Address, Cluster, IdentityKind, Network, Service
from app.core.model.verdict import Effect, Peer
from app.core.policy.engine import Engine
from app.core.policy.rules import (
    FqdnSelector,
    PeerSelector,
)

WORLD = "entity:world"
ALL_IPV4, ALL_IPV6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")
NEVER_OUTSIDE: tuple[Network, ...] = tuple(
    map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128"))
)
"""Addresses of the own machine: RFC 1122 section 3.2.1.3, RFC 4291 section 2.5."""

FILLERS = ("any", "other-name", "x1", "zz-9")
"""What a pattern's stars stand for in the name that is asked; the first that fits fewest others."""
_MOST_EXCEPTED = 3
_SERVICE_AND_NAMESPACE = 2
CLUSTER_DOMAIN = "cluster.local"
_STARS = re.compile(r"[*]+")


@dataclass(frozen=True, slots=True)
class OutsideClass:
    """Ends outside that every rule in play treats alike.

    `name` asks for the one that stands for all (docs/forms.md section 3), `peer` is that one, and
    `words` say who they are. `by_name`: they are known by a name, and can only be connected to.
    """

    name: str
    peer: Peer
    words: str
    by_name: bool = False


def outside_classes(
    *engines: Engine, apart: Iterable[Address] = (), names: Iterable[str] = ()
) -> tuple[OutsideClass, ...]:
    """Give the classes that the rules of all `engines` together tell apart, addresses first.

    The peers are those of the first engine, and mean the same ends in each. The addresses that the
    cluster itself uses are in no class, those of `apart` each in one of its own. Names of the
    cluster are in none either, but for those that lead outside (`names_leading_outside`) and those
    of `names`.
    """
    addresses = tuple(_address_classes(engines, {ip_network(one) for one in apart}))
    by_name = _name_classes(engines, addresses, frozenset(names))
    found = {one.name: one for one in (*addresses, *by_name)}
    return tuple(found.values())


# Addresses


def _address_classes(engines: Sequence[Engine], apart: set[Network]) -> Iterator[OutsideClass]:
    engine = engines[0]
    inside, taken = _inside(engines)
    families = _families(engine)
    named = {*_blocks_in_play(engines), *families, *apart}
    for block, within in partition({*named, *inside}):
        if any(_holds(own, block) for own in inside):
            continue
        address = _first_free(block, within, taken)
        if address is None:
            continue
        world, peer = engine.peer_of_entity("world"), engine.peer_of_outside(address)
        if block not in (ALL_IPV4, ALL_IPV6):
            shown = str(address) if block.num_addresses == 1 else str(block)
            words = shown + _except_words([str(one) for one in within if one in named])
            yield OutsideClass(f"ip:{address}", peer, words)
        elif peer.labels != world.labels:
            words = f"every other IPv{block.version} address outside"
            yield OutsideClass(f"ip:{address}", peer, words)
        else:
            yield OutsideClass(WORLD, world, "every other address outside")


def _except_words(blocks: Sequence[str]) -> str:
    if not blocks:
        return ""
    more = f" and {len(blocks) - _MOST_EXCEPTED} more" if len(blocks) > _MOST_EXCEPTED else ""
    return f" except {', '.join(blocks[:_MOST_EXCEPTED])}{more}"


def _families(engine: Engine) -> tuple[Network, ...]:
    """The families that pods speak; IPv4 where nothing says otherwise."""
    if engine.cluster.config.dual_stack:
        return ALL_IPV4, ALL_IPV6
    return (ALL_IPV6,) if engine.inside.versions == {ALL_IPV6.version} else (ALL_IPV4,)


def _blocks_in_play(engines: Sequence[Engine]) -> set[Network]:
    """Every block by which a rule or a CIDR group could tell two addresses apart."""
    found: set[Network] = set()
    for engine in engines:
        found.update(block for group in engine.cluster.cidr_groups for block in group.blocks)
        found.update(*(policy.blocks_in_play for policy in engine.policies))
    return found


def _inside(engines: Sequence[Engine]) -> tuple[frozenset[Network], frozenset[Address]]:
    """The blocks and the addresses that are the cluster's own, or nobody's."""
    found = {id(engine.inside): engine.inside for engine in engines}
    blocks = frozenset(NEVER_OUTSIDE).union(*(one.blocks for one in found.values()))
    several = [one.addresses for one in found.values()]
    return blocks, several[0] if len(several) == 1 else frozenset[Address]().union(*several)


def partition(blocks: Iterable[Network]) -> Iterator[tuple[Network, tuple[Network, ...]]]:
    """Yield each block with the blocks directly inside it: an address has one longest prefix.

    >>> from ipaddress import ip_network
    >>> list(partition(map(ip_network, ("10.0.0.0/8", "10.1.0.0/16"))))[0][1]
    (IPv4Network('10.1.0.0/16'),)
    """
    order = sorted(set(blocks), key=lambda one: (one.version, int(one[0]), one.prefixlen))
    inner: dict[Network, list[Network]] = {block: [] for block in order}
    open_ones: list[Network] = []
    for block in order:
        while open_ones and not _holds(open_ones[-1], block):
            open_ones.pop()
        if open_ones:
            inner[open_ones[-1]].append(block)
        open_ones.append(block)
    yield from ((block, tuple(children)) for block, children in inner.items())


def _holds(outer: Network, inner: Network) -> bool:
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


def _first_free(
    block: Network, within: Sequence[Network], taken: frozenset[Address]
) -> Address | None:
    """Give an address of a block that is in none of those inside it and that nobody has."""
    start = int(block.network_address)
    for child in (*within, None):
        end = int(child.network_address) if child else int(block.broadcast_address) + 1
        for number in range(start, end):
            address = type(block.network_address)(number)
            if address not in taken:
                return address
        if child is not None:
            start = int(child.broadcast_address) + 1
    return None


# Names


def _name_classes(
    engines: Sequence[Engine], addresses: Sequence[OutsideClass], outside: frozenset[str]
) -> Iterator[OutsideClass]:
    selectors = {
        selector.key: selector
        for engine in engines
        for policy in engine.policies
        for selector in policy.fqdn_selectors
    }
    if not selectors:
        return
    spots = tuple(_spots(engines, addresses))
    leading = names_leading_outside(engines[0]) | outside
    for name, words in _asked_names(selectors, leading, engines).items():
        for address, where in spots:
            yield _named(engines[0], name, address, f"{words}{where}")


def _asked_names(
    selectors: Mapping[str, FqdnSelector], leading: frozenset[str], engines: Sequence[Engine]
) -> dict[str, str]:
    """A name for each selector, and each of the cluster's that leads outside, with words."""
    found: dict[str, str] = {}
    for selector in selectors.values():
        name = name_for(selector, selectors)
        if name is not None and (name in leading or not _is_inside(name, engines)):
            words = selector.name.rstrip(".") or f"names of the pattern `{selector.pattern}`"
            found.setdefault(name, words)
    for name in sorted(leading):
        if any(one.selects_name(name) for one in selectors.values()):
            found.setdefault(name, name)
    return found


def names_leading_outside(engine: Engine) -> frozenset[str]:
    """Give the names of the cluster that DNS answers with addresses outside.

    An ExternalName is an alias of a name elsewhere, a headless Service gives the addresses of its
    slices, whoever has them; Cilium learns them for the name that was asked.
    Source: Kubernetes DNS specification 1.1.0 sections 2.4 and 2.5; Cilium
    `pkg/fqdn/messagehandler/message_handler.go` `UpdateOnDNSMsg` (`qname`).
    """
    cluster = engine.cluster
    learned = (
        name
        for name, addresses in cluster.learned_names.items()
        if name.endswith(f".{CLUSTER_DOMAIN}")
        and any(_is_outside(one, engine) for one in addresses)
    )
    served = (
        f"{service.name}.{service.namespace}.svc.{CLUSTER_DOMAIN}"
        for service in cluster.services
        if _leads_outside(service, engine)
    )
    return frozenset((*learned, *served))


def _leads_outside(service: Service, engine: Engine) -> bool:
    target = service.external_name.rstrip(".").lower()
    if target:
        return not _names_a_service(target, engine.cluster)
    backends = service.backends or ()
    return service.is_headless and any(_is_outside(one.address, engine) for one in backends)


def _is_outside(address: Address, engine: Engine) -> bool:
    return engine.peer_of_address(address).kind is IdentityKind.WORLD


def _names_a_service(name: str, cluster: Cluster) -> bool:
    """Whether a name of the cluster domain can only be a Service's, or a pod's of one.

    Others of that domain are search forms, `api.example.org.NS.svc.cluster.local`, which CoreDNS
    answers with the addresses of `api.example.org` where `autopath` is on.
    Source: CoreDNS `plugin/autopath/README.md`; Kubernetes DNS specification 1.1.0 section 2.
    """
    inside = name.removesuffix(f".{CLUSTER_DOMAIN}")
    if not inside.endswith(".svc"):
        return inside != name
    labels = inside.removesuffix(".svc").split(".")
    if len(labels) == _SERVICE_AND_NAMESPACE:
        return True
    known = ((one.namespace, one.name) for one in cluster.services)
    return len(labels) == _SERVICE_AND_NAMESPACE + 1 and (labels[2], labels[1]) in known


def _named(engine: Engine, name: str, address: Address | None, words: str) -> OutsideClass:
    names = frozenset({name})
    if address is None:
        peer = replace(engine.peer_of_entity("world"), names=names, text=name)
        return OutsideClass(f"fqdn:{name}", peer, words, by_name=True)
    peer = engine.peer_of_outside(address, names)
    return OutsideClass(f"fqdn:{name}={address}", peer, words, by_name=True)


def name_for(selector: FqdnSelector, others: Mapping[str, FqdnSelector]) -> str | None:
    """Give a name that a toFQDNs element means, and as few of the `others` as can be."""
    if selector.name:
        name = selector.name.rstrip(".").lower()
        return name if selector.selects_name(name) else None
    fitting = [one for one in _candidates(selector.pattern) if selector.selects_name(one)]
    if not fitting:
        return None
    rest = [one for one in others.values() if one.key != selector.key]
    return min(fitting, key=lambda name: sum(one.selects_name(name) for one in rest))


def _candidates(pattern: str) -> Iterator[str]:
    """Names that a pattern may mean: its stars as one label, and leading ones as several."""
    text = pattern.rstrip(".").lower()
    if not text.strip("*"):
        text = "*.example"
    yield from (_STARS.sub(filler, text) for filler in FILLERS)
    rest = text.lstrip("*")
    if rest.startswith("."):
        yield from (f"{one}.name{_STARS.sub(one, rest)}" for one in FILLERS)
    elif "*" in text:
        yield _STARS.sub("", text)


def _is_inside(name: str, engines: Sequence[Engine]) -> bool:
    """Whether a name is the cluster's own: a Service's, or learned only for its addresses."""
    cluster = engines[0].cluster
    known = cluster.learned_names.get(name, ())
    if known:
        return not any(_is_outside(one, engines[0]) for one in known)
    return _names_a_service(name, cluster)


def _spots(
    engines: Sequence[Engine], addresses: Sequence[OutsideClass]
) -> Iterator[tuple[Address | None, str]]:
    """An address for each set of deny rules that hold one, with words where there are several.

    None stands for an address that nothing is known of. Of those that the same deny rules hold the
    one that the fewest allow rules hold is taken, so that the name is what decides.
    """
    denies, allows = (_distinct(engines, effect) for effect in (Effect.DENY, Effect.ALLOW))
    rest = None if engines[0].cluster.config.dual_stack else engines[0].peer_of_entity("world")
    found: dict[object, tuple[int, OutsideClass]] = {}
    for one in addresses:
        key = _held_by(denies, one.peer)
        allowed = sum(map(len, _held_by(allows, one.peer)))
        if key not in found or allowed < found[key][0]:
            found[key] = allowed, one
    plain = _held_by(denies, rest) if rest is not None else None
    for held, (_, one) in found.items():
        where = f" at an address of {one.words}" if len(found) > 1 else ""
        if held == plain:
            yield None, ""
        else:
            yield one.peer.address, where


Distinct = Sequence[tuple[Engine, tuple[PeerSelector, ...]]]


def _distinct(engines: Sequence[Engine], effect: Effect) -> Distinct:
    return [
        (
            engine,
            tuple(
                {
                    selector.key: selector
                    for policy in engine.policies
                    for of, selector in policy.loose_peers
                    if of is effect
                }.values()
            ),
        )
        for engine in engines
    ]


def _held_by(selectors: Distinct, peer: Peer) -> tuple[frozenset[str], ...]:
    """The selectors of each engine that hold a peer, by their keys."""
    return tuple(
        frozenset(one.key for one in several if one.selects(engine.identity_of(peer)))
        for engine, several in selectors
    )
