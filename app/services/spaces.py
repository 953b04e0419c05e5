"""Namespace by namespace: what policies allow, against what flows show.

Every pair of workloads of two namespaces is asked as `matrix` asks it. What is outside the cluster
is one end, and so are nodes with what runs on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from app.core.flows.grouping import Connections
from app.core.model.flow import Flow, FlowEndpoint
from app.core.model.verdict import Verdict
from app.core.policy.outside import WORLD
from app.services.matrix import (
    EVERY_PORT,
    EVERY_PROTOCOL,
    By,
    Chooser,
    MatrixRow,
    Party,
    find_parties,
    matrix,
)
from app.services.picture import Picture

OUTSIDE = "(outside)"
NODES = "(nodes)"
_REFUSED = frozenset({"DROPPED", "ERROR"})


class Extent(StrEnum):
    """How much of what two namespaces could say to each other is allowed."""

    NOTHING = "nothing"
    SOME = "some"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class SpacePair:
    """Two namespaces. `pairs` counts workloads of the two, `open_pairs` those that may connect.

    `allowed` are the rows that are not denied, `not_known` is what the verdicts do not rest on.
    `forwarded` and `dropped` count flows.
    """

    source: str
    destination: str
    pairs: int = 0
    open_pairs: int = 0
    whole_pairs: int = 0
    allowed: tuple[MatrixRow, ...] = ()
    not_known: tuple[str, ...] = ()
    forwarded: int = 0
    dropped: int = 0

    @property
    def extent(self) -> Extent:
        """Nothing, some, or every port of every pair."""
        if not self.open_pairs:
            return Extent.NOTHING
        return Extent.EVERYTHING if self.whole_pairs == self.pairs else Extent.SOME

    @property
    def is_odd(self) -> bool:
        """Whether flows went where policies allow nothing, or were refused where they allow."""
        return bool((self.forwarded and not self.open_pairs) or self.dropped)


@dataclass(frozen=True, slots=True)
class Spaces:
    """The matrix: `names` in order, and a pair for every two that have ends."""

    names: tuple[str, ...]
    pairs: Mapping[tuple[str, str], SpacePair]
    flows: bool

    def of(self, source: str, destination: str) -> SpacePair:
        """Give a pair; an empty one where nothing is known."""
        found = self.pairs.get((source, destination))
        return found if found is not None else SpacePair(source, destination)


@dataclass(slots=True)
class _Tally:
    ends: set[tuple[str, str]] = field(default_factory=set)
    open: set[tuple[str, str]] = field(default_factory=set)
    whole: set[tuple[str, str]] = field(default_factory=set)
    allowed: list[MatrixRow] = field(default_factory=list)
    not_known: dict[str, None] = field(default_factory=dict)

    def add(self, row: MatrixRow) -> None:
        ends = (row.source, row.destination)
        self.ends.add(ends)
        self.not_known.update(dict.fromkeys(row.known.not_known))
        if row.verdict is Verdict.DENIED:
            return
        self.open.add(ends)
        self.allowed.append(row)
        if (row.protocol, row.ports) == (EVERY_PROTOCOL, EVERY_PORT):
            self.whole.add(ends)


def spaces(picture: Picture, wanted: Chooser, flows: Iterable[Flow] | None = None) -> Spaces:
    """Ask for every wanted pair, and count flows.

    Raises `UsageError` when there are too many pairs to ask about.
    """
    where = {one.name: _space_of(one) for one in find_parties(picture, By.WORKLOAD)}
    tallies: dict[tuple[str, str], _Tally] = {}
    for row in matrix(picture, By.WORKLOAD, wanted):
        key = (where[row.source], where[row.destination])
        tallies.setdefault(key, _Tally()).add(row)
    pairs = {
        key: SpacePair(
            *key,
            pairs=len(one.ends),
            open_pairs=len(one.open),
            whole_pairs=len(one.whole),
            allowed=tuple(one.allowed),
            not_known=tuple(one.not_known),
        )
        for key, one in tallies.items()
    }
    if flows is not None:
        _count(pairs, flows)
    names = {name for key in pairs for name in key}
    return Spaces(tuple(sorted(names, key=_order)), pairs, flows is not None)


def _order(name: str) -> tuple[bool, str]:
    return name in (OUTSIDE, NODES), name


def _space_of(party: Party) -> str:
    if party.namespace:
        return party.namespace
    return NODES if party.name.startswith("entity:") and party.name != WORLD else OUTSIDE


def _count(pairs: dict[tuple[str, str], SpacePair], flows: Iterable[Flow]) -> None:
    """Add what was seen, also where no end is known."""
    for one in Connections(flows).ranked():
        key = (_space_of_end(one.source), _space_of_end(one.destination))
        known = pairs.get(key, SpacePair(*key))
        if one.verdict in _REFUSED:
            pairs[key] = replace(known, dropped=known.dropped + one.packets)
        else:
            pairs[key] = replace(known, forwarded=known.forwarded + one.packets)


def _space_of_end(end: FlowEndpoint) -> str:
    if end.namespace:
        return end.namespace
    reserved = {label for label in end.labels if label.startswith("reserved:")}
    on_nodes = reserved - {"reserved:world", "reserved:world-ipv4", "reserved:world-ipv6"}
    return NODES if on_nodes else OUTSIDE
