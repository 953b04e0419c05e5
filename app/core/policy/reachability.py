"""All pairs at once: who may open a connection to whom, as sets of identity groups.

A direction allows a pair when no deny of the subject's policy holds the peer and either some allow
does or nothing turns default deny on. So for a subject class and a port one set says it all: the
peers it allows, a union of selectors' sets without another. Pairs are two such sets met.

The verdicts are those of `reference.judge`; layer 7 rules are not asked, so a pair is allowed,
denied or redirected. A direction's answer to a pair of one and the same group is that between two
of its pods, not that of a pod to itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from app.core.model.verdict import Direction, Effect, Protocol, Verdict
from app.core.policy.filters import DirectionPolicy, Filter
from app.core.policy.groups import IdentityGroup
from app.core.policy.index import Bits, bits_of, members_of
from app.core.policy.named import NamedPorts, number_of
from app.core.policy.ports import MAX_PORT
from app.core.policy.reference import Connection, judge
from app.core.policy.rules import ParsedPolicy
from app.core.policy.subjects import Scope, SubjectClass, Subjects

Port = tuple[Protocol, int]
"""A protocol with a port after Service translation, or with an ICMP type."""


@dataclass(frozen=True, slots=True)
class Row:
    """The peers of one subject class on one port. `redirected` are those the proxy decides on."""

    allowed: Bits
    redirected: Bits = 0


@dataclass(frozen=True, slots=True)
class PairChange:
    """A pair of groups whose verdict on a port is another one after a change."""

    source: IdentityGroup
    destination: IdentityGroup
    protocol: Protocol
    port: int
    before: Verdict
    after: Verdict
