"""Why a direction was judged as it was: what matched, and where every other rule failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from app.core.model.cluster import IdentityKind
from app.core.model.labels import RESERVED_SOURCE
from app.core.model.verdict import Dimension, Effect, Match, Miss
from app.core.policy.filters import Contribution, DirectionPolicy, contributions_of
from app.core.policy.judge import DirectedConnection, Judgement, resolve_name
from app.core.policy.named import NamedPorts
from app.core.policy.ports import in_range
from app.core.policy.rules import (
    CidrSelector,
    Entry,
    FqdnSelector,
    GroupSelector,
    Identity,
    LabelSelector,
    PeerSelector,
    PortSpec,
    Requirement,
)
from app.core.policy.selectors import NAMESPACE_KEY, NAMESPACE_LABELS_KEY

_PEER_FITS = 32
_PORT_FITS = 16
_PROTOCOL_FITS = 8
_NAMESPACE_ONLY = 4
_ALIKE = 1
_MOST_ALIKE = 2
"""Nearness of a miss: what fits weighs, the peer most; a wrong namespace alone is nearly right.

Among equals the rule wins that says its port, means this kind of peer, or holds part of it; one
that does none of these is not near at all.
"""


def find_matches(judgement: Judgement) -> tuple[Match, ...]:
    """Give the rules that matched, each once, denies first."""
    found: dict[tuple[str, str], Match] = {}
    for hit in judgement.hits:
        for part in hit.policy.contributions:
            rule = part.entry.rule
            key = (str(rule.policy), rule.path)
            layer7 = part.port_rule is not None and bool(
                part.port_rule.layer7.parser(hit.filter.protocol)
            )
            known = found.get(key)
            if known is None or (layer7 and not known.l7):
                found[key] = Match(rule, part.entry.effect, layer7)
    order = {Effect.DENY: 0, Effect.ALLOW: 1}
    return tuple(sorted(found.values(), key=lambda match: order[match.effect]))


def find_misses(
    policy: DirectionPolicy, connection: DirectedConnection, judgement: Judgement, names: NamedPorts
) -> tuple[Miss, ...]:
    """Give for every entry that did not match the first dimension that failed."""
    matched = {id(part.entry) for hit in judgement.hits for part in hit.policy.contributions}
    return tuple(
        _miss_of(entry, policy, connection, names)
        for entry in policy.entries
        if id(entry) not in matched
    )


@dataclass(frozen=True, slots=True)
class _Failure:
    failed_on: Dimension
    wanted: str
    got: str
    path: str
    nearness: int


def _miss_of(
    entry: Entry, policy: DirectionPolicy, connection: DirectedConnection, names: NamedPorts
) -> Miss:
    failures = _failures(entry, policy, connection, names)
    nearest = max(failures, key=lambda failure: failure.nearness)
    return Miss(
        rule=entry.rule,
        failed_on=nearest.failed_on,
        wanted=nearest.wanted,
        got=nearest.got,
        path=nearest.path or entry.rule.path,
        nearness=nearest.nearness,
    )


def _failures(
    entry: Entry, policy: DirectionPolicy, connection: DirectedConnection, names: NamedPorts
) -> list[_Failure]:
    parts = contributions_of(entry)
    if not parts:
        return [_matches_nothing(entry, connection)]
    ports = [_port_failure(part, policy, connection, names) for part in parts]
    nearest_port = min(ports, key=_distance)
    peers = [_peer_failure(peer, connection) for peer in entry.peers or ()]
    if not peers or any(failure is None for failure in peers):
        fits = [failure for failure in (nearest_port,) if failure is not None]
        return [_raised(failure, _PEER_FITS) for failure in fits] or [
            _matches_nothing(entry, connection)
        ]
    said = any(part.spec is not None for part in parts)
    fitting = _PORT_FITS + _PROTOCOL_FITS + _ALIKE * said
    bonus = fitting if nearest_port is None else nearest_port.nearness
    return [
        _raised(failure, bonus if said or _may_mean(failure) else 0)
        for failure in peers
        if failure is not None
    ]


def _may_mean(failure: _Failure) -> bool:
    """Whether a peer that says no port may have been meant: it is alike, or a block."""
    return bool(failure.nearness) or failure.failed_on is Dimension.CIDR


def _distance(failure: _Failure | None) -> float:
    """Order the ports of an entry: one that fits comes before every one that nearly does."""
    return -inf if failure is None else -failure.nearness


def _raised(failure: _Failure, by: int) -> _Failure:
    return _Failure(
        failure.failed_on, failure.wanted, failure.got, failure.path, failure.nearness + by
    )


def _matches_nothing(entry: Entry, connection: DirectedConnection) -> _Failure:
    if entry.peers is None:
        wanted = "nobody: an empty list of peers"
    elif entry.ports:
        wanted = "no port: an item without ports"
    else:
        wanted = "nothing: an empty item"
    return _Failure(Dimension.PEER, wanted, _peer_text(connection), entry.rule.path, 0)


def _peer_text(connection: DirectedConnection) -> str:
    if connection.peer_endpoint is not None:
        return f"pod {connection.peer_endpoint.key}"
    if connection.peer.address is not None:
        return str(connection.peer.address)
    return connection.peer.kind.value


def _port_failure(
    part: Contribution, policy: DirectionPolicy, connection: DirectedConnection, names: NamedPorts
) -> _Failure | None:
    spec = part.spec
    if spec is None:
        return None
    got = f"{connection.port}/{connection.protocol}"
    if connection.protocol not in spec.protocols:
        wanted = _spec_text(spec)
        nearness = _PORT_FITS // 2 if spec.number == connection.port else 0
        return _Failure(Dimension.PROTOCOL, wanted, got, spec.path, nearness)
    number: int | None = spec.number
    if spec.name:
        number = resolve_name(spec.name, policy.direction, connection, names)
        if number is None:
            wanted = f"{_spec_text(spec)} (no port of that name)"
            return _Failure(Dimension.PORT, wanted, got, spec.path, _PROTOCOL_FITS)
    if not spec.spills and not in_range(number or 0, spec.end, connection.port):
        return _Failure(Dimension.PORT, _spec_text(spec), got, spec.path, _PROTOCOL_FITS)
    return None


def _spec_text(spec: PortSpec) -> str:
    end = f"-{spec.end}" if spec.end > spec.number else ""
    shown = spec.text if spec.number or spec.name else "any port"
    return f"{shown}{end}/{'+'.join(spec.protocols)}"


def _peer_failure(peer: PeerSelector, connection: DirectedConnection) -> _Failure | None:
    if peer.selects(connection.peer):
        return None
    if isinstance(peer, LabelSelector):
        return _label_failure(peer, connection)
    if isinstance(peer, FqdnSelector):
        names = ", ".join(sorted(connection.peer.names)) or _without_names(connection)
        return _Failure(
            Dimension.FQDN, peer.text, names, peer.path, _name_likeness(peer, connection)
        )
    return _cidr_failure(peer, connection)


def _name_likeness(peer: FqdnSelector, connection: DirectedConnection) -> int:
    """Names are meant for what has a name; one of the same domain is closer."""
    domain = peer.text.rsplit(".", 2)[-2:]
    near = any(name.rsplit(".", 2)[-2:] == domain for name in connection.peer.names)
    return _ALIKE * (bool(connection.peer.names) + near)


def _without_names(connection: DirectedConnection) -> str:
    inside = connection.peer.kind is not IdentityKind.WORLD
    if inside:
        return f"{_peer_text(connection)}, in the cluster"
    address = connection.peer.address
    return f"{f'{address} and ' if address else ''}no name that Cilium learned"


def _cidr_failure(peer: CidrSelector | GroupSelector, connection: DirectedConnection) -> _Failure:
    got = _peer_text(connection)
    outside = connection.peer.kind is IdentityKind.WORLD or connection.peer.address is not None
    if not outside:
        got = f"{got}, which CIDR rules do not match"
    return _Failure(Dimension.CIDR, peer.text, got, peer.path, _ALIKE if outside else 0)


def _label_failure(peer: LabelSelector, connection: DirectedConnection) -> _Failure:
    labels = connection.peer.labels
    failed = [item for item in peer.requirements if not item.fits(labels)]
    only_namespace = all(_names_namespace(item) for item in failed)
    dimension = Dimension.PEER
    is_pod = connection.peer.kind is IdentityKind.POD
    nearness = _label_likeness(peer, connection)
    if only_namespace and is_pod:
        dimension, nearness = Dimension.NAMESPACE, nearness + _NAMESPACE_ONLY
    got = _held_all(failed, connection.peer)
    if not is_pod or all(item.source == RESERVED_SOURCE for item in failed):
        got = _peer_text(connection)
    return _Failure(dimension, peer.text, got, peer.path, nearness)


def _label_likeness(peer: LabelSelector, connection: DirectedConnection) -> int:
    """Labels are meant for pods; a selector that holds part of this one's is closer."""
    if connection.peer.kind is not IdentityKind.POD:
        return 0
    own = [item for item in peer.requirements if item.source != RESERVED_SOURCE]
    fitting = sum(item.fits(connection.peer.labels) for item in own)
    return _ALIKE * (bool(own) + min(fitting, _MOST_ALIKE))


def _names_namespace(item: Requirement) -> bool:
    return item.key == NAMESPACE_KEY or item.key.startswith(f"{NAMESPACE_LABELS_KEY}.")


def _held_all(failed: Sequence[Requirement], peer: Identity) -> str:
    """What the peer has of the labels that fail; what it lacks comes first."""
    lacking = [_short(item.key) for item in failed if item.key not in peer.labels]
    held = ", ".join(_held(item, peer) for item in failed if item.key in peer.labels)
    if not lacking:
        return held
    several = "" if len(lacking) == 1 else "s"
    text = f"lacks the label{several} {', '.join(lacking)}".replace("label namespace", "namespace")
    return f"{text} and has {held}" if held else text


def _held(item: Requirement, peer: Identity) -> str:
    label = peer.labels[item.key]
    return f"{_short(item.key)}={label.value}" if label.value else str(label)


def _short(key: str) -> str:
    """A label as people say it: that of a namespace by its own key."""
    own = key.removeprefix(f"{NAMESPACE_LABELS_KEY}.")
    return key if own == key else f"namespace label {own}"


def default_deny_rules(policy: DirectionPolicy) -> Iterator[Entry]:
    """Yield the entries that turn default deny on."""
    return (entry for entry in policy.entries if entry.default_deny)
